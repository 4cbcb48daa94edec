//! The tables as Diesel sees them, in the form of `diesel print-schema`.
//!
//! A test compares every column with the migrated database, so this file can't drift from `migrations/`.
#![allow(missing_docs, reason = "generated declarations; migrations/ explains each table")]

use diesel::{allow_tables_to_appear_in_same_query, joinable, table};

table! {
    users (id) {
        id -> Binary,
        row_version -> BigInt,
        email -> Text,
        email_key -> Text,
        name -> Text,
        role -> Text,
        password_hash -> Nullable<Text>,
        disabled_at -> Nullable<BigInt>,
        created_at -> BigInt,
        saved_at -> BigInt,
    }
}

table! {
    authors (id) {
        id -> Binary,
        row_version -> BigInt,
        slug -> Text,
        name -> Text,
        name_key -> Text,
        user_id -> Nullable<Binary>,
        content -> Text,
        bio_html -> Text,
        renderer_version -> Integer,
        created_at -> BigInt,
        saved_at -> BigInt,
    }
}

table! {
    categories (id) {
        id -> Binary,
        row_version -> BigInt,
        slug -> Text,
        name -> Text,
        name_key -> Text,
        parent_id -> Nullable<Binary>,
        position -> BigInt,
        content -> Text,
        created_at -> BigInt,
        saved_at -> BigInt,
    }
}

table! {
    site (id) {
        id -> BigInt,
        row_version -> BigInt,
        content -> Text,
        saved_at -> BigInt,
    }
}

table! {
    former_slugs (kind, slug) {
        kind -> Text,
        slug -> Text,
        target_id -> Binary,
        created_at -> BigInt,
    }
}

table! {
    replaced_ids (old_id) {
        old_id -> Binary,
        new_id -> Binary,
        created_at -> BigInt,
    }
}

table! {
    articles (id) {
        id -> Binary,
        row_version -> BigInt,
        revision -> BigInt,
        slug -> Text,
        title -> Text,
        title_key -> Text,
        language -> Text,
        translation_of -> Nullable<Binary>,
        published_revision -> Nullable<BigInt>,
        first_published_at -> BigInt,
        published_at -> BigInt,
        withdrawn_at -> Nullable<BigInt>,
        trashed_at -> Nullable<BigInt>,
        created_at -> BigInt,
        created_by -> Nullable<Binary>,
        saved_at -> BigInt,
        saved_by -> Nullable<Binary>,
        archived_at -> Nullable<BigInt>,
        review -> Nullable<Text>,
        returned -> Nullable<Text>,
        schedule -> Nullable<Text>,
        due_at -> Nullable<BigInt>,
        scheduled_slug -> Nullable<Text>,
        schedule_failure -> Nullable<Text>,
        external_id -> Nullable<Text>,
    }
}

table! {
    revisions (article_id, number) {
        article_id -> Binary,
        number -> BigInt,
        saved_at -> BigInt,
        saved_by -> Nullable<Binary>,
        name -> Nullable<Text>,
        row_version -> Nullable<BigInt>,
        based_on -> Nullable<BigInt>,
        autosave -> Bool,
        retired_at -> Nullable<BigInt>,
        content -> Text,
    }
}

table! {
    article_references (kind, target, article_id) {
        kind -> Text,
        target -> Binary,
        article_id -> Binary,
    }
}

table! {
    published_articles (article_id) {
        article_id -> Binary,
        slug -> Text,
        language -> Text,
        title_key -> Text,
        translation_root -> Binary,
        published_at -> BigInt,
        updated_at -> BigInt,
        summary -> Text,
    }
}

table! {
    published_bodies (article_id) {
        article_id -> Binary,
        renderer_version -> Integer,
        linked_articles -> Text,
        table_of_contents -> Text,
        seo -> Text,
        citations -> Text,
        extra -> Text,
        body_html -> Text,
        sections -> Text,
        body_markdown -> Text,
    }
}

table! {
    published_facets (article_id, kind, target) {
        article_id -> Binary,
        kind -> Text,
        target -> Binary,
        language -> Text,
        published_at -> BigInt,
    }
}

table! {
    published_counts (kind, target, language) {
        kind -> Text,
        target -> Binary,
        language -> Text,
        articles -> BigInt,
    }
}

table! {
    withdrawn_articles (article_id) {
        article_id -> Binary,
        slug -> Text,
        withdrawn_at -> BigInt,
        successor_id -> Nullable<Binary>,
    }
}

table! {
    content_version (id) {
        id -> BigInt,
        version -> BigInt,
        changed_at -> BigInt,
        has_own_second -> Bool,
        served_with -> Nullable<Text>,
    }
}

table! {
    changes (version) {
        version -> BigInt,
        at -> BigInt,
        kind -> Text,
        action -> Text,
        resource_id -> Nullable<Binary>,
        keys -> Text,
    }
}

table! {
    audit_events (position) {
        position -> BigInt,
        id -> Binary,
        at -> BigInt,
        actor_id -> Nullable<Binary>,
        actor_kind -> Text,
        api_key_id -> Nullable<Binary>,
        action -> Text,
        subject_kind -> Text,
        subject_id -> Nullable<Binary>,
        count -> BigInt,
        hash -> Binary,
    }
}

table! {
    sign_ins (id) {
        id -> Binary,
        user_id -> Binary,
        refresh_hash -> Binary,
        user_agent -> Nullable<Text>,
        created_at -> BigInt,
        last_used_at -> BigInt,
    }
}

table! {
    spent_refresh_tokens (hash) {
        hash -> Binary,
        sign_in_id -> Binary,
        spent_at -> BigInt,
    }
}

table! {
    known_networks (user_id, network) {
        user_id -> Binary,
        network -> Binary,
        last_used_at -> BigInt,
    }
}

table! {
    api_keys (id) {
        id -> Binary,
        hash -> Binary,
        name -> Text,
        role -> Text,
        owner_id -> Nullable<Binary>,
        created_at -> BigInt,
        expires_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

table! {
    password_links (hash) {
        hash -> Binary,
        user_id -> Binary,
        purpose -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

table! {
    second_factors (user_id) {
        user_id -> Binary,
        secret -> Binary,
        confirmed_at -> Nullable<BigInt>,
        last_step -> BigInt,
    }
}

table! {
    recovery_codes (user_id, hash) {
        user_id -> Binary,
        hash -> Binary,
    }
}

joinable!(sign_ins -> users (user_id));
joinable!(password_links -> users (user_id));
table! {
    idempotency_keys (hash) {
        hash -> Binary,
        fingerprint -> Binary,
        caller_id -> Binary,
        role -> Text,
        created_at -> BigInt,
        location -> Nullable<Text>,
        status -> Nullable<BigInt>,
        headers -> Nullable<Text>,
        body -> Nullable<Binary>,
    }
}

table! {
    preview_links (id) {
        id -> Binary,
        article_id -> Binary,
        revision -> Nullable<BigInt>,
        created_at -> BigInt,
        created_by -> Binary,
        expires_at -> BigInt,
    }
}

table! {
    redirects (id) {
        id -> Binary,
        row_version -> BigInt,
        from_key -> Text,
        content -> Text,
        created_at -> BigInt,
        saved_at -> BigInt,
    }
}

table! {
    contact_forms (id) {
        id -> Binary,
        row_version -> BigInt,
        name -> Text,
        content -> Text,
        created_at -> BigInt,
        saved_at -> BigInt,
    }
}

table! {
    contact_submissions (id) {
        id -> Binary,
        row_version -> BigInt,
        form_id -> Binary,
        received_at -> BigInt,
        saved_at -> BigInt,
        status -> Text,
        spam_score -> BigInt,
        spam_reasons -> Text,
        is_urgent -> Bool,
        is_announced -> Bool,
        assignee_id -> Nullable<Binary>,
        key_name -> Text,
        wrapped_key -> Binary,
        sealed_note -> Nullable<Binary>,
        sealed -> Binary,
    }
}

table! {
    contact_lookups (token, submission_id) {
        token -> Binary,
        submission_id -> Binary,
    }
}

table! {
    notices (id) {
        id -> Binary,
        kind -> Text,
        recipient -> Text,
        subject_id -> Binary,
        waiting -> BigInt,
        due_at -> BigInt,
        attempts -> BigInt,
        waiting_since -> BigInt,
    }
}

table! {
    contact_keys (name) {
        name -> Text,
        destroyed_at -> Nullable<BigInt>,
    }
}

table! {
    announcements (id) {
        id -> Binary,
        at -> BigInt,
        action -> Text,
        subject_kind -> Text,
        subject_id -> Binary,
        actor_kind -> Text,
        actor_id -> Nullable<Binary>,
    }
}

table! {
    announcement_recipients (email) {
        email -> Text,
        user_id -> Binary,
        left_at -> Nullable<BigInt>,
    }
}

table! {
    clock_marks (id) {
        id -> Integer,
        believed_at -> BigInt,
        doubted_since -> Nullable<BigInt>,
        doubted_until -> Nullable<BigInt>,
    }
}

joinable!(revisions -> articles (article_id));
joinable!(article_references -> articles (article_id));
joinable!(published_bodies -> published_articles (article_id));
joinable!(published_facets -> published_articles (article_id));

allow_tables_to_appear_in_same_query!(
    articles,
    content_version,
    revisions,
    article_references,
    published_articles,
    published_bodies,
    published_facets,
);
allow_tables_to_appear_in_same_query!(former_slugs, published_articles, authors, categories);
allow_tables_to_appear_in_same_query!(contact_keys, contact_submissions);
allow_tables_to_appear_in_same_query!(users, sign_ins, password_links, second_factors);
