//! Whatever a file of policies, a key under `trust/` or a signature of a commit holds.
//!
//! The first byte chooses the reader. What is counted before Cedar sees it must keep Cedar from
//! overflowing its stack; a signature of a stranger must be nobody's.

#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stratum_core::ports::Signatures as _;
use stratum_core::signed::{Signed, Signer};
use stratum_core::trust::{Person, Trust};
use stratum_guard::{InProcess, fuzzing};

static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let person = Person {
        ssh: vec![include_str!("../seeds/ada.pub").trim().to_owned()],
        ..Person::default()
    };
    Trust {
        people: BTreeMap::from([("ada".to_owned(), person)]),
        ..Trust::default()
    }
});

fuzz_target!(|data: &[u8]| {
    let Some((reader, rest)) = data.split_first() else {
        return;
    };
    if reader % 3 == 0 {
        let signed = Signed {
            payload: b"tree 0000\n".to_vec(),
            signature: Some(rest.to_vec()),
        };
        let now = jiff::Timestamp::from_second(1_764_072_000).expect("a time");
        let signer = InProcess.signer(&signed, &TRUST, now, now);
        assert!(matches!(signer, Signer::Nobody { .. }), "a forgery: {signer:?}");
    } else if let Ok(text) = std::str::from_utf8(rest) {
        match reader % 3 {
            1 => fuzzing::policies(text),
            _ => fuzzing::key(text),
        }
    }
});
