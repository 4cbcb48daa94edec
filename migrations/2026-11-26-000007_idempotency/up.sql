-- Requests with an `Idempotency-Key` that were done, and how they were answered: for a day.

CREATE TABLE idempotency_keys (
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
CREATE INDEX idempotency_keys_by_caller ON idempotency_keys (caller_id, created_at);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
