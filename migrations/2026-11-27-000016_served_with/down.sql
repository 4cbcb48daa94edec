ALTER TABLE content_version DROP COLUMN served_with;
