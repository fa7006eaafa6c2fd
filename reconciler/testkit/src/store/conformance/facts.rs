//! Small facts by name.

use stratum_core::ports::Store;

use super::{Kept, done, same};

/// Facts are found by the beginnings of their names, written together, and forgotten.
pub(super) async fn are_kept_by_name(store: &dyn Store) -> Kept {
    let named = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let put = |name: &str, value: &[u8]| (name.to_owned(), Some(value.to_vec()));
    let changes = vec![put("a/2", b"two"), put("a/1", b"one"), put("b", b"\0\xff")];
    done("facts can be written", store.put_facts(changes).await)?;
    let found = done("facts can be read", store.facts("a/").await)?;
    let wanted = vec![named("a/1", b"one"), named("a/2", b"two")];
    same(
        "facts are found by the beginning of their name",
        found,
        wanted,
    )?;
    let changes = vec![put("b", b"new"), ("a/1".to_owned(), None)];
    done(
        "facts can be replaced and forgotten",
        store.put_facts(changes).await,
    )?;
    let found = done("facts can be read", store.facts("").await)?;
    let wanted = vec![named("a/2", b"two"), named("b", b"new")];
    same("a fact is what was written last", found, wanted)
}
