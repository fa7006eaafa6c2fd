//! The logs of a service: bounded while they are written, and no reason for anything to end.
//!
//! The program writes into a *named pipe* that it holds open for reading too. So it does not die
//! when nobody reads (it waits when the pipe is full), and whoever comes after a watcher that was
//! killed reads on. The watcher copies what comes into `<name>.log`; at [`LIMIT`] that becomes
//! `<name>.log.1`, in place of the one before. What cannot be written, as on a full disk, is
//! dropped, and how much it was is said once there is room.
//!
//! The secrets that the program was given are taken out on the way. The last bytes are held back
//! while they may be the beginning of one, but not for longer than [`IDLE`].

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, fchmod, fchown, fstat, mknodat, openat};
use rustix::io::Errno;
use stratum_core::redact::{Redaction, Redactor};
use tokio::net::unix::pipe::Receiver;

use super::User;
use crate::private::Private;

/// The size at which a log is put aside; with the one before, twice as much lies there.
pub(crate) const LIMIT: u64 = 8 * 1024 * 1024;

/// What is read at once.
const PIECE: usize = 64 * 1024;

/// After this time without another byte, what was held back is written.
const IDLE: Duration = Duration::from_secs(1);

/// A log and the pipe that feeds it.
pub(crate) struct Log {
    folder: Arc<Private>,
    name: &'static str,
    pipe: Receiver,
    redaction: Redaction,
    file: Option<(File, u64)>,
    dropped: u64,
}

impl Log {
    /// Opens the log `name` in a folder, and makes its pipe when it is not there.
    ///
    /// *Errors*: the pipe cannot be made or opened; a file that cannot be is tried again later.
    pub(crate) fn open(
        folder: Arc<Private>,
        name: &'static str,
        redactor: &Redactor,
    ) -> io::Result<Self> {
        let pipe = open_pipe(&folder, name, OFlags::NONBLOCK)?;
        let _smaller_does_too = rustix::pipe::fcntl_setpipe_size(&pipe, 1 << 20);
        Ok(Self {
            pipe: Receiver::from_file_unchecked(File::from(pipe))?,
            redaction: redactor.stream(),
            folder,
            name,
            file: None,
            dropped: 0,
        })
    }

    /// The end that a program writes to, as `user` when it is another one's.
    pub(crate) fn end(&self, user: Option<&User>) -> io::Result<OwnedFd> {
        let end = open_pipe(&self.folder, self.name, OFlags::empty())?;
        if let Some(user) = user {
            // So that it can open `/dev/stdout` again.
            fchown(&end, Some(user.uid()), Some(user.gid()))?;
        }
        Ok(end)
    }

    /// Copies until this is dropped.
    pub(crate) async fn copy(&mut self) {
        loop {
            let held = self.redaction.held() > 0;
            tokio::select! {
                readable = self.pipe.readable() => match readable {
                    Ok(()) => self.take_over(),
                    Err(_) => break,
                },
                () = tokio::time::sleep(IDLE), if held => self.let_go(),
            }
            // One that never stops writing must not keep the others from their turn.
            tokio::task::yield_now().await;
        }
        std::future::pending().await
    }

    /// Copies what is in the pipe now: all that a program wrote that has ended.
    pub(crate) fn drain(&mut self) {
        self.take_all();
        self.let_go();
    }

    fn take_all(&mut self) {
        let mut piece = vec![0; PIECE];
        // Past the event loop, which may not have been told of it yet.
        while let Ok(count @ 1..) = rustix::io::read(&self.pipe, piece.as_mut_slice()) {
            self.pass(piece.get(..count).unwrap_or_default());
        }
    }

    /// Copies one piece, when there is one.
    fn take_over(&mut self) {
        let mut piece = vec![0; PIECE];
        if let Ok(count @ 1..) = self.pipe.try_read(&mut piece) {
            self.pass(piece.get(..count).unwrap_or_default());
        }
    }

    /// Writes what is safe to show by now.
    fn pass(&mut self, bytes: &[u8]) {
        let mut safe = Vec::with_capacity(bytes.len());
        self.redaction.push(bytes, &mut safe);
        self.write(&safe);
    }

    /// Writes what was held back.
    fn let_go(&mut self) {
        let mut rest = Vec::new();
        self.redaction.finish(&mut rest);
        self.write(&rest);
    }

    fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let written = self.write_dropped().and_then(|()| self.append(bytes));
        if written.is_err() {
            self.file = None;
            self.dropped = self.dropped.saturating_add(bytes.len() as u64);
        }
    }

    fn write_dropped(&mut self) -> io::Result<()> {
        if self.dropped > 0 {
            let said = format!("\n[{} bytes could not be written]\n", self.dropped);
            self.append(said.as_bytes())?;
            self.dropped = 0;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let log = format!("{}.log", self.name);
        let size = match &self.file {
            Some((_, size)) => *size,
            None => {
                let file = self.folder.appended(&log)?;
                let size = file.metadata()?.len();
                self.file = Some((file, size));
                size
            }
        };
        if size > 0 && size + bytes.len() as u64 > LIMIT {
            self.file = None;
            self.folder.rename(&log, &format!("{log}.1"))?;
            self.file = Some((self.folder.appended(&log)?, 0));
        }
        if let Some((file, size)) = &mut self.file {
            file.write_all(bytes)?;
            *size += bytes.len() as u64;
        }
        Ok(())
    }
}

/// Opens the pipe of a log, for reading and writing: so neither end ever waits for the other.
fn open_pipe(folder: &Private, name: &str, more: OFlags) -> io::Result<OwnedFd> {
    let name = format!("{name}.pipe");
    let mode = Mode::RUSR | Mode::WUSR;
    match mknodat(folder, &name, FileType::Fifo, mode, 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | more;
    let pipe = openat(folder, &name, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&pipe)?.st_mode) != FileType::Fifo {
        return Err(io::Error::other(format!("`{name}` is no pipe")));
    }
    fchmod(&pipe, mode)?;
    Ok(pipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::Nook;

    fn log(folder: &std::path::Path) -> (Log, File) {
        redacted(folder, &Redactor::default())
    }

    fn redacted(folder: &std::path::Path, redactor: &Redactor) -> (Log, File) {
        let nook = Nook {
            base: folder.join("own"),
            names: Vec::new(),
        };
        let log = Log::open(Arc::new(nook.make().unwrap()), "stdout", redactor).unwrap();
        let end = File::from(log.end(None).unwrap());
        (log, end)
    }

    fn size(folder: &std::path::Path, name: &str) -> u64 {
        std::fs::metadata(folder.join("own").join(name)).map_or(0, |file| file.len())
    }

    #[tokio::test]
    async fn a_log_is_bounded_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut end) = log(folder.path());
        let piece = vec![b'x'; 60_000];
        for _ in 0..500 {
            end.write_all(&piece).unwrap();
            log.drain();
        }
        assert!(size(folder.path(), "stdout.log") <= LIMIT);
        let old = size(folder.path(), "stdout.log.1");
        assert!(old <= LIMIT && old > LIMIT / 2, "{old}");
        let files = std::fs::read_dir(folder.path().join("own"))
            .unwrap()
            .count();
        assert_eq!(files, 3, "a pipe and two logs");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_dropped_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut end) = log(folder.path());
        let in_the_way = folder.path().join("own/stdout.log");
        std::fs::create_dir(&in_the_way).unwrap();
        end.write_all(b"lost\n").unwrap();
        log.drain();
        std::fs::remove_dir(&in_the_way).unwrap();
        end.write_all(b"kept\n").unwrap();
        log.drain();
        let text = std::fs::read_to_string(in_the_way).unwrap();
        assert_eq!(text, "\n[5 bytes could not be written]\nkept\n");
    }

    /// Whole, in pieces, over what is written last, and at the place where a log is put aside.
    #[tokio::test]
    async fn secrets_reach_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let redactor = Redactor::new(["hunter2hunter2"]);
        let (mut log, mut end) = redacted(folder.path(), &redactor);
        end.write_all(b"a hunter2hunter2 b hunter2").unwrap();
        log.take_all();
        end.write_all(b"hunter2 c\nhunter2h").unwrap();
        log.drain();
        let text = std::fs::read_to_string(folder.path().join("own/stdout.log")).unwrap();
        assert_eq!(text, "a (secret) b (secret) c\n(secret)");
        for _ in 0..200 {
            end.write_all(&b"hunter2hunter2 ".repeat(4_000)).unwrap();
            log.take_all();
        }
        log.drain();
        for name in ["stdout.log", "stdout.log.1"] {
            let text = std::fs::read_to_string(folder.path().join("own").join(name));
            assert!(!text.unwrap_or_default().contains("hunter2h"), "{name}");
        }
    }

    /// What is held back is written when nothing more comes.
    #[tokio::test]
    async fn the_end_of_a_line_is_not_held_back_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let redactor = Redactor::new(["hunter2hunter2"]);
        let (mut log, mut end) = redacted(folder.path(), &redactor);
        end.write_all(b"ready on port h").unwrap();
        let path = folder.path().join("own/stdout.log");
        let written = async {
            while std::fs::read_to_string(&path).ok().as_deref() != Some("ready on port h") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = log.copy() => {}
            done = tokio::time::timeout(Duration::from_secs(30), written) => done.unwrap(),
        }
    }

    /// The program lives on when its watcher is gone, and the next watcher reads what it wrote.
    #[tokio::test]
    async fn the_next_watcher_reads_on() {
        let folder = tempfile::tempdir().unwrap();
        let (first, mut end) = log(folder.path());
        drop(first);
        end.write_all(b"alone\n").unwrap();
        let (mut second, _) = log(folder.path());
        second.drain();
        let text = std::fs::read_to_string(folder.path().join("own/stdout.log")).unwrap();
        assert_eq!(text, "alone\n");
    }
}
