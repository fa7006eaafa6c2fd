//! Planted secrets, and the search for them: in files, in what was said, in processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Planted secrets; found anywhere but in the files that shall hold them, one leaked.
pub(crate) const CANARIES: [&str; 3] = [
    "canary-first-password-5b1e",
    "canary-second-password-93aa",
    "canary-of-the-program-77c0",
];

/// What processes showed of canaries, in their environment or their arguments.
#[derive(Default)]
pub(crate) struct Seen {
    /// Where none may be.
    pub(crate) leaks: BTreeSet<String>,
    /// How often a process had one that needs it: what `local_exec` runs.
    pub(crate) needed: usize,
}

impl Seen {
    pub(crate) fn merge(&mut self, other: Self) {
        self.leaks.extend(other.leaks);
        self.needed += other.needed;
    }

    /// Looks at every process that the tests began, and at those that these began.
    fn look(&mut self) {
        for pid in descendants() {
            let read = |name| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let name = String::from_utf8_lossy(&read("comm")).trim().to_owned();
            self.leaks
                .extend(leaks(&format!("arguments of {name}"), &read("cmdline")));
            let found = leaks(&format!("environment of {name}"), &read("environ"));
            match name == "sh" || name == "sleep" {
                true => self.needed += found.len(),
                false => self.leaks.extend(found),
            }
        }
    }
}

/// The processes that this one began, and those that they began.
fn descendants() -> BTreeSet<u32> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // `pid (name) state parent ...`
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let parent = rest.split(' ').nth(1).and_then(|word| word.parse().ok());
        parents.extend(parent.map(|parent: u32| (pid, parent)));
    }
    let mut found = BTreeSet::from([std::process::id()]);
    while let Some((pid, _)) = parents
        .iter()
        .find(|(pid, parent)| found.contains(parent) && !found.contains(pid))
    {
        found.insert(*pid);
    }
    found.remove(&std::process::id());
    found
}

/// Looks at processes again and again, until it is told to end.
pub(crate) struct Watch {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !told.load(Ordering::Relaxed) {
                seen.look();
                std::thread::sleep(Duration::from_millis(40));
            }
            seen
        });
        Self { ended, thread }
    }

    pub(crate) fn end(self) -> Seen {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// The files below `folder`, with what they hold.
pub(crate) fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&path, found),
            kind if kind.is_file() => {
                found.push((path.clone(), fs::read(path).unwrap_or_default()))
            }
            _ => {}
        }
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Where a canary is found: in the clear, in base64 (of both alphabets) at any of its three
/// offsets, or in hex.
pub(crate) fn leaks(place: &str, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for canary in CANARIES {
        let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![canary.to_owned(), hex.to_uppercase(), hex];
        // The letters that depend on what stands before and behind are left out.
        for (offset, skipped) in [(0, 0), (1, 2), (2, 3)] {
            let padded = [&b"xx"[..offset], canary.as_bytes()].concat();
            let text = STANDARD.encode(&padded);
            let text = text[skipped..text.len() - 4].to_owned();
            forms.push(text.replace('+', "-").replace('/', "_"));
            forms.push(text);
        }
        for form in forms {
            if holds(bytes, form.as_bytes()) {
                found.push(format!("{place} holds `{form}`"));
            }
        }
    }
    found
}
