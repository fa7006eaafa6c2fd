//! Kept evaluations, for threads that may block.

use std::sync::mpsc;

use stratum_core::ports::EvaluationCache;

use crate::pack::{pack_bytes, unpack_bytes};
use crate::store::SqliteStore;
use crate::write::Write;
use crate::write::evaluation::Keep;

/// Called from threads that may block, such as those of `spawn_blocking`; the work itself is done
/// by the runtime that opened the store.
impl EvaluationCache for SqliteStore {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (reply, answer) = mpsc::sync_channel(1);
        let (reader, key) = (self.shared_reader(), key.to_owned());
        self.runtime().spawn(async move {
            // Whoever asked waits for this; it cannot be gone.
            let _ = reply.send(SqliteStore::evaluation(&reader, &key).await);
        });
        match answer.recv() {
            // What an earlier version kept as it was is no packed value: it is made again.
            Ok(Ok(value)) => unpack_bytes(&value?).ok(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a kept evaluation could not be read");
                None
            }
            Err(_runtime_has_ended) => None,
        }
    }

    fn put(&self, key: &str, value: &[u8]) {
        let Some(writer) = self.shared_writer() else {
            return;
        };
        let write = Write::Keep(Keep {
            key: key.to_owned(),
            value: pack_bytes(value),
        });
        let (reply, answer) = mpsc::sync_channel(1);
        self.runtime().spawn(async move {
            // Whoever asked waits for this; it cannot be gone.
            let _ = reply.send(writer.write(write).await);
        });
        if let Ok(Err(error)) = answer.recv() {
            tracing::warn!(%error, "an evaluation could not be kept");
        }
    }
}
