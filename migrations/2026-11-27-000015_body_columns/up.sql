-- A body is kept in parts, each as the JSON that delivery hands on, so that a read takes none that it does not need. What
-- only an `include` asks for stands last, so that its overflow pages are not read. Sections name the bytes of
-- `body_html`, between its quotes, that are theirs.

CREATE TABLE published_bodies_in_parts (
    article_id BLOB NOT NULL CONSTRAINT published_bodies_pk PRIMARY KEY REFERENCES published_articles (article_id) ON DELETE CASCADE,
    renderer_version INTEGER NOT NULL,
    linked_articles TEXT NOT NULL,
    table_of_contents TEXT NOT NULL,
    seo TEXT NOT NULL,
    citations TEXT NOT NULL,
    extra TEXT NOT NULL,
    body_html TEXT NOT NULL,
    sections TEXT NOT NULL,
    body_markdown TEXT NOT NULL
) STRICT;
INSERT INTO published_bodies_in_parts
    SELECT
        article_id,
        renderer_version,
        document -> '$.linked_articles',
        document -> '$.table_of_contents',
        document -> '$.seo',
        document -> '$.citations',
        document -> '$.extra',
        (SELECT '"' || ifnull(group_concat(substr(value -> '$.html', 2, length(value -> '$.html') - 2), '' ORDER BY key), '') || '"'
            FROM json_each(document, '$.sections')),
        (SELECT json_group_array(json_object('id', value -> '$.id', 'level', value -> '$.level', 'heading', value -> '$.heading',
                'html_bytes', octet_length(value -> '$.html') - 2) ORDER BY key)
            FROM json_each(document, '$.sections')),
        document -> '$.body_markdown'
    FROM published_bodies;
DROP TABLE published_bodies;
ALTER TABLE published_bodies_in_parts RENAME TO published_bodies;
