//! Which backend does what, and which may not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Algorithm, CryptoBackend, CryptoError, known, openssl};

/// The backend that is chosen when nobody says otherwise.
pub const DEFAULT: &str = "openssl";

/// The names of the backends that were compiled in.
pub const COMPILED: &[&str] = &[
    "openssl",
    #[cfg(feature = "oqs")]
    "oqs",
    #[cfg(feature = "aws-lc")]
    "aws-lc",
    #[cfg(feature = "rustcrypto")]
    "rustcrypto",
];

/// The names of all backends that there are.
const NAMES: [&str; 4] = ["openssl", "oqs", "aws-lc", "rustcrypto"];

/// Why a backend may not do something, or cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such name.
    #[error("`{name}` is no crypto backend; there are {}", list(&NAMES))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The program was built without it.
    #[error(
        "the crypto backend `{name}` was not compiled in; this program has {}",
        list(COMPILED)
    )]
    NotCompiled {
        /// What was asked for.
        name: String,
    },
    /// It gave another answer than the known one.
    #[error("`{backend}` may not do {}: {reason}", algorithm.name())]
    WrongAnswer {
        /// The backend.
        backend: &'static str,
        /// What it may not do.
        algorithm: Algorithm,
        /// What it did.
        reason: String,
    },
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// The backend of that name, untested. For tests and measurements; else use [`Crypto::choose`].
pub fn backend(name: &str) -> Result<Arc<dyn CryptoBackend>, CryptoError> {
    Ok(match name {
        "openssl" => Arc::new(openssl::OpenSsl::new()?),
        #[cfg(feature = "oqs")]
        "oqs" => Arc::new(super::oqs::Oqs::new()?),
        #[cfg(feature = "aws-lc")]
        "aws-lc" => Arc::new(super::aws_lc::AwsLc::new()?),
        #[cfg(feature = "rustcrypto")]
        "rustcrypto" => Arc::new(super::rustcrypto::RustCrypto),
        other if NAMES.contains(&other) => {
            let name = other.to_owned();
            return Err(CryptoError::Refused(Refusal::NotCompiled { name }));
        }
        other => {
            let name = other.to_owned();
            return Err(CryptoError::Refused(Refusal::Unknown { name }));
        }
    })
}

type Chosen = Result<Arc<dyn CryptoBackend>, Refusal>;

/// The chosen backends, each held to its known answers.
///
/// *Guarantees*: no algorithm is done by a backend that gave a wrong answer. Cheap to clone.
#[derive(Clone)]
pub struct Crypto {
    by_algorithm: BTreeMap<Algorithm, Chosen>,
}

impl Crypto {
    /// Chooses by names, the preferred one first, separated by commas: `oqs,openssl` takes from
    /// openssl what oqs may not do. One name alone gets no stand-in.
    ///
    /// *Errors*: for a name that does not exist or was not compiled in. A wrong answer is no error
    /// here but of every later use of that algorithm, and in [`Self::refusals`].
    pub fn choose(names: &str) -> Result<Self, CryptoError> {
        let mut by_algorithm: BTreeMap<Algorithm, Chosen> = BTreeMap::new();
        for name in names.split(',').map(str::trim) {
            let backend = backend(name)?;
            for algorithm in Algorithm::ALL {
                if !matches!(by_algorithm.get(&algorithm), Some(Ok(_))) {
                    let answer = known::check(backend.as_ref(), algorithm);
                    let chosen = answer.map(|()| Arc::clone(&backend));
                    by_algorithm.entry(algorithm).or_insert(chosen.clone());
                    if chosen.is_ok() {
                        by_algorithm.insert(algorithm, chosen);
                    }
                }
            }
        }
        Ok(Self { by_algorithm })
    }

    /// The backend that does `algorithm`.
    ///
    /// *Errors*: `Refused`, naming the backend, the algorithm and the reason.
    pub fn at(&self, algorithm: Algorithm) -> Result<&dyn CryptoBackend, CryptoError> {
        match self.by_algorithm.get(&algorithm) {
            Some(Ok(backend)) => Ok(backend.as_ref()),
            Some(Err(refusal)) => Err(CryptoError::Refused(refusal.clone())),
            None => Err(CryptoError::Refused(Refusal::WrongAnswer {
                backend: "none",
                algorithm,
                reason: "no backend was chosen".to_owned(),
            })),
        }
    }

    /// What no chosen backend may do, for the doctor and the log.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.by_algorithm
            .values()
            .filter_map(|chosen| chosen.as_ref().err())
    }

    /// Who does what, for the doctor.
    pub fn table(&self) -> impl Iterator<Item = (Algorithm, Option<&'static str>)> {
        self.by_algorithm.iter().map(|(algorithm, chosen)| {
            let name = chosen.as_ref().ok().map(|backend| backend.name());
            (*algorithm, name)
        })
    }
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.table()).finish()
    }
}
