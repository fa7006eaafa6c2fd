//! Objects are weighed before they are read: their headers say how large they are.
//!
//! What was pushed is not trusted when it is read here, so whoever may push must not decide how
//! much memory that takes.

use gix::objs::{Data, Find, Kind};
use gix::{Commit, Object, ObjectId, Repository};
use thiserror::Error;

/// The most bytes of a file that is read.
pub(crate) const BLOB: u64 = 16 << 20;
/// The most bytes of a commit or a tag, its message and signature included.
pub(crate) const COMMIT: u64 = 1 << 20;
/// The most bytes of one folder: about 100,000 entries.
pub(crate) const FOLDER: u64 = 4 << 20;

/// An object that is larger than is read.
#[derive(Debug, Clone, Error)]
#[error("the {kind} `{id}` has {bytes} bytes; the most that is read is {most}")]
pub(crate) struct TooLarge {
    pub(crate) kind: &'static str,
    pub(crate) id: ObjectId,
    pub(crate) bytes: u64,
    pub(crate) most: u64,
}

/// A repository that gives no object that is larger than its kind may be.
#[derive(Clone, Copy)]
pub(crate) struct Weighed<'r>(pub(crate) &'r Repository);

impl<'r> Weighed<'r> {
    /// The object, after its header was looked at.
    pub(crate) fn object(self, id: ObjectId) -> Result<Object<'r>, gix::Error> {
        let header = self.0.find_header(id)?;
        weigh(id, header.kind(), header.size()).map_err(gix::Error::from_error)?;
        self.0.find_object(id)
    }

    /// The commit of this id.
    pub(crate) fn commit(self, id: ObjectId) -> Result<Commit<'r>, gix::Error> {
        let header = self.0.find_header(id)?;
        weigh(id, header.kind(), header.size()).map_err(gix::Error::from_error)?;
        self.0.find_commit(id)
    }
}

impl Find for Weighed<'_> {
    fn try_find<'b>(
        &self,
        id: &gix::hash::oid,
        buffer: &'b mut Vec<u8>,
    ) -> gix::Result<Option<Data<'b>>> {
        let Some(header) = self.0.try_find_header(id)? else {
            return Ok(None);
        };
        weigh(id.to_owned(), header.kind(), header.size()).map_err(gix::Error::from_error)?;
        self.0.objects.try_find(id, buffer)
    }
}

fn weigh(id: ObjectId, kind: Kind, bytes: u64) -> Result<(), TooLarge> {
    let (kind, most) = match kind {
        Kind::Blob => ("file", BLOB),
        Kind::Tree => ("folder", FOLDER),
        Kind::Commit => ("commit", COMMIT),
        Kind::Tag => ("tag", COMMIT),
    };
    match bytes > most {
        true => Err(TooLarge {
            kind,
            id,
            bytes,
            most,
        }),
        false => Ok(()),
    }
}

/// What was too large, if that is what the error says.
pub(crate) fn too_large<'a>(
    error: &'a (dyn std::error::Error + Send + Sync + 'static),
) -> Option<&'a TooLarge> {
    let inner = error.downcast_ref::<gix::Error>();
    inner
        .and_then(|inner| inner.downcast_any_ref::<TooLarge>())
        .or_else(|| error.downcast_ref::<TooLarge>())
}
