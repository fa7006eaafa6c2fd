//! Plans and outcomes as markdown that people like to read on a forge.
//!
//! *Guarantees*: the same arguments give the same bytes. No text is longer than it may be, and
//! none is cut within a block. Text of others is shown and never obeyed; see `escape`.

mod change;
mod escape;
mod fit;
mod marker;
mod outcome;
mod report;
mod section;
mod step;
mod value;

pub use marker::{OUTCOME, PLAN, Standing};
pub use outcome::{Outcome, outcome_comment};
pub use report::{Compared, Links, Plans, Section, standing};

/// A sentence of others, as markdown that obeys nothing in it.
pub fn sentence(text: &str) -> String {
    escape::prose(text)
}

/// The longest body of a comment that GitHub takes, in bytes.
///
/// *Source*: GitHub answers "body is too long (maximum is 65536 characters)". Bytes are never
/// fewer than characters, however those are counted.
pub const COMMENT_BYTES: usize = 65_536;

/// The longest job summary of one step, in bytes, less some room for what others wrote there.
///
/// *Source*: GitHub documentation, "Workflow commands", step isolation and limits: 1 MiB.
pub const SUMMARY_BYTES: usize = 1_000_000;
