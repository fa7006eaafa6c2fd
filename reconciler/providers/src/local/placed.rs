//! What files, folders and links have in common: they lie at a path.
//!
//! - `path` replaces when it leads elsewhere; another spelling of the same place does not.
//! - What is there already and was not made by stratum is refused, unless it is just what is
//!   wanted. `meta.adopt` with the path takes it over.
//! - A step changes only what was planned: when the thing changed since, the step stops.
//! - The checkpoint keeps bytes, mode and owner. Bytes that the state holds anyway are not kept
//!   twice.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, Token};
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, ImportCall, LocateCall, Located,
    PlanCall, Proposal, ProviderError, ReadCall, RestoreCall, Retry, SecretError, Secrets, Site,
    TypeSchema,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::{Path, Record, Value};
use zeroize::Zeroizing;

use super::attributes::{before, broken, refused};
use super::entry::{self, Content, Entry, Wanted};
use super::folder::{self, FolderError};
use super::lanes::Lanes;
use super::owner::{Owner, WantedOwner, is_owner_text, parse_mode};
use super::place::{self, PlaceError, Spot};
use super::thing::{Thing, hides};
use crate::schema::{complain_about_secrets, complaint, text, with_defaults};
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

/// What a checkpoint keeps: a line of JSON, then bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    kind: KeptKind,
    mode: u32,
    uid: u32,
    gid: u32,
    /// The digest of the bytes when they are not kept here but known from the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    /// The bytes that follow are wrapped: a secret may be among them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    wrapped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeptKind {
    /// Nothing was there.
    Nothing,
    /// What the state knew was there.
    Known,
    /// A file with the bytes that follow.
    File,
    /// A folder.
    Folder,
    /// A link to the bytes that follow.
    Link,
    /// Something that is never touched.
    Other,
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

fn spot(site: &Site, record: &Record) -> Result<Spot, PlaceError> {
    Spot::of(site, text(record, "path").unwrap_or_default())
}

fn wanted<S: Shape>(shape: &S, spot: &Spot, thing: &Thing) -> Result<Wanted, FolderError> {
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
    })
}

impl Kept {
    /// *Errors*: the bytes were to be wrapped, and could not be.
    fn write(
        before: Option<&Entry>,
        known: bool,
        wrap: Option<Wrap<'_>>,
    ) -> Result<Opaque, SecretError> {
        let kind = match before.map(|entry| &entry.content) {
            None => KeptKind::Nothing,
            Some(_) if known => KeptKind::Known,
            Some(Content::File(_)) => KeptKind::File,
            Some(Content::Folder) => KeptKind::Folder,
            Some(Content::Link(_)) => KeptKind::Link,
            Some(Content::Other) => KeptKind::Other,
        };
        let (mode, owner) = before.map_or((0, Owner { uid: 0, gid: 0 }), |e| (e.mode, e.owner));
        let digest = before
            .filter(|_| kind == KeptKind::Known)
            .and_then(|e| e.content.digest());
        let header = Self {
            kind,
            mode,
            uid: owner.uid,
            gid: owner.gid,
            digest,
            wrapped: wrap.is_some(),
        };
        let mut bytes = serde_json::to_vec(&header).unwrap_or_default();
        bytes.push(b'\n');
        if let (KeptKind::File | KeptKind::Link, Some(entry)) = (kind, before) {
            let content = match &entry.content {
                Content::File(content) => content.as_slice(),
                Content::Link(content) => content.as_slice(),
                Content::Folder | Content::Other => &[],
            };
            match wrap {
                Some(wrap) => bytes.extend(wrap.secrets.wrap(&wrap.context(), content)?),
                None => bytes.extend_from_slice(content),
            }
        }
        Ok(Opaque(bytes))
    }

    /// What was kept, with its bytes unwrapped.
    fn plain(kept: &Opaque, wrap: Wrap<'_>) -> Result<Opaque, SecretError> {
        let Some(end) = kept.0.iter().position(|byte| *byte == b'\n') else {
            return Ok(kept.clone());
        };
        let (header, rest) = kept.0.split_at(end);
        let Ok(header) = serde_json::from_slice::<Self>(header) else {
            return Ok(kept.clone());
        };
        let bytes = rest.get(1..).unwrap_or_default();
        if !header.wrapped || bytes.is_empty() {
            return Ok(kept.clone());
        }
        let content = wrap.secrets.unwrap(&wrap.context(), bytes)?;
        let mut plain = serde_json::to_vec(&Self {
            wrapped: false,
            ..header
        })
        .unwrap_or_default();
        plain.push(b'\n');
        plain.extend_from_slice(content.expose());
        Ok(Opaque(plain))
    }

    /// What was there; `known` is what the state says it was.
    fn read<S: Shape>(
        kept: &Opaque,
        shape: &S,
        known: Option<&Thing>,
        spot: &Spot,
    ) -> Result<Option<Entry>, FolderError> {
        let unreadable = || FolderError::Kept {
            path: spot.shown.clone(),
        };
        let end = kept
            .0
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(unreadable)?;
        let (header, rest) = kept.0.split_at(end);
        let header: Self = serde_json::from_slice(header).map_err(|_| unreadable())?;
        let bytes = || rest.get(1..).unwrap_or_default().to_vec();
        let content = match header.kind {
            KeptKind::Nothing => return Ok(None),
            KeptKind::Known => known
                .and_then(|known| known.content(shape))
                .ok_or_else(unreadable)?,
            KeptKind::File => Content::File(Zeroizing::new(bytes())),
            KeptKind::Folder => Content::Folder,
            KeptKind::Link => Content::Link(bytes()),
            KeptKind::Other => Content::Other,
        };
        if header.digest.is_some() && header.digest != content.digest() {
            return Err(unreadable());
        }
        let owner = Owner {
            uid: header.uid,
            gid: header.gid,
        };
        Ok(Some(Entry {
            content,
            mode: header.mode,
            owner,
        }))
    }
}

/// What wraps the bytes of a checkpoint.
#[derive(Clone, Copy)]
struct Wrap<'a> {
    secrets: &'a dyn Secrets,
    address: &'a Address,
}

impl Wrap<'_> {
    fn context(&self) -> String {
        format!("kept {}", self.address)
    }
}

fn wrap<'a>(call: Call<'a>) -> Wrap<'a> {
    Wrap {
        secrets: call.secrets,
        address: call.address,
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
        };
        let Some(desired) = call.desired else {
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
        Ok(proposal)
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Option<Instance>, ProviderError> {
        let site = call.call.site.clone();
        let known = Thing::known(call.known, call.call.secrets);
        let read = self.run(call.call.address, move |shape| {
            let entry = entry::look(&spot(&site, &known.record)?)?;
            Ok(entry.and_then(|entry| known.described(shape, &entry)))
        });
        read.await.map_err(unreadable)
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
            let entry = entry::look(&spot(&site, record)?)?;
            let content = prior.as_ref().and_then(|prior| prior.content(shape));
            let known = matches!((&content, &entry), (Some(content), Some(entry))
                if *content == entry.content);
            Ok((entry, known))
        });
        let (entry, known) = seen.await.map_err(unreadable)?;
        Kept::write(entry.as_ref(), known, hidden.then(|| wrap(call.call))).map_err(closed)
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
        let kept = Kept::plain(&call.checkpoint.kept, wrap(call.call));
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

/// A secret that a call needs could not be opened.
fn closed(error: SecretError) -> ProviderError {
    ProviderError {
        message: error.to_string(),
        retry: error.retry(),
        waits: false,
    }
}

fn validate(desired: &Record) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    if let Some(error) = text(desired, "path").and_then(|path| place::names(path).err()) {
        let hint = "write a path below the environment's root, or an absolute one in its `roots`";
        complaints.push(complaint(Path::of("path"), error.to_string(), hint));
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

fn make<S: Shape>(
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
        entry::put(&spot, &wanted, token)?;
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

fn remove<S: Shape>(
    shape: &S,
    site: &Site,
    prior: &Thing,
    token: &Token,
) -> Result<(), FolderError> {
    let spot = spot(site, &prior.record)?;
    entry::sweep(&spot, token)?;
    match entry::look(&spot)? {
        None => folder::prune(&spot),
        Some(entry) if prior.is_content(shape, &entry) => entry::take(&spot, &entry.content),
        Some(_) => Err(FolderError::Changed { path: spot.shown }),
    }
}

fn put_back<S: Shape>(
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
    entry::sweep(&spot, token)?;
    let now = entry::look(&spot)?;
    if now == before {
        return if now.is_none() {
            folder::prune(&spot)
        } else {
            Ok(())
        };
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
        (_, Some(before)) => entry::put(&spot, &before.into(), token),
        (Some(now), None) => take_back(&spot, &now),
        (None, None) => Ok(()),
    }
}

/// Takes away what a step made. A folder in which something else lies by now stays, and goes with
/// the last thing that stratum takes out of it.
fn take_back(spot: &Spot, now: &Entry) -> Result<(), FolderError> {
    match entry::take(spot, &now.content) {
        Err(FolderError::NotEmpty { .. }) => folder::mark(spot, &spot.absolute())
            .map_err(|error| folder::doing("mark", spot)(folder::errno(&error))),
        taken => taken,
    }
}

fn unreadable(error: FolderError) -> ProviderError {
    match retry(&error) {
        Retry::WhenInputChanges => ProviderError::input(error.to_string()),
        Retry::NeedsPerson => ProviderError::person(error.to_string()),
        Retry::Later(_) => ProviderError::later(error.to_string()),
    }
}

fn failed(error: FolderError) -> ApplyError {
    let message = error.to_string();
    match &error {
        FolderError::System { .. } | FolderError::Kept { .. } => broken(message),
        FolderError::Place(_)
        | FolderError::Way { .. }
        | FolderError::Root { .. }
        | FolderError::There { .. }
        | FolderError::Changed { .. }
        | FolderError::Strange { .. }
        | FolderError::NotEmpty { .. }
        | FolderError::Large { .. }
        | FolderError::Unopened { .. }
        | FolderError::Owner { .. } => refused(message, retry(&error)),
    }
}

fn retry(error: &FolderError) -> Retry {
    match error {
        FolderError::Place(_) | FolderError::Way { .. } => Retry::WhenInputChanges,
        FolderError::Changed { .. } | FolderError::System { .. } => {
            Retry::Later(std::time::Duration::from_secs(10))
        }
        FolderError::Root { .. }
        | FolderError::There { .. }
        | FolderError::Strange { .. }
        | FolderError::NotEmpty { .. }
        | FolderError::Large { .. }
        | FolderError::Unopened { .. }
        | FolderError::Owner { .. }
        | FolderError::Kept { .. } => Retry::NeedsPerson,
    }
}
