//! Who wrote what came since the base.

use std::sync::Arc;

use stratum_core::ids::CommitId;
use stratum_core::rules::Rules;
use stratum_core::settings::Signatures;
use stratum_core::signed::{Authored, NOT_LOOKED_AT, SignedCommit, Signer};

use crate::error::RuntimeError;

use super::known::{Known, Range};
use super::{Guard, gone};

impl Guard<'_> {
    /// The commits of [`Guard::commits`], and who they are proven to be from; verified once.
    pub(super) fn range(&self, rules: &Rules, tip: &CommitId) -> Result<Range, RuntimeError> {
        let known = |known: &Known| known.range(&rules.commit, tip, self.now);
        if let Some(range) = self.known.and_then(known) {
            return Ok(range);
        }
        let commits = self.commits(rules, tip)?;
        let authors = commits.iter().map(|commit| self.authored(rules, commit));
        let authors = authors.collect();
        let range = Arc::new((commits, authors));
        if let Some(known) = self.known {
            known.keep_range(&rules.commit, tip, self.now, Arc::clone(&range));
        }
        Ok(range)
    }

    /// Every commit that `tip` has and the base has not, newest first; the tip alone when that is
    /// none, since somebody put the branch there.
    pub(super) fn commits(
        &self,
        rules: &Rules,
        tip: &CommitId,
    ) -> Result<Vec<SignedCommit>, RuntimeError> {
        let between = self.repository.signed_between(&rules.commit, tip);
        let commits = between.map_err(|error| gone(&rules.commit, error))?;
        match commits.is_empty() {
            true => Ok(vec![self.repository.signed(tip)?]),
            false => Ok(commits),
        }
    }

    /// Who a commit is proven to be from, by the trust of the base.
    pub(super) fn authored(&self, rules: &Rules, commit: &SignedCommit) -> Authored {
        let signer = match rules.signatures() {
            Signatures::Off => nobody(NOT_LOOKED_AT),
            Signatures::Required | Signatures::Warn => self.signer(rules, commit),
        };
        Authored {
            commit: commit.commit.clone(),
            author: commit.author.clone(),
            signer,
        }
    }

    fn signer(&self, rules: &Rules, commit: &SignedCommit) -> Signer {
        let (trust, made_at) = (rules.trust.as_ref(), commit.committed_at);
        let signer = self
            .signatures
            .signer(&commit.signed, trust, made_at, self.now);
        belongs(rules, signer, &commit.committer_mail)
    }
}

/// The signer, unless the object names a mail address that is not the signer's.
pub(super) fn belongs(rules: &Rules, signer: Signer, mail: &str) -> Signer {
    let Some(person) = signer.name().and_then(|name| rules.trust.people.get(name)) else {
        return signer;
    };
    let own = person.email.is_empty()
        || person
            .email
            .iter()
            .any(|own| own.eq_ignore_ascii_case(mail));
    match (own, &signer) {
        (false, Signer::Person { name, .. }) => nobody(&format!(
            "it is signed by `{name}` and made by <{mail}>, which is no address of `{name}`"
        )),
        _ => signer,
    }
}

fn nobody(why: &str) -> Signer {
    Signer::Nobody {
        why: why.to_owned(),
    }
}
