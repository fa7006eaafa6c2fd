//! What a checkpoint keeps of what lay at a path.

use serde::{Deserialize, Serialize};
use stratum_core::digest::Digest;
use stratum_core::ids::Address;
use stratum_core::ports::{Call, SecretError, Secrets};
use stratum_core::resource::Opaque;
use zeroize::Zeroizing;

use super::entry::{Content, Entry};
use super::folder::FolderError;
use super::more::More;
use super::owner::Owner;
use super::place::Spot;
use super::placed::Shape;
use super::thing::Thing;

/// What a checkpoint keeps: a line of JSON, then bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
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
    /// What else it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    more: Option<More>,
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

impl Kept {
    /// *Errors*: the bytes were to be wrapped, and could not be.
    pub(super) fn write(
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
            more: before.and_then(|before| before.more.clone()),
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
    pub(super) fn plain(kept: &Opaque, wrap: Wrap<'_>) -> Result<Opaque, SecretError> {
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
    pub(super) fn read<S: Shape>(
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
            more: header.more,
        }))
    }
}

/// What wraps the bytes of a checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Wrap<'a> {
    secrets: &'a dyn Secrets,
    address: &'a Address,
}

impl<'a> Wrap<'a> {
    /// For the checkpoint of the resource of a call.
    pub(super) fn of(call: Call<'a>) -> Self {
        Self {
            secrets: call.secrets,
            address: call.address,
        }
    }

    fn context(&self) -> String {
        format!("kept {}", self.address)
    }
}
