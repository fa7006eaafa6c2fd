//! Whatever a file under `secrets/` holds: the YAML, then each value's age header and signatures.

#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stratum_core::trust::Trust;
use stratum_load::read_sealed;
use stratum_seal::age::{Header, unarmor};
use stratum_seal::signature::Signatures;
use stratum_seal::{Crypto, Place, Policy, verify};

static CRYPTO: LazyLock<Crypto> = LazyLock::new(|| Crypto::choose("openssl").expect("openssl"));

fuzz_target!(|data: &[u8]| {
    // The parts alone, which the fuzzer reaches at once.
    let _ = Header::parse(data);
    let _ = unarmor(data);
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
    let trust = Trust {
        people: BTreeMap::new(),
        ..Trust::default()
    };
    for (key, value) in &file.values {
        let place = Place {
            repo: &file.context.repo,
            environment: &file.context.environment,
            path: &file.context.path,
            key,
            version: value.v,
        };
        // Nobody is trusted, so nothing verifies.
        assert!(verify(&CRYPTO, &trust, Policy::Either, &place, value).is_err());
    }
});
