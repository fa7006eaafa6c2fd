//! What the steps of a resource that lies at a path do to the world.

use stratum_core::ids::Token;
use stratum_core::ports::Site;
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::Record;

use super::change;
use super::entry::{self, Content, Entry, Wanted};
use super::folder::{self, FolderError};
use super::kept::Kept;
use super::owner::{WantedOwner, parse_mode};
use super::place::{PlaceError, Spot};
use super::placed::Shape;
use super::thing::Thing;
use crate::schema::text;

/// The place that a record names.
pub(super) fn spot(site: &Site, record: &Record) -> Result<Spot, PlaceError> {
    Spot::of(site, text(record, "path").unwrap_or_default())
}

/// What must lie there.
pub(super) fn wanted<S: Shape>(
    shape: &S,
    spot: &Spot,
    thing: &Thing,
) -> Result<Wanted, FolderError> {
    let record = &thing.record;
    let owner = text(record, "owner").map(WantedOwner::parse).transpose();
    let owner = owner.map_err(|why| FolderError::Owner {
        path: spot.shown.clone(),
        why,
    })?;
    let mode = text(record, "mode").and_then(parse_mode);
    let content = thing.content(shape).ok_or_else(|| FolderError::Unopened {
        path: spot.shown.clone(),
    })?;
    Ok(Wanted {
        content,
        mode: mode.unwrap_or_else(|| shape.default_mode()),
        owner: owner.unwrap_or_default(),
        more: None,
    })
}

/// Makes or changes what lies at the path.
pub(super) fn make<S: Shape>(
    shape: &S,
    site: &Site,
    planned: &Thing,
    prior: Option<&Thing>,
    token: &Token,
) -> Result<Instance, FolderError> {
    let spot = spot(site, &planned.record)?;
    let wanted = wanted(shape, &spot, planned)?;
    if !wanted.owner.may_be_given() {
        let why = "only root can give things to others".to_owned();
        return Err(FolderError::Owner {
            path: spot.shown.clone(),
            why,
        });
    }
    let there = entry::look(&spot)?;
    if let Some(entry) = &there
        && !may_replace(shape, &spot, &wanted, entry, prior)
    {
        let path = spot.shown.clone();
        return Err(match prior {
            Some(_) => FolderError::Changed { path },
            None => FolderError::There {
                path,
                what: entry.content.kind(),
            },
        });
    }
    if there.as_ref().is_none_or(|entry| !wanted.fits(entry)) {
        change::put(&spot, &wanted, there.as_ref(), token)?;
    } else if wanted.content == Content::Folder {
        folder::unmark(&spot, &spot.absolute())
            .map_err(|error| folder::doing("take over", &spot)(folder::errno(&error)))?;
    }
    Ok(planned.made(shape))
}

/// Whether what is there may be changed: it is as planned already, or as it was before, or a
/// folder that was made for what lies in it.
fn may_replace<S: Shape>(
    shape: &S,
    spot: &Spot,
    wanted: &Wanted,
    entry: &Entry,
    prior: Option<&Thing>,
) -> bool {
    let ours = match prior {
        Some(prior) => prior.is_content(shape, entry),
        None => entry.content == Content::Folder && folder::is_marked(spot, &spot.absolute()),
    };
    ours || wanted.content == entry.content
}

/// Takes what lies at the path away.
pub(super) fn remove<S: Shape>(
    shape: &S,
    site: &Site,
    prior: &Thing,
    token: &Token,
) -> Result<(), FolderError> {
    let spot = spot(site, &prior.record)?;
    change::sweep(&spot, token)?;
    match entry::look(&spot)? {
        None => folder::prune(&spot),
        Some(entry) if prior.is_content(shape, &entry) => change::take(&spot, &entry, token),
        Some(_) => Err(FolderError::Changed { path: spot.shown }),
    }
}

/// Puts back what lay at the path before the step.
pub(super) fn put_back<S: Shape>(
    shape: &S,
    site: &Site,
    known: Option<&Thing>,
    planned: Option<&Thing>,
    kept: &Opaque,
    token: &Token,
) -> Result<(), FolderError> {
    let Some(thing) = planned.or(known) else {
        return Ok(());
    };
    let spot = spot(site, &thing.record)?;
    let before = Kept::read(kept, shape, known, &spot)?;
    change::sweep(&spot, token)?;
    let now = entry::look_closely(&spot)?;
    match (&now, &before) {
        (None, None) => return folder::prune(&spot),
        (Some(now), Some(before)) if before.is(now) => return Ok(()),
        _ => {}
    }
    let as_before = |now: &Entry| before.as_ref().is_some_and(|b| b.content == now.content);
    let planned = planned.map(|planned| {
        let mut planned = planned.clone();
        shape.complete(&mut planned.record);
        planned
    });
    let as_planned = |now: &Entry| {
        planned
            .as_ref()
            .is_some_and(|planned| planned.is_content(shape, now))
    };
    if let Some(now) = &now
        && !as_before(now)
        && !as_planned(now)
    {
        return Err(FolderError::Strange { path: spot.shown });
    }
    match (now, before) {
        (now, Some(before)) => change::put(&spot, &before.into(), now.as_ref(), token),
        (Some(now), None) => take_back(&spot, &now, token),
        (None, None) => Ok(()),
    }
}

/// Takes away what a step made. A folder in which something else lies by now stays, and goes with
/// the last thing that stratum takes out of it.
fn take_back(spot: &Spot, now: &Entry, token: &Token) -> Result<(), FolderError> {
    match change::take(spot, now, token) {
        Err(FolderError::NotEmpty { .. }) => folder::mark(spot, &spot.absolute())
            .map_err(|error| folder::doing("mark", spot)(folder::errno(&error))),
        taken => taken,
    }
}
