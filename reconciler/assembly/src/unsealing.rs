//! The socket over which a running reconciler is unsealed.
//!
//! *Shape*: `unseal.sock` beside the state, mode 0600. One line of JSON each way: [`Ask`], then
//! [`Answer`]. Only the same user, or root, is heard.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stratum_core::ports::{Secrets as _, Standing};
use stratum_core::secret::Secret;
use stratum_seal::Crypto;
use stratum_seal::age::Identity;
use stratum_seal::keeper::{Keeper, Unsealing};
use stratum_seal::keys;
use stratum_seal::share::{Share, ShareError, combine};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;

use crate::error::{AssemblyError, chain};

/// The most bytes of one request: a share of a set of 32 has about 2,000.
const LARGEST: u64 = 64 << 10;

/// The most bytes of the path of a socket. *Source*: `unix(7)`, `sun_path`.
const LONGEST_PATH: usize = 107;

/// What is asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// How does it stand?
    Standing,
    /// Take a share.
    Share(String),
    /// Take a whole file of identities.
    Identity(String),
    /// Forget the shares that were taken.
    Forget,
    /// Make a new data key, and wrap the state again under it.
    RotateStateKey,
}

/// What is answered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it is unsealed now.
    pub open: bool,
    /// How many different shares it has.
    pub have: u8,
    /// How many it needs; 0 before the first.
    pub need: u8,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where the socket is.
pub fn path(state: &Path) -> PathBuf {
    state.parent().unwrap_or(Path::new("/")).join("unseal.sock")
}

/// What runs after the keeper was unsealed or its key rotated: the state is wrapped again.
pub type Rewrap = Arc<dyn Fn() + Send + Sync>;

/// The shares so far, and the users of the machine who brought them.
#[derive(Default)]
struct Taken {
    shares: Vec<Share>,
    users: BTreeSet<u32>,
}

struct Desk {
    keeper: Keeper,
    crypto: Crypto,
    taken: Mutex<Taken>,
    rewrap: Rewrap,
}

/// Listens until the process ends. Where the socket cannot be made, that is said, and the
/// reconciler goes on without.
pub fn listen(state: &Path, keeper: Keeper, crypto: Crypto, rewrap: Rewrap) -> io::Result<()> {
    let path = path(state);
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(io::Error::other(
            "the path of the state is too long for a socket beside it",
        ));
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(&path);
    rustix::process::umask(before);
    let listener = listener?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let desk = Arc::new(Desk {
        keeper,
        crypto,
        taken: Mutex::default(),
        rewrap,
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let desk = Arc::clone(&desk);
            tokio::spawn(async move { desk.serve(stream).await });
        }
    });
    Ok(())
}

impl Desk {
    async fn serve(&self, mut stream: UnixStream) {
        let own = rustix::process::geteuid().as_raw();
        let peer = stream.peer_cred().map(|peer| peer.uid());
        let Ok(user) = peer else { return };
        if user != own && user != 0 {
            return;
        }
        let (reading, mut writing) = stream.split();
        let mut line = zeroize::Zeroizing::new(String::new());
        let mut reading = BufReader::new(reading.take(LARGEST));
        if reading.read_line(&mut line).await.is_err() {
            return;
        }
        let answer = match serde_json::from_str(&line) {
            Ok(ask) => self.answer(ask, user).await,
            Err(_) => refusal("the request is none that this version knows".to_owned()),
        };
        let mut text = serde_json::to_vec(&answer).unwrap_or_default();
        text.push(b'\n');
        // Whoever asked may be gone; what was asked is done.
        let _ = writing.write_all(&text).await;
    }

    async fn answer(&self, ask: Ask, user: u32) -> Answer {
        match ask {
            Ask::Standing => self.standing().await,
            Ask::Forget => {
                *self.taken.lock().await = Taken::default();
                self.standing().await
            }
            Ask::Share(text) => self.share(Secret::new(text.into_bytes()), user).await,
            Ask::Identity(text) => {
                let text = Secret::new(text.into_bytes());
                match keys::identities(&self.crypto, &text) {
                    Ok(identities) => {
                        let by = Unsealing {
                            users: vec![user],
                            ..Unsealing::by("socket")
                        };
                        self.unseal(identities, by).await
                    }
                    Err(error) => refusal(error.to_string()),
                }
            }
            Ask::RotateStateKey => match self.keeper.rotate(Timestamp::now()).await {
                Ok(()) => {
                    (self.rewrap)();
                    self.standing().await
                }
                Err(error) => refusal(chain(&error)),
            },
        }
    }

    async fn standing(&self) -> Answer {
        let taken = self.taken.lock().await;
        let first = taken.shares.first();
        Answer {
            open: self.keeper.standing() == Standing::Open,
            have: u8::try_from(taken.shares.len()).unwrap_or(u8::MAX),
            need: first.map_or(0, Share::needed),
            error: None,
        }
    }

    async fn share(&self, text: Secret, user: u32) -> Answer {
        let share = match Share::parse(&self.crypto, &text) {
            Ok(share) => share,
            Err(error) => return refusal(error.to_string()),
        };
        let (combined, users) = {
            let mut taken = self.taken.lock().await;
            let Taken { shares, users } = &mut *taken;
            if let Some(other) = shares.first().filter(|other| other.set() != share.set()) {
                return refusal(format!(
                    "the share is of the set `{}`, and those before are of `{}`; `--forget` forgets them",
                    share.set(),
                    other.set()
                ));
            }
            shares.retain(|other| other.index() != share.index());
            shares.push(share);
            users.insert(user);
            (combine(&self.crypto, shares), users.clone())
        };
        match combined {
            Ok(identity) => {
                let by = Unsealing {
                    users: users.into_iter().collect(),
                    ..Unsealing::by("shares")
                };
                let answer = self.unseal(vec![identity], by).await;
                if answer.open {
                    *self.taken.lock().await = Taken::default();
                }
                answer
            }
            Err(ShareError::TooFew { .. }) => self.standing().await,
            Err(error) => refusal(error.to_string()),
        }
    }

    async fn unseal(&self, identities: Vec<Identity>, by: Unsealing) -> Answer {
        match self.keeper.unseal(identities, by, Timestamp::now()).await {
            Ok(()) => {
                (self.rewrap)();
                self.standing().await
            }
            Err(error) => refusal(chain(&error)),
        }
    }
}

fn refusal(error: String) -> Answer {
    Answer {
        error: Some(error),
        ..Answer::default()
    }
}

/// Refuses whoever listens at a socket without being the reconciler of that state: it would be given
/// a share, or the whole identity.
///
/// *Guarantees*: the other end is this user or root. For root it may also be the user to whom the
/// state and its folder belong, if nobody else can write there.
fn trusted(
    stream: &std::os::unix::net::UnixStream,
    state: &Path,
    socket: &Path,
) -> Result<(), AssemblyError> {
    let own = rustix::process::geteuid().as_raw();
    let peer = rustix::net::sockopt::socket_peercred(stream)
        .map_err(|error| AssemblyError::Listener(error.into()))?;
    let peer = peer.uid.as_raw();
    let folder = state.parent().unwrap_or(Path::new("/"));
    if peer == own || peer == 0 || (own == 0 && keeps(peer, state, folder)) {
        return Ok(());
    }
    Err(AssemblyError::Stranger {
        user: peer,
        socket: socket.to_owned(),
        folder: folder.to_owned(),
    })
}

/// Whether a state and its folder are a user's, and nobody else may write to the folder.
fn keeps(user: u32, state: &Path, folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let of = |path: &Path| fs::symlink_metadata(path).ok();
    let folder = of(folder)
        .is_some_and(|found| found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0);
    folder && of(state).is_some_and(|found| found.is_file() && found.uid() == user)
}

/// Asks the reconciler that works on a state.
pub fn ask(state: &Path, ask: &Ask) -> Result<Answer, AssemblyError> {
    use std::io::{BufRead as _, Write as _};
    let path = path(state);
    let failed = |source: io::Error| AssemblyError::NobodyListens {
        socket: path.clone(),
        source,
    };
    let mut stream = std::os::unix::net::UnixStream::connect(&path).map_err(failed)?;
    trusted(&stream, state, &path)?;
    let mut line =
        zeroize::Zeroizing::new(serde_json::to_vec(ask).map_err(AssemblyError::Request)?);
    line.push(b'\n');
    stream.write_all(&line).map_err(failed)?;
    let mut text = String::new();
    io::BufReader::new(stream)
        .read_line(&mut text)
        .map_err(failed)?;
    serde_json::from_str(&text).map_err(|_| AssemblyError::NoAnswer)
}
