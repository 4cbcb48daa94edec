CREATE TABLE published_bodies_in_one (
    article_id BLOB NOT NULL CONSTRAINT published_bodies_pk PRIMARY KEY REFERENCES published_articles (article_id) ON DELETE CASCADE,
    renderer_version INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;
INSERT INTO published_bodies_in_one
    SELECT
        article_id,
        renderer_version,
        json_object(
            'body_markdown', body_markdown -> '$',
            'sections', json((
                SELECT json_group_array(json_object('id', value -> '$.id', 'level', value -> '$.level', 'heading', value -> '$.heading',
                        'html', ('"' || CAST(substr(CAST(body_html AS BLOB), 2 + ends - bytes, bytes) AS TEXT) || '"') -> '$') ORDER BY key)
                FROM (
                    SELECT key, value, value ->> '$.html_bytes' AS bytes, sum(value ->> '$.html_bytes') OVER (ORDER BY key) AS ends
                    FROM json_each(sections)
                )
            )),
            'linked_articles', linked_articles -> '$',
            'table_of_contents', table_of_contents -> '$',
            'seo', seo -> '$',
            'citations', citations -> '$',
            'extra', extra -> '$'
        )
    FROM published_bodies;
DROP TABLE published_bodies;
ALTER TABLE published_bodies_in_one RENAME TO published_bodies;
