//! What keeps a reconciler of this repository from its work whatever the environments say: their
//! rows are as old as the last time that something could be written or read.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::Serialize;
use stratum_core::ports::{Repository as _, RepositoryError};
use stratum_store::log_folder;

use crate::context::Place;
use crate::failure::CommandError;
use crate::style::{Mark, Role, Theme, one_line};

/// With less than this nothing can be written down, in bytes.
const FULL: u64 = 1 << 20;

/// One thing that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Trouble {
    /// What it is about: `disk`, `repository` or `remote`.
    pub(crate) about: &'static str,
    /// What is wrong.
    pub(crate) sentence: String,
    /// What to do.
    pub(crate) next: String,
}

/// All that is in the way now.
pub(crate) fn of(place: &Place) -> Vec<Trouble> {
    let remote = place.repository.unreached().map(|error| Trouble {
        about: "remote",
        sentence: format!("{error}; all is as it was when it was fetched last"),
        next: "`git ls-remote` with the same address: it needs the same network and keys"
            .to_owned(),
    });
    let head = place.repository.resolve("HEAD").err().map(of_head);
    let mut troubles: Vec<Trouble> = remote.into_iter().chain(head).collect();
    troubles.extend(disks(place));
    troubles
}

fn of_head(error: RepositoryError) -> Trouble {
    let error = CommandError::from(error);
    Trouble {
        about: "repository",
        sentence: one_line(error.message()),
        next: error.hints().join("; "),
    }
}

/// Each disk that is full, once.
fn disks(place: &Place) -> Vec<Trouble> {
    let log = log_folder(&place.state);
    let folders = [
        (place.state_folder(), "the state is"),
        (log.as_path(), "the audit log is"),
        (place.repository.git_dir(), "the repository is"),
    ];
    let mut seen = Vec::new();
    let mut troubles = Vec::new();
    for (folder, what) in folders {
        let there = folder.ancestors().find(|folder| folder.exists());
        let device = there.and_then(|folder| Some(folder.metadata().ok()?.dev()));
        let (Some(there), Some(device)) = (there, device) else {
            continue;
        };
        if seen.contains(&device) {
            continue;
        }
        seen.push(device);
        troubles.extend(full(there).map(|why| {
            Trouble {
                about: "disk",
                sentence: format!(
                    "the disk is full where {what} (`{}`): {why}",
                    there.display()
                ),
                next:
                    "`df -h` and `df -i` show what is full; it goes on by itself when there is room"
                        .to_owned(),
            }
        }));
    }
    troubles
}

/// Why nothing can be written in a folder, if the disk is full.
fn full(folder: &Path) -> Option<String> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let blocks = match rustix::process::geteuid().is_root() {
        // What is set aside for root is root's.
        true => disk.f_bfree,
        false => disk.f_bavail,
    };
    let free = blocks.saturating_mul(disk.f_frsize);
    if disk.f_blocks > 0 && free < FULL {
        return Some(format!("{} kB are free", free >> 10));
    }
    (disk.f_files > 0 && disk.f_ffree == 0).then(|| "it has no room for another file".to_owned())
}

/// The lines below the environments.
pub(crate) fn text(theme: &Theme, troubles: &[Trouble]) -> String {
    let one = |trouble: &Trouble| {
        let mark = theme.mark(Mark::Bad);
        let said = theme.wrapped(0, &format!("{mark} {}", one_line(&trouble.sentence)));
        let said = theme.paint(Role::Bad, said.trim_end());
        let next = theme.wrapped(4, &format!("next: {}", trouble.next));
        format!("\n{said}\n{next}")
    };
    troubles.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_to_do() {
        let one = Trouble {
            about: "disk",
            sentence: "the disk is full where the state is (`/x`): 3 kB are free".to_owned(),
            next: "`df -h`".to_owned(),
        };
        let expected = "\n!! the disk is full where the state is (`/x`): 3 kB are free\n    \
                        next: `df -h`\n";
        assert_eq!(text(&Theme::PLAIN, &[one]), expected);
    }
}
