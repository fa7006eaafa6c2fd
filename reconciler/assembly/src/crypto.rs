//! The crypto backends of this process.

use std::sync::OnceLock;

use stratum_seal::Crypto;

use crate::error::AssemblyError;

/// The crypto backends that `STRATUM_CRYPTO` names, or the default; the same for the whole process.
pub fn crypto() -> Result<Crypto, AssemblyError> {
    static CHOSEN: OnceLock<Crypto> = OnceLock::new();
    if let Some(crypto) = CHOSEN.get() {
        return Ok(crypto.clone());
    }
    let names = std::env::var("STRATUM_CRYPTO").ok();
    let names = names.filter(|names| !names.is_empty());
    let names = names.as_deref().unwrap_or(stratum_seal::backend::DEFAULT);
    let chosen = Crypto::choose(names).map_err(AssemblyError::Crypto)?;
    Ok(CHOSEN.get_or_init(|| chosen).clone())
}
