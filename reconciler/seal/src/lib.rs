//! Sealed files, crypto backends, keys and their shares.
//!
//! ```text
//! backend/     CryptoBackend, four of them, known answers, and Crypto: who does what
//! age/         the age v1 format, with the recipients `mlkem768x25519`
//! place        where a value belongs, in one unambiguous encoding
//! signature    what a sealer signs, and how it is written down
//! value        seal, verify, open: one sealed value
//! keys/        a sealer's key, an identity, and their files
//! generate     passwords, private keys and certificates that stratum makes itself
//! share        an identity in n shares, of which k open it
//! rest         rows of the state under a data key
//! sops/        reading what SOPS sealed
//! memory       what keeps secrets from leaving the process by accident
//! ```
//!
//! *Guarantees*: pure but for randomness, the files under [`keys`] and [`memory`]. Every copy of a
//! key that this crate makes is wiped when it is dropped.

pub mod age;
pub mod backend;
mod bech;
mod foreign;
pub mod generate;
pub mod keeper;
pub mod keys;
pub mod memory;
pub mod place;
pub mod rest;
pub mod share;
pub mod signature;
pub mod sops;
pub mod value;

pub use backend::{Crypto, CryptoBackend, CryptoError};
pub use place::Place;
pub use signature::Policy;
pub use value::{Verified, open, seal, verify};
