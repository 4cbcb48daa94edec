-- Signing in: sign-ins with their refresh tokens, API keys, links that set a password, and the second factor.
--
-- Secrets that the program makes (refresh tokens, API keys, links, recovery codes) are random and long, so a
-- plain SHA-256 of each is kept. A sign-in that has ended is deleted: what is here, stands.

CREATE TABLE sign_ins (
    id BLOB NOT NULL CONSTRAINT sign_ins_pk PRIMARY KEY CHECK (length(id) = 16),
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The refresh token that is good now.
    refresh_hash BLOB NOT NULL CONSTRAINT sign_ins_refresh_hash_unique UNIQUE CHECK (length(refresh_hash) = 32),
    user_agent TEXT,
    created_at INTEGER NOT NULL,
    -- To the minute: it is not written with each request.
    last_used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_ins_by_user ON sign_ins (user_id, created_at, id);

-- Refresh tokens that were used: seeing one again ends its sign-in.
CREATE TABLE spent_refresh_tokens (
    hash BLOB NOT NULL CONSTRAINT spent_refresh_tokens_pk PRIMARY KEY CHECK (length(hash) = 32),
    sign_in_id BLOB NOT NULL REFERENCES sign_ins (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_refresh_tokens_by_sign_in ON spent_refresh_tokens (sign_in_id);

-- Networks from which an account has signed in, as keyed hashes: wrong passwords from elsewhere must not
-- keep the person out.
CREATE TABLE known_networks (
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network BLOB NOT NULL CHECK (length(network) = 16),
    last_used_at INTEGER NOT NULL,
    CONSTRAINT known_networks_pk PRIMARY KEY (user_id, network)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id BLOB NOT NULL CONSTRAINT api_keys_pk PRIMARY KEY CHECK (length(id) = 16),
    hash BLOB NOT NULL CONSTRAINT api_keys_hash_unique UNIQUE CHECK (length(hash) = 32),
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('contributor', 'author', 'editor')),
    -- Whose key it is; null for a program's own.
    owner_id BLOB REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    last_used_at INTEGER,
    -- A revoked key stays, so that what it wrote keeps its name.
    revoked_at INTEGER
) STRICT;
CREATE INDEX api_keys_by_owner ON api_keys (owner_id, created_at, id);
CREATE INDEX api_keys_by_created_at ON api_keys (created_at, id);

-- Invitations and resets: whoever has the link may set the account's password, once.
CREATE TABLE password_links (
    hash BLOB NOT NULL CONSTRAINT password_links_pk PRIMARY KEY CHECK (length(hash) = 32),
    user_id BLOB NOT NULL CONSTRAINT password_links_user_unique UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL CHECK (purpose IN ('invitation', 'reset')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE second_factors (
    user_id BLOB NOT NULL CONSTRAINT second_factors_pk PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- The shared secret, encrypted with a key that is not in the database.
    secret BLOB NOT NULL,
    -- Null while the person has not shown a code yet.
    confirmed_at INTEGER,
    -- The time step of the last code that was taken: a code works once.
    last_step INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
    user_id BLOB NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    CONSTRAINT recovery_codes_pk PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;
