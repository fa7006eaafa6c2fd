//! An identity in n shares, of which k open it.
//!
//! Shamir's scheme over GF(256), with what it lacks: each share says which set it is of, has a
//! checksum, and carries a commitment to every share of the set and to the identity. So a share that
//! is damaged, foreign or forged is named, and a wrong identity never comes out.
//!
//! *Shape*: a line `STRATUM-SHARE-1…` (Bech32) of
//!
//! ```text
//! 1 byte   version: 1        1 byte   k       1 byte   n       1 byte   index, from 1
//! 32 bytes the share         32 bytes SHA-256 of the identity's public key
//! n times  32 bytes          commitments: SHA-256 of the set's salt, an index and its share
//! 16 bytes salt
//! 4 bytes  checksum: the first of SHA-256 of everything before
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;

use rand_core::{TryCryptoRng, TryRng};
use stratum_core::secret::Secret;
use vsss_rs::Gf256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::age::Identity;
use crate::backend::{Algorithm, Crypto, CryptoError, random};
use crate::bech;

const PREFIX: &str = "stratum-share-";
const VERSION: u8 = 1;
const COMMITMENT: &[u8] = b"stratum-share-v1\0";

/// The most shares of a set: each one carries a commitment to all.
pub const MOST: u8 = 32;

/// What is wrong with shares. Nothing of a share is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Shares cannot be made like that.
    #[error("shares need 2 <= k <= n <= {MOST}; {k} of {n} was asked for")]
    Numbers {
        /// How many open it.
        k: u8,
        /// How many there are.
        n: u8,
    },
    /// Only a hybrid identity is split.
    #[error("only an identity `AGE-SECRET-KEY-PQ-1…` can be split")]
    Kind,
    /// It is no share.
    #[error("it is no share: one line `STRATUM-SHARE-1…`, complete, is expected")]
    Malformed,
    /// Its checksum is wrong.
    #[error(
        "the share is damaged: its checksum is wrong; type it again, or look for a letter that was misread"
    )]
    Damaged,
    /// It is of another set than the first one.
    #[error("share {index} is of the set `{set}`, and the others are of the set `{other}`")]
    Foreign {
        /// Its number.
        index: u8,
        /// Its set.
        set: SetId,
        /// The set of the others.
        other: SetId,
    },
    /// It is not the share that the set committed to.
    #[error("share {index} was changed: it is not the one that its set was made with")]
    Forged {
        /// Its number.
        index: u8,
    },
    /// There are too few.
    #[error("{have} of {need} shares are there")]
    TooFew {
        /// How many different ones there are.
        have: u8,
        /// How many open it.
        need: u8,
    },
    /// What came out is not the identity.
    #[error("the shares do not give the identity that was split")]
    Wrong,
    /// Cryptography did not happen.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Names a set of shares: 8 bytes of SHA-256 of all that its shares have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId([u8; 8]);

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One share.
///
/// *Guarantees*: wiped when dropped; its `Debug` shows its number and set only.
pub struct Share {
    index: u8,
    part: Zeroizing<[u8; 32]>,
    common: Common,
    set: SetId,
}

/// What all shares of a set have in common.
#[derive(Clone, PartialEq, Eq)]
struct Common {
    k: u8,
    n: u8,
    public: [u8; 32],
    commitments: Vec<[u8; 32]>,
    salt: [u8; 16],
}

impl Common {
    fn set(&self, crypto: &Crypto) -> Result<SetId, CryptoError> {
        let numbers = [VERSION, self.k, self.n];
        let commitments = self.commitments.as_flattened();
        let parts: [&[u8]; 5] = [COMMITMENT, &numbers, &self.public, commitments, &self.salt];
        let hash = crypto.at(Algorithm::Sha256)?.sha256(&parts)?;
        let mut id = [0; 8];
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Ok(SetId(id))
    }

    fn commit(&self, crypto: &Crypto, index: u8, part: &[u8; 32]) -> Result<[u8; 32], CryptoError> {
        let backend = crypto.at(Algorithm::Sha256)?;
        backend.sha256(&[COMMITMENT, &self.salt, &[index], part])
    }
}

/// Splits a hybrid identity into `n` shares of which any `k` open it.
pub fn split(crypto: &Crypto, identity: &Identity, k: u8, n: u8) -> Result<Vec<Share>, ShareError> {
    if k < 2 || k > n || n > MOST {
        return Err(ShareError::Numbers { k, n });
    }
    let seed = identity.seed().ok_or(ShareError::Kind)?;
    let parts = Gf256::split_bytes(k.into(), n.into(), seed.as_slice(), Random);
    let mut parts = parts.map_err(|_| ShareError::Numbers { k, n })?;
    let mut common = Common {
        k,
        n,
        public: public(crypto, identity)?,
        commitments: Vec::new(),
        salt: *random::<16>()?,
    };
    let mut split = Vec::with_capacity(parts.len());
    for bytes in &mut parts {
        if let Some((index, part)) = bytes.split_first() {
            let part: [u8; 32] = part.try_into().map_err(|_| ShareError::Wrong)?;
            split.push((*index, Zeroizing::new(part)));
        }
        bytes.zeroize();
    }
    split.sort_by_key(|(index, _)| *index);
    for (index, part) in &split {
        common
            .commitments
            .push(common.commit(crypto, *index, part)?);
    }
    let set = common.set(crypto)?;
    let shares = split.into_iter().map(|(index, part)| Share {
        index,
        part,
        common: common.clone(),
        set,
    });
    Ok(shares.collect())
}

/// SHA-256 of the public key of an identity.
fn public(crypto: &Crypto, identity: &Identity) -> Result<[u8; 32], ShareError> {
    let recipient = identity.recipient().ok_or(ShareError::Kind)?;
    let text = recipient.to_string();
    Ok(crypto.at(Algorithm::Sha256)?.sha256(&[text.as_bytes()])?)
}

/// The identity behind shares: at least k different ones of one set.
///
/// *Errors*: `Foreign` and `Forged` name the share; `TooFew` counts.
pub fn combine(crypto: &Crypto, shares: &[Share]) -> Result<Identity, ShareError> {
    let first = shares
        .first()
        .ok_or(ShareError::TooFew { have: 0, need: 2 })?;
    let other = most_common(shares).unwrap_or(first.set);
    let mut different = BTreeMap::new();
    for share in shares {
        let (index, set) = (share.index, share.set);
        if set != other {
            return Err(ShareError::Foreign { index, set, other });
        }
        different.insert(index, share);
    }
    let need = different.values().next().map_or(2, |share| share.common.k);
    let have = different.len() as u8;
    if have < need {
        return Err(ShareError::TooFew { have, need });
    }
    let mut parts: Vec<Vec<u8>> = different
        .values()
        .take(need.into())
        .map(|share| [&[share.index], share.part.as_slice()].concat())
        .collect();
    let seed = Gf256::combine_bytes(&parts);
    parts.iter_mut().for_each(|part| part.zeroize());
    let seed = Zeroizing::new(seed.map_err(|_| ShareError::Wrong)?);
    let bytes: [u8; 32] = seed.as_slice().try_into().map_err(|_| ShareError::Wrong)?;
    let identity = Identity::from_seed(crypto, Zeroizing::new(bytes))?;
    if public(crypto, &identity)? == first.common.public {
        Ok(identity)
    } else {
        Err(ShareError::Wrong)
    }
}

/// The set that most of the shares are of.
fn most_common(shares: &[Share]) -> Option<SetId> {
    let mut counts: BTreeMap<SetId, usize> = BTreeMap::new();
    for share in shares {
        *counts.entry(share.set).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(set, _)| set)
}

impl Share {
    /// Reads a share; comments and empty lines around it say nothing.
    ///
    /// *Errors*: `Malformed`, `Damaged`, and `Forged` when it is not the share that its set
    /// committed to.
    pub fn parse(crypto: &Crypto, text: &Secret) -> Result<Self, ShareError> {
        let text = text.expose_text().ok_or(ShareError::Malformed)?;
        let mut lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(ShareError::Malformed);
        };
        if !line.to_ascii_lowercase().starts_with(PREFIX) {
            return Err(ShareError::Malformed);
        }
        let (prefix, bytes) = bech::decode(line, true).ok_or(ShareError::Damaged)?;
        if prefix != PREFIX {
            return Err(ShareError::Malformed);
        }
        Self::decode(crypto, &bytes)
    }

    fn decode(crypto: &Crypto, bytes: &[u8]) -> Result<Self, ShareError> {
        let (body, checksum) = bytes.split_last_chunk::<4>().ok_or(ShareError::Malformed)?;
        let hash = crypto.at(Algorithm::Sha256)?.sha256(&[body])?;
        if !hash.starts_with(checksum) {
            return Err(ShareError::Damaged);
        }
        let (head, rest) = body.split_first_chunk::<4>().ok_or(ShareError::Malformed)?;
        let [version, k, n, index] = *head;
        let sound = version == VERSION && 2 <= k && k <= n && n <= MOST && 1 <= index && index <= n;
        let (part, rest) = rest
            .split_first_chunk::<32>()
            .ok_or(ShareError::Malformed)?;
        let (public, rest) = rest
            .split_first_chunk::<32>()
            .ok_or(ShareError::Malformed)?;
        let (rest, salt) = rest.split_last_chunk::<16>().ok_or(ShareError::Malformed)?;
        let (commitments, []) = rest.as_chunks::<32>() else {
            return Err(ShareError::Malformed);
        };
        if !sound || commitments.len() != usize::from(n) {
            return Err(ShareError::Malformed);
        }
        let common = Common {
            k,
            n,
            public: *public,
            commitments: commitments.to_vec(),
            salt: *salt,
        };
        let committed = common.commitments.get(usize::from(index) - 1);
        if committed != Some(&common.commit(crypto, index, part)?) {
            return Err(ShareError::Forged { index });
        }
        Ok(Self {
            index,
            part: Zeroizing::new(*part),
            set: common.set(crypto)?,
            common,
        })
    }

    /// The text of a share, with a comment that says what it is.
    pub fn to_text(&self, crypto: &Crypto) -> Result<Secret, CryptoError> {
        let Common { k, n, .. } = self.common;
        let mut bytes = Zeroizing::new(Vec::with_capacity(128 + 32 * usize::from(n)));
        bytes.extend_from_slice(&[VERSION, k, n, self.index]);
        bytes.extend_from_slice(self.part.as_slice());
        bytes.extend_from_slice(&self.common.public);
        bytes.extend_from_slice(self.common.commitments.as_flattened());
        bytes.extend_from_slice(&self.common.salt);
        let hash = crypto.at(Algorithm::Sha256)?.sha256(&[&bytes])?;
        bytes.extend(hash.iter().take(4));
        let line = bech::encode_secret(PREFIX, &bytes).unwrap_or_default();
        let head = format!(
            "# Share {} of {n}; any {k} of the set {} open the identity. Keep it private.\n",
            self.index, self.set
        );
        let mut content = Zeroizing::new(Vec::with_capacity(head.len() + line.len() + 1));
        content.extend_from_slice(head.as_bytes());
        content.extend_from_slice(line.as_bytes());
        content.push(b'\n');
        Ok(Secret::new(std::mem::take(&mut *content)))
    }

    /// Its number, from 1.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// How many shares open the identity.
    pub fn needed(&self) -> u8 {
        self.common.k
    }

    /// How many shares there are.
    pub fn total(&self) -> u8 {
        self.common.n
    }

    /// Its set.
    pub fn set(&self) -> SetId {
        self.set
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Common { k, n, .. } = self.common;
        write!(
            f,
            "Share {} of {n} of the set {}, {k} needed",
            self.index, self.set
        )
    }
}

/// OpenSSL's generator, as `vsss-rs` asks for one.
struct Random;

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    #[allow(
        clippy::panic,
        reason = "the trait cannot say that there is no randomness, and shares without any are none"
    )]
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        if openssl::rand::rand_priv_bytes(bytes).is_err() {
            panic!("the system gives no random bytes");
        }
        Ok(())
    }
}

impl TryCryptoRng for Random {}
