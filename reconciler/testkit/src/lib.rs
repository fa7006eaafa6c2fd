//! In-memory adapters, repository builder and provider conformance suite for tests.

pub mod script;
