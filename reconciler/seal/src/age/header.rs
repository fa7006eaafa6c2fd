//! The header: a version line, stanzas, and the code over both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{AgeError, FileKey, mac_key};
use crate::backend::{Algorithm, Crypto};

/// The kind of stanza that wraps for ML-KEM-768 and X25519 together.
pub const HYBRID: &str = "mlkem768x25519";
/// The kind of stanza that wraps for X25519 alone.
pub const X25519: &str = "X25519";

const VERSION: &[u8] = b"age-encryption.org/v1\n";

/// The most bytes of a header: about 160 hybrid recipients.
const LARGEST: usize = 256 << 10;

/// Base64 characters in a full line of a body.
const COLUMNS: usize = 64;

/// One stanza: a kind, arguments, a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// What it is.
    pub kind: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Stanza {
    /// The one argument, as `N` bytes of canonical base64.
    pub(super) fn argument<const N: usize>(&self) -> Result<[u8; N], AgeError> {
        let [argument] = self.arguments.as_slice() else {
            return Err(AgeError::Header("a stanza has another number of arguments"));
        };
        let bytes = decode(argument.as_bytes())?;
        bytes
            .try_into()
            .map_err(|_| AgeError::Header("an argument has another length"))
    }

    /// The body, as `N` bytes.
    pub(super) fn body<const N: usize>(&self) -> Result<[u8; N], AgeError> {
        let body = self.body.as_slice();
        body.try_into()
            .map_err(|_| AgeError::Header("the body of a stanza has another length"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"-> ");
        out.extend_from_slice(self.kind.as_bytes());
        for argument in &self.arguments {
            out.push(b' ');
            out.extend_from_slice(argument.as_bytes());
        }
        out.push(b'\n');
        let body = STANDARD_NO_PAD.encode(&self.body);
        for line in body.as_bytes().chunks(COLUMNS) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        if body.len().is_multiple_of(COLUMNS) {
            out.push(b'\n');
        }
    }
}

/// A parsed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    stanzas: Vec<Stanza>,
    mac: [u8; 32],
    /// How many bytes the code is over: the header up to and with `---`.
    covered: usize,
    length: usize,
}

impl Header {
    /// Reads the header at the start of a binary age file.
    ///
    /// *Errors*: `Header` for everything that the specification does not allow.
    pub fn parse(file: &[u8]) -> Result<Self, AgeError> {
        let mut lines = Lines::new(file);
        if lines.next()? != VERSION.strip_suffix(b"\n").unwrap_or_default() {
            return Err(AgeError::Header("it begins with another version line"));
        }
        let mut stanzas = Vec::new();
        loop {
            let covered = lines.at;
            let line = lines.next()?;
            if let Some(arguments) = line.strip_prefix(b"-> ") {
                stanzas.push(stanza(arguments, &mut lines)?);
            } else if let Some(mac) = line.strip_prefix(b"--- ") {
                let mac = decode(mac)?;
                let mac = mac
                    .try_into()
                    .map_err(|_| AgeError::Header("its code has another length"))?;
                if stanzas.is_empty() {
                    return Err(AgeError::Header("it has no stanza"));
                }
                return Ok(Self {
                    stanzas,
                    mac,
                    covered: covered + 3,
                    length: lines.at,
                });
            } else {
                return Err(AgeError::Header("a line is neither a stanza nor the end"));
            }
        }
    }

    /// The stanzas in their order.
    pub fn stanzas(&self) -> &[Stanza] {
        &self.stanzas
    }

    /// The stanzas of one kind.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Stanza> {
        self.stanzas.iter().filter(move |one| one.kind == kind)
    }

    /// Bytes of the header; the payload follows.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether `file`, of which this is the header, has the code that `key` gives.
    pub(super) fn is_authentic(
        &self,
        crypto: &Crypto,
        file: &[u8],
        key: &FileKey,
    ) -> Result<bool, AgeError> {
        let covered = file.get(..self.covered).unwrap_or_default();
        let code = code(crypto, covered, key)?;
        Ok(openssl::memcmp::eq(code.as_slice(), &self.mac))
    }
}

fn code(crypto: &Crypto, covered: &[u8], key: &FileKey) -> Result<crate::backend::Key, AgeError> {
    let key = mac_key(crypto, key)?;
    let backend = crypto.at(Algorithm::Sha256)?;
    Ok(backend.hmac_sha256(key.as_slice(), &[covered])?)
}

/// The header of a new file.
pub(super) fn write(
    crypto: &Crypto,
    stanzas: &[Stanza],
    key: &FileKey,
) -> Result<Vec<u8>, AgeError> {
    let mut out = VERSION.to_vec();
    stanzas.iter().for_each(|stanza| stanza.write(&mut out));
    out.extend_from_slice(b"---");
    if out.len() > LARGEST {
        return Err(AgeError::Recipients("there are too many of them"));
    }
    let mac = code(crypto, &out, key)?;
    out.push(b' ');
    out.extend_from_slice(STANDARD_NO_PAD.encode(mac.as_slice()).as_bytes());
    out.push(b'\n');
    Ok(out)
}

/// The lines of a header, each ended by one line feed.
struct Lines<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn new(file: &'a [u8]) -> Self {
        let file = file.get(..LARGEST).unwrap_or(file);
        Self { file, at: 0 }
    }

    fn next(&mut self) -> Result<&'a [u8], AgeError> {
        let rest = self.file.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or(AgeError::Header("it does not end"))?;
        self.at += end + 1;
        Ok(rest.get(..end).unwrap_or_default())
    }
}

/// The stanza whose first line, after the arrow, is `arguments`.
fn stanza(arguments: &[u8], lines: &mut Lines<'_>) -> Result<Stanza, AgeError> {
    let mut words = Vec::new();
    for word in arguments.split(|byte| *byte == b' ') {
        let visible = !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
        let text = visible.then(|| std::str::from_utf8(word).ok()).flatten();
        words.push(
            text.ok_or(AgeError::Header("an argument is empty or not visible"))?
                .to_owned(),
        );
    }
    let kind = words.remove(0);
    let mut body = Vec::new();
    loop {
        let line = lines.next()?;
        if line.len() > COLUMNS {
            return Err(AgeError::Header("a line of a body is too long"));
        }
        body.extend(decode(line)?);
        if line.len() < COLUMNS {
            let arguments = words;
            return Ok(Stanza {
                kind,
                arguments,
                body,
            });
        }
    }
}

/// The bytes of canonical base64 without padding.
fn decode(text: &[u8]) -> Result<Vec<u8>, AgeError> {
    STANDARD_NO_PAD
        .decode(text)
        .map_err(|_| AgeError::Header("something is not canonical base64"))
}
