//! Pull-request comments, commit statuses, webhooks.

pub mod announce;
pub mod github;
pub mod markdown;
mod notice;
pub mod webhook;
