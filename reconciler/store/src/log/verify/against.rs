//! What a part is held against: the one before it, the list of an export, the state, a checkpoint
//! that was kept elsewhere.

use stratum_core::audit::What;

use super::tiles::has;
use super::{PartReport, Problem, Work, of_file, of_log, problem};
use crate::log::integrate::{Head, digest};
use crate::log::leaf::Leaf;
use crate::log::note::Checkpoint;
use crate::log::part;
use crate::log::place::CHECKPOINT;
use crate::log::tree::WIDTH;

impl Work<'_> {
    /// An export reaches from before its period to after it, or to the ends of the part.
    pub(super) fn reaches(&self, report: &PartReport) -> Result<(), Problem> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        let period = manifest.period().ok_or_else(|| {
            let path = self.folder.join("export.json");
            of_file("", path, "its period cannot be read")
        })?;
        let Some(bundles) = manifest.parts.get(&report.name) else {
            return Err(problem(&report.name, "it is not in the list of the export"));
        };
        let Some((first, last)) = report.span else {
            return Ok(());
        };
        let from_start = bundles.first_bundle == 0 || first < period.start;
        let to_end = bundles.end_bundle >= report.size.div_ceil(WIDTH) || last >= period.end;
        match from_start && to_end {
            true => Ok(()),
            false => {
                let what = "entries of the period were left out of the export";
                Err(problem(&report.name, what))
            }
        }
    }

    pub(super) fn may_be_absent(&self, part: &str, index: u64) -> bool {
        match self
            .manifest
            .as_ref()
            .and_then(|manifest| manifest.parts.get(part))
        {
            Some(range) => index < range.first_bundle || index >= range.end_bundle,
            // All of them may be, when a later part says so.
            None => true,
        }
    }

    /// A part that is not the first names the one before it.
    pub(super) fn chain(
        &self,
        name: &str,
        before: Option<&(String, Checkpoint)>,
        first: &Option<Vec<u8>>,
    ) -> Result<(), Problem> {
        let number = part::number(name).unwrap_or(0);
        if let Some((previous, _)) = before
            && part::number(previous) != number.checked_sub(1)
        {
            let what = format!("the parts between `{previous}` and it are not there");
            return Err(problem(name, what));
        }
        if before.is_none() && number > 1 && self.manifest.is_none() && !self.moved {
            let what = "the parts before it are not there: they were removed, or moved away";
            return Err(problem(name, what));
        }
        let Some(first) = first.as_ref().filter(|_| number > 1) else {
            return Ok(());
        };
        let leaf: Option<Leaf> = serde_json::from_slice(first).ok();
        let wrong = |what: String| Problem {
            entry: Some(0),
            ..problem(name, what)
        };
        let Some(What::Continued {
            previous,
            size,
            root,
        }) = leaf.map(|leaf| leaf.what)
        else {
            return Err(wrong(
                "its first entry does not name the part before it".to_owned(),
            ));
        };
        match before {
            Some((known, checkpoint))
                if *known != previous
                    || checkpoint.size != size
                    || digest(&checkpoint.root) != root =>
            {
                let what = format!(
                    "it follows `{previous}` with {size} entries and another root than the \
                     {} entries of `{known}` that are here",
                    checkpoint.size
                );
                Err(wrong(what))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What the state knows is in the log.
    pub(super) fn against_state(
        &self,
        reports: &[PartReport],
        head: Option<&Head>,
    ) -> Result<(), Problem> {
        let Some(head) = head else { return Ok(()) };
        let report = reports.iter().find(|report| report.name == head.part);
        let size = report.map_or(0, |report| report.size);
        let folder = self.folder.join(&head.part);
        let fits = size >= head.size && has(&folder, size, head.size, &head.root);
        match fits {
            true => Ok(()),
            false => {
                let what = format!(
                    "the state knows {} entries of it, and the log has {size}, or others",
                    head.size
                );
                Err(of_file(&head.part, folder.join(CHECKPOINT), what))
            }
        }
    }

    /// A checkpoint that was kept elsewhere is one of this log.
    pub(super) fn against_checkpoint(&self, note: &str) -> Result<(), Problem> {
        let kept = Checkpoint::read(note).map_err(|error| problem("", error))?;
        let name = kept
            .origin
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let folder = self.folder.join(&name);
        let (now, verifiers) =
            part::checkpoint(&folder, self.signer).map_err(|error| of_log(&name, &error))?;
        Checkpoint::open(note, &verifiers, self.signer)
            .map_err(|error| problem(&name, format!("the checkpoint that was given: {error}")))?;
        match now.size >= kept.size && has(&folder, now.size, kept.size, &kept.root) {
            true => Ok(()),
            false => {
                let what = format!(
                    "it has not the {} entries of the checkpoint that was given: some were \
                     removed or altered since, and all of it signed again",
                    kept.size
                );
                Err(of_file(&name, folder.join(CHECKPOINT), what))
            }
        }
    }
}
