//! Whatever a file of a stranger holds, for every reader that runs outside of the confined child:
//! the words of Nickel, TOML, YAML, markdown with its frontmatter, forms, expressions.
//!
//! The first byte chooses the reader. None may panic, overflow its stack, or take long.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stratum_load::fuzzing::read;

fuzz_target!(|data: &[u8]| {
    let Some((reader, text)) = data.split_first() else {
        return;
    };
    if let Ok(text) = std::str::from_utf8(text) {
        read(*reader, text);
    }
});
