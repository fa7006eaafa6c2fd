//! What can go wrong before the server answers.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use stratum_forge::webhook::WebhookError;

/// What can go wrong before the server answers. What a person does about it is for the edge to say.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken, or not one of this machine.
    #[error("`{address}` cannot be listened on")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The file of the token cannot be read.
    #[error("the token in `{}` cannot be read", file.display())]
    Token {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The token could be guessed.
    #[error("the token in `{}` has less than 16 bytes", file.display())]
    ShortToken {
        /// The file.
        file: PathBuf,
    },
    /// The file of the secret of the webhook cannot be read.
    #[error("the secret of the webhook in `{}` cannot be read", file.display())]
    Secret {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of TLS cannot be read, or holds something else.
    #[error("the file `{}` for TLS cannot be used", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The key is not that of the certificate.
    #[error(
        "the key in `{}` does not go with the certificate in `{}`",
        key.display(),
        certificates.display()
    )]
    Pair {
        /// The certificates.
        certificates: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The secret of the webhook is none.
    #[error("the secret of the webhook in `{}` cannot be used", file.display())]
    UnfitSecret {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: WebhookError,
    },
}
