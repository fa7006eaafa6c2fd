//! Packing loose objects now and then: each record adds about ten.

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use stratum_core::ports::RepositoryError;

use crate::failure::git as failed;
use crate::git::{GitCall, GitOutput};
use crate::open::GitRepository;
use crate::shadow;

/// Fewer loose objects than this are left as they are.
const ENOUGH: usize = 2_000;
/// So many packs of a mirror become one: each is looked through for an object that is not there.
const PACKS: usize = 40;

impl GitRepository {
    /// Packs the loose objects when there are more than two thousand, and answers how many were
    /// packed.
    ///
    /// *Guarantees*: no object is lost or removed, whether or not a ref leads to it; the
    /// repository's configuration is not read, so it cannot name a program. May run while others
    /// read and write.
    pub fn maintain(&self) -> Result<usize, RepositoryError> {
        let packed = self.pack(ENOUGH)?;
        self.join_packs()?;
        Ok(packed)
    }

    /// Makes one pack of the many of a mirror; where people push to, git does that itself.
    ///
    /// *Guarantees*: no object is lost, whether or not a ref leads to it. The configuration that
    /// git reads there is ours.
    fn join_packs(&self) -> Result<(), RepositoryError> {
        if !self.is_mirror() || self.packs().map_err(failed("list the packs"))? < PACKS {
            return Ok(());
        }
        let arguments = ["repack", "-a", "-d", "--keep-unreachable", "--quiet"];
        let call = GitCall::new(self.git_dir(), &arguments, self.timeout);
        let output = self.git.run(&call).map_err(failed("join the packs"))?;
        match output.code {
            Some(0) => Ok(()),
            Some(_) | None => Err(failed("join the packs")(output.complaint)),
        }
    }

    fn packs(&self) -> std::io::Result<usize> {
        let objects = self
            .pool
            .with(|repository| repository.objects.store_ref().path().to_owned());
        let is_pack = |entry: &std::fs::DirEntry| {
            let path = entry.path();
            path.extension().is_some_and(|ending| ending == "pack")
        };
        match std::fs::read_dir(objects.join("pack")) {
            Ok(entries) => Ok(entries.flatten().filter(is_pack).count()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn pack(&self, enough: usize) -> Result<usize, RepositoryError> {
        let (objects, hash) = self.pool.with(|repository| {
            (
                repository.objects.store_ref().path().to_owned(),
                repository.object_hash(),
            )
        });
        let ids = loose(&objects).map_err(failed("list the loose objects"))?;
        if ids.len() < enough {
            return Ok(0);
        }
        let place = self.state_folder();
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&place);
        let folder = made.and_then(|()| {
            tempfile::Builder::new()
                .prefix("packing-")
                .tempdir_in(&place)
        });
        let folder = folder.map_err(failed(format!("make a folder in `{}`", place.display())))?;
        shadow::make(folder.path(), hash)
            .map_err(failed(format!("make `{}`", folder.path().display())))?;
        let packed = self.pack_through(folder.path(), &objects, &ids);
        let path = folder.path().display().to_string();
        folder.close().map_err(failed(format!("remove `{path}`")))?;
        packed.map(|()| ids.len())
    }

    /// Lets git work on the objects through a git folder of ours, which has no refs, no hooks and
    /// no configuration of theirs.
    fn pack_through(
        &self,
        folder: &Path,
        objects: &Path,
        ids: &[String],
    ) -> Result<(), RepositoryError> {
        let prefix = objects.join("pack/pack").into_os_string().into_string();
        let prefix = prefix
            .map_err(|path| failed("pack the loose objects")(format!("{path:?} is not UTF-8")))?;
        let mut input = ids.join("\n").into_bytes();
        input.push(b'\n');
        let call = |arguments: &[&str], input| {
            let mut call = GitCall::new(folder, arguments, self.timeout);
            call.environment = vec![("GIT_OBJECT_DIRECTORY".to_owned(), OsString::from(objects))];
            call.input = input;
            done(
                self.git
                    .run(&call)
                    .map_err(failed("pack the loose objects"))?,
            )
        };
        std::fs::create_dir_all(objects.join("pack"))
            .map_err(failed("make the folder of packs"))?;
        call(&["pack-objects", "--quiet", "--non-empty", &prefix], input)?;
        call(&["prune-packed", "--quiet"], Vec::new())
    }
}

fn done(output: GitOutput) -> Result<(), RepositoryError> {
    match output.code {
        Some(0) => Ok(()),
        Some(_) | None => Err(failed("pack the loose objects")(output.complaint)),
    }
}

/// The ids of all loose objects.
fn loose(objects: &Path) -> std::io::Result<Vec<String>> {
    let mut ids = Vec::new();
    for folder in std::fs::read_dir(objects)? {
        let folder: PathBuf = folder?.path();
        let Some(start) = hexadecimal(&folder, 2) else {
            continue;
        };
        for file in std::fs::read_dir(&folder)? {
            let file = file?.path();
            let rest = hexadecimal(&file, 38).or_else(|| hexadecimal(&file, 62));
            ids.extend(rest.map(|rest| format!("{start}{rest}")));
        }
    }
    Ok(ids)
}

fn hexadecimal(path: &Path, length: usize) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let fits = name.len() == length && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| name.to_owned())
}
