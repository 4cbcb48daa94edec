DROP INDEX articles_by_scheduled_slug;
DROP INDEX articles_by_due_at;
ALTER TABLE articles DROP COLUMN schedule_failure;
ALTER TABLE articles DROP COLUMN scheduled_slug;
ALTER TABLE articles DROP COLUMN due_at;
ALTER TABLE articles DROP COLUMN schedule;
