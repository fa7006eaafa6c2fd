//! One sealed value: sealed, verified, opened, in that order.
//!
//! Only what [`verify`] gave can be opened, so that whoever decrypts knows who sealed, and can ask
//! between the two whether that sealer may.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use jiff::Timestamp;
use stratum_core::kinds::secret::SealedValue;
use stratum_core::secret::Secret;
use stratum_core::trust::{SealerKey, Trust};

use crate::age::RecipientId;
use crate::age::{
    self, AgeError, HYBRID, Header, Identity, Recipient, RecipientKind, Stanza, X25519,
};
use crate::backend::{Algorithm, Crypto, CryptoError};
use crate::keys::{PublicHalves, Sealer, SealerKeyError};
use crate::place::Place;
use crate::signature::{Policy, SignatureError, Signatures, Statement, message};

/// The kind of stanza that carries the digest of the place.
pub const CONTEXT: &str = "stratum.dev/context/v1";

/// The most bytes of the age file of one value.
pub const LARGEST: usize = 256 << 10;

/// The end of the kind of stanza that age implementations add so that readers stay tolerant.
const GREASE: &str = "-grease";

/// Why nothing was sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The value is too large.
    #[error("the value is too large: sealed it has {0} bytes, and the most is {LARGEST}")]
    TooLarge(usize),
    /// age refuses.
    #[error("cannot seal the value")]
    Age(#[source] AgeError),
    /// The signatures cannot be written.
    #[error("cannot sign the value")]
    Signature(#[from] SignatureError),
    /// Cryptography did not happen.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Why a value is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The field `sig` does not have its form.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// `age` is no base64.
    #[error("`age` is not base64")]
    Base64,
    /// The age file does not have its form.
    #[error("`age` is malformed: {0}")]
    Age(AgeError),
    /// It is sealed for elsewhere, or was brought back under another version.
    #[error("the value was sealed for another repository, environment, path, key or version")]
    Place,
    /// It has no stanza of its place, or two.
    #[error("the value does not say for which place it was sealed")]
    NoPlace,
    /// A stanza of a kind that sealed values do not have.
    #[error("the value is sealed to a recipient of the unknown kind `{0}`")]
    UnknownRecipient(String),
    /// The sealer states other recipients than the file has.
    #[error("the value is sealed to {found} recipients, and its sealer states {stated}")]
    Recipients {
        /// How many stanzas there are.
        found: usize,
        /// How many are stated.
        stated: usize,
    },
    /// `trust/` names nobody with that key.
    #[error("the value was signed with the key `{0}`, which is nobody's in `trust/`")]
    UnknownSealer(String),
    /// The sealer's keys had expired by then.
    #[error("the keys of `{sealer}` expired on {expired}, before the value was sealed")]
    Expired {
        /// The person.
        sealer: String,
        /// When.
        expired: Timestamp,
    },
    /// The public key in `trust/` is not one.
    #[error("the sealer key of `{sealer}` in `trust/` is malformed")]
    Key {
        /// The person.
        sealer: String,
        /// What is wrong with it.
        #[source]
        source: SealerKeyError,
    },
    /// A signature does not match.
    #[error(
        "the {algorithm} signature of `{sealer}` does not match: the value, its place or its version was changed"
    )]
    Mismatch {
        /// The person who is said to have signed.
        sealer: String,
        /// Which signature.
        algorithm: &'static str,
    },
    /// Too few signatures.
    #[error("the value is signed with {has}, and the policy `{}` needs more", policy.name())]
    Policy {
        /// What there is.
        has: &'static str,
        /// What is asked for.
        policy: Policy,
    },
    /// Cryptography did not happen.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// A value whose origin and place are certain. It is still sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The person who sealed it, by the name in `trust/people/`.
    pub sealer: String,
    /// With which key, when, and to whom, as the sealer states it.
    pub statement: Statement,
    /// Whether it has a signature of Ed25519.
    pub ed25519: bool,
    /// Whether it has a signature of ML-DSA-65.
    pub ml_dsa_65: bool,
    /// Whether it is sealed to a recipient that a quantum computer could stand in for.
    pub classical: bool,
    /// SHA-256 of the age file.
    pub digest: [u8; 32],
    age: Vec<u8>,
}

/// Seals `plaintext` for `place` to `recipients` and signs it, as of `time`.
///
/// *Guarantees*: a fresh file key each time, both signatures. *Errors*: nothing was made then.
pub fn seal(
    crypto: &Crypto,
    sealer: &Sealer,
    recipients: &[Recipient],
    place: &Place<'_>,
    time: Timestamp,
    plaintext: &Secret,
) -> Result<SealedValue, SealError> {
    let context = Stanza {
        kind: CONTEXT.to_owned(),
        arguments: vec![STANDARD_NO_PAD.encode(place.digest(crypto)?)],
        body: Vec::new(),
    };
    let age = age::seal(crypto, recipients, &[context], plaintext.expose());
    let age = age.map_err(SealError::Age)?;
    if age.len() > LARGEST {
        return Err(SealError::TooLarge(age.len()));
    }
    let recipients = recipients.iter().map(|one| one.id(crypto));
    let statement = Statement {
        key: sealer.id().to_owned(),
        time,
        recipients: recipients.collect::<Result<_, _>>()?,
    };
    let digest = crypto.at(Algorithm::Sha256)?.sha256(&[&age])?;
    let message = message(place, &digest, &statement)?;
    let (ed25519, ml_dsa_65) = sealer.sign(crypto, &message)?;
    let signatures = Signatures {
        statement,
        ed25519: Some(ed25519),
        ml_dsa_65: Some(ml_dsa_65),
    };
    Ok(SealedValue {
        v: place.version,
        age: STANDARD.encode(age),
        sig: signatures.encode()?,
    })
}

/// Checks form, place, sealer and signatures of `value`, which lies at `place`. No secret is needed.
///
/// What it does not ask: whether this sealer may seal there, whether the recipients are those of the
/// environment, and whether a higher version was seen. Those are the caller's.
pub fn verify(
    crypto: &Crypto,
    trust: &Trust,
    policy: Policy,
    place: &Place<'_>,
    value: &SealedValue,
) -> Result<Verified, VerifyError> {
    let signatures = Signatures::decode(&value.sig)?;
    let age = decode(&value.age)?;
    let header = Header::parse(&age).map_err(VerifyError::Age)?;
    let digest = place.digest(crypto)?;
    if value.v != place.version || context(&header)? != digest {
        return Err(VerifyError::Place);
    }
    let statement = &signatures.statement;
    let classical = recipients(&header, statement)?;
    let (sealer, key) = trusted(trust, statement)?;
    let digest = crypto.at(Algorithm::Sha256)?.sha256(&[&age])?;
    let message = message(place, &digest, statement)?;
    check(crypto, sealer, key, &message, &signatures)?;
    let (ed25519, ml_dsa_65) = (signatures.ed25519.is_some(), signatures.ml_dsa_65.is_some());
    if !policy.allows(ed25519, ml_dsa_65) {
        let has = if ed25519 {
            "Ed25519 alone"
        } else {
            "ML-DSA-65 alone"
        };
        return Err(VerifyError::Policy { has, policy });
    }
    Ok(Verified {
        sealer: sealer.to_owned(),
        statement: signatures.statement,
        ed25519,
        ml_dsa_65,
        classical,
        digest,
        age,
    })
}

/// Opens a verified value with the first identity that can.
pub fn open(
    crypto: &Crypto,
    identities: &[Identity],
    verified: &Verified,
) -> Result<Secret, AgeError> {
    age::open(crypto, identities, &verified.age, LARGEST)
}

impl Verified {
    /// The age file, to be kept: [`age::open`] opens it again.
    pub fn age(&self) -> &[u8] {
        &self.age
    }
}

fn decode(text: &str) -> Result<Vec<u8>, VerifyError> {
    let longest = LARGEST.div_ceil(3) * 4;
    if text.len() > longest {
        let (length, limit) = (text.len() / 4 * 3, LARGEST);
        return Err(VerifyError::Age(AgeError::TooLarge { length, limit }));
    }
    STANDARD.decode(text).map_err(|_| VerifyError::Base64)
}

/// The digest of the place in the header.
fn context(header: &Header) -> Result<[u8; 32], VerifyError> {
    let mut all = header.of(CONTEXT);
    let (Some(stanza), None) = (all.next(), all.next()) else {
        return Err(VerifyError::NoPlace);
    };
    let ([argument], []) = (stanza.arguments.as_slice(), stanza.body.as_slice()) else {
        return Err(VerifyError::NoPlace);
    };
    let bytes = STANDARD_NO_PAD.decode(argument).ok();
    let digest = bytes.and_then(|bytes| bytes.try_into().ok());
    digest.ok_or(VerifyError::NoPlace)
}

/// Holds the recipients of the header against the stated ones; whether a classical one is there.
fn recipients(header: &Header, statement: &Statement) -> Result<bool, VerifyError> {
    let known = |kind: &str| [HYBRID, X25519, CONTEXT].contains(&kind) || kind.ends_with(GREASE);
    if let Some(other) = header.stanzas().iter().find(|one| !known(&one.kind)) {
        return Err(VerifyError::UnknownRecipient(other.kind.clone()));
    }
    let stated = |kind| {
        statement
            .recipients
            .iter()
            .filter(|id| id.kind == kind)
            .count()
    };
    let found = [HYBRID, X25519].map(|kind| header.of(kind).count());
    if found
        != [
            stated(RecipientKind::Hybrid),
            stated(RecipientKind::Classical),
        ]
    {
        return Err(VerifyError::Recipients {
            found: found.iter().sum(),
            stated: statement.recipients.len(),
        });
    }
    let [_, classical] = found;
    Ok(classical != 0)
}

/// The person and the key behind a statement.
fn trusted<'a>(
    trust: &'a Trust,
    statement: &Statement,
) -> Result<(&'a str, &'a SealerKey), VerifyError> {
    let (name, key) = trust
        .sealer(&statement.key)
        .ok_or_else(|| VerifyError::UnknownSealer(statement.key.clone()))?;
    let expires = trust.people.get(name).and_then(|person| person.expires);
    match expires {
        Some(expired) if statement.time >= expired => Err(VerifyError::Expired {
            sealer: name.to_owned(),
            expired,
        }),
        Some(_) | None => Ok((name, key)),
    }
}

/// Checks every signature that is there.
fn check(
    crypto: &Crypto,
    sealer: &str,
    key: &SealerKey,
    message: &[u8],
    signatures: &Signatures,
) -> Result<(), VerifyError> {
    let halves = PublicHalves::of(crypto, key).map_err(|source| VerifyError::Key {
        sealer: sealer.to_owned(),
        source,
    })?;
    let judge = |verdict, algorithm| match verdict {
        Err(CryptoError::Mismatch { .. } | CryptoError::Malformed { .. }) => {
            let sealer = sealer.to_owned();
            Err(VerifyError::Mismatch { sealer, algorithm })
        }
        verdict => Ok(verdict?),
    };
    if let Some(signature) = &signatures.ed25519 {
        let backend = crypto.at(Algorithm::Ed25519)?;
        judge(
            backend.ed25519_verify(&halves.ed25519, message, signature),
            "Ed25519",
        )?;
    }
    if let Some(signature) = &signatures.ml_dsa_65 {
        let backend = crypto.at(Algorithm::MlDsa65Verify)?;
        judge(
            backend.dsa_verify(&halves.ml_dsa_65, message, signature),
            "ML-DSA-65",
        )?;
    }
    Ok(())
}

/// The recipients that `verified` has beyond `allowed`, and those of `allowed` that it lacks.
pub fn compare(
    verified: &Verified,
    allowed: &[RecipientId],
) -> (Vec<RecipientId>, Vec<RecipientId>) {
    let stated = &verified.statement.recipients;
    let beyond = stated.iter().filter(|id| !allowed.contains(id)).copied();
    let lacking = allowed.iter().filter(|id| !stated.contains(id)).copied();
    (beyond.collect(), lacking.collect())
}
