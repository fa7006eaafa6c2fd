//! Lives from seeds over the real store: several environments in one repository, and two processes
//! that live at once.
//!
//! `STRATUM_SEED=n` replays one seed; `STRATUM_SOAK_SECONDS=n` goes on with new seeds for so long.

mod checks;
mod life;
mod place;

use std::time::{Duration, Instant};

use crate::simulation::number;
use life::live;

/// Seeds in an ordinary run of the tests.
const SEEDS: u64 = 3;

#[test]
fn lives_of_two_processes_over_the_real_store() {
    if let Some(seed) = number("STRATUM_SEED") {
        return live_or_say(seed);
    }
    let Some(seconds) = number("STRATUM_SOAK_SECONDS") else {
        return (0..SEEDS).for_each(live_or_say);
    };
    let (started, mut seed) = (Instant::now(), SEEDS);
    while started.elapsed() < Duration::from_secs(seconds) {
        live_or_say(seed);
        seed += 1;
    }
    println!("{} lives of two processes, all well", seed - SEEDS);
}

fn live_or_say(seed: u64) {
    // The store works in real time, beside the simulated one.
    let beside = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let lived = std::panic::catch_unwind(|| {
        let simulated = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        simulated.unwrap().block_on(live(seed, beside.handle()));
    });
    beside.shutdown_background();
    if let Err(panic) = lived {
        eprintln!(
            "seed {seed} failed; replay it with\n  STRATUM_SEED={seed} cargo test -p stratum-runtime \
             --test it lives_of_two_processes"
        );
        std::panic::resume_unwind(panic);
    }
}
