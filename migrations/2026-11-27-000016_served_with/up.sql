-- With which program and settings answers were last made, as far as these show in them: under others the same content is
-- another answer, and a date from before says nothing of it. None before the first start.
ALTER TABLE content_version ADD COLUMN served_with TEXT;
