//! Every backend against every other, and properties of the whole.

use proptest::prelude::*;
use stratum_seal::backend::{COMPILED, backend};
use stratum_seal::{Policy, age, open, seal, verify};

use crate::support::{PLACE, World, crypto, secret, time};

#[test]
fn what_one_seals_another_opens() {
    for one in COMPILED {
        // Who may not verify seals, and openssl stands in for it when verifying.
        let world = World::new(&format!("{one},openssl"));
        let sealed = seal(
            &world.crypto,
            &world.sealer,
            std::slice::from_ref(&world.recipient),
            &PLACE,
            time(),
            &secret("correct horse"),
        )
        .unwrap();
        for other in COMPILED {
            let crypto = stratum_seal::Crypto::choose(&format!("{other},openssl")).unwrap();
            let text = world.identity.to_text().unwrap();
            let text = text.expose_text().unwrap();
            let identity = age::Identity::parse(&crypto, text).unwrap();
            assert_eq!(
                identity.recipient(),
                Some(world.recipient.clone()),
                "{one}, {other}"
            );
            let verified = verify(&crypto, &world.trust, Policy::Both, &PLACE, &sealed).unwrap();
            let opened = open(&crypto, &[identity], &verified).unwrap();
            assert_eq!(opened.expose(), b"correct horse", "{one}, {other}");
        }
    }
}

#[test]
fn primitives_agree() {
    let all: Vec<_> = COMPILED.iter().map(|name| backend(name).unwrap()).collect();
    proptest!(ProptestConfig::with_cases(16), |(
        seed: [u8; 32],
        other: [u8; 32],
        nonce: [u8; 12],
        message in prop::collection::vec(any::<u8>(), 0..300),
    )| {
        let kem_seed: [u8; 64] = [seed, other].concat().try_into().unwrap();
        for one in &all {
            for two in &all {
                let pair = format!("{}, {}", one.name(), two.name());
                let key = one.kem_key(&kem_seed).unwrap();
                let (ciphertext, sent) = two.kem_encapsulate(key.public()).unwrap();
                prop_assert_eq!(&key.decapsulate(&ciphertext).unwrap(), &sent, "{}", pair);
                let ours = one.x25519_public(&seed).unwrap();
                let theirs = two.x25519_public(&other).unwrap();
                let shared = one.x25519(&seed, &theirs).unwrap();
                prop_assert_eq!(&shared, &two.x25519(&other, &ours).unwrap(), "{}", pair);
                let public = two.dsa_public(&seed).unwrap();
                let signature = one.dsa_sign(&seed, &message).unwrap();
                prop_assert!(two.dsa_verify(&public, &message, &signature).is_ok(), "{}", pair);
                let public = two.ed25519_public(&seed).unwrap();
                let signature = one.ed25519_sign(&seed, &message).unwrap();
                let verdict = two.ed25519_verify(&public, &message, &signature);
                prop_assert!(verdict.is_ok(), "{}", pair);
                let sealed = one.aead_seal(&seed, &nonce, &other, &message).unwrap();
                let opened = two.aead_open(&seed, &nonce, &other, &sealed).unwrap();
                prop_assert_eq!(opened.as_slice(), message.as_slice(), "{}", pair);
                let parts: [&[u8]; 2] = [&seed, &message];
                prop_assert_eq!(one.sha256(&parts), two.sha256(&parts), "{}", pair);
                let code = one.hmac_sha256(&message, &parts);
                prop_assert_eq!(code, two.hmac_sha256(&message, &parts), "{}", pair);
                prop_assert_eq!(one.sha3_256(&parts), two.sha3_256(&parts), "{}", pair);
                let (mut a, mut b) = ([0; 96], [0; 96]);
                one.shake256(&message, &mut a).unwrap();
                two.shake256(&message, &mut b).unwrap();
                prop_assert_eq!(a, b, "{}", pair);
            }
        }
    });
}

#[test]
fn forged_ciphertexts_are_rejected_alike() {
    let all: Vec<_> = COMPILED.iter().map(|name| backend(name).unwrap()).collect();
    let key = all[0].kem_key(&[3; 64]).unwrap();
    let (mut ciphertext, sent) = all[0].kem_encapsulate(key.public()).unwrap();
    ciphertext[17] ^= 4;
    let secrets: Vec<_> = all
        .iter()
        .map(|one| {
            one.kem_key(&[3; 64])
                .unwrap()
                .decapsulate(&ciphertext)
                .unwrap()
        })
        .collect();
    assert!(secrets.iter().all(|one| *one == secrets[0] && *one != sent));
}

#[test]
fn any_plaintext_comes_back() {
    let world = World::new("openssl");
    let crypto = crypto();
    let sizes = [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000];
    for size in sizes {
        let plaintext: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let file = age::seal(
            &crypto,
            std::slice::from_ref(&world.recipient),
            &[],
            &plaintext,
        )
        .unwrap();
        let identities = std::slice::from_ref(&world.identity);
        let opened = age::open(&crypto, identities, &file, usize::MAX).unwrap();
        assert!(opened.expose() == plaintext, "{size}");
    }
}
