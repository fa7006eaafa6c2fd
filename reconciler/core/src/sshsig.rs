//! Signatures in the format of OpenSSH, as git keeps them in the header of a commit.
//!
//! Only what the reconciler's own key needs: Ed25519, the namespace `git`, SHA-512. Whatever is
//! written here is read by `ssh-keygen -Y verify`, and so by `git verify-commit`.
//!
//! *Source*: OpenSSH, PROTOCOL.sshsig; strings as in RFC 4251, section 5.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha512};

const MAGIC: &[u8] = b"SSHSIG";
const NAMESPACE: &[u8] = b"git";
const HASH: &[u8] = b"sha512";
const KIND: &[u8] = b"ssh-ed25519";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
/// Letters in a line of the armor, as `ssh-keygen` writes it.
const LINE: usize = 70;
/// Longer than any signature that this reads.
const LONGEST: usize = 4096;

/// A signature that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    /// The public key that made it, by its own account: 32 bytes.
    pub public: Vec<u8>,
    /// 64 bytes, of [`to_sign`].
    pub signature: Vec<u8>,
}

/// The bytes that the key signs, for a message.
pub fn to_sign(message: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for part in [NAMESPACE, b"", HASH, Sha512::digest(message).as_slice()] {
        string(&mut bytes, part);
    }
    bytes
}

/// The signature as it stands in a commit: lines of text, without a line end after the last.
pub fn armored(signature: &SshSignature) -> String {
    let mut proof = Vec::new();
    string(&mut proof, KIND);
    string(&mut proof, &signature.signature);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(1_u32.to_be_bytes());
    for part in [&key(&signature.public), NAMESPACE, b"", HASH, &proof] {
        string(&mut bytes, part);
    }
    let text: Vec<char> = BASE64.encode(bytes).chars().collect();
    let mut lines = vec![BEGIN.to_owned()];
    lines.extend(
        text.chunks(LINE)
            .map(|line| line.iter().collect::<String>()),
    );
    lines.push(END.to_owned());
    lines.join("\n")
}

/// Reads what [`armored`] wrote; `None` for any other form, another namespace or another kind of
/// key.
pub fn read(armored: &[u8]) -> Option<SshSignature> {
    let text = std::str::from_utf8(armored).ok()?.trim();
    if text.len() > LONGEST {
        return None;
    }
    let body = text.strip_prefix(BEGIN)?.strip_suffix(END)?;
    let body: String = body.split_whitespace().collect();
    let bytes = BASE64.decode(body).ok()?;
    let mut rest = bytes
        .strip_prefix(MAGIC)?
        .strip_prefix(&1_u32.to_be_bytes())?;
    let [key, namespace, _reserved, hash, proof] = strings(&mut rest)?;
    let (mut key, mut proof) = (key, proof);
    let [key_kind, public] = strings(&mut key)?;
    let [proof_kind, signature] = strings(&mut proof)?;
    let known = namespace == NAMESPACE && hash == HASH && key_kind == KIND && proof_kind == KIND;
    let whole = rest.is_empty() && key.is_empty() && proof.is_empty();
    let sized = public.len() == 32 && signature.len() == 64;
    (known && whole && sized).then(|| SshSignature {
        public: public.to_vec(),
        signature: signature.to_vec(),
    })
}

/// The public key as it stands in an `allowed_signers` file: `ssh-ed25519 AAAA…`.
pub fn public_line(public: &[u8]) -> String {
    format!("ssh-ed25519 {}", BASE64.encode(key(public)))
}

fn key(public: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    string(&mut bytes, KIND);
    string(&mut bytes, public);
    bytes
}

fn string(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(part);
}

fn strings<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<[&'a [u8]; N]> {
    let mut found = [[].as_slice(); N];
    for place in &mut found {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (part, after) = after.split_at_checked(length)?;
        (*place, *rest) = (part, after);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SshSignature {
        SshSignature {
            public: (0..32).collect(),
            signature: (0..64).rev().collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = armored(&sample());
        assert_eq!(read(text.as_bytes()), Some(sample()));
        assert!(text.lines().all(|line| line.len() <= LINE));
        assert!(public_line(&sample().public).starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"));
    }

    #[test]
    fn another_form_is_none() {
        let text = armored(&sample());
        let cut = text.replace(END, "");
        let changed = |from: &[u8], to: &[u8]| {
            let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            let bytes = BASE64.decode(body).unwrap();
            let place = bytes
                .windows(from.len())
                .position(|part| part == from)
                .unwrap();
            let mut bytes = bytes;
            bytes[place..place + from.len()].copy_from_slice(to);
            format!("{BEGIN}\n{}\n{END}", BASE64.encode(bytes))
        };
        for text in [
            "",
            "signed, honestly",
            &cut,
            &changed(b"git", b"gut"),
            &changed(b"sha512", b"sha256"),
            &changed(b"ssh-ed25519", b"ssh-ed25518"),
            &changed(&[0, 0, 0, 32], &[0, 0, 0, 31]),
            &changed(&[0, 0, 0, 32], &[255, 0, 0, 32]),
            &"A".repeat(LONGEST + 1),
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_message_decides_what_is_signed() {
        let bytes = to_sign(b"one");
        assert!(bytes.starts_with(b"SSHSIG\0\0\0\x03git\0\0\0\0\0\0\0\x06sha512\0\0\0\x40"));
        assert_ne!(bytes, to_sign(b"two"));
    }
}
