//! What the audit log costs:
//! `cargo run --release -p stratum-store --example audit [entries] [a transaction]`.
//!
//! Appends entries as the loop does, brings them into the tree, proves some, and verifies all.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stratum_core::audit::{AuditEntry, Named, Principal, Role, What};
use stratum_core::digest::Digest;
use stratum_core::ports::Audit;
use stratum_store::{Expected, LogReader, SqliteStore, log_folder};
use stratum_testkit::audit::TwinSigner;
use stratum_testkit::store::sample;

type Measured = Result<(), Box<dyn Error + Send + Sync>>;

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn tell(what: &str, before: (Duration, Instant), each: usize) -> Measured {
    let (cpu, wall) = (cpu() - before.0, before.1.elapsed());
    let micros = cpu.as_secs_f64() * 1e6 / each.max(1) as f64;
    writeln!(
        std::io::stdout(),
        "{what:<30} {:>8.2} s CPU {:>8.2} s  {micros:>8.2} us CPU each",
        cpu.as_secs_f64(),
        wall.as_secs_f64(),
    )?;
    Ok(())
}

#[tokio::main]
async fn main() -> Measured {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let together: usize = arguments.next().map_or(Ok(30), |text| text.parse())?;
    // Not in a temporary folder of the system: that may be held in memory.
    let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
    let path = folder.path().join("state.db");
    let signer = Arc::new(TwinSigner::new());
    let store = SqliteStore::open_logged(&path, signer.clone()).await?;
    let before = (cpu(), Instant::now());
    let mut number = 0;
    while number < count {
        let some: Vec<_> = (number..count.min(number + together)).map(entry).collect();
        number += some.len();
        store.log(&some).await?;
    }
    store.close().await;
    tell("append and bring in", before, count)?;

    let reader = LogReader::new(log_folder(&path), signer);
    let before = (cpu(), Instant::now());
    let report = reader.verify(&Expected::default())?;
    tell("verify", before, count)?;
    let size = report.parts.iter().map(|part| part.size).sum::<u64>();
    writeln!(
        std::io::stdout(),
        "valid: {}; {size} entries",
        report.problem.is_none()
    )?;

    let part = report
        .parts
        .first()
        .map(|part| part.name.clone())
        .unwrap_or_default();
    let before = (cpu(), Instant::now());
    let mut proofs = 0;
    for index in (0..size).step_by((count / 500).max(1)) {
        reader.prove(&part, index)?;
        proofs += 1;
    }
    tell("inclusion proof", before, proofs)
}

/// One in ten has people behind it, as the start of a run has.
fn entry(number: usize) -> AuditEntry {
    let author = Named {
        role: Role::Author,
        name: "Ada Lovelace <ada@example.org>".to_owned(),
    };
    AuditEntry {
        at: sample::at(1_795_000_000 + number as i64 / 1_000),
        environment: None,
        run: None,
        principal: Principal::Reconciler,
        what: What::Refused {
            action: "apply".to_owned(),
            plan: Some(Digest::of_bytes(&number.to_be_bytes())),
            revision: None,
            reason: format!("policy `irreversible-delete` denies step {number} of the plan"),
        },
        people: if number.is_multiple_of(10) {
            vec![author]
        } else {
            Vec::new()
        },
    }
}
