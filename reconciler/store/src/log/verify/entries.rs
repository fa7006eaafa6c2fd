//! One part: its keys, every entry, every tile, its checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use stratum_core::audit::What;

use super::tiles::{find, grow, missing, stale};
use super::{PartReport, Problem, Work, of_file, of_log};
use crate::log::diagnose::diagnose;
use crate::log::integrate::digest;
use crate::log::leaf::{Leaf, at_of, is_first_form};
use crate::log::note::{Checkpoint, Verifier};
use crate::log::part::{self, Reader};
use crate::log::place::{CHECKPOINT, KEYS, Tile};
use crate::log::tree::{self, Edge, Tiles as _, WIDTH};

impl Work<'_> {
    pub(super) fn part(
        &mut self,
        name: &str,
        before: Option<&(String, Checkpoint)>,
    ) -> Result<(PartReport, Checkpoint), Problem> {
        let folder = self.folder.join(name);
        let (checkpoint, verifiers) =
            part::checkpoint(&folder, self.signer).map_err(|error| of_log(name, &error))?;
        let path = folder.join(CHECKPOINT);
        if !checkpoint.origin.ends_with(&format!("/{name}")) {
            let what = format!("it is of `{}`", checkpoint.origin);
            return Err(of_file(name, path, what));
        }
        self.pinned(name, &folder, &verifiers)?;
        self.same_keys(name, &folder, &verifiers)?;
        let mut report = PartReport {
            name: name.to_owned(),
            size: checkpoint.size,
            root: digest(&checkpoint.root).to_string(),
            keys: verifiers.iter().map(Verifier::text).collect(),
            present: 0,
            span: None,
            pruned: false,
            pruned_at: None,
            doubtful: 0,
            readable: BTreeMap::new(),
            redacted: BTreeMap::new(),
            checkpoint: fs::read_to_string(&path).unwrap_or_default(),
        };
        let first = self.entries(&folder, &checkpoint, &mut report)?;
        self.chain(name, before, &first)?;
        self.reaches(&report)?;
        stale(&folder, checkpoint.size).map_err(|(path, what)| of_file(name, path, what))?;
        Ok((report, checkpoint))
    }

    /// Keys that were given are the ones that sign.
    fn pinned(&self, name: &str, folder: &Path, own: &[Verifier]) -> Result<(), Problem> {
        for verifier in own {
            let same: Vec<_> = self
                .pinned
                .iter()
                .filter(|pinned| pinned.algorithm == verifier.algorithm)
                .collect();
            if !same.is_empty() && !same.iter().any(|pinned| pinned.public == verifier.public) {
                let path = folder.join(KEYS);
                let word = crate::log::note::word(verifier.algorithm);
                let what = format!("its {word} key is not the one that was given");
                return Err(of_file(name, path, what));
            }
        }
        Ok(())
    }

    /// Without keys to hold against, all parts are signed by the same.
    fn same_keys(&mut self, name: &str, folder: &Path, own: &[Verifier]) -> Result<(), Problem> {
        let keys: Vec<Vec<u8>> = own.iter().map(|key| key.public.clone()).collect();
        let before = self.keys.replace(keys.clone());
        if !self.pinned.is_empty() || before.is_none_or(|before| before == keys) {
            return Ok(());
        }
        let what = "it is signed by other keys than the part before it; if they were changed on \
                    purpose, give the old and the new ones";
        Err(of_file(name, folder.join(KEYS), what))
    }

    /// Hashes every entry, and holds the tiles and the checkpoint against that. Answers the first
    /// entry, when it is here.
    fn entries(
        &mut self,
        folder: &Path,
        checkpoint: &Checkpoint,
        report: &mut PartReport,
    ) -> Result<Option<Vec<u8>>, Problem> {
        let size = checkpoint.size;
        let mut reader = Reader { folder, size };
        let (mut edge, mut first, mut fits) = (Edge::default(), None, true);
        let mut gone = None;
        for index in 0..size.div_ceil(WIDTH) {
            let tile = Tile::of(None, index, size);
            let hashes = match reader.bundle(index) {
                Ok(entries) => {
                    self.look(&entries, report);
                    report.present += entries.len() as u64;
                    let hashes = entries.iter().map(|entry| tree::leaf(entry)).collect();
                    if index == 0 {
                        first = entries.into_iter().next();
                    }
                    hashes
                }
                Err(error) => {
                    let absent = error.kind() == std::io::ErrorKind::NotFound;
                    if !absent || !self.may_be_absent(&report.name, index) {
                        return Err(missing(folder, &report.name, tile, &error));
                    }
                    gone.get_or_insert_with(|| missing(folder, &report.name, tile, &error));
                    let read = reader.tile(0, index);
                    read.map_err(|error| {
                        let path = folder.join(
                            Tile {
                                level: Some(0),
                                ..tile
                            }
                            .path(),
                        );
                        of_file(&report.name, path, error)
                    })?
                }
            };
            fits &= grow(&mut edge, &mut reader, &hashes);
        }
        fits &= edge.partial().all(|(level, index, hashes)| {
            reader
                .tile(level, index)
                .is_ok_and(|stored| stored == hashes)
        });
        if let Some(gone) = gone.filter(|_| self.manifest.is_none() && report.present > 0) {
            return Err(gone);
        }
        if fits && edge.root() == checkpoint.root {
            return Ok(first);
        }
        Err(diagnose(folder, &report.name, checkpoint, &edge.root()))
    }

    /// Takes note of personal data, and of parts that were pruned.
    fn look(&mut self, entries: &[Vec<u8>], report: &mut PartReport) {
        if let [Some(first), Some(last)] = [entries.first(), entries.last()]
            && let (Some(first), Some(last)) = (at_of(first), at_of(last))
        {
            let start = report.span.map_or(first, |(start, _)| start);
            report.span = Some((start, last));
        }
        for entry in entries {
            report.doubtful += u64::from(is_doubtful(entry));
            let has_people = find(entry, br#""people":{"month":""#);
            if !has_people && !find(entry, br#""what":{"pruned":"#) {
                continue;
            }
            let Ok(leaf) = serde_json::from_slice::<Leaf>(entry) else {
                continue;
            };
            if let What::Pruned { part, size, root } = &leaf.what {
                let gone = (part.clone(), *size, root.to_string());
                self.pruned.entry(gone).or_insert(leaf.at);
            }
            if let Some(veiled) = &leaf.people {
                let readable = matches!(self.veils.unveil(veiled), Ok(Some(_)));
                let counts = if readable {
                    &mut report.readable
                } else {
                    &mut report.redacted
                };
                *counts.entry(veiled.month.clone()).or_default() += 1;
            }
        }
    }
}

/// Whether an entry of an apply may name another resource of its run. Told from the bytes: a name
/// or a reason within it has its quotes escaped.
fn is_doubtful(entry: &[u8]) -> bool {
    is_first_form(entry)
        && find(entry, br#""what":{"apply":{"#)
        && find(entry, br#","step":"#)
        && find(entry, br#","address":""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_entry_of_a_step_is_doubtful_and_no_other_is() {
        let entry = |form: u32, inner: &str| {
            let head = r#""at":"2026-11-24T03:15:00Z","run":"r","principal":"reconciler","what""#;
            format!(r#"{{"v":{form},{head}:{{"apply":{{"event":"done",{inner}}}}}}}"#).into_bytes()
        };
        let step = r#""number":4,"digest":"d","step":1,"address":"e/local_file.a""#;
        assert!(is_doubtful(&entry(1, step)));
        assert!(!is_doubtful(&entry(2, step)));
        assert!(!is_doubtful(&entry(1, r#""number":0,"digest":"d""#)));
    }
}
