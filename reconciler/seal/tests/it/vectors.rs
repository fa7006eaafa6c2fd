//! Every vector on every backend: Wycheproof and CCTV, as a table.
//!
//! A case that no interface of ours can express (a key of another length, where the type has the
//! length; an expanded secret key; a message that is already hashed) is counted as such.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use stratum_seal::backend::{Algorithm, COMPILED, backend};
use stratum_seal::{Crypto, CryptoBackend, CryptoError};

use crate::support::{hex, json, vectors};

/// What one file gave on one backend.
#[derive(Default)]
struct Count {
    passed: usize,
    /// Cases that the types refuse, or that need an interface which stratum does not have.
    inexpressible: usize,
    failed: Vec<String>,
}

impl Count {
    fn judge(&mut self, case: &str, right: bool) {
        if right {
            self.passed += 1;
        } else {
            self.failed.push(case.to_owned());
        }
    }
}

type Suite = fn(&dyn CryptoBackend, &Path) -> Count;

const SUITES: [(&str, &str, Suite); 10] = [
    (
        "ML-KEM-768",
        "wycheproof/mlkem_768_keygen_seed_test.json",
        kem_keygen,
    ),
    (
        "ML-KEM-768",
        "wycheproof/mlkem_768_test.json",
        kem_decapsulate,
    ),
    (
        "ML-KEM-768",
        "wycheproof/mlkem_768_encaps_test.json",
        kem_encapsulate,
    ),
    ("ML-KEM-768", "cctv/ML-KEM/intermediate-768.txt", kem_text),
    ("ML-KEM-768", "cctv/ML-KEM/strcmp-768.txt", kem_text),
    ("ML-KEM-768", "cctv/ML-KEM/unluckysample-768.txt", kem_text),
    ("ML-KEM-768", "cctv/ML-KEM/ML-KEM-768.txt.gz", kem_modulus),
    (
        "ML-DSA-65 verify",
        "wycheproof/mldsa_65_verify_test.json",
        dsa_verify,
    ),
    (
        "ML-DSA-65 sign",
        "wycheproof/mldsa_65_sign_seed_test.json",
        dsa_sign,
    ),
    (
        "ML-DSA-65 verify",
        "wycheproof/mldsa_65_sign_noseed_test.json",
        dsa_noseed,
    ),
];

#[test]
fn every_vector_on_every_backend() {
    let Some(root) = vectors("") else { return };
    let mut failed: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    println!("| backend | algorithm | file | passed | not expressible | failed |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for name in COMPILED {
        let backend = backend(name).unwrap();
        for (algorithm, file, suite) in SUITES {
            let count = suite(backend.as_ref(), &root.join(file));
            let (passed, other) = (count.passed, count.inexpressible);
            let bad = count.failed.len();
            println!("| {name} | {algorithm} | {file} | {passed} | {other} | {bad} |");
            assert!(passed > 0, "{file} has no case");
            if bad > 0 {
                failed
                    .entry((name, algorithm))
                    .or_default()
                    .extend(count.failed);
            }
        }
    }
    // A pair that fails must be refused at run time; every other failure is a defect.
    for ((name, algorithm), cases) in failed {
        assert_eq!((name, algorithm), ("oqs", "ML-DSA-65 verify"), "{cases:?}");
        println!("{name} fails {}", cases.join(", "));
        let refused = Crypto::choose(name).unwrap();
        let error = refused.at(Algorithm::MlDsa65Verify).err().unwrap();
        assert!(matches!(error, CryptoError::Refused(_)), "{error}");
        let list = cases.join(", ");
        println!("{} cases ({list}), so: {error}", cases.len());
    }
}

/// A file that nobody reads proves nothing.
#[test]
fn every_file_of_the_collection_is_used() {
    let Some(root) = vectors("") else { return };
    let used = |file: &str| {
        SUITES.iter().any(|(_, known, _)| *known == file)
            // `age_vectors.rs`, and the tests of `age/xwing.rs`.
            || file.starts_with("cctv/age/")
            || file == "xwing/xwing-draft-test-vectors.json"
            || file.ends_with("README.md")
            || file.ends_with("LICENSE")
    };
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.strip_prefix(&root).unwrap().to_string_lossy();
            assert!(used(&file), "no test reads `{file}`");
        }
    }
}

#[cfg(feature = "oqs")]
#[test]
fn oqs_may_not_verify_and_openssl_stands_in_when_asked() {
    let alone = Crypto::choose("oqs").unwrap();
    let error = alone
        .at(Algorithm::MlDsa65Verify)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("`oqs` may not do ML-DSA-65 verification: "),
        "{error}"
    );
    assert!(error.contains("must be refused"), "{error}");
    assert_eq!(alone.at(Algorithm::MlKem768).unwrap().name(), "oqs");
    let both = Crypto::choose("oqs, openssl").unwrap();
    assert_eq!(both.at(Algorithm::MlDsa65Verify).unwrap().name(), "openssl");
    assert_eq!(both.refusals().count(), 0);
}

#[test]
fn unknown_backends_are_named() {
    let error = Crypto::choose("libsodium").unwrap_err().to_string();
    assert!(
        error.contains("`libsodium` is no crypto backend"),
        "{error}"
    );
    assert!(error.contains("`openssl`"), "{error}");
    for name in COMPILED {
        let crypto = Crypto::choose(name).unwrap();
        let refused = usize::from(*name == "oqs");
        assert_eq!(crypto.refusals().count(), refused, "{name}: {crypto:?}");
    }
}

fn groups(path: &Path) -> Vec<Value> {
    json(path)["testGroups"].as_array().unwrap().clone()
}

fn tests(group: &Value) -> &[Value] {
    group["tests"].as_array().unwrap()
}

fn bytes(of: &Value, name: &str) -> Option<Vec<u8>> {
    of[name].as_str().map(hex)
}

fn id(test: &Value) -> String {
    format!("{}", test["tcId"])
}

fn valid(test: &Value) -> bool {
    test["result"] == "valid"
}

fn kem_keygen(backend: &dyn CryptoBackend, path: &Path) -> Count {
    let mut count = Count::default();
    for group in groups(path) {
        for test in tests(&group) {
            let seed: [u8; 64] = bytes(test, "seed").unwrap().try_into().unwrap();
            let key = backend.kem_key(&seed).unwrap();
            count.judge(&id(test), key.public() == bytes(test, "ek").unwrap());
        }
    }
    count
}

fn kem_decapsulate(backend: &dyn CryptoBackend, path: &Path) -> Count {
    let mut count = Count::default();
    for group in groups(path) {
        for test in tests(&group) {
            let Ok(seed) = <[u8; 64]>::try_from(bytes(test, "seed").unwrap()) else {
                assert!(!valid(test));
                count.inexpressible += 1;
                continue;
            };
            let key = backend.kem_key(&seed).unwrap();
            let shared = key.decapsulate(&bytes(test, "c").unwrap());
            let right = match shared {
                Ok(shared) => {
                    let public = bytes(test, "ek").is_none_or(|ek| ek == key.public());
                    valid(test) && public && shared.as_slice() == bytes(test, "K").unwrap()
                }
                Err(_) => !valid(test),
            };
            count.judge(&id(test), right);
        }
    }
    count
}

fn kem_encapsulate(backend: &dyn CryptoBackend, path: &Path) -> Count {
    let mut count = Count::default();
    for group in groups(path) {
        for test in tests(&group) {
            let public = bytes(test, "ek").unwrap();
            if !valid(test) {
                count.judge(&id(test), backend.kem_encapsulate(&public).is_err());
                continue;
            }
            let randomness: [u8; 32] = bytes(test, "m").unwrap().try_into().unwrap();
            encapsulated(backend, &public, &randomness, test, &mut count);
        }
    }
    count
}

fn encapsulated(
    backend: &dyn CryptoBackend,
    public: &[u8],
    randomness: &[u8; 32],
    test: &Value,
    count: &mut Count,
) {
    match backend.kem_encapsulate_with(public, randomness) {
        Ok((ciphertext, shared)) => {
            let known = bytes(test, "K").unwrap();
            let same = ciphertext == bytes(test, "c").unwrap() && shared.as_slice() == known;
            count.judge(&id(test), same);
        }
        Err(CryptoError::Unsupported { .. }) => count.inexpressible += 1,
        Err(error) => count.failed.push(error.to_string()),
    }
}

/// `name = hex` lines; the first of a name counts.
///
/// The keys of these files were grown from their seeds by the draft of FIPS 203, which hashed the
/// seed alone, so they are taken in their expanded form.
fn kem_text(backend: &dyn CryptoBackend, path: &Path) -> Count {
    let text = fs::read_to_string(path).unwrap();
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(" = "));
        lines
            .find(|(known, _)| *known == name)
            .map(|(_, value)| hex(value))
    };
    let (dk, c, shared) = (
        field("dk").unwrap(),
        field("c").unwrap(),
        field("K").unwrap(),
    );
    let key = backend.kem_key_expanded(&dk).unwrap();
    let mut count = Count::default();
    count.judge("K", key.decapsulate(&c).unwrap().as_slice() == shared);
    if let Some(public) = field("ek") {
        count.judge("ek", key.public() == public);
        let randomness = field("m").unwrap().try_into().unwrap();
        let test = serde_json::json!({ "tcId": "m", "K": text_of(&shared), "c": text_of(&c) });
        encapsulated(backend, &public, &randomness, &test, &mut count);
    }
    count
}

fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Public keys beyond the modulus, one a line.
fn kem_modulus(backend: &dyn CryptoBackend, path: &Path) -> Count {
    let mut text = String::new();
    let file = fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    let mut count = Count::default();
    for (index, line) in text.lines().enumerate() {
        let refused = backend.kem_encapsulate(&hex(line)).is_err();
        count.judge(&index.to_string(), refused);
    }
    count
}

/// Signatures with a context must be refused: stratum's context is always empty.
fn dsa_verify(backend: &dyn CryptoBackend, path: &Path) -> Count {
    let mut count = Count::default();
    for group in groups(path) {
        let public = bytes(&group, "publicKey").unwrap();
        for test in tests(&group) {
            let context = bytes(test, "ctx").unwrap_or_default();
            let expected = valid(test) && context.is_empty();
            let message = bytes(test, "msg").unwrap();
            let signature = bytes(test, "sig").unwrap();
            let accepted = backend.dsa_verify(&public, &message, &signature).is_ok();
            count.judge(&id(test), accepted == expected);
        }
    }
    count
}

/// Signing draws randomness, so each signature is verified by openssl instead of compared; where a
/// backend signs without randomness, it is compared too.
fn dsa_sign(under_test: &dyn CryptoBackend, path: &Path) -> Count {
    let openssl: Arc<dyn CryptoBackend> = backend("openssl").unwrap();
    let mut count = Count::default();
    for group in groups(path) {
        for test in tests(&group) {
            let seed = <[u8; 32]>::try_from(bytes(&group, "privateSeed").unwrap());
            let context = bytes(test, "ctx").unwrap_or_default();
            let (Ok(seed), Some(message), true) = (seed, bytes(test, "msg"), context.is_empty())
            else {
                count.inexpressible += 1;
                continue;
            };
            if !valid(test) {
                count.inexpressible += 1;
                continue;
            }
            let public = bytes(&group, "publicKey").unwrap();
            let signature = under_test.dsa_sign(&seed, &message).unwrap();
            let mut right = under_test.dsa_public(&seed).unwrap() == public;
            right &= openssl.dsa_verify(&public, &message, &signature).is_ok();
            if under_test.name() == "rustcrypto" && test["rnd"].is_null() {
                right &= signature == bytes(test, "sig").unwrap();
            }
            count.judge(&id(test), right);
        }
    }
    count
}

/// Stratum takes no expanded secret key; the signatures that they made must verify.
fn dsa_noseed(backend: &dyn CryptoBackend, path: &Path) -> Count {
    let mut count = Count::default();
    for group in groups(path) {
        for test in tests(&group) {
            let context = bytes(test, "ctx").unwrap_or_default();
            let (Some(message), true, true) = (bytes(test, "msg"), valid(test), context.is_empty())
            else {
                count.inexpressible += 1;
                continue;
            };
            let public = bytes(&group, "publicKey").unwrap();
            let signature = bytes(test, "sig").unwrap();
            let accepted = backend.dsa_verify(&public, &message, &signature).is_ok();
            count.judge(&id(test), accepted);
        }
    }
    count
}
