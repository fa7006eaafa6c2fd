//! The readers of strangers' files of this room, for the fuzzer alone.

use std::sync::LazyLock;

use cedar_policy::Schema;

use crate::law::read_in_vain;
use crate::{SCHEMA, bounds, signatures};

static LAW: LazyLock<Option<Schema>> = LazyLock::new(|| {
    let read = Schema::from_cedarschema_str(SCHEMA);
    read.ok().map(|(schema, _warnings)| schema)
});

/// A file of policies, if its words are not too many: on a stack as threads have it.
pub fn policies(text: &str) {
    if bounds::refused("f", text).is_none()
        && let Some(schema) = LAW.as_ref()
    {
        drop(crate::roomy::roomy(|| read_in_vain(schema, text)));
    }
}

/// A key of a person.
pub fn key(text: &str) {
    signatures::read_key(text);
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    /// Pieces that the readers look at.
    const PIECES: [&str; 28] = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        " && true",
        " || true",
        " + 1",
        ".a",
        "!",
        "-",
        "if true then ",
        " else ",
        "when { true } ",
        "unless { false } ",
        "\"",
        "\\",
        "//",
        "\n",
        ";",
        "@id(\"x\")",
        "::",
        " has a",
        " like \"*\"",
        " in ",
        "9223372036854775807",
        "ip(\"1.2.3.4\")",
    ];

    fn roll(state: &mut u64, sides: usize) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state % u64::try_from(sides.max(1)).unwrap()).unwrap()
    }

    /// `STRATUM_FUZZ_SECONDS` says how long; the fuzzer proper is in `fuzz`, and knows what it reached.
    #[test]
    fn changed_policies_and_keys_end_soon_and_stop_nobody() {
        let seconds = std::env::var("STRATUM_FUZZ_SECONDS").ok();
        let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(2);
        let seed = std::env::var("STRATUM_FUZZ_SEED").ok();
        let mut state = seed
            .and_then(|text| text.parse().ok())
            .unwrap_or(0x5eed_u64);
        let key = include_str!("../fuzz/seeds/ada.pub");
        let policy = "@id(\"x\") @reason(\"y\") forbid (principal, action, resource is Resource) when { \
                      resource.type == \"a\" && context.approvals > 0 };";
        let (began, mut rounds) = (Instant::now(), 0_u64);
        while began.elapsed() < Duration::from_secs(seconds) {
            let is_key = roll(&mut state, 4) == 0;
            let mut text = if is_key {
                key.to_owned()
            } else {
                policy.to_owned()
            };
            for _ in 0..=roll(&mut state, 5) {
                let at = text.floor_char_boundary(roll(&mut state, text.len() + 1));
                let end = text.ceil_char_boundary((at + roll(&mut state, 20)).min(text.len()));
                let piece = PIECES[roll(&mut state, PIECES.len())];
                match roll(&mut state, 4) {
                    0 => text.replace_range(at..end, ""),
                    1 => text.insert_str(at, &piece.repeat(1 + roll(&mut state, 300))),
                    2 => text.insert_str(at, &text[at..end].repeat(1 + roll(&mut state, 50))),
                    _ => text.insert_str(at, piece),
                }
                text.truncate(text.floor_char_boundary(70_000));
            }
            let started = Instant::now();
            match is_key {
                true => super::key(&text),
                false => super::policies(&text),
            }
            let took = started.elapsed();
            assert!(took < Duration::from_secs(10), "took {took:?}: {text:?}");
            rounds += 1;
        }
        eprintln!("{rounds} texts");
    }
}
