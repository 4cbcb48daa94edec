-- The contact form: forms, what visitors sent, what is to be mailed, and who was let in to read it.
CREATE TABLE contact_forms (
    id BLOB NOT NULL CONSTRAINT contact_forms_pk PRIMARY KEY CHECK (length(id) = 16),
    row_version INTEGER NOT NULL,
    name TEXT NOT NULL CONSTRAINT contact_forms_name_unique UNIQUE,
    content TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT;

-- The form that applies where none is named, or one that nobody has made.
INSERT INTO contact_forms (id, row_version, name, content, created_at, saved_at) VALUES (
    x'019ac0ffee007000800000000000c0de', 1, 'default',
    '{"name":"default","consent_version":"1","consent_texts":[{"version":"1","language":"en","text":"I agree that this message is stored and read in order to answer it, and is erased afterwards."}]}',
    1795651200000, 1795651200000
);

-- What is personal is sealed: `contact` says how. In clear is only what a list needs.
CREATE TABLE contact_submissions (
    id BLOB NOT NULL CONSTRAINT contact_submissions_pk PRIMARY KEY CHECK (length(id) = 16),
    row_version INTEGER NOT NULL,
    -- The form that applied, whatever was named.
    form_id BLOB NOT NULL CONSTRAINT contact_submissions_form_fk REFERENCES contact_forms (id),
    received_at INTEGER NOT NULL,
    saved_at INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('new', 'in_progress', 'closed', 'spam')),
    spam_score INTEGER NOT NULL,
    spam_reasons TEXT NOT NULL,
    is_urgent INTEGER NOT NULL CHECK (is_urgent IN (0, 1)),
    -- Whether the form's recipients have been told, or are going to be.
    is_announced INTEGER NOT NULL CHECK (is_announced IN (0, 1)),
    assignee_id BLOB CONSTRAINT contact_submissions_assignee_fk REFERENCES users (id) ON DELETE SET NULL,
    -- The month key that wraps the data key; it lies in the key directory.
    key_name TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,
    -- Last, so that a list reads none of it.
    sealed_note BLOB,
    sealed BLOB NOT NULL
) STRICT;
-- What the list shows without a filter: a flood of spam must not stand between.
CREATE INDEX contact_submissions_of_people ON contact_submissions (received_at, id) WHERE status <> 'spam';
CREATE INDEX contact_submissions_urgent ON contact_submissions (received_at, id) WHERE is_urgent = 1;
CREATE INDEX contact_submissions_by_status ON contact_submissions (status, received_at, id);
-- What is due to be erased.
CREATE INDEX contact_submissions_by_form ON contact_submissions (form_id, status, received_at);
CREATE INDEX contact_submissions_by_key ON contact_submissions (key_name, form_id, status, received_at);
CREATE INDEX contact_submissions_by_assignee ON contact_submissions (assignee_id) WHERE assignee_id IS NOT NULL;

-- The month keys that this database has sealed with: no other is its to destroy. Those that were destroyed stay
-- listed, so that one which comes back from somewhere is destroyed again.
CREATE TABLE contact_keys (
    name TEXT NOT NULL CONSTRAINT contact_keys_pk PRIMARY KEY,
    destroyed_at INTEGER
) STRICT;

-- Finds submissions by email or phone: a token is a keyed hash, whose key goes with the month's.
CREATE TABLE contact_lookups (
    token BLOB NOT NULL CHECK (length(token) = 16),
    submission_id BLOB NOT NULL CONSTRAINT contact_lookups_submission_fk REFERENCES contact_submissions (id) ON DELETE CASCADE,
    CONSTRAINT contact_lookups_pk PRIMARY KEY (token, submission_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_lookups_by_submission ON contact_lookups (submission_id);

-- Mails that are to be sent to people of the house: one row for each recipient and subject, however much has come.
CREATE TABLE notices (
    id BLOB NOT NULL CONSTRAINT notices_pk PRIMARY KEY CHECK (length(id) = 16),
    kind TEXT NOT NULL CHECK (kind IN ('submission', 'urgent_submission', 'announcement')),
    recipient TEXT NOT NULL,
    subject_id BLOB NOT NULL,
    -- How many things have come that the recipient has not been told of.
    waiting INTEGER NOT NULL,
    -- When it is to be tried next.
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    waiting_since INTEGER NOT NULL,
    CONSTRAINT notices_lane_unique UNIQUE (kind, recipient, subject_id)
) STRICT;
CREATE INDEX notices_by_due ON notices (due_at) WHERE waiting > 0;

-- What the intake accounts are told: who was given access to one of them, and what was changed about the forms.
CREATE TABLE announcements (
    id BLOB NOT NULL CONSTRAINT announcements_pk PRIMARY KEY CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    subject_kind TEXT NOT NULL CHECK (subject_kind IN ('user', 'contact_form')),
    subject_id BLOB NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id BLOB
) STRICT;
CREATE INDEX announcements_by_time ON announcements (at, id);

-- The addresses that are mailed of it: each that an intake account has, or had lately, so that nobody can silence them
-- first.
CREATE TABLE announcement_recipients (
    email TEXT NOT NULL CONSTRAINT announcement_recipients_pk PRIMARY KEY,
    user_id BLOB NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
INSERT INTO announcement_recipients SELECT email, id, saved_at FROM users WHERE role = 'intake';

-- `changes` tells of forms, too, as far as visitors see them; a check can't be altered.
CREATE TABLE changes_with_forms (
    version INTEGER NOT NULL CONSTRAINT changes_pk PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('article', 'author', 'category', 'site', 'redirect', 'contact_form')),
    action TEXT NOT NULL CHECK (action IN ('created', 'updated', 'removed')),
    resource_id BLOB,
    keys TEXT NOT NULL
) STRICT;
INSERT INTO changes_with_forms SELECT version, at, kind, action, resource_id, keys FROM changes;
DROP TABLE changes;
ALTER TABLE changes_with_forms RENAME TO changes;
