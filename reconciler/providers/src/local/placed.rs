//! What files, folders and links have in common: they lie at a path.
//!
//! - `path` replaces when it leads elsewhere; another spelling of the same place does not.
//! - What is there already and was not made by stratum is refused, unless it is just what is
//!   wanted. `meta.adopt` with the path takes it over.
//! - A step changes only what was planned: when the thing changed since, the step stops.
//! - The checkpoint keeps bytes, mode, owner, extended attributes with access control lists, times
//!   and holes. Bytes that the state holds anyway are not kept twice.
//!   Other names of a file (hard links) are not kept: every change makes a new file, and the plan
//!   says so.

use std::fs::FileType;
use std::sync::Arc;

use async_trait::async_trait;
use stratum_core::ids::Address;
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, ImportCall, ListCall, Listed,
    LocateCall, Located, PlanCall, Proposal, ProviderError, ReadCall, Reading, RestoreCall,
    SecretError, TypeSchema,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::{Path, Record, Value};

use super::attributes::{before, broken, closed, refused};
use super::deeds::{make, put_back, remove, spot, wanted};
use super::entry::{self, Content, Entry};
use super::folder::{FolderError, failed, unreadable};
use super::kept::{Kept, Wrap};
use super::lanes::Lanes;
use super::owner::{is_owner_text, parse_mode};
use super::place::{self, Spot};
use super::search;
use super::thing::{Thing, hides};
use crate::schema::{complain_about_secrets, complaint, text, with_defaults};
use crate::sound;
use crate::types::ResourceType;

/// What is particular to one of the types.
pub(crate) trait Shape: Send + Sync + 'static {
    /// The type.
    fn schema(&self) -> TypeSchema;

    /// Fills in what follows from the other attributes.
    fn complete(&self, record: &mut Record);

    /// What should lie at the path, but for mode and owner.
    fn content(&self, record: &Record) -> Content;

    /// The attributes, corrected by what lies at the path; `None` when that is of another kind.
    fn describe(&self, known: &Record, entry: &Entry) -> Option<Record>;

    /// The mode of what says nothing about it.
    fn default_mode(&self) -> u32;

    /// Whether an entry is of this type.
    fn is(&self, kind: FileType) -> bool;

    /// Fills in what a person did not write, where it is not always the same.
    fn assume(&self, _desired: &mut Record) {}

    /// The attributes that may hold secrets.
    fn secret_attributes(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A type whose resources lie at a path.
pub(crate) struct Placed<S> {
    shape: Arc<S>,
    schema: TypeSchema,
    lanes: Arc<Lanes>,
}

impl<S: Shape> Placed<S> {
    /// Makes the type.
    pub(crate) fn new(shape: S, lanes: &Arc<Lanes>) -> Self {
        Self {
            schema: shape.schema(),
            shape: Arc::new(shape),
            lanes: Arc::clone(lanes),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        address: &Address,
        work: impl FnOnce(&S) -> Result<T, FolderError> + Send + 'static,
    ) -> Result<T, FolderError> {
        let shape = Arc::clone(&self.shape);
        let done = self.lanes.run(address, move || work(&shape)).await;
        done.unwrap_or_else(|| {
            Err(FolderError::System {
                doing: "finish the work on",
                path: address.to_string(),
                reason: rustix::io::Errno::INTR,
            })
        })
    }
}

/// What is there, as the state knows it.
fn prior(call: Call<'_>, prior: Option<&Instance>) -> Option<Thing> {
    prior.map(|prior| Thing::known(prior, call.secrets))
}

/// What must be, with its secret opened.
async fn opened(call: Call<'_>, record: Option<&Record>) -> Result<Option<Thing>, SecretError> {
    match record {
        Some(record) => Thing::wanted(record, call.address, call.secrets)
            .await
            .map(Some),
        None => Ok(None),
    }
}

#[async_trait]
impl<S: Shape> ResourceType for Placed<S> {
    fn schema(&self) -> &TypeSchema {
        &self.schema
    }

    fn validate(&self, desired: &Record) -> Vec<Complaint> {
        let mut complaints = validate(desired);
        let allowed = self.shape.secret_attributes();
        complaints.extend(complain_about_secrets(desired, allowed));
        complaints
    }

    fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        let mut proposal = Proposal {
            planned: Record::new(),
            replace: Vec::new(),
            reversibility: Reversibility::Reversible,
            ..Proposal::default()
        };
        let Some(desired) = call.desired else {
            note_other_names(call);
            return Ok(proposal);
        };
        let place = |record: &Record| match record.get("path") {
            Some(Value::Text(path)) => {
                Spot::of(call.call.site, path).map(|spot| Some(spot.absolute()))
            }
            _ => Ok(None),
        };
        let next = place(desired).map_err(|error| ProviderError::input(error.to_string()))?;
        let prior = call
            .prior
            .map(|prior| place(&prior.attributes).ok().flatten());
        if prior.is_some_and(|prior| prior.is_none() || prior != next) {
            proposal.replace.push(Path::of("path"));
        }
        let mut desired = desired.clone();
        self.shape.assume(&mut desired);
        proposal.planned = with_defaults(&self.schema, &desired);
        self.shape.complete(&mut proposal.planned);
        if call
            .prior
            .is_some_and(|prior| prior.attributes != proposal.planned)
        {
            note_other_names(call);
        }
        Ok(proposal)
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        let site = call.call.site.clone();
        let known = Thing::known(call.known, call.call.secrets);
        let read = self.run(call.call.address, move |shape| {
            let entry = entry::look(&spot(&site, &known.record)?)?;
            Ok(entry.and_then(|entry| known.described(shape, &entry)))
        });
        read.await.map(Reading::from).map_err(unreadable)
    }

    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        let site = call.call.site.clone();
        let prior = prior(call.call, call.prior);
        let planned = call.planned.cloned();
        let hidden =
            prior.as_ref().is_some_and(Thing::is_hidden) || planned.as_ref().is_some_and(hides);
        let seen = self.run(call.call.address, move |shape| {
            let record = prior.as_ref().map(|prior| &prior.record);
            let Some(record) = record.or(planned.as_ref()) else {
                return Ok((None, false));
            };
            let entry = entry::look_closely(&spot(&site, record)?)?;
            let content = prior.as_ref().and_then(|prior| prior.content(shape));
            let known = matches!((&content, &entry), (Some(content), Some(entry))
                if *content == entry.content);
            Ok((entry, known))
        });
        let (entry, known) = seen.await.map_err(unreadable)?;
        Kept::write(entry.as_ref(), known, hidden.then(|| Wrap::of(call.call))).map_err(closed)
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let (site, token) = (call.call.site.clone(), call.token.clone());
        let prior = prior(call.call, call.prior);
        let planned = opened(call.call, call.planned).await;
        let planned = planned.map_err(|error| refused(error.to_string(), error.retry()))?;
        let applied = self.run(call.call.address, move |shape| match (planned, prior) {
            (Some(planned), prior) => {
                make(shape, &site, &planned, prior.as_ref(), &token).map(Some)
            }
            (None, Some(prior)) => remove(shape, &site, &prior, &token).map(|()| None),
            (None, None) => Ok(None),
        });
        applied.await.map_err(failed)
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let before = before(call.checkpoint).cloned();
        let known = prior(call.call, before.as_ref());
        let (site, token) = (call.call.site.clone(), call.token.clone());
        let kept = Kept::plain(&call.checkpoint.kept, Wrap::of(call.call));
        let kept = kept.map_err(|error| broken(error.to_string()))?;
        // A secret that cannot be opened any more is known by the mark of what was made.
        let planned = match (opened(call.call, call.planned).await, call.planned) {
            (Err(_), Some(record)) => Some(Thing::known(
                &Instance {
                    attributes: record.clone(),
                    private: call
                        .after
                        .map(|after| after.private.clone())
                        .unwrap_or_default(),
                    due: None,
                },
                call.call.secrets,
            )),
            (opened, _) => opened.unwrap_or_default(),
        };
        let restored = self.run(call.call.address, move |shape| {
            put_back(
                shape,
                &site,
                known.as_ref(),
                planned.as_ref(),
                &kept,
                &token,
            )
        });
        restored.await.map_err(|error| broken(error.to_string()))?;
        Ok(before)
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        let site = call.call.site.clone();
        let prior = call.prior.map(|prior| prior.attributes.clone());
        let planned = opened(call.call, call.planned).await.map_err(closed)?;
        let located = self.run(call.call.address, move |shape| {
            let record = planned.as_ref().map(|planned| &planned.record);
            let Some(record) = record.or(prior.as_ref()) else {
                return Ok(Located::Done(None));
            };
            let spot = spot(&site, record)?;
            let entry = entry::look(&spot)?;
            Ok(match (entry, &planned) {
                (None, None) => Located::Done(None),
                (Some(entry), Some(planned)) if wanted(shape, &spot, planned)?.fits(&entry) => {
                    Located::Done(Some(planned.made(shape)))
                }
                _ => Located::NotDone,
            })
        });
        located.await.map_err(unreadable)
    }

    async fn list(&self, call: ListCall<'_>) -> Result<Listed, ProviderError> {
        let shape = Arc::clone(&self.shape);
        search::list(call, move |kind| shape.is(kind)).await
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        let mut desired = call.desired.clone();
        self.shape.assume(&mut desired);
        let known = with_defaults(&self.schema, &desired);
        let path = text(&known, "path").unwrap_or_default().to_owned();
        if place::names(call.id).ok() != place::names(&path).ok() {
            return Err(ProviderError::input(format!(
                "the id `{}` is not the path `{path}`: adopt what lies at the path itself",
                call.id
            )));
        }
        let site = call.call.site.clone();
        let known = opened(call.call, Some(&known)).await.map_err(closed)?;
        let found = self.run(call.call.address, move |shape| {
            let Some(known) = known else { return Ok(None) };
            let entry = entry::look(&spot(&site, &known.record)?)?;
            let found = entry.and_then(|entry| known.described(shape, &entry));
            Ok(found.map(|mut found| {
                if known.is_hidden() {
                    shape.complete(&mut found.attributes);
                }
                found
            }))
        });
        let found = found.await.map_err(unreadable)?;
        found.ok_or_else(|| {
            ProviderError::input(format!("there is no such thing at `{path}` to adopt"))
        })
    }
}

/// Says that a file which is about to change has other names: they stay with what it holds now.
fn note_other_names(call: PlanCall<'_>) {
    let path = call.prior.and_then(|prior| text(&prior.attributes, "path"));
    let spot = path.and_then(|path| Spot::of(call.call.site, path).ok());
    let others = spot.map_or(0, |spot| entry::other_names(&spot));
    if let (Some(path), 1..) = (path, others) {
        let message = format!(
            "`{path}` has {others} other names (hard links), which keep what it holds now: this and \
             what puts it back make a new file"
        );
        let told = Complaint::warning(Path::of("path"), message);
        call.call.note(told.hint("`find / -samefile` finds them"));
    }
}

fn validate(desired: &Record) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    if let Some(error) = text(desired, "path").and_then(|path| place::names(path).err()) {
        let hint = "write a path below the environment's root, or an absolute one in its `roots`";
        complaints.push(complaint(Path::of("path"), error.to_string(), hint));
    }
    for name in ["path", "target"] {
        let written = text(desired, name).unwrap_or_default();
        if let Some(why) = sound::path(written) {
            let hint = "give it a shorter name";
            complaints.push(complaint(Path::of(name), format!("`{name}` {why}"), hint));
        }
    }
    if text(desired, "target") == Some("") {
        let hint = "write where the link leads";
        complaints.push(complaint(Path::of("target"), "`target` is empty", hint));
    }
    if let Some(mode) = text(desired, "mode").filter(|mode| parse_mode(mode).is_none()) {
        let message = format!("`{mode}` is not an octal mode");
        complaints.push(complaint(
            Path::of("mode"),
            message,
            "write for example \"0644\"",
        ));
    }
    if let Some(owner) = text(desired, "owner").filter(|owner| !is_owner_text(owner)) {
        let message = format!("`{owner}` is not `user` or `user:group`");
        complaints.push(complaint(Path::of("owner"), message, ""));
    }
    complaints
}
