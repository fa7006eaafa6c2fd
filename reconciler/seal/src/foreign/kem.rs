//! ML-KEM through OpenSSL's `EVP_PKEY_encapsulate` and `EVP_PKEY_decapsulate`.
//!
//! The crate openssl wraps the keys but not yet these two calls.
//! *Source*: OpenSSL 3.5, EVP_PKEY_encapsulate(3), EVP_PKEY_decapsulate(3), EVP_KEM-ML-KEM(7).
#![allow(
    unsafe_code,
    reason = "openssl has no safe encapsulate and decapsulate"
)]

use std::ptr;

use foreign_types::ForeignTypeRef;
use openssl::pkey::{HasPrivate, HasPublic, PKeyRef};
use openssl::pkey_ctx::PkeyCtx;
use openssl_sys as ffi;
use zeroize::Zeroizing;

use crate::backend::{KEM_CIPHERTEXT, Key};

/// The name of the parameter that fixes the randomness, as OpenSSL spells it.
const IKME: &std::ffi::CStr = c"ikme";

/// A ciphertext and its shared secret; `None` when OpenSSL fails.
///
/// `randomness` is for known answers only.
pub(crate) fn encapsulate<T: HasPublic>(
    public: &PKeyRef<T>,
    randomness: Option<&[u8; 32]>,
) -> Option<(Vec<u8>, Key)> {
    let context = PkeyCtx::new(public).ok()?;
    let mut ciphertext = vec![0; KEM_CIPHERTEXT];
    let mut secret = Zeroizing::new([0; 32]);
    let (mut length, mut secret_length) = (ciphertext.len(), secret.len());
    let mut fixed = randomness.copied().map(Zeroizing::new);
    // SAFETY: OSSL_PARAM_construct_* only store the pointers they are given; `fixed` and `IKME`
    // outlive `parameters`, and an array of parameters ends with OSSL_PARAM_construct_end.
    let parameters = fixed.as_mut().map(|bytes| unsafe {
        let data = bytes.as_mut_ptr().cast();
        let value = ffi::OSSL_PARAM_construct_octet_string(IKME.as_ptr(), data, bytes.len());
        [value, ffi::OSSL_PARAM_construct_end()]
    });
    let parameters = parameters.as_ref().map_or(ptr::null(), |all| all.as_ptr());
    // SAFETY: `context` is a live EVP_PKEY_CTX for the length of this call and holds its own
    // reference to the key; `parameters` is null or an ended array that lives until it returns.
    if unsafe { ffi::EVP_PKEY_encapsulate_init(context.as_ptr(), parameters) } != 1 {
        return None;
    }
    // SAFETY: each pointer is to a live buffer of the length that the size beside it says; OpenSSL
    // checks the sizes before it writes, and writes back how much it wrote.
    let done = unsafe {
        ffi::EVP_PKEY_encapsulate(
            context.as_ptr(),
            ciphertext.as_mut_ptr(),
            &raw mut length,
            secret.as_mut_ptr(),
            &raw mut secret_length,
        )
    };
    (done == 1 && length == KEM_CIPHERTEXT && secret_length == 32).then_some((ciphertext, secret))
}

/// The shared secret in `ciphertext`; `None` when OpenSSL fails.
pub(crate) fn decapsulate<T: HasPrivate>(secret: &PKeyRef<T>, ciphertext: &[u8]) -> Option<Key> {
    let context = PkeyCtx::new(secret).ok()?;
    // SAFETY: `context` is a live EVP_PKEY_CTX that holds its own reference to the key; no
    // parameters are given.
    if unsafe { ffi::EVP_PKEY_decapsulate_init(context.as_ptr(), ptr::null()) } != 1 {
        return None;
    }
    let mut shared = Zeroizing::new([0; 32]);
    let mut length = shared.len();
    // SAFETY: both pointers are to live buffers of the lengths beside them; OpenSSL checks both
    // before it reads or writes.
    let done = unsafe {
        ffi::EVP_PKEY_decapsulate(
            context.as_ptr(),
            shared.as_mut_ptr(),
            &raw mut length,
            ciphertext.as_ptr(),
            ciphertext.len(),
        )
    };
    (done == 1 && length == 32).then_some(shared)
}
