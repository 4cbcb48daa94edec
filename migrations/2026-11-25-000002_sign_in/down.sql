DROP TABLE recovery_codes;
DROP TABLE second_factors;
DROP TABLE password_links;
DROP TABLE api_keys;
DROP TABLE known_networks;
DROP TABLE spent_refresh_tokens;
DROP TABLE sign_ins;
