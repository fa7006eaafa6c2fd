//! The state: whether it is whole, and who holds which lease.

use std::path::Path;

use jiff::Timestamp;
use stratum_assembly::attendance::{Attendance, Behind, Branches};
use stratum_assembly::records;
use stratum_core::ports::{
    HeldLease, Journals as _, Leases as _, Life, Retention as _, States as _, StoreError, who,
};
use stratum_store::{Access, SqliteStore, log_folder};

use super::{Check, rebuild};
use crate::commands::audit;
use crate::context::Place;
use crate::failure::CommandError;
use crate::show;
use crate::style::{Theme, one_line};

/// So many environments are named whose branch went on.
const BEHIND: usize = 3;

/// The state file, and the leases in it.
pub(super) async fn check(place: &Place) -> Vec<Check> {
    let path = place.state.display();
    match place.state.try_exists() {
        Ok(true) => {}
        Ok(false) => return vec![missing(place)],
        Err(error) => return vec![unreadable(place, &error)],
    }
    match read(place).await {
        Ok(leases) => {
            // Who looks may be another user than who reconciles, whose the state is.
            let safe = stratum_store::is_safe(&place.state);
            let state = match safe {
                Ok(()) => Check::good("state", format!("`{path}` is whole")),
                Err(error) => broken(place, error),
            };
            let mut checks = vec![state];
            checks.extend(size(place).await);
            checks.extend(leases);
            checks
        }
        Err(error) => vec![broken(place, error)],
    }
}

/// Nobody can tell whether there is a state.
fn unreadable(place: &Place, error: &std::io::Error) -> Check {
    let sentence = format!("`{}` cannot be looked at: {error}", place.state.display());
    let remedy = "`ls -ld` of each folder above it says who may; run this as the user of the \
                  reconciler";
    Check::bad("state", sentence, remedy)
}

/// There is no state: because nothing was reconciled yet, or because it was moved away.
fn missing(place: &Place) -> Check {
    let path = place.state.display();
    let left = [stratum_store::log_folder(&place.state), place.own_folder()];
    let Some(left) = left.iter().find(|path| path.exists()) else {
        let sentence = format!("there is none at `{path}` yet; the first reconcile makes it");
        return Check::good("state", sentence);
    };
    let sentence = format!(
        "there is none at `{path}`, and there was one: `{}` is still there",
        left.display()
    );
    Check {
        steps: rebuild::steps(place),
        ..Check::bad("state", sentence, rebuild::REMEDY_MISSING)
    }
}

async fn read(place: &Place) -> Result<Vec<Check>, StoreError> {
    let store = SqliteStore::open(&place.state, Access::ReadOnly).await?;
    store.verify().await?;
    let mut checks = Vec::new();
    for row in store.environments().await? {
        // A file whose pages are whole may still hold rows that nobody can read.
        store.base(&row.name).await?;
    }
    checks.push(attended(place, &store).await?);
    checks.extend(store.leases().await?.iter().map(lease));
    store.unfinished().await?;
    checks.push(records(place, &store).await);
    checks.extend(log(place, &store).await);
    Ok(checks)
}

/// Whether somebody reconciles, and what of the branches is not applied.
async fn attended(place: &Place, store: &SqliteStore) -> Result<Check, StoreError> {
    const NAME: &str = "reconciler";
    let rows = store.environments().await?;
    let attendance = Attendance::of(store).await?;
    let mut branches = Branches::of(&place.repository);
    let behind = rows.iter().filter_map(|row| {
        let Behind { branch, commit } = branches.behind(row)?;
        let name = &row.name;
        Some(format!(
            "`{branch}` is at {}, and nothing of that is applied in `{name}`",
            commit.short()
        ))
    });
    let mut said = vec![show::attendance::sentence(&attendance, Timestamp::now())];
    said.extend(behind.take(BEHIND));
    let said = said.join("; ");
    Ok(match attendance.is_trouble() {
        true => Check::weak(NAME, said, show::attendance::remedy(&attendance)),
        false => Check::good(NAME, said),
    })
}

/// The records in git: whether all that was to be written is there.
async fn records(place: &Place, store: &SqliteStore) -> Check {
    const NAME: &str = "records";
    let view = match records::health(place, store).await {
        Ok(None) => return Check::good(NAME, "all are in git, and each follows the one before"),
        Ok(Some(view)) => view,
        Err(error) => {
            let sentence = CommandError::from(error).render(&Theme::PLAIN);
            let sentence = one_line(sentence.trim_start_matches("error: "));
            return Check::bad(NAME, sentence, "`git fsck`");
        }
    };
    let now = Timestamp::now();
    let lost = view.lost.as_ref().map(|lost| lost.sentence());
    let lost = lost.map(|said| (said, show::records::LOST_REMEDY));
    let waits = show::records::waits(&view, now).map(|said| (said, show::records::WAITS_REMEDY));
    let unkept = show::records::unkept(&view, now).map(|said| (said, show::records::UNKEPT_REMEDY));
    let troubles = [lost, waits, unkept].into_iter().flatten();
    let (said, remedies): (Vec<_>, Vec<_>) = troubles.unzip();
    Check::bad(NAME, said.join("; "), &remedies.join("; "))
}

/// How large the state and the audit log are, and which parts take the most.
async fn size(place: &Place) -> Option<Check> {
    let store = SqliteStore::open(&place.state, Access::ReadOnly)
        .await
        .ok()?;
    let parts = store.sizes().await.ok()?;
    let all: u64 = parts.iter().map(|part| part.bytes).sum();
    let most = parts.iter().take(3);
    let most: Vec<_> = most
        .map(|part| format!("{} {}", part.part, bytes(part.bytes)))
        .collect();
    let log = folder_bytes(&stratum_store::log_folder(&place.state));
    let sentence = format!(
        "the state has {} ({}), the audit log {}",
        bytes(all),
        most.join(", "),
        bytes(log)
    );
    Some(Check::good("size", sentence))
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// A size as people read it.
fn bytes(count: u64) -> String {
    match count {
        ..1_000_000 => format!("{} kB", count.div_ceil(1_000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// The audit log: who signs it, and whether its checkpoints hold.
async fn log(place: &Place, store: &SqliteStore) -> Option<Check> {
    const NAME: &str = "audit log";
    let remedy = "`stratum audit verify` names the place; put the folder back as it was";
    match audit::health(place, store).await {
        Ok(None) => None,
        Ok(Some(view)) => {
            let sentence = view.sentence(Timestamp::now());
            let key = stratum_store::log_key_is_gone(&log_folder(&place.state));
            Some(match (view.problem, key) {
                (None, None) => Check::good(NAME, sentence),
                (None, Some(gone)) => {
                    let remedy = "no reconciler starts before: see to the key, as is said here";
                    Check::bad(NAME, gone, remedy)
                }
                (Some(_), _) => Check::bad(NAME, sentence, remedy),
            })
        }
        Err(error) => {
            let sentence = error.render(&Theme::PLAIN);
            let sentence = one_line(sentence.trim_start_matches("error: "));
            Some(Check::bad(NAME, sentence, remedy))
        }
    }
}

fn lease(held: &HeldLease) -> Check {
    const NAME: &str = "lease";
    let (environment, who) = (&held.lease.environment, who(&held.lease.holder));
    match held.life {
        Life::Alive => Check::good(NAME, format!("`{environment}` is reconciled by {who}")),
        Life::Dead => {
            let sentence = format!(
                "`{environment}` was reconciled by {who}, which is gone; whoever reconciles next \
                 takes it over"
            );
            Check::good(NAME, sentence)
        }
        Life::Unknown => {
            let sentence = format!(
                "`{environment}` is reconciled by {who}; whether that still lives cannot be told \
                 from here"
            );
            let remedy = "look there; a lease that is not renewed for a minute is free, and \
                          `stratum lease break` frees it at once";
            Check::weak(NAME, sentence, remedy)
        }
    }
}

fn broken(place: &Place, error: StoreError) -> Check {
    let damaged = matches!(error, StoreError::Damaged { .. });
    let failure = CommandError::from(error);
    let sentence = failure.render(&Theme::PLAIN);
    let sentence = one_line(sentence.trim_start_matches("error: "));
    match damaged {
        true => Check {
            steps: rebuild::steps(place),
            ..Check::bad("state", sentence, rebuild::REMEDY)
        },
        false => Check::bad("state", sentence, &failure.hints().join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_people() {
        assert_eq!(bytes(1), "1 kB");
        assert_eq!(bytes(69_632), "70 kB");
        assert_eq!(bytes(766_000_000), "766.0 MB");
        assert_eq!(bytes(3_800_000_000), "3.8 GB");
    }
}
