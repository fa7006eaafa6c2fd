//! Checkpoints as signed notes, and public keys as text.
//!
//! The line of the ML-DSA-65 signature is our own: its type is `0xff` followed by
//! `stratum/ml-dsa-65`, as C2SP signed-note provides for types that it does not assign, and it
//! signs the same text with an empty context.
//!
//! *Source*: C2SP signed-note and tlog-checkpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};
use stratum_core::ports::{NoteAlgorithm, NoteError, NoteKeys, NoteSigner};
use stratum_core::secret::Secret;
use thiserror::Error;

use crate::log::tree::Hash;

/// What stands before a public key: the type of its signatures.
const ED25519: &[u8] = &[1];
const ML_DSA_65: &[u8] = b"\xffstratum/ml-dsa-65";

/// Why a checkpoint or a key is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum NoteProblem {
    /// It has not the form of a checkpoint.
    #[error("it is not a checkpoint: {0}")]
    Form(&'static str),
    /// It is of another log.
    #[error("it is of `{found}`, not of `{wanted}`")]
    Origin {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// A signature is missing.
    #[error("it has no {0} signature by the key of the log")]
    Unsigned(&'static str),
    /// A signature is wrong.
    #[error("its {0} signature is not one of this text by the key of the log")]
    Forged(&'static str),
    /// A key has not the form of one.
    #[error("`{0}` is not a public key: write `name+id+key`, as `stratum audit verify` prints it")]
    Key(String),
}

/// How large a log was, and the root of its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// A public key and the name it signs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
    pub(crate) name: String,
    pub(crate) algorithm: NoteAlgorithm,
    pub(crate) public: Vec<u8>,
}

fn kind(algorithm: NoteAlgorithm) -> &'static [u8] {
    match algorithm {
        NoteAlgorithm::Ed25519 => ED25519,
        NoteAlgorithm::MlDsa65 => ML_DSA_65,
    }
}

/// The name of an algorithm, for people.
pub(crate) fn word(algorithm: NoteAlgorithm) -> &'static str {
    match algorithm {
        NoteAlgorithm::Ed25519 => "Ed25519",
        NoteAlgorithm::MlDsa65 => "ML-DSA-65",
    }
}

impl Verifier {
    /// Both verifiers of a key pair that signs as `name`.
    pub(crate) fn pair(name: &str, keys: &NoteKeys) -> [Self; 2] {
        let verifier = |algorithm, public: &[u8]| Self {
            name: name.to_owned(),
            algorithm,
            public: public.to_owned(),
        };
        [
            verifier(NoteAlgorithm::Ed25519, &keys.ed25519),
            verifier(NoteAlgorithm::MlDsa65, &keys.ml_dsa_65),
        ]
    }

    /// The first four bytes of the digest of name, type and key.
    fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update(b"\n");
        hasher.update(kind(self.algorithm));
        hasher.update(&self.public);
        let digest: Hash = hasher.finalize().into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// The form that people pass on: `name+id+key`.
    pub(crate) fn text(&self) -> String {
        let id: String = self.id().iter().map(|byte| format!("{byte:02x}")).collect();
        let key = [kind(self.algorithm), &self.public].concat();
        format!("{}+{id}+{}", self.name, BASE64.encode(key))
    }

    /// Reads that form; the id must fit.
    pub(crate) fn parse(text: &str) -> Result<Self, NoteProblem> {
        let wrong = || NoteProblem::Key(text.to_owned());
        let mut parts = text.trim().splitn(3, '+');
        let (name, id, key) = (parts.next(), parts.next(), parts.next());
        let key = BASE64.decode(key.ok_or_else(wrong)?).map_err(|_| wrong())?;
        let known = [NoteAlgorithm::Ed25519, NoteAlgorithm::MlDsa65];
        let found = known.into_iter().find_map(|algorithm| {
            let public = key.strip_prefix(kind(algorithm))?;
            let length = match algorithm {
                NoteAlgorithm::Ed25519 => 32,
                NoteAlgorithm::MlDsa65 => 1_952,
            };
            (public.len() == length).then(|| (algorithm, public.to_owned()))
        });
        let (algorithm, public) = found.ok_or_else(wrong)?;
        let verifier = Self {
            name: name.unwrap_or_default().to_owned(),
            algorithm,
            public,
        };
        let given = id.unwrap_or_default();
        let fits = verifier.text() == format!("{}+{given}+{}", verifier.name, BASE64.encode(&key));
        fits.then_some(verifier).ok_or_else(wrong)
    }
}

impl Checkpoint {
    /// The text that is signed.
    fn text(&self) -> String {
        let root = BASE64.encode(self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// The signed note.
    pub(crate) fn sign(&self, signer: &dyn NoteSigner, pair: &Secret) -> Result<String, NoteError> {
        let text = self.text();
        let signatures = signer.sign(pair, text.as_bytes())?;
        let verifiers = Verifier::pair(&self.origin, &signer.public(pair)?);
        let bytes = [&signatures.ed25519, &signatures.ml_dsa_65];
        let lines = verifiers.iter().zip(bytes).map(|(verifier, signature)| {
            let body = BASE64.encode([&verifier.id(), signature.as_slice()].concat());
            format!("\u{2014} {} {body}\n", self.origin)
        });
        Ok(format!("{text}\n{}", lines.collect::<String>()))
    }

    /// Reads a signed note without looking at its signatures.
    pub(crate) fn read(note: &str) -> Result<Self, NoteProblem> {
        let (text, _) = split(note)?;
        let mut lines = text.lines();
        let form = NoteProblem::Form;
        let (origin, size) = (lines.next().unwrap_or_default(), lines.next());
        let size = size.and_then(|size| size.parse().ok().filter(|n: &u64| n.to_string() == size));
        let root = lines.next().and_then(|root| BASE64.decode(root).ok());
        let root = root.and_then(|root| Hash::try_from(root).ok());
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.ok_or(form("its second line is no size"))?,
            root: root.ok_or(form("its third line is no hash"))?,
        };
        match checkpoint.text() == text {
            true => Ok(checkpoint),
            false => Err(form("it has other lines than origin, size and root")),
        }
    }

    /// Reads a signed note that every one of `verifiers` must have signed.
    pub(crate) fn open(
        note: &str,
        verifiers: &[Verifier],
        signer: &dyn NoteSigner,
    ) -> Result<Self, NoteProblem> {
        let checkpoint = Self::read(note)?;
        let (text, lines) = split(note)?;
        for verifier in verifiers {
            if verifier.name != checkpoint.origin {
                return Err(NoteProblem::Origin {
                    found: checkpoint.origin,
                    wanted: verifier.name.clone(),
                });
            }
            let word = word(verifier.algorithm);
            let signature = signature(lines, verifier).ok_or(NoteProblem::Unsigned(word))?;
            let (algorithm, public) = (verifier.algorithm, &verifier.public);
            if !signer.verify(algorithm, public, text.as_bytes(), &signature) {
                return Err(NoteProblem::Forged(word));
            }
        }
        Ok(checkpoint)
    }
}

/// The text with its last newline, and the lines of the signatures.
fn split(note: &str) -> Result<(&str, &str), NoteProblem> {
    let place = note
        .rfind("\n\n")
        .ok_or(NoteProblem::Form("it has no signatures"))?;
    let (text, rest) = note.split_at(place + 1);
    let lines = rest.get(1..).unwrap_or_default();
    match lines.is_empty() || lines.ends_with('\n') {
        true => Ok((text, lines)),
        false => Err(NoteProblem::Form("its last line is cut off")),
    }
}

fn signature(lines: &str, verifier: &Verifier) -> Option<Vec<u8>> {
    let prefix = format!("\u{2014} {} ", verifier.name);
    let bodies = lines.lines().filter_map(|line| line.strip_prefix(&prefix));
    let mut bodies = bodies.filter_map(|body| BASE64.decode(body).ok());
    bodies.find_map(|body| body.strip_prefix(&verifier.id()).map(<[u8]>::to_vec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_testkit::audit::TwinSigner;

    fn signed() -> (TwinSigner, [Verifier; 2], String) {
        let signer = TwinSigner::new();
        let pair = signer.generate().unwrap();
        let checkpoint = Checkpoint {
            origin: "example.org/log".to_owned(),
            size: 12,
            root: [7; 32],
        };
        let verifiers = Verifier::pair(&checkpoint.origin, &signer.public(&pair).unwrap());
        let note = checkpoint.sign(&signer, &pair).unwrap();
        (signer, verifiers, note)
    }

    #[test]
    fn what_was_signed_is_read_back() {
        let (signer, verifiers, note) = signed();
        let checkpoint = Checkpoint::open(&note, &verifiers, &signer).unwrap();
        assert_eq!(checkpoint.size, 12);
        assert_eq!(note.lines().count(), 6);
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let (signer, verifiers, note) = signed();
        let mut seen = 0;
        for place in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            seen += 1;
            let opened = Checkpoint::open(&changed, &verifiers, &signer);
            assert!(opened.is_err(), "byte {place}: {changed}");
        }
        assert!(seen > 4_000);
    }

    #[test]
    fn both_signatures_are_needed() {
        let (signer, verifiers, note) = signed();
        for dropped in [4, 5] {
            let kept = note.lines().enumerate().filter(|(n, _)| *n != dropped);
            let short: String = kept.map(|(_, line)| format!("{line}\n")).collect();
            let opened = Checkpoint::open(&short, &verifiers, &signer);
            assert!(
                matches!(opened, Err(NoteProblem::Unsigned(_))),
                "{opened:?}"
            );
        }
    }

    #[test]
    fn keys_survive_text_and_a_wrong_id_is_refused() {
        let (_, verifiers, _) = signed();
        for verifier in verifiers {
            let text = verifier.text();
            assert_eq!(Verifier::parse(&text).unwrap(), verifier);
            let other = text.replace("example.org", "example.net");
            assert!(Verifier::parse(&other).is_err());
        }
        assert!(Verifier::parse("x").is_err());
    }
}
