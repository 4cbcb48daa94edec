-- The core: accounts, taxonomy, working copies with their revisions, what is public, and the two logs.
--
-- Ids are UUIDv7 in 16 bytes, times are milliseconds since 1970 in UTC, documents are JSON text.
-- Whatever a delivery answer shows comes from `published_*`, `withdrawn_articles` and the taxonomy
-- alone: a draft can't leak from a table that it never enters.

CREATE TABLE users (
    id BLOB NOT NULL CONSTRAINT users_pk PRIMARY KEY CHECK (length(id) = 16),
    row_version INTEGER NOT NULL,
    email TEXT NOT NULL,
    -- The address in lower case: two accounts must not differ by case alone.
    email_key TEXT NOT NULL CONSTRAINT users_email_key_unique UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('contributor', 'author', 'editor', 'intake', 'admin')),
    -- Null until an invitation is accepted.
    password_hash TEXT,
    disabled_at INTEGER,
    created_at INTEGER NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT;

CREATE TABLE authors (
    id BLOB NOT NULL CONSTRAINT authors_pk PRIMARY KEY CHECK (length(id) = 16),
    row_version INTEGER NOT NULL,
    slug TEXT NOT NULL CONSTRAINT authors_slug_unique UNIQUE,
    name TEXT NOT NULL,
    -- What lists sort by: without accents and case.
    name_key TEXT NOT NULL,
    user_id BLOB CONSTRAINT authors_user_id_unique UNIQUE REFERENCES users (id) ON DELETE SET NULL,
    content TEXT NOT NULL,
    -- The biography as sanitised HTML, and which version of the renderer made it.
    bio_html TEXT NOT NULL,
    renderer_version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT;
CREATE INDEX authors_by_name ON authors (name_key, id);

CREATE TABLE categories (
    id BLOB NOT NULL CONSTRAINT categories_pk PRIMARY KEY CHECK (length(id) = 16),
    row_version INTEGER NOT NULL,
    slug TEXT NOT NULL CONSTRAINT categories_slug_unique UNIQUE,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    parent_id BLOB CONSTRAINT categories_parent REFERENCES categories (id),
    position INTEGER NOT NULL,
    content TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT;
CREATE INDEX categories_by_position ON categories (position, name_key, id);
CREATE INDEX categories_by_parent ON categories (parent_id);

-- A singleton: the facts of the whole site.
CREATE TABLE site (
    id INTEGER NOT NULL CONSTRAINT site_pk PRIMARY KEY CHECK (id = 1),
    row_version INTEGER NOT NULL,
    content TEXT NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT;

-- The slugs that something public used to have. A present slug always wins over a former one.
CREATE TABLE former_slugs (
    kind TEXT NOT NULL CHECK (kind IN ('article', 'author', 'category')),
    slug TEXT NOT NULL,
    target_id BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT former_slugs_pk PRIMARY KEY (kind, slug)
) STRICT, WITHOUT ROWID;
CREATE INDEX former_slugs_by_target ON former_slugs (target_id);

-- Authors and categories that were deleted with `reassign_to`: stored documents still name them,
-- and whoever reads resolves the old id to the new one. Always one step.
CREATE TABLE replaced_ids (
    old_id BLOB NOT NULL CONSTRAINT replaced_ids_pk PRIMARY KEY,
    new_id BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replaced_ids_by_new ON replaced_ids (new_id);

CREATE TABLE articles (
    id BLOB NOT NULL CONSTRAINT articles_pk PRIMARY KEY CHECK (length(id) = 16),
    -- Raised by every save and every move: the ETag of management answers.
    row_version INTEGER NOT NULL,
    -- The working copy is this revision.
    revision INTEGER NOT NULL,
    slug TEXT NOT NULL CONSTRAINT articles_slug_unique UNIQUE,
    title TEXT NOT NULL,
    title_key TEXT NOT NULL,
    language TEXT NOT NULL,
    translation_of BLOB CONSTRAINT articles_translation_of REFERENCES articles (id),
    published_revision INTEGER,
    -- The date of the first publication; 0 before it, so that lists can sort by it.
    first_published_at INTEGER NOT NULL,
    -- The date that delivery shows or showed: the first publication's, or the one that was set.
    published_at INTEGER NOT NULL,
    withdrawn_at INTEGER,
    trashed_at INTEGER,
    created_at INTEGER NOT NULL,
    -- The account or, where a program did it, the API key. Either may be gone by now.
    created_by BLOB,
    saved_at INTEGER NOT NULL,
    saved_by BLOB
) STRICT;
CREATE INDEX articles_by_saved_at ON articles (saved_at, id);
CREATE INDEX articles_by_created_at ON articles (created_at, id);
CREATE INDEX articles_by_title ON articles (title_key, id);
CREATE INDEX articles_by_published_at ON articles (published_at, id);
CREATE INDEX articles_by_creator ON articles (created_by, saved_at, id);
CREATE INDEX articles_by_translation ON articles (translation_of) WHERE translation_of IS NOT NULL;

-- Every save, immutable.
CREATE TABLE revisions (
    article_id BLOB NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number >= 1),
    content TEXT NOT NULL,
    saved_at INTEGER NOT NULL,
    saved_by BLOB,
    name TEXT,
    CONSTRAINT revisions_pk PRIMARY KEY (article_id, number)
) STRICT, WITHOUT ROWID;

-- Which authors, categories and tags a working copy names (for filters, ownership and deletion), and
-- as `published` whom the public revision names: that too is in use.
CREATE TABLE article_references (
    kind TEXT NOT NULL,
    target BLOB NOT NULL,
    article_id BLOB NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
    CONSTRAINT article_references_pk PRIMARY KEY (kind, target, article_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX article_references_by_article ON article_references (article_id);
CREATE INDEX article_references_by_target ON article_references (target);

-- What is public now. Lists read `summary` and never a body.
CREATE TABLE published_articles (
    article_id BLOB NOT NULL CONSTRAINT published_articles_pk PRIMARY KEY REFERENCES articles (id),
    slug TEXT NOT NULL CONSTRAINT published_articles_slug_unique UNIQUE,
    language TEXT NOT NULL,
    title_key TEXT NOT NULL,
    -- The article that this one and its translations share; its own id where it translates nothing.
    translation_root BLOB NOT NULL,
    published_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    summary TEXT NOT NULL,
    CONSTRAINT published_articles_translation_unique UNIQUE (translation_root, language)
) STRICT;
CREATE INDEX published_articles_by_published_at ON published_articles (published_at, article_id);
CREATE INDEX published_articles_by_language_published_at ON published_articles (language, published_at, article_id);
CREATE INDEX published_articles_by_updated_at ON published_articles (updated_at, article_id);
CREATE INDEX published_articles_by_language_updated_at ON published_articles (language, updated_at, article_id);
CREATE INDEX published_articles_by_title ON published_articles (title_key, article_id);
CREATE INDEX published_articles_by_language_title ON published_articles (language, title_key, article_id);

-- The large part of what is public, read only where one article or an `include` asks for it.
CREATE TABLE published_bodies (
    article_id BLOB NOT NULL CONSTRAINT published_bodies_pk PRIMARY KEY REFERENCES published_articles (article_id) ON DELETE CASCADE,
    renderer_version INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each author, category (its ancestors too) and tag of what is public; a further kind of
-- filter is a further kind of row and needs no migration. It carries the
-- sort key of the default order, so that a filtered page is one index range.
CREATE TABLE published_facets (
    article_id BLOB NOT NULL REFERENCES published_articles (article_id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    target BLOB NOT NULL,
    language TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    CONSTRAINT published_facets_pk PRIMARY KEY (article_id, kind, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX published_facets_by_published_at ON published_facets (kind, target, published_at, article_id);
CREATE INDEX published_facets_by_language_published_at ON published_facets (kind, target, language, published_at, article_id);

-- How many public articles there are of each facet and language, kept by whoever writes the facets:
-- a count of a hundred thousand rows is one look-up. Kind `all` has an empty target.
CREATE TABLE published_counts (
    kind TEXT NOT NULL,
    target BLOB NOT NULL,
    language TEXT NOT NULL,
    articles INTEGER NOT NULL CHECK (articles >= 0),
    CONSTRAINT published_counts_pk PRIMARY KEY (kind, target, language)
) STRICT, WITHOUT ROWID;

-- What was public and is no more: delivery answers 410 for it.
CREATE TABLE withdrawn_articles (
    article_id BLOB NOT NULL CONSTRAINT withdrawn_articles_pk PRIMARY KEY REFERENCES articles (id) ON DELETE CASCADE,
    slug TEXT NOT NULL,
    withdrawn_at INTEGER NOT NULL,
    successor_id BLOB REFERENCES articles (id) ON DELETE SET NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX withdrawn_articles_by_slug ON withdrawn_articles (slug);

-- The position of `changes`, in one row, so that order is commit order on any engine.
CREATE TABLE content_version (
    id INTEGER NOT NULL CONSTRAINT content_version_pk PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
INSERT INTO content_version (id, version, changed_at) VALUES (1, 0, 0);

-- What delivery shows, change by change: nothing here was ever a draft.
CREATE TABLE changes (
    version INTEGER NOT NULL CONSTRAINT changes_pk PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('article', 'author', 'category', 'site')),
    action TEXT NOT NULL CHECK (action IN ('created', 'updated', 'removed')),
    resource_id BLOB,
    keys TEXT NOT NULL
) STRICT;

-- Everything that was done, append-only; each row's hash covers the one before it.
CREATE TABLE audit_events (
    position INTEGER NOT NULL CONSTRAINT audit_events_pk PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL CONSTRAINT audit_events_id_unique UNIQUE,
    at INTEGER NOT NULL,
    actor_id BLOB,
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('user', 'api_key', 'command_line', 'system', 'anonymous')),
    -- The API key that the actor used, if it was one.
    api_key_id BLOB,
    action TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id BLOB,
    -- How often: more than once only for what anonymous callers cause, one row for each kind and minute.
    count INTEGER NOT NULL CHECK (count >= 1),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;

INSERT INTO site (id, row_version, content, saved_at) VALUES (1, 1, '{}', 0);
