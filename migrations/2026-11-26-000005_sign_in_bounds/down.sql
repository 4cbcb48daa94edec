DROP INDEX known_networks_by_network;
DROP INDEX spent_refresh_tokens_by_age;
CREATE INDEX spent_refresh_tokens_by_sign_in ON spent_refresh_tokens (sign_in_id);
ALTER TABLE spent_refresh_tokens DROP COLUMN spent_at;
