//! How the log is, at a glance: without looking at its entries.

use std::fs;

use jiff::Timestamp;

use crate::log::keeper::sentence;
use crate::log::note::Verifier;
use crate::log::part::{self, LogError};
use crate::log::place::{CHECKPOINT, ENTRIES};
use crate::log::verify::LogReader;

/// What the checkpoints say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// The public keys that sign the newest part.
    pub keys: Vec<String>,
    /// How many entries are under checkpoints.
    pub entries: u64,
    /// When the newest checkpoint was signed, as its file says (UTC).
    pub signed_at: Option<Timestamp>,
    /// The months whose entries were deleted because their time was over, oldest first.
    pub pruned: Vec<String>,
}

impl LogReader {
    /// Reads the checkpoints, and verifies their signatures; `None` when there is none yet.
    ///
    /// *Errors*: a sentence, when one does not hold. Whether entries were changed is for
    /// [`LogReader::verify`].
    pub fn health(&self) -> Result<Option<Health>, String> {
        let said = |error: LogError| sentence(&error);
        let mut health = Health::default();
        let mut parts = part::parts(&self.folder).map_err(said)?;
        // One without a checkpoint is only being made, or was never finished.
        parts.retain(|name| self.folder.join(name).join(CHECKPOINT).exists());
        for name in &parts {
            let folder = self.folder.join(name);
            let (checkpoint, keys) =
                part::checkpoint(&folder, self.signer.as_ref()).map_err(said)?;
            health.entries += checkpoint.size;
            health.keys = keys.iter().map(Verifier::text).collect();
            let written = fs::metadata(folder.join(CHECKPOINT)).and_then(|file| file.modified());
            health.signed_at = written.ok().and_then(|at| Timestamp::try_from(at).ok());
            if !folder.join(ENTRIES).exists() {
                health.pruned.push(part::month(name).to_owned());
            }
        }
        Ok((!parts.is_empty()).then_some(health))
    }
}
