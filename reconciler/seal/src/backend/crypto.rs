//! Which backend does what, and which may not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

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
        "openssl" => Arc::new(openssl::OpenSsl::default()),
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
/// *Guarantees*: no algorithm is done by a backend that gave a wrong answer: it is asked for the
/// known one before the algorithm is used for the first time, once for all clones. Cheap to clone.
#[derive(Clone)]
pub struct Crypto {
    /// The preferred one first.
    backends: Arc<[Arc<dyn CryptoBackend>]>,
    chosen: Arc<BTreeMap<Algorithm, OnceLock<Chosen>>>,
}

impl Crypto {
    /// Chooses by names, the preferred one first, separated by commas: `oqs,openssl` takes from
    /// openssl what oqs may not do. One name alone gets no stand-in.
    ///
    /// *Errors*: for a name that does not exist or was not compiled in. A wrong answer is no error
    /// here but of every later use of that algorithm, and in [`Self::refusals`].
    pub fn choose(names: &str) -> Result<Self, CryptoError> {
        let backends: Result<Vec<_>, _> = names.split(',').map(str::trim).map(backend).collect();
        let places = Algorithm::ALL.map(|algorithm| (algorithm, OnceLock::new()));
        Ok(Self {
            backends: backends?.into(),
            chosen: Arc::new(BTreeMap::from(places)),
        })
    }

    /// The backend that does `algorithm`.
    ///
    /// *Errors*: `Refused`, naming the backend, the algorithm and the reason.
    pub fn at(&self, algorithm: Algorithm) -> Result<&dyn CryptoBackend, CryptoError> {
        match self.chosen(algorithm) {
            Some(Ok(backend)) => Ok(backend.as_ref()),
            Some(Err(refusal)) => Err(CryptoError::Refused(refusal.clone())),
            None => Err(CryptoError::Refused(nobody(algorithm))),
        }
    }

    /// What no chosen backend may do, for the doctor and the log. Asks for all known answers.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        let all = Algorithm::ALL.into_iter();
        all.filter_map(|algorithm| self.chosen(algorithm)?.as_ref().err())
    }

    /// Who does what, for the doctor. Asks for all known answers.
    pub fn table(&self) -> impl Iterator<Item = (Algorithm, Option<&'static str>)> {
        Algorithm::ALL.into_iter().map(|algorithm| {
            let chosen = self
                .chosen(algorithm)
                .and_then(|chosen| chosen.as_ref().ok());
            (algorithm, chosen.map(|backend| backend.name()))
        })
    }

    fn chosen(&self, algorithm: Algorithm) -> Option<&Chosen> {
        let place = self.chosen.get(&algorithm)?;
        Some(place.get_or_init(|| self.first(algorithm)))
    }

    /// The first backend that gives the known answer; else what the preferred one did wrong.
    fn first(&self, algorithm: Algorithm) -> Chosen {
        let mut refusal = None;
        for backend in self.backends.iter() {
            match known::check(backend.as_ref(), algorithm) {
                Ok(()) => return Ok(Arc::clone(backend)),
                Err(wrong) => refusal = refusal.or(Some(wrong)),
            }
        }
        Err(refusal.unwrap_or_else(|| nobody(algorithm)))
    }
}

fn nobody(algorithm: Algorithm) -> Refusal {
    Refusal::WrongAnswer {
        backend: "none",
        algorithm,
        reason: "no backend was chosen".to_owned(),
    }
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.table()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_answer_is_asked_for_before_the_first_use_and_not_earlier() {
        let crypto = Crypto::choose(DEFAULT).unwrap();
        let asked = || {
            let places = crypto.chosen.iter();
            let asked = places.filter(|(_, place)| place.get().is_some());
            asked.map(|(algorithm, _)| *algorithm).collect::<Vec<_>>()
        };
        assert_eq!(asked(), []);
        let clone = crypto.clone();
        assert!(clone.at(Algorithm::Ed25519).is_ok());
        assert_eq!(asked(), [Algorithm::Ed25519]);
        assert_eq!(clone.refusals().count(), 0);
        assert_eq!(asked().len(), Algorithm::ALL.len());
    }
}
