-- Spent refresh tokens are kept in bounded number, so their age must be known; and a network is looked up by itself.

ALTER TABLE spent_refresh_tokens ADD COLUMN spent_at INTEGER NOT NULL DEFAULT 0;
DROP INDEX spent_refresh_tokens_by_sign_in;
CREATE INDEX spent_refresh_tokens_by_age ON spent_refresh_tokens (sign_in_id, spent_at);
CREATE INDEX known_networks_by_network ON known_networks (network, last_used_at);
