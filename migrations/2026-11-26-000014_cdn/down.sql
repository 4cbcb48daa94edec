DROP TABLE cdn_marks;
