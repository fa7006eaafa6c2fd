//! Sealed files, crypto backends, keys and their shares.
