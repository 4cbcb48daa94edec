//! The behaviour of copydesk, over HTTP against the running program, a fresh database for each test.
//!
//! [`harness`] starts a server, [`client`] calls it, and [`contract`] holds every answer that goes
//! through a client against the server's own `OpenAPI` document. Each other module is about one part.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails, and so may its harness"
)]

mod client;
mod contract;
mod document;
mod guides;
mod harness;
mod mailbox;
mod steps;

mod accounts;
mod answer_cache;
mod api_keys;
mod articles;
mod bulk;
mod cdn;
mod checks;
mod command_line;
mod compatibility;
mod contact;
mod contact_forms;
mod contact_keys;
mod contact_mail;
mod contact_privacy;
mod contact_spam;
mod contact_work;
mod correction;
mod crash;
mod delivery;
mod examples;
mod idempotency;
mod lifecycle;
mod links;
mod merging;
mod mirroring;
mod openapi;
mod ops;
mod overload;
mod pages;
#[cfg(target_os = "linux")]
mod pipelining;
mod policy;
mod previews;
mod problems;
mod redirects;
mod revisions;
mod schedule;
mod second_factor;
mod sessions;
mod sign_in;
mod taxonomy;
mod throttling;
