//! Writing objects, and remembering which, so that they can be flushed to disk.

use std::cell::RefCell;
use std::io::Read;
use std::sync::Arc;

use gix::actor::Signature;
use gix::bstr::BStr;
use gix::objs::tree::EntryKind;
use gix::objs::{Commit, Data, Find, Kind, Write, WriteTo as _};
use gix::{ObjectId, Repository};
use stratum_core::ids::RunId;
use stratum_core::ports::CommitSigner;

use crate::durable;

/// The trailer by which a run's commit is known.
const TRAILER: &str = "Stratum-Run: ";

/// Writes the objects of one commit of records into one repository.
pub(crate) struct Writer<'a> {
    pub(crate) repository: &'a Repository,
    committer: Signature,
    signer: Option<Arc<dyn CommitSigner>>,
    written: RefCell<Vec<ObjectId>>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        repository: &'a Repository,
        committer: Signature,
        signer: Option<Arc<dyn CommitSigner>>,
    ) -> Self {
        Self {
            repository,
            committer,
            signer,
            written: RefCell::new(Vec::new()),
        }
    }

    /// The tree `base` with the files added.
    pub(crate) fn add<'f>(
        &self,
        base: ObjectId,
        files: impl Iterator<Item = &'f (String, Vec<u8>)>,
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

    /// A commit with the trailers of the runs, signed where there is a key.
    pub(crate) fn commit(
        &self,
        tree: ObjectId,
        parent: Option<ObjectId>,
        message: &str,
        runs: &[&RunId],
    ) -> Result<ObjectId, gix::Error> {
        let mut text = format!("{}\n\n", message.trim_end());
        for run in runs {
            text.push_str(&format!("{TRAILER}{run}\n"));
        }
        let mut commit = Commit {
            tree,
            parents: parent.into_iter().collect(),
            author: self.committer.clone(),
            committer: self.committer.clone(),
            encoding: None,
            message: text.into(),
            extra_headers: Vec::new(),
        };
        if let Some(signer) = &self.signer {
            let mut payload = Vec::new();
            commit
                .write_to(&mut payload)
                .map_err(gix::Error::from_error)?;
            let signature = signer.sign(&payload).map_err(gix::Error::from_error)?;
            let header = signature_header(self.repository.object_hash());
            commit.extra_headers.push((header.into(), signature.into()));
        }
        self.write(&commit)
    }

    /// Flushes everything written through this writer.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        let objects = self.repository.objects.store_ref().path();
        durable::sync_objects(objects, &self.written.borrow())
    }
}

/// The header that holds the signature of a commit.
pub(crate) fn signature_header(hash: gix::hash::Kind) -> &'static str {
    match hash {
        gix::hash::Kind::Sha256 => "gpgsig-sha256",
        _ => "gpgsig",
    }
}

/// The runs that the trailers of a message name.
pub(crate) fn runs_of(message: &BStr) -> impl Iterator<Item = &str> {
    let runs = lines(message).filter_map(|line| line.strip_prefix(TRAILER.as_bytes()));
    runs.filter_map(|run| std::str::from_utf8(run).ok())
}

/// Whether a message has the trailer of any run: then the commit was made here.
pub(crate) fn is_of_a_run(message: &BStr) -> bool {
    runs_of(message).next().is_some()
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
