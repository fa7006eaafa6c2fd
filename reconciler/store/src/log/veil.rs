//! Personal data: under one key a month, so that dropping the key drops the data and no hash.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use stratum_core::audit::Named;
use stratum_core::ports::{AuditError, NoteSigner, StoreError};
use stratum_core::secret::Secret;

use crate::log::files;

const CONTEXT: &[u8] = b"stratum/audit/people/v1";

/// People under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Veiled {
    /// The month whose key it is.
    pub(crate) month: String,
    /// A nonce of 12 bytes, then ChaCha20-Poly1305 over a JSON list of people; as base64.
    pub(crate) sealed: String,
}

/// The keys by month: files of their own beside the log.
pub(crate) struct Veils {
    folder: PathBuf,
    signer: Arc<dyn NoteSigner>,
    known: Mutex<BTreeMap<String, Arc<Secret>>>,
}

impl Veils {
    /// The keys in `folder`.
    pub(crate) fn new(folder: PathBuf, signer: Arc<dyn NoteSigner>) -> Self {
        let known = Mutex::default();
        Self {
            folder,
            signer,
            known,
        }
    }

    /// Puts people under the key of a month, which is made when there is none.
    pub(crate) fn veil(&self, month: &str, people: &[Named]) -> Result<Veiled, AuditError> {
        let key = match self.key(month).map_err(|error| self.failed(&error))? {
            Some(key) => key,
            None => self.make(month)?,
        };
        // A list of names always has a JSON form.
        let text = serde_json::to_vec(people).unwrap_or_default();
        let sealed = self.signer.veil(&key, CONTEXT, &text)?;
        Ok(Veiled {
            month: month.to_owned(),
            sealed: BASE64.encode(sealed),
        })
    }

    /// The people; `None` when the key was dropped.
    pub(crate) fn unveil(&self, veiled: &Veiled) -> io::Result<Option<Vec<Named>>> {
        let Some(key) = self.key(&veiled.month)? else {
            return Ok(None);
        };
        let sealed = BASE64.decode(&veiled.sealed).ok();
        let text = sealed.and_then(|sealed| self.signer.unveil(&key, CONTEXT, &sealed).ok());
        // A key that was dropped and made again does not open what stood under the one before.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    fn key(&self, month: &str) -> io::Result<Option<Arc<Secret>>> {
        let path = self.path(month);
        // The file is what counts: whoever drops it drops the key, also of a process that runs.
        if !path.exists() {
            self.known().remove(month);
            return Ok(None);
        }
        if let Some(key) = self.known().get(month) {
            return Ok(Some(Arc::clone(key)));
        }
        let Some(bytes) = files::read(&path)? else {
            return Ok(None);
        };
        let key = Arc::new(Secret::new(bytes));
        self.known().insert(month.to_owned(), Arc::clone(&key));
        Ok(Some(key))
    }

    /// Makes the key of a month; the one that another thread or process made meanwhile counts.
    fn make(&self, month: &str) -> Result<Arc<Secret>, AuditError> {
        let key = self.signer.generate_veil()?;
        let path = self.path(month);
        let written = files::folder(&self.folder)
            .and_then(|()| files::write_new(&path, key.expose()))
            .and_then(|_ours| files::flush_folder(&self.folder))
            .and_then(|()| self.key(month));
        written
            .and_then(|key| key.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|error| self.failed(&error))
    }

    fn path(&self, month: &str) -> PathBuf {
        self.folder.join(format!("{month}.key"))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Secret>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &io::Error) -> AuditError {
        AuditError::Store(trouble(&self.folder, error))
    }
}

/// The error of the port for what the system said.
pub(crate) fn trouble(folder: &Path, error: &io::Error) -> StoreError {
    StoreError::Audit {
        folder: folder.display().to_string(),
        reason: error.to_string(),
        passes: true,
    }
}
