-- What comes out or goes at its time. The next due time is the first entry of one small index.

-- The revision, the times and who asked; null where nothing is scheduled.
ALTER TABLE articles ADD COLUMN schedule TEXT;
-- When the next of it is due: the publication or, where that is done, the withdrawal.
ALTER TABLE articles ADD COLUMN due_at INTEGER;
-- The slug that a coming publication has taken.
ALTER TABLE articles ADD COLUMN scheduled_slug TEXT;
-- What could not be done at its time, and why; null from the next publication or schedule on.
ALTER TABLE articles ADD COLUMN schedule_failure TEXT;
CREATE INDEX articles_by_due_at ON articles (due_at, id) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX articles_by_scheduled_slug ON articles (scheduled_slug) WHERE scheduled_slug IS NOT NULL;
