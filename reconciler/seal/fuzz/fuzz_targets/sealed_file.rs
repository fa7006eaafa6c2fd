//! Whatever a file under `secrets/` holds: the YAML, then each value's age header and signatures.
//!
//! The sealer of the seeds is trusted, so that a changed seed goes all the way to the signatures.
//! What verifies must be a value of the seeds: everything else would be a forgery.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stratum_core::trust::{Person, Trust};
use stratum_load::read_sealed;
use stratum_seal::age::{self, Header, Identity, unarmor};
use stratum_seal::signature::Signatures;
use stratum_seal::value::LARGEST;
use stratum_seal::{Crypto, Place, Policy, verify};

/// What the seeds are: their sealer, the digest and the place of each of their values.
struct Known {
    crypto: Crypto,
    trust: Trust,
    stranger: [Identity; 1],
    values: BTreeSet<(String, String, [u8; 32])>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let crypto = Crypto::choose("openssl").expect("openssl");
    let key = serde_json::from_str(include_str!("../sealer.json")).expect("a public key");
    let person = Person {
        sealer: vec![key],
        ..Person::default()
    };
    let trust = Trust {
        people: BTreeMap::from([("ada".to_owned(), person)]),
        ..Trust::default()
    };
    let stranger = [Identity::generate(&crypto).expect("an identity")];
    let mut values = BTreeSet::new();
    for text in [
        include_str!("../seeds/one-value.yaml"),
        include_str!("../seeds/two-values.yaml"),
    ] {
        let file = read_sealed("seed", text).expect("a seed").file;
        for (key, value) in &file.values {
            let place = place(&file, key, value.v);
            let found = verify(&crypto, &trust, Policy::Both, &place, value).expect("a seed");
            values.insert((file.context.path.clone(), key.clone(), found.digest));
        }
    }
    Known {
        crypto,
        trust,
        stranger,
        values,
    }
});

fn place<'a>(
    file: &'a stratum_core::kinds::secret::SealedFile,
    key: &'a str,
    version: u64,
) -> Place<'a> {
    Place {
        repo: &file.context.repo,
        environment: &file.context.environment,
        path: &file.context.path,
        key,
        version,
    }
}

fuzz_target!(|data: &[u8]| {
    let known = &*KNOWN;
    // The parts alone, which the fuzzer reaches at once.
    let _ = Header::parse(data);
    let _ = unarmor(data);
    assert!(age::open(&known.crypto, &known.stranger, data, LARGEST).is_err());
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(signatures) = Signatures::decode(text) {
        // What was read is written back as it was.
        assert_eq!(signatures.encode().expect("it was read"), text);
    }
    let Ok(document) = read_sealed("secrets/staging/a.sealed.yaml", text) else {
        return;
    };
    let file = document.file;
    let again = read_sealed("again", &file.to_yaml()).map(|document| document.file);
    assert_eq!(again.as_ref(), Ok(&file), "what was written is read as it was");
    for (key, value) in &file.values {
        let place = place(&file, key, value.v);
        if let Ok(found) = verify(&known.crypto, &known.trust, Policy::Either, &place, value) {
            let one = (file.context.path.clone(), key.clone(), found.digest);
            assert!(known.values.contains(&one), "a forgery: {one:?}");
        }
    }
});
