//! Pull-request comments, commit statuses, webhooks.
