-- Links to what is not public: who has one sees one article until it ends or is revoked. The token is signed with a
-- key that is not in the database, and is not stored.

CREATE TABLE preview_links (
    id BLOB NOT NULL CONSTRAINT preview_links_pk PRIMARY KEY CHECK (length(id) = 16),
    article_id BLOB NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
    -- The revision that it shows; null for the working copy, whatever that is by then.
    revision INTEGER,
    created_at INTEGER NOT NULL,
    created_by BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX preview_links_by_article ON preview_links (article_id, created_at, id);
CREATE INDEX preview_links_by_end ON preview_links (expires_at);
