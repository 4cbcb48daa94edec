CREATE TABLE announcement_recipients_seen (
    email TEXT NOT NULL CONSTRAINT announcement_recipients_pk PRIMARY KEY,
    user_id BLOB NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
INSERT INTO announcement_recipients_seen
    SELECT email, user_id, coalesce(left_at, CAST(unixepoch('subsec') * 1000 AS INTEGER)) FROM announcement_recipients;
DROP TABLE announcement_recipients;
ALTER TABLE announcement_recipients_seen RENAME TO announcement_recipients;
DROP TABLE clock_marks;
