DROP INDEX audit_events_by_subject;
DROP INDEX revisions_retired;
ALTER TABLE revisions DROP COLUMN retired_at;
ALTER TABLE revisions DROP COLUMN autosave;
ALTER TABLE revisions DROP COLUMN based_on;
ALTER TABLE revisions DROP COLUMN row_version;
