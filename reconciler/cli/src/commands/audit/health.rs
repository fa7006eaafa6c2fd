//! How the log beside a state is, for `status` and `doctor`.

use stratum_assembly::adapters;
use stratum_store::{Health, LogReader, SqliteStore, log_folder};

use crate::context::Place;
use crate::failure::CommandError;
use crate::show::audit::AuditView;

/// The log beside a state; `None` when there is none yet.
pub(crate) async fn health(
    place: &Place,
    store: &SqliteStore,
) -> Result<Option<AuditView>, CommandError> {
    let (expected, waiting) = store.expected_log().await?;
    let reader = LogReader::new(log_folder(&place.state), adapters::note_signer()?);
    let (health, problem) = match reader.health() {
        Ok(None) if expected.is_empty() && waiting == 0 => return Ok(None),
        Ok(None) if !expected.is_empty() => {
            let gone = "its folder is empty or gone, and the state knows of entries";
            (Health::default(), Some(gone.to_owned()))
        }
        Ok(health) => (health.unwrap_or_default(), None),
        Err(reason) => (Health::default(), Some(reason)),
    };
    Ok(Some(AuditView {
        keys: health.keys,
        entries: health.entries,
        waiting,
        signed_at: health.signed_at,
        pruned: health.pruned,
        problem,
    }))
}
