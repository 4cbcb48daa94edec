CREATE TABLE published_bodies_by_key (
    article_id BLOB NOT NULL CONSTRAINT published_bodies_pk PRIMARY KEY REFERENCES published_articles (article_id) ON DELETE CASCADE,
    renderer_version INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO published_bodies_by_key SELECT article_id, renderer_version, document FROM published_bodies;
DROP TABLE published_bodies;
ALTER TABLE published_bodies_by_key RENAME TO published_bodies;

CREATE TABLE revisions_by_key (
    article_id BLOB NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number >= 1),
    content TEXT NOT NULL,
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
    CONSTRAINT revisions_pk PRIMARY KEY (article_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO revisions_by_key
    SELECT article_id, number, content, saved_at, saved_by, name, row_version, based_on, autosave, retired_at FROM revisions;
DROP TABLE revisions;
ALTER TABLE revisions_by_key RENAME TO revisions;
CREATE INDEX revisions_retired ON revisions (retired_at) WHERE retired_at IS NOT NULL;

CREATE TABLE idempotency_keys_by_key (
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
) STRICT, WITHOUT ROWID;
INSERT INTO idempotency_keys_by_key
    SELECT hash, fingerprint, caller_id, role, created_at, location, status, headers, body FROM idempotency_keys;
DROP TABLE idempotency_keys;
ALTER TABLE idempotency_keys_by_key RENAME TO idempotency_keys;
CREATE INDEX idempotency_keys_by_caller ON idempotency_keys (caller_id, created_at);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
