-- Rows that are large are kept by number, and found by an index of their keys alone: in a table that is its own index, each
-- step of a look-up compares with a whole row, and so reads its overflow pages (https://sqlite.org/withoutrowid.html, 4).

CREATE TABLE published_bodies_by_number (
    article_id BLOB NOT NULL CONSTRAINT published_bodies_pk PRIMARY KEY REFERENCES published_articles (article_id) ON DELETE CASCADE,
    renderer_version INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;
INSERT INTO published_bodies_by_number SELECT article_id, renderer_version, document FROM published_bodies;
DROP TABLE published_bodies;
ALTER TABLE published_bodies_by_number RENAME TO published_bodies;

CREATE TABLE revisions_by_number (
    article_id BLOB NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number >= 1),
    saved_at INTEGER NOT NULL,
    saved_by BLOB,
    name TEXT,
    -- The version of the article that its saving made; null for what never was the working copy.
    row_version INTEGER,
    -- The revision that it was made from; null for the first, and where nobody remembers.
    based_on INTEGER,
    -- Whether it was saved by itself, so that the same person's next one of this kind takes its place.
    autosave INTEGER NOT NULL DEFAULT 0,
    -- Since when it is not listed any more; it is deleted a day later.
    retired_at INTEGER,
    -- Last, so that a list reads none of it.
    content TEXT NOT NULL,
    CONSTRAINT revisions_pk PRIMARY KEY (article_id, number)
) STRICT;
INSERT INTO revisions_by_number
    SELECT article_id, number, saved_at, saved_by, name, row_version, based_on, autosave, retired_at, content FROM revisions;
DROP TABLE revisions;
ALTER TABLE revisions_by_number RENAME TO revisions;
CREATE INDEX revisions_retired ON revisions (retired_at) WHERE retired_at IS NOT NULL;

CREATE TABLE idempotency_keys_by_number (
    -- SHA-256 over the caller, the path and the key.
    hash BLOB NOT NULL CONSTRAINT idempotency_keys_pk PRIMARY KEY CHECK (length(hash) = 32),
    -- HMAC of the body, whose key is not in the database: the body may hold a password.
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    caller_id BLOB NOT NULL,
    -- The role that the caller had: what was answered may not be another's to see.
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- Where the result is, where the answer said so or is not kept.
    location TEXT,
    -- Status, headers and body; null where the answer holds a secret, is too large, or was lost.
    status INTEGER,
    headers TEXT,
    body BLOB
) STRICT;
INSERT INTO idempotency_keys_by_number
    SELECT hash, fingerprint, caller_id, role, created_at, location, status, headers, body FROM idempotency_keys;
DROP TABLE idempotency_keys;
ALTER TABLE idempotency_keys_by_number RENAME TO idempotency_keys;
CREATE INDEX idempotency_keys_by_caller ON idempotency_keys (caller_id, created_at);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
