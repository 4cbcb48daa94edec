-- Whether the second of `changed_at` is the present state's alone. Where the state before had it too, a client that asks
-- with `If-Modified-Since` may have either.
ALTER TABLE content_version ADD COLUMN has_own_second INTEGER NOT NULL DEFAULT 1 CHECK (has_own_second IN (0, 1));
