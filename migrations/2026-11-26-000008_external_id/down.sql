DROP INDEX articles_by_external_id;
ALTER TABLE articles DROP COLUMN external_id;
