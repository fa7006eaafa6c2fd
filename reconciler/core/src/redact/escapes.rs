//! What stands behind the escapes of shells, JSON, URLs, HTML and terminals.

/// The most bytes of one escape.
pub(super) const LONGEST: usize = 24;

/// What bytes that begin with the mark of an escape are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// One that is not complete.
    More,
    /// One that stands for these bytes; they may be none.
    Means(Means),
    /// None.
    No,
}

/// Up to four bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Means([u8; 4], usize);

impl Means {
    fn nothing() -> Self {
        Self([0; 4], 0)
    }

    fn byte(byte: u8) -> Self {
        Self([byte, 0, 0, 0], 1)
    }

    fn char(c: char) -> Self {
        let mut bytes = [0; 4];
        let length = c.encode_utf8(&mut bytes).len();
        Self(bytes, length)
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

/// Whether an escape may begin with a byte.
pub(super) fn is_mark(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&' | 0x1b)
}

/// Reads an escape. `bytes` begins with a mark, and without its last byte it was not complete.
pub(super) fn read(bytes: &[u8]) -> Escape {
    match bytes {
        [] | [b'%' | b'\\' | b'&' | 0x1b] => Escape::More,
        [b'%', digits @ ..] => hexadecimal(digits, 2),
        [b'\\', b'x', digits @ ..] => hexadecimal(digits, 2),
        [b'\\', b'u', digits @ ..] => hexadecimal(digits, 4),
        [b'\\', b'U', digits @ ..] => hexadecimal(digits, 8),
        [b'\\', digits @ ..] if digits.first().is_some_and(|d| (b'0'..=b'7').contains(d)) => {
            octal(digits)
        }
        [b'\\', b'n' | b'r' | b't' | b'v' | b'f' | b'a' | b'b'] => Escape::Means(Means::nothing()),
        [b'\\', other] => Escape::Means(Means::byte(*other)),
        [b'&', name @ ..] => entity(name),
        [0x1b, b'['] => Escape::More,
        [0x1b, b'[', codes @ .., last] => control(codes, *last),
        _ => Escape::No,
    }
}

/// The bytes without their escapes.
pub(super) fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let longest = rest.len().min(LONGEST);
        let found = (2..=longest)
            .filter(|_| is_mark(*first))
            .map(|length| (length, read(rest.get(..length).unwrap_or_default())))
            .find(|(_, escape)| *escape != Escape::More);
        rest = match found {
            Some((length, Escape::Means(means))) => {
                out.extend_from_slice(means.bytes());
                rest.get(length..).unwrap_or_default()
            }
            _ => {
                out.push(*first);
                after
            }
        };
    }
    out
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    let plain = text.bytes().all(|digit| digit.is_ascii_alphanumeric());
    plain
        .then(|| u32::from_str_radix(text, radix).ok())
        .flatten()
}

fn hexadecimal(digits: &[u8], length: usize) -> Escape {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Escape::No;
    }
    if digits.len() < length {
        return Escape::More;
    }
    let Some(number) = number(digits, 16) else {
        return Escape::No;
    };
    match (length, u8::try_from(number)) {
        (2, Ok(byte)) => Escape::Means(Means::byte(byte)),
        _ => char::from_u32(number).map_or(Escape::No, |c| Escape::Means(Means::char(c))),
    }
}

fn octal(digits: &[u8]) -> Escape {
    match digits.len() {
        _ if !digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) => Escape::No,
        0..=2 => Escape::More,
        _ => match number(digits, 8).map(u8::try_from) {
            Some(Ok(byte)) => Escape::Means(Means::byte(byte)),
            _ => Escape::No,
        },
    }
}

/// `amp;`, `#39;`, `#x27;`
fn entity(name: &[u8]) -> Escape {
    let Some((b';', name)) = name.split_last() else {
        let sound = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'#';
        return match name.len() < 9 && name.iter().all(sound) {
            true => Escape::More,
            false => Escape::No,
        };
    };
    let found = match name {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16).and_then(char::from_u32),
        [b'#', digits @ ..] => number(digits, 10).and_then(char::from_u32),
        _ => None,
    };
    found.map_or(Escape::No, |c| Escape::Means(Means::char(c)))
}

/// The colours and movements of a terminal stand for nothing.
fn control(codes: &[u8], last: u8) -> Escape {
    let sound = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b';' | b':' | b'?');
    match codes.iter().all(sound) && codes.len() + 4 < LONGEST {
        false => Escape::No,
        true if last.is_ascii_alphabetic() => Escape::Means(Means::nothing()),
        true if sound(&last) => Escape::More,
        true => Escape::No,
    }
}
