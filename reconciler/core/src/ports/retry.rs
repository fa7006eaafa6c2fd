//! When something that failed is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an error asks for; decides requeueing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// It may pass by itself: try again after at least this long.
    Later(Duration),
    /// It comes from the input: try again when the input is another.
    WhenInputChanges,
    /// A person must act first.
    NeedsPerson,
}
