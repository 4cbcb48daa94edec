ALTER TABLE content_version DROP COLUMN has_own_second;
