//! What opening and verifying costs, against the sum of their primitives.
//!
//! `cargo run --release -p stratum-seal --example sealing`
//!
//! CPU time of this thread, the median of several rounds; each round measures everything in turn, so
//! that a busy machine slows all of it alike.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement, run by hand"
)]

use std::hint::black_box;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use stratum_core::secret::Secret;
use stratum_core::trust::{Person, Trust};
use stratum_seal::age::Identity;
use stratum_seal::backend::{Algorithm, COMPILED};
use stratum_seal::keys::Sealer;
use stratum_seal::rest::{DataKey, DataKeys};
use stratum_seal::{Crypto, Place, Policy, open, seal, verify};

const ROUNDS: usize = 15;
const CALLS: u32 = 20;

/// CPU seconds of this thread so far.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Microseconds of one call.
fn cost(call: &mut dyn FnMut()) -> f64 {
    let start = cpu();
    for _ in 0..CALLS {
        call();
    }
    (cpu() - start) / f64::from(CALLS) * 1e6
}

/// A call and its name.
type Call<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// The median cost of each call, measured in turn.
fn medians(calls: &mut [Call<'_>]) -> Vec<f64> {
    let mut all: Vec<Vec<f64>> = vec![Vec::new(); calls.len()];
    for _ in 0..ROUNDS {
        for (costs, (_, call)) in all.iter_mut().zip(calls.iter_mut()) {
            costs.push(cost(call.as_mut()));
        }
    }
    all.iter_mut()
        .map(|costs| {
            costs.sort_by(f64::total_cmp);
            costs[ROUNDS / 2]
        })
        .collect()
}

fn main() {
    for name in COMPILED {
        measure(name);
    }
}

fn measure(name: &str) {
    let crypto = Crypto::choose(&format!("{name},openssl")).unwrap();
    let sealer = Sealer::generate(&crypto).unwrap();
    let person = Person {
        sealer: vec![sealer.public().clone()],
        ..Person::default()
    };
    let trust = Trust {
        people: [("ada".to_owned(), person)].into(),
        ..Trust::default()
    };
    let identities = [Identity::generate(&crypto).unwrap()];
    let recipients = [identities[0].recipient().unwrap()];
    let place = Place {
        repo: "acme-infra",
        environment: "production",
        path: "payments/db",
        key: "password",
        version: 7,
    };
    let time = Timestamp::from_second(1_790_000_000).unwrap();
    let secret = Secret::new(b"correct horse battery staple".to_vec());
    let sealed = seal(&crypto, &sealer, &recipients, &place, time, &secret).unwrap();
    let verified = verify(&crypto, &trust, Policy::Both, &place, &sealed).unwrap();

    let kem = crypto.at(Algorithm::MlKem768).unwrap();
    let x25519 = crypto.at(Algorithm::X25519).unwrap();
    let dsa = crypto.at(Algorithm::MlDsa65Verify).unwrap();
    let ed = crypto.at(Algorithm::Ed25519).unwrap();
    let key = kem.kem_key(&[1; 64]).unwrap();
    let (ciphertext, _) = kem.kem_encapsulate(key.public()).unwrap();
    let peer = x25519.x25519_public(&[2; 32]).unwrap();
    let message = [0; 400];
    let dsa_public = dsa.dsa_public(&[3; 32]).unwrap();
    let signer = crypto.at(Algorithm::MlDsa65Sign).unwrap();
    let dsa_signature = signer.dsa_sign(&[3; 32], &message).unwrap();
    let ed_public = ed.ed25519_public(&[4; 32]).unwrap();
    let ed_signature = ed.ed25519_sign(&[4; 32], &message).unwrap();
    let keys = DataKeys::new(DataKey::generate(&crypto).unwrap());
    let row = vec![7; 200];
    let sealed_row = keys.encrypt(&crypto, b"row 1", &row).unwrap();

    let mut calls: Vec<Call<'_>> = vec![
        (
            "ML-KEM-768 decapsulate",
            Box::new(|| drop(black_box(key.decapsulate(&ciphertext)))),
        ),
        (
            "X25519",
            Box::new(|| drop(black_box(x25519.x25519(&[1; 32], &peer)))),
        ),
        (
            "Ed25519 verify",
            Box::new(|| {
                ed.ed25519_verify(&ed_public, &message, &ed_signature)
                    .unwrap()
            }),
        ),
        (
            "ML-DSA-65 verify",
            Box::new(|| {
                dsa.dsa_verify(&dsa_public, &message, &dsa_signature)
                    .unwrap()
            }),
        ),
        (
            "open",
            Box::new(|| drop(open(&crypto, &identities, &verified).unwrap())),
        ),
        (
            "verify",
            Box::new(|| {
                drop(verify(&crypto, &trust, Policy::Both, &place, &sealed).unwrap());
            }),
        ),
        (
            "seal",
            Box::new(|| {
                drop(seal(&crypto, &sealer, &recipients, &place, time, &secret).unwrap());
            }),
        ),
        (
            "row of 200 bytes, seal",
            Box::new(|| drop(keys.encrypt(&crypto, b"row 1", &row).unwrap())),
        ),
        (
            "row of 200 bytes, open",
            Box::new(|| drop(keys.decrypt(&crypto, b"row 1", &sealed_row).unwrap())),
        ),
    ];
    let costs = medians(&mut calls);
    println!("{name}:");
    for ((what, _), cost) in calls.iter().zip(&costs) {
        println!("  {what:24} {cost:8.1} us");
    }
    let primitives: f64 = costs[..4].iter().sum();
    let whole = costs[4] + costs[5];
    println!(
        "  open and verify {whole:.1} us / primitives {primitives:.1} us = {:.2}",
        whole / primitives
    );
    drop(calls);
    let repository: Vec<_> = (1..=1000)
        .map(|version| {
            let place = Place { version, ..place };
            let value = seal(&crypto, &sealer, &recipients, &place, time, &secret).unwrap();
            (place, value)
        })
        .collect();
    let start = cpu();
    for (place, value) in &repository {
        verify(&crypto, &trust, Policy::Both, place, value).unwrap();
    }
    println!("  1,000 values verified: {:.3} CPU s", cpu() - start);
}
