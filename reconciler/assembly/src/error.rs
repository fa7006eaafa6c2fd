//! What can go wrong while adapters are built, or asked together.

use std::io;
use std::path::PathBuf;

use stratum_core::ids::IdError;
use stratum_core::ports::{RepositoryError, StoreError};
use stratum_runtime::RuntimeError;
use stratum_seal::CryptoError;
use stratum_seal::keeper::UnsealError;
use stratum_seal::keys::{FileError, IdentityFileError, SealerKeyError};

/// What can go wrong while adapters are built, or asked together.
///
/// *Guarantees*: no variant holds a secret. What a person does about it is for the edge to say.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// The helpers of this program are this program, and it does not know where it lies.
    #[error("the path of this program cannot be found")]
    Program(#[source] io::Error),
    /// A provider has a name or a type that is none.
    #[error("a provider could not be made")]
    Provider(#[source] IdError),
    /// The backends that were chosen cannot be used.
    #[error("the crypto backend cannot be used")]
    Crypto(#[source] CryptoError),
    /// The system refuses what keeps secrets in a process.
    #[error("this process cannot keep secrets to itself")]
    Harden(#[source] io::Error),
    /// No sealer's key was named, and none is where it is looked for.
    #[error("there is no sealer key")]
    NoSealer,
    /// A file holds something else than a sealer's key.
    #[error("`{}` is not a sealer key", path.display())]
    SealerFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SealerKeyError,
    },
    /// No identity was named, and none is where it is looked for.
    #[error("there is no identity")]
    NoIdentity,
    /// A file holds something else than identities.
    #[error("`{}` is not a file of identities", path.display())]
    IdentityFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdentityFileError,
    },
    /// A file of a key cannot be read, or others may read it too.
    #[error("the key in `{}` cannot be used", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: FileError,
    },
    /// The identity that was given does not unseal the state.
    #[error("the state could not be unsealed")]
    Unseal(#[source] UnsealError),
    /// A text is not that of a sealed file.
    #[error("`{file}` is not a sealed file that can be read")]
    SealedFile {
        /// The file, from the top of the repository.
        file: String,
        /// The first finding about it.
        source: Option<io::Error>,
    },
    /// A path cannot be made absolute.
    #[error("`{}` is not a usable path", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file in which the operator names places cannot be read.
    #[error("could not read `{}`", file.display())]
    Roots {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line of that file is no absolute path.
    #[error("`{}` names `{line}`, which is not an absolute path", file.display())]
    RelativeRoot {
        /// The file.
        file: PathBuf,
        /// The line.
        line: String,
    },
    /// Who listens at the socket cannot be known.
    #[error("the system does not say who listens")]
    Listener(#[source] io::Error),
    /// Somebody else listens at the socket; nothing was sent there.
    #[error(
        "user {user} listens at `{}`, which is neither you nor root: nothing was sent there",
        socket.display()
    )]
    Stranger {
        /// Who listens.
        user: u32,
        /// The socket.
        socket: PathBuf,
        /// The folder in which it lies.
        folder: PathBuf,
    },
    /// Nobody listens at the socket.
    #[error("no reconciler listens at `{}`", socket.display())]
    NobodyListens {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is asked cannot be written.
    #[error("the request to the reconciler could not be written")]
    Request(#[source] serde_json::Error),
    /// Who listens at the socket did not answer, or not in a way that is understood.
    #[error("the reconciler did not answer")]
    NoAnswer,
    /// The keys of the audit log cannot be read.
    #[error("the keys of the audit log cannot be read")]
    LogKeys(#[source] io::Error),
    /// The state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The engine.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// An error with what is behind it, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
