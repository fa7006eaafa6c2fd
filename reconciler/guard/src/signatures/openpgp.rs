//! Signatures by OpenPGP keys. *Source*: RFC 9580.
//!
//! Stricter than most: a key counts only by its own self-signatures, one that carries any
//! revocation does not count at all, and SHA-1 is no proof of anything.

use jiff::Timestamp;
use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};
use stratum_core::trust::Trust;

use super::Why;

/// The person whose key it is, and its fingerprint.
pub(super) fn signer<'t>(
    payload: &[u8],
    signature: &str,
    trust: &'t Trust,
    made_at: Timestamp,
    now: Timestamp,
) -> Result<(&'t str, String), Why> {
    let (detached, _headers) = DetachedSignature::from_string(signature)
        .map_err(|error| format!("its OpenPGP signature cannot be read ({error})"))?;
    let signature = &detached.signature;
    sound(signature, made_at, now)?;
    let keys = trust
        .people
        .iter()
        .flat_map(|(name, person)| person.openpgp.iter().map(move |text| (name, text)));
    let mut unfit = None;
    for (name, text) in keys {
        for key in keys_of(text) {
            match signed_by(&key, signature, payload, made_at, now) {
                Some(Ok(())) => return Ok((name, key.fingerprint().to_string())),
                Some(Err(why)) => unfit = Some(format!("it is signed by `{name}`, and {why}")),
                None => {}
            }
        }
    }
    Err(unfit.unwrap_or_else(|| {
        let ids: Vec<String> = signature
            .issuer_key_id()
            .iter()
            .map(ToString::to_string)
            .collect();
        format!(
            "it is signed by the OpenPGP key {}, which is nobody's in `trust/`",
            ids.join(", ")
        )
    }))
}

/// Whether the text is a public key that can sign.
pub(super) fn check(text: &str) -> Result<(), Why> {
    let parsed = SignedPublicKey::from_string_many(text)
        .map_err(|error| error.to_string())?
        .0
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    if parsed.is_empty() {
        return Err("there is no key in it".to_owned());
    }
    match parsed.iter().all(|key| latest(key).is_some()) {
        true => Ok(()),
        false => Err("it has no self-signature that counts".to_owned()),
    }
}

fn keys_of(text: &str) -> Vec<SignedPublicKey> {
    let parsed = SignedPublicKey::from_string_many(text);
    parsed.map_or_else(|_| Vec::new(), |(keys, _)| keys.flatten().collect())
}

/// What makes a signature worth looking at, whoever made it.
fn sound(signature: &Signature, made_at: Timestamp, now: Timestamp) -> Result<(), Why> {
    let kind = signature.typ();
    if !matches!(kind, Some(SignatureType::Binary | SignatureType::Text)) {
        return Err("its OpenPGP signature is of another kind than those of documents".to_owned());
    }
    if !is_strong(signature) {
        return Err("its OpenPGP signature is made with a hash that proves nothing".to_owned());
    }
    let created = signature.created().map(|at| i64::from(at.as_secs()));
    let created = created.ok_or("its OpenPGP signature has no time")?;
    let ends = signature
        .signature_expiration_time()
        .map(|after| seconds(after.into()))
        .filter(|after| *after > 0)
        .map(|after| created.saturating_add(after));
    if ends.is_some_and(|end| now.as_second() >= end || made_at.as_second() >= end) {
        return Err("its OpenPGP signature has expired".to_owned());
    }
    Ok(())
}

fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

/// `None`: by another key. `Some(Err)`: by this one, and it does not count.
fn signed_by(
    key: &SignedPublicKey,
    signature: &Signature,
    payload: &[u8],
    made_at: Timestamp,
    now: Timestamp,
) -> Option<Result<(), Why>> {
    let primary = &key.primary_key;
    if signature.verify(primary, payload).is_ok() {
        return Some(primary_counts(key, made_at, now));
    }
    for subkey in &key.public_subkeys {
        if signature.verify(&subkey.key, payload).is_ok() {
            let counts = primary_lives(key, made_at, now)
                .and_then(|()| subkey_counts(key, subkey, made_at, now));
            return Some(counts);
        }
    }
    let ours = |id: pgp::types::KeyId| signature.issuer_key_id().iter().any(|by| **by == id);
    let claims = ours(primary.legacy_key_id())
        || key
            .public_subkeys
            .iter()
            .any(|subkey| ours(subkey.key.legacy_key_id()));
    claims.then(|| Err("the signature does not fit its content".to_owned()))
}

fn primary_counts(key: &SignedPublicKey, made_at: Timestamp, now: Timestamp) -> Result<(), Why> {
    primary_lives(key, made_at, now)?;
    let flags = latest(key).map(Signature::key_flags);
    match flags.is_some_and(|flags| flags.sign()) {
        true => Ok(()),
        false => Err("the key may not sign".to_owned()),
    }
}

fn primary_lives(key: &SignedPublicKey, made_at: Timestamp, now: Timestamp) -> Result<(), Why> {
    if !key.details.revocation_signatures.is_empty() {
        return Err("the key is revoked".to_owned());
    }
    let latest = latest(key).ok_or("the key has no self-signature that counts")?;
    lives(&key.primary_key, latest, made_at, now)
}

/// The newest self-signature of the primary key, by which its flags and its expiry count.
fn latest(key: &SignedPublicKey) -> Option<&Signature> {
    let primary = &key.primary_key;
    let on_users = key.details.users.iter().flat_map(|user| {
        let good = move |signature: &&Signature| {
            signature.is_certification()
                && signature
                    .verify_certification(primary, Tag::UserId, &user.id)
                    .is_ok()
        };
        user.signatures.iter().filter(good)
    });
    let direct = key
        .details
        .direct_signatures
        .iter()
        .filter(|signature| signature.verify_key(primary).is_ok());
    on_users
        .chain(direct)
        .filter(|signature| is_strong(signature))
        .max_by_key(|signature| signature.created().map(|at| at.as_secs()))
}

fn subkey_counts(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    made_at: Timestamp,
    now: Timestamp,
) -> Result<(), Why> {
    let revoked = |one: &Signature| one.typ() == Some(SignatureType::SubkeyRevocation);
    if subkey.signatures.iter().any(revoked) {
        return Err("the subkey is revoked".to_owned());
    }
    let binding = subkey
        .signatures
        .iter()
        .filter(|binding| {
            is_strong(binding)
                && binding
                    .verify_subkey_binding(&key.primary_key, &subkey.key)
                    .is_ok()
        })
        .max_by_key(|binding| binding.created().map(|at| at.as_secs()))
        .ok_or("the subkey is not bound to its key")?;
    // The subkey must have agreed to be one of this key, or anybody's subkey could be claimed.
    let agreed = binding.embedded_signature().is_some_and(|back| {
        back.verify_primary_key_binding(&subkey.key, &key.primary_key)
            .is_ok()
    });
    if !binding.key_flags().sign() || !agreed {
        return Err("the subkey may not sign".to_owned());
    }
    lives(&subkey.key, binding, made_at, now)
}

/// Whether a key had been made, and had not expired.
fn lives(
    key: &impl KeyDetails,
    by: &Signature,
    made_at: Timestamp,
    now: Timestamp,
) -> Result<(), Why> {
    let born = i64::from(key.created_at().as_secs());
    if made_at.as_second() < born {
        return Err("the key was made later".to_owned());
    }
    let after = by
        .key_expiration_time()
        .map(|after| seconds(after.into()))
        .filter(|after| *after > 0);
    let Some(end) = after.map(|after| born.saturating_add(after)) else {
        return Ok(());
    };
    if made_at.as_second() >= end || now.as_second() >= end {
        let day = Timestamp::from_second(end).map(|end| end.strftime("%Y-%m-%d").to_string());
        return Err(format!("the key expired on {}", day.unwrap_or_default()));
    }
    Ok(())
}

fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
