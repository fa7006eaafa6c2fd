//! Writing objects, and remembering which, so that they can be flushed to disk.

use std::cell::RefCell;
use std::io::Read;

use gix::actor::Signature;
use gix::bstr::BStr;
use gix::objs::tree::EntryKind;
use gix::objs::{Commit, Data, Find, Kind, Write};
use gix::{ObjectId, Repository};
use stratum_core::ids::RunId;

use crate::durable;

/// The trailer by which a run's commit is known.
const TRAILER: &str = "Stratum-Run: ";

/// Writes the objects of one run into one repository.
pub(crate) struct Writer<'a> {
    pub(crate) repository: &'a Repository,
    committer: Signature,
    run: &'a RunId,
    written: RefCell<Vec<ObjectId>>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(repository: &'a Repository, committer: Signature, run: &'a RunId) -> Self {
        Self {
            repository,
            committer,
            run,
            written: RefCell::new(Vec::new()),
        }
    }

    /// The tree `base` with the files added.
    pub(crate) fn add(
        &self,
        base: ObjectId,
        files: &[(String, Vec<u8>)],
    ) -> Result<ObjectId, gix::Error> {
        let root = self.repository.find_tree(base)?;
        let hash = self.repository.object_hash();
        let mut editor = gix::objs::tree::Editor::new(root.decode()?.into(), self.repository, hash);
        for (path, bytes) in files {
            check(path)?;
            let blob = self.write_buf(Kind::Blob, bytes)?;
            editor.upsert(
                path.split('/').map(gix::bstr::BStr::new),
                EntryKind::Blob,
                blob,
            )?;
        }
        editor.write(|tree| self.write(tree))
    }

    /// A commit with the trailer of the run.
    pub(crate) fn commit(
        &self,
        tree: ObjectId,
        parent: Option<ObjectId>,
        message: &str,
    ) -> Result<ObjectId, gix::Error> {
        let message = message.trim_end();
        self.write(&Commit {
            tree,
            parents: parent.into_iter().collect(),
            author: self.committer.clone(),
            committer: self.committer.clone(),
            encoding: None,
            message: format!("{message}\n\n{TRAILER}{}\n", self.run).into(),
            extra_headers: Vec::new(),
        })
    }

    /// Flushes everything written through this writer.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        let objects = self.repository.objects.store_ref().path();
        durable::sync_objects(objects, &self.written.borrow())
    }
}

/// Whether a message has the trailer of this run.
pub(crate) fn is_of_run(message: &BStr, run: &RunId) -> bool {
    let trailer = format!("{TRAILER}{run}");
    lines(message).any(|line| line == trailer.as_bytes())
}

/// Whether a message has the trailer of any run: then the commit was made here.
pub(crate) fn is_of_a_run(message: &BStr) -> bool {
    lines(message).any(|line| line.starts_with(TRAILER.as_bytes()))
}

fn lines(message: &BStr) -> impl Iterator<Item = &[u8]> {
    message.split(|byte| *byte == b'\n')
}

/// Refuses names that git refuses in a tree: empty, `.`, `..`, `.git` and what file systems take
/// for it.
fn check(path: &str) -> Result<(), gix::Error> {
    for name in path.split('/') {
        let name = gix::bstr::BStr::new(name);
        let rules = gix::validate::path::component::Options {
            protect_windows: false,
            ..Default::default()
        };
        gix::validate::path::component(name, None, rules).map_err(gix::Error::from_error)?;
    }
    Ok(())
}

impl Find for Writer<'_> {
    fn try_find<'b>(
        &self,
        id: &gix::hash::oid,
        buffer: &'b mut Vec<u8>,
    ) -> gix::Result<Option<Data<'b>>> {
        self.repository.try_find(id, buffer)
    }
}

impl Write for Writer<'_> {
    fn write_buf_with_known_id(
        &self,
        kind: Kind,
        from: &[u8],
        id: ObjectId,
    ) -> gix::Result<ObjectId> {
        self.written.borrow_mut().push(id);
        self.repository.write_buf_with_known_id(kind, from, id)
    }

    fn write_buf(&self, kind: Kind, from: &[u8]) -> gix::Result<ObjectId> {
        let id = self.repository.write_buf(kind, from)?;
        self.written.borrow_mut().push(id);
        Ok(id)
    }

    fn write_stream(&self, kind: Kind, size: u64, from: &mut dyn Read) -> gix::Result<ObjectId> {
        let id = self.repository.write_stream(kind, size, from)?;
        self.written.borrow_mut().push(id);
        Ok(id)
    }

    fn write_stream_with_known_id(
        &self,
        kind: Kind,
        size: u64,
        from: &mut dyn Read,
        id: ObjectId,
    ) -> gix::Result<ObjectId> {
        self.written.borrow_mut().push(id);
        self.repository
            .write_stream_with_known_id(kind, size, from, id)
    }
}
