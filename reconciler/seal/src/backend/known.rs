//! Known answers: what a backend must give before it is trusted with an algorithm.
//!
//! *Source*: Wycheproof (`mlkem_768_test`, `mlkem_768_encaps_test`, `mldsa_65_sign_seed_test`,
//! `mldsa_65_verify_test`; Apache-2.0), RFC 7748 section 5.2, RFC 8032 section 7.1, RFC 8439
//! section 2.8.2, RFC 4231 section 4.3, FIPS 180-4 and FIPS 202.

use super::{Algorithm, CryptoBackend, CryptoError, Refusal, openssl};

/// What a check found: what is wrong.
type Answer = Result<(), String>;

/// The bytes of a constant in hex.
#[allow(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "evaluated when it is compiled, where a mistake ends the build"
)]
const fn hex<const N: usize>(text: &str) -> [u8; N] {
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => panic!("a constant is not hex"),
        }
    }
    assert!(text.len() == 2 * N, "a constant has another length");
    let (bytes, mut out, mut at) = (text.as_bytes(), [0; N], 0);
    while at < N {
        out[at] = digit(bytes[2 * at]) << 4 | digit(bytes[2 * at + 1]);
        at += 1;
    }
    out
}

/// Holds `backend` to the known answers of `algorithm`.
pub(super) fn check(backend: &dyn CryptoBackend, algorithm: Algorithm) -> Result<(), Refusal> {
    let answer = match algorithm {
        Algorithm::MlKem768 => kem(backend),
        Algorithm::X25519 => x25519(backend),
        Algorithm::MlDsa65Sign => dsa_sign(backend),
        Algorithm::MlDsa65Verify => dsa_verify(backend),
        Algorithm::Ed25519 => ed25519(backend),
        Algorithm::ChaCha20Poly1305 => aead(backend),
        Algorithm::Sha256 => sha256(backend),
        Algorithm::Sha3 => sha3(backend),
    };
    answer.map_err(|reason| Refusal::WrongAnswer {
        backend: backend.name(),
        algorithm,
        reason,
    })
}

fn done<T>(result: Result<T, CryptoError>) -> Result<T, String> {
    result.map_err(|error| format!("it failed at a known answer ({error})"))
}

fn same(got: &[u8], known: &[u8], what: &str) -> Answer {
    if got == known {
        Ok(())
    } else {
        Err(format!("{what} is not the known one"))
    }
}

fn refused<T>(result: Result<T, CryptoError>, what: &str) -> Answer {
    match result {
        Err(_) => Ok(()),
        Ok(_) => Err(format!("it accepts {what}, which must be refused")),
    }
}

fn kem(backend: &dyn CryptoBackend) -> Answer {
    const SEED: [u8; 64] = hex(
        "7c9935a0b07694aa0c6d10e4db6b1add2fd81a25ccb148032dcd739936737f2d8626ed79d451140800e03b59b956\
         f8210e556067407d13dc90fa9e8b872bfb8f",
    );
    const SECRET: [u8; 32] =
        hex("e7184a0975ee3470878d2d159ec83129c8aec253d4ee17b4810311d198cd0368");
    const PUBLIC_DIGEST: [u8; 32] =
        hex("86adbca81f4fee893e2fb58fb98aa2fe188f501fed268d7f4056f8c05c4e53c4");
    const OTHER_SEED: [u8; 64] = hex(
        "cbfc4405d1b2a3a386c94c25e0f2d5f5ee92cb0388ff4d6aa04223086d51c3fd24752da14c9fc3b8ae0d9e4a8b10\
         16b8d8fc69e229c03ea2ef08a4ae0cffc37f",
    );
    const REJECTED: [u8; 32] =
        hex("76c10bb1d86d96d7eb18e298363e51f7728e113f455df7d15017940ed3541451");
    let key = done(backend.kem_key(&SEED))?;
    let digest = done(openssl::OpenSsl::default().sha256(&[key.public()]))?;
    same(&digest, &PUBLIC_DIGEST, "the public key")?;
    let ciphertext = include_bytes!("known/kem-ciphertext.bin");
    let secret = done(key.decapsulate(ciphertext))?;
    same(secret.as_slice(), &SECRET, "the shared secret")?;
    let (fresh, sent) = done(backend.kem_encapsulate(key.public()))?;
    same(
        done(key.decapsulate(&fresh))?.as_slice(),
        sent.as_slice(),
        "its own secret",
    )?;
    let other = done(backend.kem_key(&OTHER_SEED))?;
    let rejected = done(other.decapsulate(include_bytes!("known/kem-reject-ciphertext.bin")))?;
    same(
        rejected.as_slice(),
        &REJECTED,
        "the secret of a forged ciphertext",
    )?;
    let overflow = backend.kem_encapsulate(include_bytes!("known/kem-modulus-public.bin"));
    refused(overflow, "a public key beyond the modulus")
}

fn x25519(backend: &dyn CryptoBackend) -> Answer {
    const SECRET: [u8; 32] =
        hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    const PUBLIC: [u8; 32] =
        hex("1c9fd88f45606d932a80c71824ae151d15d73e77de38e8e000852e614fae7019");
    const PEER: [u8; 32] = hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    const SHARED: [u8; 32] =
        hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    same(
        &done(backend.x25519_public(&SECRET))?,
        &PUBLIC,
        "the public key",
    )?;
    let shared = done(backend.x25519(&SECRET, &PEER))?;
    same(shared.as_slice(), &SHARED, "the shared secret")?;
    refused(backend.x25519(&SECRET, &[0; 32]), "a point of low order")
}

const DSA_SEED: [u8; 32] = [0x2a; 32];
const DSA_PUBLIC: &[u8] = include_bytes!("known/dsa-public.bin");
const DSA_MESSAGE: &[u8] = b"Hello world";

fn dsa_sign(backend: &dyn CryptoBackend) -> Answer {
    same(
        &done(backend.dsa_public(&DSA_SEED))?,
        DSA_PUBLIC,
        "the public key",
    )?;
    let signature = done(backend.dsa_sign(&DSA_SEED, DSA_MESSAGE))?;
    // Signing draws randomness, so that there is no known signature; openssl judges it.
    let openssl = openssl::OpenSsl::default();
    done(openssl.dsa_verify(DSA_PUBLIC, DSA_MESSAGE, &signature))
}

fn dsa_verify(backend: &dyn CryptoBackend) -> Answer {
    let signature: &[u8] = include_bytes!("known/dsa-signature.bin");
    done(backend.dsa_verify(DSA_PUBLIC, DSA_MESSAGE, signature))?;
    let other = backend.dsa_verify(DSA_PUBLIC, b"Hello World", signature);
    refused(other, "a signature of another message")?;
    // Wycheproof, mldsa_65_verify_test, case 84.
    let message = b"If you can read this you know how to hex decode";
    let norm = include_bytes!("known/dsa-norm-signature.bin");
    refused(
        backend.dsa_verify(DSA_PUBLIC, message, norm),
        "a signature whose response is beyond the norm bound of FIPS 204",
    )
}

fn ed25519(backend: &dyn CryptoBackend) -> Answer {
    const SEED: [u8; 32] = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    const PUBLIC: [u8; 32] =
        hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    const SIGNATURE: [u8; 64] = hex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1\
         1d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    same(
        &done(backend.ed25519_public(&SEED))?,
        &PUBLIC,
        "the public key",
    )?;
    let signature = done(backend.ed25519_sign(&SEED, &[0x72]))?;
    same(&signature, &SIGNATURE, "the signature")?;
    done(backend.ed25519_verify(&PUBLIC, &[0x72], &SIGNATURE))?;
    let other = backend.ed25519_verify(&PUBLIC, &[0x73], &SIGNATURE);
    refused(other, "a signature of another message")
}

fn aead(backend: &dyn CryptoBackend) -> Answer {
    const KEY: [u8; 32] = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    const NONCE: [u8; 12] = hex("070000004041424344454647");
    const ASSOCIATED: [u8; 12] = hex("50515253c0c1c2c3c4c5c6c7");
    const TAG: [u8; 16] = hex("1ae10b594f09e26a7e902ecbd0600691");
    const FIRST: [u8; 16] = hex("d31a8d34648e60db7b86afbc53ef7ec2");
    let text: &[u8] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
                        tip for the future, sunscreen would be it.";
    let mut sealed = done(backend.aead_seal(&KEY, &NONCE, &ASSOCIATED, text))?;
    same(
        sealed.get(..16).unwrap_or_default(),
        &FIRST,
        "the ciphertext",
    )?;
    same(
        sealed.get(text.len()..).unwrap_or_default(),
        &TAG,
        "the tag",
    )?;
    let opened = done(backend.aead_open(&KEY, &NONCE, &ASSOCIATED, &sealed))?;
    same(&opened, text, "the opened text")?;
    let other = backend.aead_open(&KEY, &NONCE, b"other", &sealed);
    refused(other, "other associated data")?;
    if let Some(byte) = sealed.first_mut() {
        *byte ^= 1;
    }
    refused(
        backend.aead_open(&KEY, &NONCE, &ASSOCIATED, &sealed),
        "a flipped bit",
    )
}

fn sha256(backend: &dyn CryptoBackend) -> Answer {
    const ABC: [u8; 32] = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const JEFE: [u8; 32] = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    const LONG: [u8; 32] = hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    same(&done(backend.sha256(&[b"a", b"bc"]))?, &ABC, "the digest")?;
    let code = done(backend.hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]))?;
    same(code.as_slice(), &JEFE, "the code")?;
    let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
    let code = done(backend.hmac_sha256(&[0xaa; 131], &[text]))?;
    same(code.as_slice(), &LONG, "the code under a long key")
}

fn sha3(backend: &dyn CryptoBackend) -> Answer {
    const ABC: [u8; 32] = hex("3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
    const EMPTY: [u8; 32] = hex("46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f");
    same(
        done(backend.sha3_256(&[b"ab", b"c"]))?.as_slice(),
        &ABC,
        "the digest",
    )?;
    let mut output = [0; 32];
    done(backend.shake256(b"", &mut output))?;
    same(&output, &EMPTY, "the output of SHAKE256")
}
