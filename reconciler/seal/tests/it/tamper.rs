//! What is cut, flipped, moved, lengthened or signed by another is refused, with the reason.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use stratum_core::kinds::secret::SealedValue;
use stratum_seal::age::{self, AgeError, Identity, Stanza};
use stratum_seal::signature::{SignatureError, Signatures};
use stratum_seal::value::{SealError, VerifyError};
use stratum_seal::{Place, Policy, open, seal, verify};

use crate::support::{PLACE, World, crypto, secret, time};

impl World {
    fn sealed(&self, place: &Place<'_>) -> SealedValue {
        let recipients = [self.recipient.clone()];
        let value = secret("hunter2");
        seal(
            &self.crypto,
            &self.sealer,
            &recipients,
            place,
            time(),
            &value,
        )
        .unwrap()
    }

    fn verified(&self, place: &Place<'_>, value: &SealedValue) -> Result<(), VerifyError> {
        verify(&self.crypto, &self.trust, Policy::Both, place, value).map(|_| ())
    }
}

#[test]
fn a_value_opens_at_its_place_only() {
    let world = World::new("openssl");
    let value = world.sealed(&PLACE);
    let verified = verify(&world.crypto, &world.trust, Policy::Both, &PLACE, &value).unwrap();
    assert_eq!(verified.sealer, "ada");
    assert_eq!(verified.statement.time, time());
    assert!(verified.ed25519 && verified.ml_dsa_65 && !verified.classical);
    let recipient = world.recipient.id(&world.crypto).unwrap();
    assert_eq!(verified.statement.recipients, [recipient]);
    let identities = std::slice::from_ref(&world.identity);
    let opened = open(&world.crypto, identities, &verified).unwrap();
    assert_eq!(opened.expose_text(), Some("hunter2"));
    let elsewhere = [
        Place {
            repo: "acme",
            ..PLACE
        },
        Place {
            environment: "staging",
            ..PLACE
        },
        Place {
            path: "payments/other",
            ..PLACE
        },
        Place {
            key: "user",
            ..PLACE
        },
        // The same letters, cut at another place.
        Place {
            path: "payments/dbp",
            key: "assword",
            ..PLACE
        },
    ];
    for place in elsewhere {
        assert_eq!(
            world.verified(&place, &value),
            Err(VerifyError::Place),
            "{place:?}"
        );
    }
    let newer = SealedValue { v: 8, ..value };
    let claimed = Place {
        version: 8,
        ..PLACE
    };
    assert_eq!(world.verified(&claimed, &newer), Err(VerifyError::Place));
    assert_eq!(world.verified(&PLACE, &newer), Err(VerifyError::Place));
}

#[test]
fn no_flipped_bit_and_no_cut_passes() {
    let world = World::new("openssl");
    let value = world.sealed(&PLACE);
    let age = STANDARD.decode(&value.age).unwrap();
    let sig = STANDARD.decode(&value.sig).unwrap();
    proptest!(ProptestConfig::with_cases(300), |(at: prop::sample::Index, bit in 0..8_u8)| {
        for (in_age, bytes) in [(true, &age), (false, &sig)] {
            let mut flipped = bytes.clone();
            let at = at.index(flipped.len());
            flipped[at] ^= 1 << bit;
            for bytes in [flipped.as_slice(), &bytes[..at]] {
                let text = STANDARD.encode(bytes);
                let mut changed = value.clone();
                if in_age { changed.age = text } else { changed.sig = text }
                prop_assert!(world.verified(&PLACE, &changed).is_err());
            }
        }
    });
    prop_text(&world, &value);
}

/// Changes of the text, below what base64 says.
fn prop_text(world: &World, value: &SealedValue) {
    for text in ["", "=", "AA", "no base64", &format!("{}\n", value.sig)] {
        let changed = SealedValue {
            sig: text.to_owned(),
            ..value.clone()
        };
        assert!(world.verified(&PLACE, &changed).is_err(), "{text:?}");
        let changed = SealedValue {
            age: text.to_owned(),
            ..value.clone()
        };
        assert!(world.verified(&PLACE, &changed).is_err(), "{text:?}");
    }
}

#[test]
fn a_changed_age_file_does_not_open_either() {
    let crypto = crypto();
    let identities = [Identity::generate(&crypto).unwrap()];
    let recipient = identities[0].recipient().unwrap();
    let file = age::seal(&crypto, &[recipient], &[], b"hunter2").unwrap();
    proptest!(ProptestConfig::with_cases(300), |(at: prop::sample::Index, bit in 0..8_u8)| {
        let mut flipped = file.clone();
        let at = at.index(flipped.len());
        flipped[at] ^= 1 << bit;
        prop_assert!(age::open(&crypto, &identities, &flipped, usize::MAX).is_err());
        prop_assert!(age::open(&crypto, &identities, &file[..at], usize::MAX).is_err());
    });
    let mut longer = file.clone();
    longer.push(0);
    let error = age::open(&crypto, &identities, &longer, usize::MAX).unwrap_err();
    assert_eq!(error, AgeError::Payload);
    let error = age::open(&crypto, &identities, &file, 100).unwrap_err();
    assert!(matches!(error, AgeError::TooLarge { limit: 100, .. }));
}

#[test]
fn strangers_and_swapped_signatures_are_named() {
    let world = World::new("openssl");
    let value = world.sealed(&PLACE);
    let stranger = World::new("openssl");
    let foreign = stranger.sealed(&PLACE);
    let id = stranger.sealer.id().to_owned();
    assert_eq!(
        world.verified(&PLACE, &foreign),
        Err(VerifyError::UnknownSealer(id))
    );
    // Another value of the same sealer, with this signature.
    let other = SealedValue {
        age: world.sealed(&PLACE).age,
        ..value.clone()
    };
    let error = world.verified(&PLACE, &other).unwrap_err();
    assert!(
        matches!(
            error,
            VerifyError::Mismatch {
                algorithm: "Ed25519",
                ..
            }
        ),
        "{error}"
    );
    // One half of the signature from elsewhere.
    let mut mixed = Signatures::decode(&value.sig).unwrap();
    mixed.ml_dsa_65 = Signatures::decode(&world.sealed(&PLACE).sig)
        .unwrap()
        .ml_dsa_65;
    let mixed = SealedValue {
        sig: mixed.encode().unwrap(),
        ..value.clone()
    };
    let error = world.verified(&PLACE, &mixed).unwrap_err();
    assert!(
        matches!(
            error,
            VerifyError::Mismatch {
                algorithm: "ML-DSA-65",
                ..
            }
        ),
        "{error}"
    );
    // A key under the id of another.
    let mut trust = world.trust.clone();
    trust.people.get_mut("ada").unwrap().sealer[0].ed25519 =
        stranger.sealer.public().ed25519.clone();
    let error = verify(&world.crypto, &trust, Policy::Both, &PLACE, &value).unwrap_err();
    assert!(matches!(error, VerifyError::Key { .. }), "{error}");
    trust = world.trust.clone();
    trust.people.get_mut("ada").unwrap().expires = Some(time());
    let error = verify(&world.crypto, &trust, Policy::Both, &PLACE, &value).unwrap_err();
    assert!(matches!(error, VerifyError::Expired { .. }), "{error}");
}

#[test]
fn each_policy_asks_for_its_signatures() {
    let world = World::new("openssl");
    let value = world.sealed(&PLACE);
    let with = |ed25519: bool, ml_dsa_65: bool| {
        let mut signatures = Signatures::decode(&value.sig).unwrap();
        signatures.ed25519 = signatures.ed25519.filter(|_| ed25519);
        signatures.ml_dsa_65 = signatures.ml_dsa_65.filter(|_| ml_dsa_65);
        let sig = signatures.encode().unwrap();
        SealedValue {
            sig,
            ..value.clone()
        }
    };
    let passes = |policy, value: &SealedValue| match verify(
        &world.crypto,
        &world.trust,
        policy,
        &PLACE,
        value,
    ) {
        Ok(_) => true,
        Err(VerifyError::Policy { .. }) => false,
        Err(error) => panic!("{error}"),
    };
    let policies = [Policy::Ed25519, Policy::Either, Policy::Both, Policy::MlDsa];
    let table = |value: SealedValue| policies.map(|policy| passes(policy, &value));
    assert_eq!(table(with(true, true)), [true; 4]);
    assert_eq!(table(with(true, false)), [true, true, false, false]);
    assert_eq!(table(with(false, true)), [false, true, false, true]);
    let none = SealedValue {
        sig: String::new(),
        ..value.clone()
    };
    assert!(world.verified(&PLACE, &none).is_err());
    for (name, policy) in Policy::NAMES {
        assert_eq!((Policy::parse(name), policy.name()), (Some(policy), name));
    }
}

#[test]
fn recipients_are_those_that_are_stated() {
    let world = World::new("openssl");
    let second = Identity::generate(&world.crypto)
        .unwrap()
        .recipient()
        .unwrap();
    let both = [world.recipient.clone(), second];
    let value = secret("hunter2");
    let sealed = seal(&world.crypto, &world.sealer, &both, &PLACE, time(), &value).unwrap();
    let mut hidden = Signatures::decode(&sealed.sig).unwrap();
    hidden.statement.recipients.pop();
    let hidden = SealedValue {
        sig: hidden.encode().unwrap(),
        ..sealed
    };
    assert_eq!(
        world.verified(&PLACE, &hidden),
        Err(VerifyError::Recipients {
            found: 2,
            stated: 1
        })
    );
    let strange = Stanza {
        kind: "ssh-ed25519".to_owned(),
        arguments: vec!["AAAA".to_owned()],
        body: vec![1; 32],
    };
    let file = age::seal(&world.crypto, &both, &[strange, context(&world)], b"x").unwrap();
    let changed = SealedValue {
        age: STANDARD.encode(file),
        ..world.sealed(&PLACE)
    };
    let kind = "ssh-ed25519".to_owned();
    assert_eq!(
        world.verified(&PLACE, &changed),
        Err(VerifyError::UnknownRecipient(kind))
    );
    let file = age::seal(&world.crypto, &both, &[], b"x").unwrap();
    let changed = SealedValue {
        age: STANDARD.encode(file),
        ..changed
    };
    assert_eq!(world.verified(&PLACE, &changed), Err(VerifyError::NoPlace));
}

fn context(world: &World) -> Stanza {
    let digest = PLACE.digest(&world.crypto).unwrap();
    Stanza {
        kind: stratum_seal::value::CONTEXT.to_owned(),
        arguments: vec![STANDARD.encode(digest).trim_end_matches('=').to_owned()],
        body: Vec::new(),
    }
}

#[test]
fn huge_things_are_refused_before_they_are_read() {
    let world = World::new("openssl");
    let value = world.sealed(&PLACE);
    let huge = "A".repeat(64 << 20);
    let changed = SealedValue {
        sig: huge.clone(),
        ..value.clone()
    };
    assert_eq!(
        world.verified(&PLACE, &changed),
        Err(VerifyError::Signature(SignatureError::TooLarge))
    );
    let changed = SealedValue { age: huge, ..value };
    let error = world.verified(&PLACE, &changed).unwrap_err();
    assert!(
        matches!(error, VerifyError::Age(AgeError::TooLarge { .. })),
        "{error}"
    );
    let large = stratum_core::secret::Secret::new(vec![0; 300 << 10]);
    let recipients = [world.recipient.clone()];
    let error = seal(
        &world.crypto,
        &world.sealer,
        &recipients,
        &PLACE,
        time(),
        &large,
    );
    assert!(matches!(error.unwrap_err(), SealError::TooLarge(_)));
    // Lengths inside `sig` that say more than there is.
    let mut sig = STANDARD.decode(&world.sealed(&PLACE).sig).unwrap();
    let at = 2 + usize::from(sig[1]) + 8;
    sig[at..at + 2].copy_from_slice(&[0xff, 0xff]);
    assert!(Signatures::decode(&STANDARD.encode(sig)).is_err());
}

#[test]
fn classical_and_hybrid_recipients_do_not_mix() {
    let world = World::new("openssl");
    let text = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6";
    let classical = Identity::parse(&world.crypto, text).unwrap();
    let recipient = classical.recipient().unwrap();
    assert!(recipient.is_classical());
    let mixed = [world.recipient.clone(), recipient.clone()];
    let error = age::seal(&world.crypto, &mixed, &[], b"x").unwrap_err();
    assert!(matches!(error, AgeError::Recipients(_)));
    assert!(age::seal(&world.crypto, &[], &[], b"x").is_err());
    let value = secret("old");
    let sealed = seal(
        &world.crypto,
        &world.sealer,
        &[recipient],
        &PLACE,
        time(),
        &value,
    )
    .unwrap();
    let verified = verify(&world.crypto, &world.trust, Policy::Both, &PLACE, &sealed).unwrap();
    assert!(verified.classical);
    let opened = open(&world.crypto, &[classical], &verified).unwrap();
    assert_eq!(opened.expose_text(), Some("old"));
}
