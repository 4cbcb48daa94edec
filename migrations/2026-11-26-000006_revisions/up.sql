-- What a revision was made from and for which version of its article, so that two edits of one revision can be merged.

-- The version of the article that its saving made; null for what never was the working copy.
ALTER TABLE revisions ADD COLUMN row_version INTEGER;
-- The revision that it was made from; null for the first, and where nobody remembers.
ALTER TABLE revisions ADD COLUMN based_on INTEGER;
-- Whether it was saved by itself, so that the same person's next one of this kind takes its place.
ALTER TABLE revisions ADD COLUMN autosave INTEGER NOT NULL DEFAULT 0;
-- Since when it is not listed any more; it is deleted a day later.
ALTER TABLE revisions ADD COLUMN retired_at INTEGER;
UPDATE revisions SET row_version =
    (SELECT a.row_version FROM articles AS a WHERE a.id = revisions.article_id AND a.revision = revisions.number);
CREATE INDEX revisions_retired ON revisions (retired_at) WHERE retired_at IS NOT NULL;
-- Who did what to a thing last.
CREATE INDEX audit_events_by_subject ON audit_events (subject_kind, subject_id, position) WHERE subject_id IS NOT NULL;
