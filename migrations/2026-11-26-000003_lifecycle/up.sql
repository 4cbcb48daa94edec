-- Review and archive: where a working copy stands before it is public and after it has had its time.

ALTER TABLE articles ADD COLUMN archived_at INTEGER;
-- Who submitted the working copy, when and with what words; null where it is not in review.
ALTER TABLE articles ADD COLUMN review TEXT;
-- Who returned it last, when and why; null from the next submission on.
ALTER TABLE articles ADD COLUMN returned TEXT;
CREATE INDEX articles_in_review ON articles (saved_at, id) WHERE review IS NOT NULL;
