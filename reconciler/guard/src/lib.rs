//! Plan -> Verdict by Cedar; who signed a commit or a tag.

pub mod format;
