CREATE TABLE changes_without_redirects (
    version INTEGER NOT NULL CONSTRAINT changes_pk PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('article', 'author', 'category', 'site')),
    action TEXT NOT NULL CHECK (action IN ('created', 'updated', 'removed')),
    resource_id BLOB,
    keys TEXT NOT NULL
) STRICT;
INSERT INTO changes_without_redirects
    SELECT version, at, kind, action, resource_id, keys FROM changes WHERE kind <> 'redirect';
DROP TABLE changes;
ALTER TABLE changes_without_redirects RENAME TO changes;
DROP TABLE redirects;
