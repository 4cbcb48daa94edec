-- When the clock was last believed, and since when it is seen to go on far ahead of that: what is deleted for its age is
-- not deleted by a clock that was set wrongly, whether the program runs or not.
CREATE TABLE clock_marks (
    id INTEGER NOT NULL CONSTRAINT clock_marks_pk PRIMARY KEY CHECK (id = 1),
    believed_at INTEGER NOT NULL,
    doubted_since INTEGER,
    doubted_until INTEGER,
    CONSTRAINT clock_marks_doubt CHECK ((doubted_since IS NULL) = (doubted_until IS NULL))
) STRICT;

-- An address of an intake account is told of everything while it is one, and for a time after it was left.
CREATE TABLE announcement_recipients_with_end (
    email TEXT NOT NULL CONSTRAINT announcement_recipients_pk PRIMARY KEY,
    user_id BLOB NOT NULL,
    left_at INTEGER
) STRICT;
INSERT INTO announcement_recipients_with_end
    SELECT r.email, r.user_id, CASE WHEN u.id IS NULL THEN r.seen_at END
    FROM announcement_recipients r
    LEFT JOIN users u ON u.id = r.user_id AND u.email = r.email AND u.role = 'intake';
DROP TABLE announcement_recipients;
ALTER TABLE announcement_recipients_with_end RENAME TO announcement_recipients;
