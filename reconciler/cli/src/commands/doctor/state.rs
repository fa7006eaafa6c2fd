//! The state: whether it is whole, and who holds which lease.

use jiff::Timestamp;
use stratum_core::ports::{Store as _, StoreError, who};
use stratum_store::{Access, SqliteStore};

use super::{Check, rebuild};
use crate::commands::audit;
use crate::context::Place;
use crate::failure::CommandError;
use crate::holder;
use crate::style::{Theme, one_line};
use crate::{records, show};

/// The state file, and the leases in it.
pub(super) async fn check(place: &Place) -> Vec<Check> {
    if !place.state.exists() {
        let path = place.state.display();
        let sentence = format!("there is none at `{path}` yet; the first reconcile makes it");
        return vec![Check::good("state", sentence)];
    }
    match read(place).await {
        Ok(leases) => {
            let path = place.state.display();
            let mut checks = vec![Check::good("state", format!("`{path}` is whole"))];
            checks.extend(leases);
            checks
        }
        Err(error) => vec![broken(place, error)],
    }
}

async fn read(place: &Place) -> Result<Vec<Check>, StoreError> {
    let store = SqliteStore::open(&place.state, Access::ReadOnly).await?;
    store.verify().await?;
    let mut checks = Vec::new();
    for row in store.environments().await? {
        // A file whose pages are whole may still hold rows that nobody can read.
        store.base(&row.name).await?;
        let held = store.holder(&row.name).await?;
        checks.extend(held.map(|held| lease(row.name.as_str(), &held)));
    }
    store.unfinished().await?;
    checks.push(records(place, &store).await);
    checks.extend(log(place, &store).await);
    Ok(checks)
}

/// The records in git: whether all that was to be written is there.
async fn records(place: &Place, store: &SqliteStore) -> Check {
    const NAME: &str = "records";
    let view = match records::health(place, store).await {
        Ok(None) => return Check::good(NAME, "all are in git, and each follows the one before"),
        Ok(Some(view)) => view,
        Err(error) => {
            let sentence = error.render(&Theme::PLAIN);
            let sentence = one_line(sentence.trim_start_matches("error: "));
            return Check::bad(NAME, sentence, "`git fsck`");
        }
    };
    match (&view.lost, show::records::waits(&view, Timestamp::now())) {
        (Some(lost), _) => Check::bad(NAME, lost.sentence(), show::records::LOST_REMEDY),
        (None, waits) => {
            let remedy = "see to what is in the way; the record is written by itself then";
            Check::bad(NAME, waits.unwrap_or_default(), remedy)
        }
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
            Some(match view.problem {
                None => Check::good(NAME, sentence),
                Some(_) => Check::bad(NAME, sentence, remedy),
            })
        }
        Err(error) => {
            let sentence = error.render(&Theme::PLAIN);
            let sentence = one_line(sentence.trim_start_matches("error: "));
            Some(Check::bad(NAME, sentence, remedy))
        }
    }
}

fn lease(environment: &str, held: &str) -> Check {
    const NAME: &str = "lease";
    let who = who(held);
    match holder::is_alive(held) {
        Some(true) => Check::good(NAME, format!("`{environment}` is reconciled by {who}")),
        Some(false) => {
            let sentence = format!(
                "`{environment}` was reconciled by {who}, which is gone; whoever reconciles next \
                 takes it over"
            );
            Check::good(NAME, sentence)
        }
        None => {
            let sentence = format!(
                "`{environment}` is reconciled by {who}; whether that still lives cannot be told \
                 from here"
            );
            let remedy = "look there; a lease that is not renewed for a minute is free";
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
