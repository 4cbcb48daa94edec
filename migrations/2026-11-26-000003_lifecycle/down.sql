DROP INDEX articles_in_review;
ALTER TABLE articles DROP COLUMN returned;
ALTER TABLE articles DROP COLUMN review;
ALTER TABLE articles DROP COLUMN archived_at;
