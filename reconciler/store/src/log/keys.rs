//! The key pair of the log, made at its first use.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stratum_core::digest::Digest;
use stratum_core::ports::{NoteError, NoteKeys, NoteSigner};
use stratum_core::secret::Secret;
use thiserror::Error;

use crate::log::files;
use crate::log::note::Verifier;

const SECRET: &str = "log.key";
const PUBLIC: &str = "log.pub";
const HEAD: &str = "stratum audit key v1, keep it secret";

/// Why there is no key to sign with.
#[derive(Debug, Error)]
pub(crate) enum KeyError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// It is gone.
    #[error(
        "its key `{path}` is gone; put it back, or remove `{public}` too: a new key then begins \
         a new part of the log, and says so"
    )]
    Gone {
        /// Where it should be.
        path: PathBuf,
        /// Its public half.
        public: PathBuf,
    },
    /// It cannot be read.
    #[error("its key `{path}` cannot be read: {reason}")]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The cryptography failed.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// The key pair, and the name it signs under.
pub(crate) struct LogKey {
    pub(crate) pair: Secret,
    pub(crate) public: NoteKeys,
    /// The name of the log: `stratum-audit/<16 digits>`, from its public keys.
    pub(crate) name: String,
}

impl LogKey {
    /// Reads the pair in `folder`, or makes it when there never was one.
    pub(crate) fn open(folder: &Path, signer: &dyn NoteSigner) -> Result<Self, KeyError> {
        let (path, public) = (folder.join(SECRET), folder.join(PUBLIC));
        let pair = match files::read(&path)? {
            Some(bytes) => parse(&path, bytes)?,
            None if public.exists() => return Err(KeyError::Gone { path, public }),
            None => make(folder, &path, signer)?,
        };
        let keys = signer.public(&pair)?;
        let name = name(&keys);
        let text: String = Verifier::pair(&name, &keys)
            .iter()
            .map(|verifier| format!("{}\n", verifier.text()))
            .collect();
        if files::read(&public)?.as_deref() != Some(text.as_bytes()) {
            files::write_shared(&public, text.as_bytes())?;
            files::flush_folder(folder)?;
        }
        let public = keys;
        Ok(Self { pair, public, name })
    }
}

impl LogKey {
    /// Whether both halves are in `folder`; that they belong together is seen when it is opened.
    pub(crate) fn is_there(folder: &Path) -> bool {
        let path = folder.join(SECRET);
        let pair = files::read(&path).ok().flatten();
        pair.is_some_and(|bytes| parse(&path, bytes).is_ok()) && folder.join(PUBLIC).exists()
    }
}

/// Why nothing can be signed in the log `folder` any more: its key is gone. `None` where it is there,
/// never was, or where that cannot be told by whoever asks.
pub fn log_key_is_gone(folder: &Path) -> Option<String> {
    let folder = folder.join("keys");
    let (path, public) = (folder.join(SECRET), folder.join(PUBLIC));
    let gone = matches!(path.try_exists(), Ok(false)) && public.exists();
    gone.then(|| KeyError::Gone { path, public }.to_string())
}

/// The public keys in `folder`, as people pass them on; empty when there are none.
pub(crate) fn public(folder: &Path) -> io::Result<Vec<String>> {
    let text = files::read(&folder.join(PUBLIC))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(str::to_owned).collect())
}

fn name(keys: &NoteKeys) -> String {
    let digest = Digest::of_bytes(&[keys.ed25519.as_slice(), &keys.ml_dsa_65].concat());
    let digits: String = digest.to_string().chars().take(16).collect();
    format!("stratum-audit/{digits}")
}

fn make(folder: &Path, path: &Path, signer: &dyn NoteSigner) -> Result<Secret, KeyError> {
    let pair = signer.generate()?;
    let text = Secret::new(format!("{HEAD}\n{}\n", BASE64.encode(pair.expose())).into_bytes());
    files::folder(folder)?;
    let is_ours = files::write_new(path, text.expose())?;
    files::flush_folder(folder)?;
    match files::read(path)? {
        // The key that another process made meanwhile counts.
        Some(bytes) if !is_ours => parse(path, bytes),
        Some(_) | None => Ok(pair),
    }
}

fn parse(path: &Path, bytes: Vec<u8>) -> Result<Secret, KeyError> {
    let text = Secret::new(bytes);
    let damaged = |reason: &str| KeyError::Damaged {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let text = text.expose_text().ok_or_else(|| damaged("it is no text"))?;
    let (head, body) = text.split_once('\n').unwrap_or((text, ""));
    if head != HEAD {
        return Err(damaged(&format!("it does not begin with `{HEAD}`")));
    }
    let bytes = BASE64.decode(body.trim());
    let pair = Secret::new(bytes.map_err(|_| damaged("its second line is not base64"))?);
    match pair.expose().len() {
        64 => Ok(pair),
        _ => Err(damaged("it has not 64 bytes")),
    }
}
