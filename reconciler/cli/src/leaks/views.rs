//! The ways to read a file in which a key may stand: as it is, in other encodings, and within.
//!
//! *Guarantees*: what is not looked into is said, as a warning.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use stratum_core::finding::{Finding, codes};
use stratum_core::source::Source;
use stratum_load::Credentials;

/// The most bytes that are unpacked of one file.
const UNPACKED: u64 = 64 << 20;

/// The least characters of base64 that are looked into: a private key has more.
const LEAST: usize = 80;

/// How often something within something is looked into.
const DEEP: u8 = 3;

/// What begins files that are packed or closed, and what they are.
///
/// *Source*: the formats' own descriptions, as `file(1)` lists them.
const CLOSED: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\xfd7zXZ\0", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"BZh", "packed with bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "packed with LZ4"),
];

/// What a file of `size` bytes holds that no commit may hold, and what of it was not looked at.
/// `bytes` are its first ones.
pub(super) fn find(credentials: &Credentials, path: &str, bytes: &[u8], size: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut unread = Vec::new();
    if size > u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        unread.push(format!("only its first {} MiB", bytes.len() >> 20));
    }
    let how = How {
        credentials,
        path,
        unread: &mut unread,
    };
    findings.extend(how.within(bytes, "", DEEP));
    unread.sort();
    unread.dedup();
    findings.extend(unread.iter().map(|what| not_read(path, what)));
    findings
}

fn not_read(path: &str, what: &str) -> Finding {
    let message = format!("not looked at for keys and credentials as a whole: {what}");
    Finding::warning(&codes::CREDENTIAL, message)
        .at(Source::start_of(path))
        .hint("look yourself that nothing private is in it")
}

struct How<'a> {
    credentials: &'a Credentials,
    path: &'a str,
    unread: &'a mut Vec<String>,
}

impl How<'_> {
    fn within(mut self, bytes: &[u8], how: &str, deep: u8) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.look(bytes, how, deep, &mut findings);
        findings
    }

    fn look(&mut self, bytes: &[u8], how: &str, deep: u8, findings: &mut Vec<Finding>) {
        let found = self.credentials.find(self.path, bytes);
        findings.extend(
            found
                .into_iter()
                .map(|finding| said(finding, self.path, how)),
        );
        if deep == 0 {
            return;
        }
        if let Some(text) = wide(bytes) {
            self.look(
                text.as_bytes(),
                &joined(how, "in UTF-16"),
                deep - 1,
                findings,
            );
        }
        if bytes.starts_with(b"\x1f\x8b") {
            let unpacked = self.unpacked(bytes);
            self.look(
                &unpacked,
                &joined(how, "packed with gzip"),
                deep - 1,
                findings,
            );
        }
        for text in encoded(bytes) {
            if let Some(bytes) = decoded(text) {
                self.look(&bytes, &joined(how, "in base64"), deep - 1, findings);
            }
        }
        let closed = CLOSED.iter().find(|(begin, _)| bytes.starts_with(begin));
        self.unread
            .extend(closed.map(|(_, what)| format!("it is {what}")));
    }

    /// What a gzip file holds, up to a limit.
    fn unpacked(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut unpacked = Vec::new();
        let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(UNPACKED + 1);
        let read = reader.read_to_end(&mut unpacked);
        let most = usize::try_from(UNPACKED).unwrap_or(usize::MAX);
        if read.is_err() || unpacked.len() > most {
            self.unread
                .push("what is packed in it with gzip".to_owned());
        }
        unpacked.truncate(most);
        unpacked
    }
}

fn joined(how: &str, next: &str) -> String {
    match how {
        "" => next.to_owned(),
        how => format!("{how}, {next}"),
    }
}

/// A finding within something has no line of its own.
fn said(finding: Finding, path: &str, how: &str) -> Finding {
    match how {
        "" => finding,
        how => Finding {
            message: format!("{}, {how}", finding.message),
            source: Some(Source::start_of(path)),
            ..finding
        },
    }
}

/// The text of UTF-16, with or without its mark; `None` for anything else.
fn wide(bytes: &[u8]) -> Option<String> {
    let big = match bytes {
        [0xff, 0xfe, ..] => false,
        [0xfe, 0xff, ..] => true,
        _ => {
            let (pairs, _) = bytes.get(..bytes.len().min(4096))?.as_chunks::<2>();
            let zeros = |index: usize| {
                let zero = |pair: &&[u8; 2]| pair.get(index) == Some(&0);
                pairs.iter().filter(zero).count()
            };
            let (high, low) = (zeros(0), zeros(1));
            let least = pairs.len() / 3 + 1;
            match (high >= least, low >= least) {
                (true, false) => true,
                (false, true) => false,
                // Zeros in both are no text.
                (true, true) | (false, false) => return None,
            }
        }
    };
    let (pairs, _) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| match big {
        true => u16::from_be_bytes(*pair),
        false => u16::from_le_bytes(*pair),
    });
    let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    Some(text.collect())
}

/// The pieces that may be base64: long ones, also over several lines, indented or not.
fn encoded(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let part = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'+' | b'/' | b'-' | b'_' | b'\n' | b'\r' | b' ' | b'\t'
            )
    };
    let pieces = bytes.split(move |byte| !part(byte));
    pieces.filter(|piece| piece.len() >= LEAST)
}

/// What a piece says: as a whole, or from its first long line on.
fn decoded(piece: &[u8]) -> Option<Vec<u8>> {
    // Words before it are no part of it: it begins with the first run that is long.
    let start = piece
        .split(|byte| byte.is_ascii_whitespace())
        .scan(0, |at, run| {
            let from = *at;
            *at += run.len() + 1;
            Some((from, run.len()))
        })
        .find(|(_, length)| *length >= 20)?
        .0;
    let text: Vec<u8> = piece
        .get(start..)?
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    let whole = text.len() - text.len() % 4;
    let decode = |text: &[u8]| STANDARD_NO_PAD.decode(text).ok();
    decode(&text).or_else(|| decode(text.get(..whole)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn key() -> String {
        format!(
            "-----BEGIN PRIVATE {}-----\n{}\n",
            "KEY", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
        )
    }

    fn found(bytes: &[u8]) -> Vec<String> {
        let credentials = Credentials::new().unwrap();
        let size = u64::try_from(bytes.len()).unwrap();
        let findings = find(&credentials, "f", bytes, size);
        findings
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn base64(bytes: &[u8]) -> String {
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

    #[test]
    fn keys_in_other_encodings_are_found() {
        let little: Vec<u8> = key().encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = key().encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [&[0xff, 0xfe][..], &little].concat();
        for bytes in [&little, &big, &marked] {
            assert_eq!(found(bytes), ["this looks like a private key, in UTF-16"]);
        }
        let text = base64(key().as_bytes());
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|l| str::from_utf8(l).unwrap())
            .collect();
        for text in [
            text.clone(),
            format!("key: {text}\nother: 1\n"),
            format!("data:\n  tls.key: |\n    {}\n", lines.join("\n    ")),
            format!("{{\"key\":\"{text}\"}}"),
            text.replace('+', "-").replace('/', "_"),
        ] {
            assert_eq!(
                found(text.as_bytes()),
                ["this looks like a private key, in base64"],
                "{text}"
            );
        }
    }

    #[test]
    fn keys_within_other_files_are_found() {
        assert_eq!(
            found(&packed(key().as_bytes())),
            ["this looks like a private key, packed with gzip"]
        );
        let twice = base64(&packed(
            format!("x: {}", base64(key().as_bytes())).as_bytes(),
        ));
        assert_eq!(
            found(twice.as_bytes()),
            ["this looks like a private key, in base64, packed with gzip, in base64"]
        );
        let far = format!("{}{}", "filler line\n".repeat(800_000), key());
        assert_eq!(found(far.as_bytes()), ["this looks like a private key"]);
    }

    #[test]
    fn what_is_not_looked_at_is_said() {
        let credentials = Credentials::new().unwrap();
        let said = find(&credentials, "f", &[b'x'; 2 << 20], 3 << 20);
        assert_eq!(said.len(), 1);
        assert!(
            !said[0].is_error() && said[0].message.ends_with("only its first 2 MiB"),
            "{said:?}"
        );
        for (begin, _) in CLOSED {
            assert_eq!(found(begin).len(), 1);
        }
        let mut broken = packed(&key().into_bytes());
        broken.truncate(20);
        assert_eq!(found(&broken).len(), 1);
        assert!(found(b"ordinary text, an image, or a program").is_empty());
    }
}
