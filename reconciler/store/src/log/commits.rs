//! The key of the log, as it signs the commits of records.
//!
//! A signature of a commit and one of a checkpoint cannot be taken for each other: what is signed
//! begins with `SSHSIG` here, and with the name of the log there.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use stratum_core::ports::{
    CommitSigner, NoteAlgorithm, NoteError, NoteKeys, NoteSigner, StoreError,
};
use stratum_core::secret::Secret;
use stratum_core::sshsig::{self, SshSignature};

use crate::log::files;
use crate::log::keys::{KeyError, LogKey, public};
use crate::log::log_folder;
use crate::log::note::Verifier;
use crate::log::place::KEYS;

/// Signs commits with the Ed25519 half of the log's key pair.
pub struct CommitKey {
    signer: Arc<dyn NoteSigner>,
    pair: Secret,
    public: NoteKeys,
}

impl CommitKey {
    /// The key of the log beside the state at `path`; made where there never was one.
    ///
    /// *Errors*: [`StoreError::Audit`] when it cannot be read.
    pub fn open(path: &Path, signer: Arc<dyn NoteSigner>) -> Result<Self, StoreError> {
        let folder = log_folder(path);
        let opened = LogKey::open(&folder.join("keys"), signer.as_ref());
        let key = opened.map_err(|error| StoreError::Audit {
            folder: folder.display().to_string(),
            passes: matches!(error, KeyError::File(_)),
            reason: error.to_string(),
        })?;
        let LogKey { pair, public, .. } = key;
        Ok(Self {
            signer,
            pair,
            public,
        })
    }
}

impl CommitSigner for CommitKey {
    fn sign(&self, payload: &[u8]) -> Result<String, NoteError> {
        let signed = self.signer.sign(&self.pair, &sshsig::to_sign(payload))?;
        Ok(sshsig::armored(&SshSignature {
            public: self.public.ed25519.clone(),
            signature: signed.ed25519,
        }))
    }
}

/// Verifies commits against the keys that this log was ever signed with.
pub struct CommitKeys {
    signer: Arc<dyn NoteSigner>,
    known: BTreeSet<Vec<u8>>,
}

impl CommitKeys {
    /// The keys of the log beside the state at `path`; none where there is no log.
    pub fn open(path: &Path, signer: Arc<dyn NoteSigner>) -> io::Result<Self> {
        let folder = log_folder(path);
        let mut lines = public(&folder.join("keys"))?;
        for part in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let text = files::read(&part.path().join(KEYS)).ok().flatten();
            let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
            lines.extend(text.lines().map(str::to_owned));
        }
        let verifiers = lines.iter().filter_map(|line| Verifier::parse(line).ok());
        let known = verifiers
            .filter(|verifier| verifier.algorithm == NoteAlgorithm::Ed25519)
            .map(|verifier| verifier.public)
            .collect();
        Ok(Self { signer, known })
    }

    /// The keys as they stand in an `allowed_signers` file, without names.
    pub fn lines(&self) -> Vec<String> {
        let known = self.known.iter();
        known.map(|key| sshsig::public_line(key)).collect()
    }

    /// Why a commit is not proven to be the reconciler's; `None` when it is.
    pub fn refuses(&self, payload: &[u8], signature: Option<&[u8]>) -> Option<&'static str> {
        let Some(signature) = signature else {
            return Some("it is not signed");
        };
        let Some(read) = sshsig::read(signature) else {
            return Some("its signature has not the form of the reconciler's");
        };
        if !self.known.contains(&read.public) {
            return Some("it is signed by a key that never signed this audit log");
        }
        let text = sshsig::to_sign(payload);
        let good = self
            .signer
            .verify(NoteAlgorithm::Ed25519, &read.public, &text, &read.signature);
        (!good).then_some("its signature is not one of this commit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_testkit::audit::TwinSigner;

    #[test]
    fn what_the_key_signs_is_its_own_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.db");
        let signer: Arc<dyn NoteSigner> = Arc::new(TwinSigner::new());
        let nobody = CommitKeys::open(&state, Arc::clone(&signer)).unwrap();
        let key = CommitKey::open(&state, Arc::clone(&signer)).unwrap();
        let text = key.sign(b"a commit").unwrap();
        let signature = Some(text.as_bytes());
        let keys = CommitKeys::open(&state, Arc::clone(&signer)).unwrap();
        assert_eq!(keys.refuses(b"a commit", signature), None);
        assert_eq!(keys.lines().len(), 1);
        let refused =
            |why: Option<&str>, part: &str| assert!(why.unwrap().contains(part), "{why:?}");
        refused(keys.refuses(b"a commit", None), "not signed");
        refused(
            keys.refuses(b"another", signature),
            "not one of this commit",
        );
        refused(keys.refuses(b"a commit", Some(b"-----BEGIN")), "form");
        refused(nobody.refuses(b"a commit", signature), "never signed");
    }
}
