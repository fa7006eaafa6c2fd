//! Objects of git, read through one `git cat-file --batch` that stays.
//!
//! The hooks of a server need it: what is being pushed lies where only git looks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::git;

/// Reads objects of the repository of one folder.
pub(crate) struct Objects {
    folder: std::path::PathBuf,
    reader: Mutex<Option<Reader>>,
}

struct Reader {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// Whether it is a blob.
    pub(crate) is_blob: bool,
    /// Whether it is a commit or a tag, whose message people write.
    pub(crate) has_message: bool,
    /// How many bytes it has.
    pub(crate) size: u64,
    /// Its bytes, up to what was asked for.
    pub(crate) bytes: Vec<u8>,
}

impl Objects {
    /// Of the repository that holds `folder`; git is started when the first is asked for.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            reader: Mutex::new(None),
        }
    }

    /// The object `id`, at most its first `most` bytes.
    pub(crate) fn read(&self, id: &str, most: u64) -> io::Result<Object> {
        let mut slot = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reader = match slot.take() {
            Some(reader) => reader,
            None => Reader::start(&self.folder)?,
        };
        let object = reader.read(id, most)?;
        // After an error the answers may be out of step, so the reader is only kept without one.
        *slot = Some(reader);
        Ok(object)
    }
}

impl Reader {
    fn start(folder: &Path) -> io::Result<Self> {
        let mut child = git::command(folder)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            questions: child.stdin.take(),
            answers: BufReader::new(answers),
            child,
        })
    }

    /// *Source*: git-cat-file(1), BATCH OUTPUT: `<id> <type> <size>`, the bytes, a line end.
    fn read(&mut self, id: &str, most: u64) -> io::Result<Object> {
        let questions = self.questions.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(questions, "{id}")?;
        questions.flush()?;
        let mut head = String::new();
        self.answers.read_line(&mut head)?;
        let odd = || io::Error::other(format!("git answered `{}`", head.trim_end()));
        let mut words = head.split_whitespace().skip(1);
        let (kind, size) = (words.next().ok_or_else(odd)?, words.next().ok_or_else(odd)?);
        let size: u64 = size.parse().map_err(|_| odd())?;
        let mut bytes = Vec::new();
        self.answers
            .by_ref()
            .take(size.min(most))
            .read_to_end(&mut bytes)?;
        let rest = size.saturating_sub(most) + 1;
        io::copy(&mut self.answers.by_ref().take(rest), &mut io::sink())?;
        Ok(Object {
            is_blob: kind == "blob",
            has_message: matches!(kind, "commit" | "tag"),
            size,
            bytes,
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Without questions it ends by itself.
        self.questions = None;
        let _it_ended_before = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_one_after_the_other_and_missing_ones_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        git::run(folder.path(), &["init", "-q"]).unwrap();
        std::fs::write(folder.path().join("a"), "one\ntwo\n").unwrap();
        let id = git::text(folder.path(), &["hash-object", "-w", "a"]).unwrap();
        let tree = git::text(folder.path(), &["write-tree"]).unwrap();
        let objects = Objects::new(folder.path());
        for _ in 0..2 {
            let object = objects.read(&id, 100).unwrap();
            assert_eq!(
                (object.is_blob, object.bytes.as_slice()),
                (true, &b"one\ntwo\n"[..])
            );
            assert_eq!(objects.read(&id, 3).unwrap().bytes, b"one");
            assert!(!objects.read(&tree, 100).unwrap().is_blob);
            assert!(objects.read(&"0".repeat(40), 100).is_err());
        }
    }
}
