//! Keys of people and of the reconciler, and the files they lie in.

mod file;
mod identity;
mod sealer;

pub use file::{FileError, read_private, write_private};
pub use identity::{IdentityFileError, identities, identity_file};
pub use sealer::{PublicHalves, Sealer, SealerKeyError};
