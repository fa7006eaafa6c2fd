//! What is looked for of a secret, and in which forms.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The least characters of a line or a word that is looked for by itself.
const PART: usize = 8;

/// The least characters of a whole secret that is looked for: taking out every `1` would hide
/// nothing and break everything.
const WHOLE: usize = 4;

/// The least bytes of a pattern in a folded text. Less would be found everywhere.
const LEAST: usize = 6;

/// How often what is inside of something is looked at again: JSON in base64 in JSON.
const DEEP: u8 = 3;

/// The patterns of all secrets.
#[derive(Default)]
pub(super) struct Forms {
    folded: BTreeSet<Vec<u8>>,
    exact: BTreeSet<Vec<u8>>,
    /// A secret so large that its forms were not even made.
    beyond: bool,
}

impl Forms {
    /// Adds a secret.
    pub(super) fn add(&mut self, secret: &str) {
        if secret.len() > super::LARGEST / 8 {
            self.beyond = true;
            return;
        }
        let whole = secret.trim();
        if whole.chars().count() >= WHOLE {
            self.whole(whole);
        }
        let mut parts = BTreeSet::new();
        take_apart(secret, DEEP, &mut parts);
        for part in &parts {
            self.part(part);
        }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.folded.is_empty() && self.exact.is_empty() && !self.beyond
    }

    /// Whether all of it is at most so many bytes.
    pub(super) fn within(&self, bytes: usize) -> bool {
        let total: usize = self.folded.iter().chain(&self.exact).map(Vec::len).sum();
        !self.beyond && total <= bytes
    }

    /// The patterns for a folded text.
    pub(super) fn folded(&self) -> Vec<&[u8]> {
        self.folded.iter().map(Vec::as_slice).collect()
    }

    /// The patterns for a text as it is, in lower case.
    pub(super) fn exact(&self) -> Vec<&[u8]> {
        self.exact.iter().map(Vec::as_slice).collect()
    }

    /// A whole secret, which may be short.
    fn whole(&mut self, whole: &str) {
        let several = whole.contains(|c: char| c.is_ascii_whitespace());
        let plain = fold(whole);
        if plain.len() >= PART || (several && plain.len() >= WHOLE) {
            self.part(whole);
            return;
        }
        for text in [whole.to_owned(), json(whole)] {
            self.exact.insert(text.to_ascii_lowercase().into_bytes());
            self.exact.insert(text.to_lowercase().into_bytes());
            self.exact
                .insert(text.to_uppercase().to_ascii_lowercase().into_bytes());
        }
        self.encoded(whole.as_bytes());
        self.take(percent(whole).as_bytes(), PART);
    }

    /// A part in all its forms.
    fn part(&mut self, part: &str) {
        let texts = [
            part.to_owned(),
            part.to_uppercase(),
            part.to_lowercase(),
            json(part),
            percent(part),
            // As a text in which a `+` would be a blank is read.
            part.replace('+', ""),
        ];
        for text in &texts {
            self.take(text.as_bytes(), WHOLE);
        }
        self.encoded(part.as_bytes());
    }

    /// Base64 at any place of a longer text, and hex.
    fn encoded(&mut self, bytes: &[u8]) {
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            for before in 0..3 {
                let mut text = vec![0; before];
                text.extend_from_slice(bytes);
                let encoded = engine.encode(&text);
                // The characters that say something of these bytes alone.
                let (first, last) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
                let inside = encoded.as_bytes().get(first..last).unwrap_or_default();
                self.take(inside, LEAST);
            }
        }
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.take(hex.as_bytes(), PART);
    }

    fn take(&mut self, text: &[u8], least: usize) {
        let folded = fold_bytes(text);
        if folded.len() >= least {
            self.folded.insert(folded);
        }
    }
}

/// Whether a byte is passed over when texts are compared: blanks, quotes, escapes.
pub(super) fn is_passed_over(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'\'' | b'"' | b'\\' | 0x0b | 0)
}

fn fold(text: &str) -> Vec<u8> {
    fold_bytes(text.as_bytes())
}

/// A text as it is compared: in lower case, without what is passed over.
fn fold_bytes(text: &[u8]) -> Vec<u8> {
    let kept = text.iter().filter(|byte| !is_passed_over(**byte));
    kept.map(u8::to_ascii_lowercase).collect()
}

/// The parts of a secret that are looked for by themselves.
fn take_apart(secret: &str, deep: u8, parts: &mut BTreeSet<String>) {
    for text in secret.lines().chain(secret.split_whitespace()) {
        let text = text.trim();
        if text.chars().count() >= PART && parts.insert(text.to_owned()) && deep > 0 {
            inside(text, deep - 1, parts);
        }
    }
    if deep > 0 {
        of_json(secret, deep - 1, parts);
        if let Some(text) = decoded(secret) {
            take_apart(&text, deep - 1, parts);
        }
    }
}

/// What is a secret inside of a line or a word: the value of `NAME=value`, the password of a URL,
/// what stands in quotes, or behind percent signs or base64.
fn inside(text: &str, deep: u8, parts: &mut BTreeSet<String>) {
    let name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.- ".contains(c))
    };
    for mark in ['=', ':'] {
        if let Some((_, value)) = text.split_once(mark).filter(|(left, _)| name(left)) {
            take_apart(value, deep, parts);
        }
    }
    if let Some(password) = password(text) {
        take_apart(password, deep, parts);
    }
    let bare = text.trim_matches(|c: char| c.is_ascii_punctuation());
    if bare.len() < text.len() {
        take_apart(bare, deep, parts);
    }
    let plain = super::escapes::unescape(text.as_bytes());
    if let Ok(plain) = String::from_utf8(plain)
        && plain != text
    {
        take_apart(&plain, deep, parts);
    }
    if let Some(text) = decoded(text) {
        take_apart(&text, deep, parts);
    }
    of_json(text, deep, parts);
}

/// `secret` of `scheme://user:secret@host`.
fn password(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

/// The texts in a JSON document.
fn of_json(text: &str, deep: u8, parts: &mut BTreeSet<String>) {
    let text = text.trim();
    if text.starts_with(['{', '[', '"'])
        && let Ok(value) = serde_json::from_str(text)
    {
        leaves(&value, deep, parts);
    }
}

fn leaves(value: &serde_json::Value, deep: u8, parts: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) => take_apart(text, deep, parts),
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| leaves(item, deep, parts));
        }
        serde_json::Value::Object(entries) => {
            entries.values().for_each(|item| leaves(item, deep, parts));
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

/// What a text in base64 says, when that is text too.
fn decoded(text: &str) -> Option<String> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let compact: String = text.split_whitespace().collect();
    if compact.len() < PART {
        return None;
    }
    let alphabet = match compact.contains(['-', '_']) {
        true => &base64::alphabet::URL_SAFE,
        false => &base64::alphabet::STANDARD,
    };
    let bytes = GeneralPurpose::new(alphabet, LENIENT)
        .decode(compact)
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let readable = |c: char| !c.is_control() || c.is_ascii_whitespace();
    text.chars().all(readable).then_some(text)
}

/// A text as it stands between the quotes of JSON.
fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text).to_owned()
}

/// A text as it stands in a URL.
fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
