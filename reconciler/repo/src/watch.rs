//! Waking up when refs change.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use stratum_core::ports::Wake;
use tokio::sync::watch;

use crate::open::GitRepository;

/// A ref moves by one rename, so this only gathers several refs of one push.
const DEBOUNCE: Duration = Duration::from_millis(12);
/// A new folder under `refs/` is looked at again after this long: what was put into it before it
/// was watched makes no event.
const NEW_FOLDER: Duration = Duration::from_millis(150);
/// Where the system gives no events the refs are looked at this often.
const WITHOUT_EVENTS: Duration = Duration::from_secs(2);

/// Watches the refs of a local repository; waits for the poll of a mirror.
///
/// *Guarantees*: a change after [`RefWatcher::new`] is never lost, whether or not somebody waits.
/// An event is a reason to look and nothing more: the waker lists the refs and compares.
pub struct RefWatcher {
    changes: watch::Sender<u64>,
    seen: AtomicU64,
    longest: Duration,
    _events: Option<RecommendedWatcher>,
}

impl RefWatcher {
    /// Begins to watch; make it before the refs are first read.
    ///
    /// Where the operating system refuses (too many watches), it says so in the log and polls.
    pub fn new(repository: &GitRepository) -> Self {
        let idle = Self::idle();
        if repository.is_mirror() {
            return idle;
        }
        match start(repository, &idle.changes) {
            Ok(events) => Self {
                _events: Some(events),
                ..idle
            },
            Err(error) => {
                tracing::warn!(%error, "changes cannot be watched: the refs are polled instead");
                Self {
                    longest: WITHOUT_EVENTS,
                    ..idle
                }
            }
        }
    }

    /// Watches nothing, for whoever looks only once; it can still be poked.
    pub fn idle() -> Self {
        let (changes, _) = watch::channel(0);
        Self {
            changes,
            seen: AtomicU64::new(0),
            longest: Duration::MAX,
            _events: None,
        }
    }

    /// Wakes whoever waits, as a webhook or a hook would.
    pub fn poke(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    async fn changed(&self) {
        let seen = self.seen.load(Ordering::Acquire);
        let mut changes = self.changes.subscribe();
        if changes.wait_for(|count| *count != seen).await.is_err() {
            // The sender is ours and lives as long as we do.
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(DEBOUNCE).await;
        // Only here, just before the caller looks: a wait that is dropped has seen nothing.
        self.seen.store(*self.changes.borrow(), Ordering::Release);
    }
}

#[async_trait]
impl Wake for RefWatcher {
    async fn wait(&self, at_most: Duration) {
        tokio::select! {
            () = self.changed() => (),
            () = tokio::time::sleep(at_most.min(self.longest)) => (),
        }
    }
}

fn start(
    repository: &GitRepository,
    changes: &watch::Sender<u64>,
) -> notify::Result<RecommendedWatcher> {
    let folder = repository.git_dir().to_owned();
    let own = repository.own_dir.clone();
    let sender = changes.clone();
    let (top, work_tree) = (folder.clone(), own.clone());
    let mut watcher =
        notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if matters(&event, &top, &work_tree) => tell(&sender, is_new_folder(&event)),
            Ok(_) => (),
            // Events were lost: a reason to look.
            Err(_) => tell(&sender, false),
        })?;
    watcher.watch(&folder.join("refs"), RecursiveMode::Recursive)?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    if own != folder {
        watcher.watch(&own, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

fn tell(sender: &watch::Sender<u64>, again: bool) {
    sender.send_modify(|count| *count += 1);
    if again {
        let sender = sender.clone();
        std::thread::spawn(move || {
            std::thread::sleep(NEW_FOLDER);
            sender.send_modify(|count| *count += 1);
        });
    }
}

/// Whether refs may have changed. Reading refs makes access events, and every write makes a lock.
fn matters(event: &Event, top: &Path, own: &Path) -> bool {
    if event.need_rescan() {
        return true;
    }
    match event.kind {
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => event.paths.iter().any(|path| is_ref(path, top, own)),
    }
}

fn is_ref(path: &PathBuf, top: &Path, own: &Path) -> bool {
    if path
        .extension()
        .is_some_and(|extension| extension == "lock")
    {
        return false;
    }
    // What is kept alive is our own.
    (path.starts_with(top.join("refs")) && !path.starts_with(top.join("refs/stratum")))
        || [top.join("packed-refs"), top.join("HEAD"), own.join("HEAD")].contains(path)
}

fn is_new_folder(event: &Event) -> bool {
    matches!(event.kind, EventKind::Create(_)) && event.paths.iter().any(|path| path.is_dir())
}
