-- Redirects that somebody made by hand. Those of former slugs follow from `former_slugs`.
CREATE TABLE redirects (
    id BLOB NOT NULL CONSTRAINT redirects_pk PRIMARY KEY CHECK (length(id) = 16),
    row_version INTEGER NOT NULL,
    -- The path in the form that paths are compared in.
    from_key TEXT NOT NULL CONSTRAINT redirects_from_unique UNIQUE,
    content TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT;

-- `changes` tells of redirects, too; a check can't be altered.
CREATE TABLE changes_with_redirects (
    version INTEGER NOT NULL CONSTRAINT changes_pk PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('article', 'author', 'category', 'site', 'redirect')),
    action TEXT NOT NULL CHECK (action IN ('created', 'updated', 'removed')),
    resource_id BLOB,
    keys TEXT NOT NULL
) STRICT;
INSERT INTO changes_with_redirects SELECT version, at, kind, action, resource_id, keys FROM changes;
DROP TABLE changes;
ALTER TABLE changes_with_redirects RENAME TO changes;
