//! The tree of the inputs: the tree of a commit without the records in it.

use gix::objs::tree::Editor;
use gix::{ObjectId, Repository};

use crate::weighed::Weighed;

/// The folder of the records, wherever they are committed.
const RECORDS: [&str; 2] = ["knowledge", "executions"];

/// The id of the tree without `knowledge/executions/`.
///
/// *Guarantees*: nothing is written; a tree without that folder is its own inputs. So a record
/// never changes the inputs, also where `records.branch` is the watched branch itself.
pub(crate) fn inputs(repository: &Repository, tree: ObjectId) -> Result<ObjectId, gix::Error> {
    let root = Weighed(repository).object(tree)?.try_into_tree()?;
    if root.lookup_entry(RECORDS)?.is_none() {
        return Ok(tree);
    }
    let hash = repository.object_hash();
    let mut editor = Editor::new(root.decode()?.into(), &repository.objects, hash);
    editor.remove(RECORDS.map(gix::bstr::BStr::new))?;
    editor.write(|tree| {
        let mut bytes = Vec::new();
        gix::objs::WriteTo::write_to(tree, &mut bytes).map_err(gix::Error::from_error)?;
        gix::objs::compute_hash(hash, gix::objs::Kind::Tree, &bytes)
    })
}
