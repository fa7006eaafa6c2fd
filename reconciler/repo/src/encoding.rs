//! The texts of a commit that says which encoding they have.

/// The characters of ISO-8859-15 that differ from ISO-8859-1. *Source*: ISO/IEC 8859-15:1999.
const LATIN_9: [(u8, char); 8] = [
    (0xa4, '€'),
    (0xa6, 'Š'),
    (0xa8, 'š'),
    (0xb4, 'Ž'),
    (0xb8, 'ž'),
    (0xbc, 'Œ'),
    (0xbd, 'œ'),
    (0xbe, 'Ÿ'),
];

/// Windows-1252, 0x80 to 0x9f. *Source*: Unicode, `CP1252.TXT`; its five holes as in the WHATWG
/// encoding standard.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// A text of a commit whose header `encoding` says `name`. Without the header it is UTF-8; what is
/// not, and what has an encoding that is not known here, keeps its ASCII.
pub(crate) fn text(bytes: &[u8], name: Option<&[u8]>) -> String {
    let name = name.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase());
    let latin = |byte: &u8| char::from(*byte);
    match name
        .as_deref()
        .map(|name| name.replace('_', "-"))
        .as_deref()
    {
        Some("iso-8859-1" | "iso8859-1" | "latin1" | "latin-1") => {
            bytes.iter().map(latin).collect()
        }
        Some("iso-8859-15" | "iso8859-15" | "latin9" | "latin-9") => {
            let odd = |byte: &u8| LATIN_9.iter().find(|(known, _)| known == byte);
            let read = |byte: &u8| odd(byte).map_or_else(|| latin(byte), |(_, c)| *c);
            bytes.iter().map(read).collect()
        }
        Some("windows-1252" | "cp1252" | "cp-1252") => {
            let odd = |byte: &u8| WINDOWS.get(usize::from(byte.checked_sub(0x80)?)).copied();
            let read = |byte: &u8| odd(byte).unwrap_or_else(|| latin(byte));
            bytes.iter().map(read).collect()
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_their_commit_says() {
        for (name, bytes, read) in [
            (Some("ISO-8859-1"), &b"caf\xe9"[..], "café"),
            (Some("latin1"), b"caf\xe9", "café"),
            (Some("ISO-8859-15"), b"5\xa4 caf\xe9", "5€ café"),
            (Some("CP1252"), b"\x93so\x94 \xe9", "“so” é"),
            (Some("UTF-8"), "café".as_bytes(), "café"),
            (None, "café".as_bytes(), "café"),
            (None, b"caf\xe9", "caf\u{fffd}"),
            (Some("EUC-JP"), b"a\xa4\xa2", "a\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(text(bytes, name.map(str::as_bytes)), read, "{name:?}");
        }
    }
}
