-- Back to an empty database.
DROP TABLE audit_events;
DROP TABLE changes;
DROP TABLE content_version;
DROP TABLE withdrawn_articles;
DROP TABLE published_counts;
DROP TABLE published_facets;
DROP TABLE published_bodies;
DROP TABLE published_articles;
DROP TABLE article_references;
DROP TABLE revisions;
DROP TABLE articles;
DROP TABLE replaced_ids;
DROP TABLE former_slugs;
DROP TABLE site;
DROP TABLE categories;
DROP TABLE authors;
DROP TABLE users;
