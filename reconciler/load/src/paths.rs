//! Patterns for paths: `infra/production/**`.

use globset::{Glob, GlobSet, GlobSetBuilder};

/// The most bytes of a pattern.
const LONGEST: usize = 1024;

/// Reads a pattern, or says why it is none.
pub(crate) fn paths(text: &str) -> Result<GlobSet, String> {
    if text.len() > LONGEST {
        return Err(format!(
            "it has {} bytes; the most is {LONGEST}",
            text.len()
        ));
    }
    let glob = Glob::new(text).map_err(|error| error.kind().to_string())?;
    let set = GlobSetBuilder::new().add(glob).build();
    set.map_err(|error| error.kind().to_string())
}
