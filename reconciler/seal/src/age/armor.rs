//! The text form of an age file: strict PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::AgeError;

const BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";
const COLUMNS: usize = 64;

/// White space around the armour that is forgiven.
const SPACES: usize = 1024;

/// Whether `file` is armoured: what begins with white space or the first mark is no binary file.
pub(super) fn is_armored(file: &[u8]) -> bool {
    file.trim_ascii_start().starts_with(b"-----BEGIN")
}

/// The binary file inside the armour.
///
/// *Errors*: `Armor` for everything but one armour with white space around it.
pub fn unarmor(text: &[u8]) -> Result<Vec<u8>, AgeError> {
    let inside = text.trim_ascii_start();
    if text.len() - inside.len() > SPACES {
        return Err(AgeError::Armor("there is too much white space before it"));
    }
    let trimmed = inside.trim_ascii_end();
    if inside.len() - trimmed.len() > SPACES {
        return Err(AgeError::Armor("there is too much white space after it"));
    }
    let mut lines = trimmed.split(|byte| *byte == b'\n').map(line);
    if lines.next() != Some(BEGIN) {
        return Err(AgeError::Armor("it begins with another line"));
    }
    let mut binary = Vec::with_capacity(trimmed.len() / 4 * 3);
    let mut short = false;
    for line in lines.by_ref() {
        if line == END {
            return match lines.next() {
                None => Ok(binary),
                Some(_) => Err(AgeError::Armor("something follows its last line")),
            };
        }
        if short || line.is_empty() || line.len() > COLUMNS {
            return Err(AgeError::Armor("a line has another length"));
        }
        short = line.len() < COLUMNS || line.ends_with(b"=");
        let bytes = STANDARD.decode(line);
        binary.extend(bytes.map_err(|_| AgeError::Armor("a line is not canonical base64"))?);
    }
    Err(AgeError::Armor("its last line is missing"))
}

/// A line without the carriage return that some systems write.
fn line(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
