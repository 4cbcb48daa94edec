-- Up to which change of what is public a CDN was purged, and up to which that was done once more for what was on its way.
CREATE TABLE cdn_marks (
    id INTEGER NOT NULL CONSTRAINT cdn_marks_pk PRIMARY KEY CHECK (id = 1),
    purged_version INTEGER NOT NULL,
    settled_version INTEGER NOT NULL,
    CONSTRAINT cdn_marks_order CHECK (settled_version <= purged_version)
) STRICT;
