//! The readers of strangers' files that run outside of the confined child, for the fuzzer alone.

use stratum_core::finding::codes::FORM_SHAPE;
use stratum_core::ids::ObjectId;
use stratum_core::ports::{Tree, TreeEntry, TreeError, TreeKind};

use crate::closure::words;
use crate::document::{toml, yaml};
use crate::expression::{expression, template};
use crate::form::{form, texts};
use crate::format;
use crate::knowledge::knowledge;
use crate::paths::paths;
use crate::reading::Reading;

/// Reads `text` as one kind of file; `reader` chooses which.
pub fn read(reader: u8, text: &str) {
    match reader % 8 {
        0 => words(text),
        1 => drop(toml("f", text, &FORM_SHAPE)),
        2 => drop(yaml("f", text, 0)),
        3 => {
            let tree = OneFile("knowledge/a.md", text);
            drop(knowledge(&mut Reading::new(&tree)));
        }
        4 => {
            let tree = OneFile("forms/a.toml", text);
            let mut reading = Reading::new(&tree);
            if let Ok(texts) = texts(&mut reading) {
                drop(form("forms/a.toml", text, &texts, &mut reading));
            }
        }
        5 => {
            drop(expression(text));
            drop(template(text));
            drop(paths(text));
        }
        6 => {
            let tree = OneFile("forms/locales/en/a.ftl", text);
            drop(texts(&mut Reading::new(&tree)));
        }
        _ => {
            drop(format::nickel(text));
            drop(format::toml(text));
        }
    }
}

/// A tree of one file.
struct OneFile<'a>(&'static str, &'a str);

impl OneFile<'_> {
    fn id() -> Result<ObjectId, TreeError> {
        ObjectId::new("0".repeat(40)).map_err(|error| TreeError::Read {
            path: String::new(),
            source: error.into(),
        })
    }
}

impl Tree for OneFile<'_> {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, TreeError> {
        let rest = self.0.strip_prefix(path);
        let kind = match rest {
            Some("") => TreeKind::File,
            Some(rest) if rest.starts_with('/') => TreeKind::Folder,
            Some(_) | None => return Ok(None),
        };
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let id = Self::id()?;
        Ok(Some(TreeEntry { name, kind, id }))
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let rest = self
            .0
            .strip_prefix(path)
            .map(|rest| rest.trim_start_matches('/'));
        let name = rest
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_default();
        if name.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.entry(&format!("{path}/{name}"))?.into_iter().collect())
    }

    fn blob(&self, _id: &ObjectId, _path: &str) -> Result<Vec<u8>, TreeError> {
        Ok(self.1.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::read;

    /// Pieces that the readers look at.
    const PIECES: [&str; 40] = [
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "m%\"",
        "\"%",
        "%{",
        "import ",
        "as ",
        "#",
        "=",
        ".",
        ",",
        ":",
        "- ",
        "> ",
        "| ",
        "---\n",
        "&a ",
        "*a ",
        "!x ",
        "? ",
        "1e999999999",
        "0x",
        "\n",
        "\r\n",
        "\t",
        "\u{feff}",
        "\u{202e}",
        "é",
        "\\",
        "`",
        "[[a]]",
        "<!--",
    ];

    /// The seeds of the fuzzer, whose first byte chooses the reader.
    const SEEDS: [&[u8]; 6] = [
        include_bytes!("../fuzz/seeds/nickel"),
        include_bytes!("../fuzz/seeds/toml"),
        include_bytes!("../fuzz/seeds/yaml"),
        include_bytes!("../fuzz/seeds/page"),
        include_bytes!("../fuzz/seeds/form"),
        include_bytes!("../fuzz/seeds/expression"),
    ];

    /// Numbers that look drawn at random. *Source*: Marsaglia, "Xorshift RNGs".
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % u64::try_from(sides.max(1)).unwrap()).unwrap()
        }
    }

    fn changed(text: &str, dice: &mut Dice) -> String {
        let mut text = text.to_owned();
        for _ in 0..=dice.roll(6) {
            let at = text.floor_char_boundary(dice.roll(text.len() + 1));
            let end = text.ceil_char_boundary((at + dice.roll(40)).min(text.len()));
            let piece = PIECES[dice.roll(PIECES.len())];
            match dice.roll(5) {
                0 => text.replace_range(at..end, ""),
                1 => text.insert_str(at, &piece.repeat(1 + dice.roll(300))),
                2 => text.insert_str(at, &text[at..end].repeat(1 + dice.roll(200))),
                3 => text.insert_str(at, piece),
                _ => text.replace_range(at..end, piece),
            }
            text.truncate(text.floor_char_boundary(200_000));
        }
        text
    }

    /// `STRATUM_FUZZ_SECONDS` says how long; the fuzzer proper is in `fuzz`, and knows what it reached.
    #[test]
    fn changed_files_end_soon_and_stop_nobody() {
        let seconds = std::env::var("STRATUM_FUZZ_SECONDS").ok();
        let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(2);
        let seed = std::env::var("STRATUM_FUZZ_SEED").ok();
        let mut dice = Dice(seed.and_then(|text| text.parse().ok()).unwrap_or(0x5eed));
        let (began, mut rounds) = (Instant::now(), 0_u64);
        while began.elapsed() < Duration::from_secs(seconds) {
            let seed = SEEDS[dice.roll(SEEDS.len())];
            let text = std::str::from_utf8(&seed[1..]).unwrap();
            let text = changed(text, &mut dice);
            let reader = match dice.roll(4) {
                0 => u8::try_from(dice.roll(8)).unwrap(),
                _ => seed[0],
            };
            let started = Instant::now();
            read(reader, &text);
            let took = started.elapsed();
            assert!(
                took < Duration::from_secs(10),
                "reader {reader} took {took:?}: {text:?}"
            );
            rounds += 1;
        }
        eprintln!("{rounds} files");
    }
}
