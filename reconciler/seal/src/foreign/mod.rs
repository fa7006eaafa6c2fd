//! The calls into C that no safe wrapper offers. Nothing else in stratum is `unsafe`.

pub(crate) mod arenas;
pub(crate) mod kem;
pub(crate) mod lock;
