//! Secrets that stratum makes for the repository: sealed with its own key, and put on a branch
//! for review.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;

use stratum_core::digest::Digest;
use stratum_core::ids::{BranchName, CommitId, RunId};
use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_core::ports::{
    ProposalError, ProposalRequest, Proposer, Publication, Repository, RepositoryError, Tree,
    WantedSecret, generated_path,
};
use stratum_providers::generated::Recipe;
use stratum_seal::age::Recipient;
use stratum_seal::keys::Sealer;
use stratum_seal::{Crypto, Place};

use crate::error::{AssemblyError, chain};
use crate::keys;
use crate::maker::OpenSsl;
use crate::sealed_file::{self, parsed};

/// What to do where the reconciler cannot seal.
const NO_KEY: &str = "the reconciler has no key to seal with: make one with `stratum secrets keygen \
                      sealer --name stratum --out FILE --trust`, push the change of `trust/`, and \
                      start it with `--sealer FILE`";

/// Seals what is made, and commits it.
pub struct Proposals {
    /// The repository.
    pub repository: Arc<dyn Repository>,
    /// Seals.
    pub crypto: Crypto,
    /// The file of the reconciler's own sealer key, where it was named.
    pub sealer: Option<PathBuf>,
}

/// A sealed value that the branch does not have yet.
struct Missing<'a> {
    wanted: &'a WantedSecret,
    recipe: Recipe,
    place: SealedPlace,
    version: u64,
}

impl Proposals {
    /// The branch as it stands, unless all of it is in the commit already.
    fn tip(
        &self,
        branch: &BranchName,
        commit: &CommitId,
    ) -> Result<Option<CommitId>, RepositoryError> {
        let tip = match self.repository.resolve(&format!("refs/heads/{branch}")) {
            Ok(tip) => tip,
            Err(RepositoryError::NoSuchRevision { .. } | RepositoryError::Shallow { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let merged = self.repository.follows(commit, &tip)?;
        Ok((!merged).then_some(tip))
    }

    /// What is wanted and not on the branch.
    fn missing<'a>(
        &self,
        request: &'a ProposalRequest<'_>,
        tree: &dyn Tree,
    ) -> Result<Vec<Missing<'a>>, ProposalError> {
        let mut missing = Vec::new();
        for wanted in request.wanted {
            let Some(recipe) = Recipe::of_type(wanted.address.r#type().as_str()) else {
                continue;
            };
            let prior = wanted.prior.as_ref();
            let needed = stratum_providers::generated::proposed(recipe, prior, &wanted.desired);
            let path = generated_path(&wanted.address.local);
            let highest = request
                .highest
                .get(&(path.clone(), recipe.key().to_owned()));
            let place = SealedPlace {
                environment: request.environment.clone(),
                path,
            };
            // Above what was in force, or it would be taken for an old one that came back.
            let version = needed.max(highest.map_or(0, |highest| highest.saturating_add(1)));
            let there = text(tree, &place.file())?
                .map(|text| parsed(&place.file(), &text).map_err(|error| refused(&error)))
                .transpose()?;
            let there = there.and_then(|read| read.file.values.get(recipe.key()).map(|one| one.v));
            if there.is_some_and(|there| there >= version) {
                continue;
            }
            missing.push(Missing {
                wanted,
                recipe,
                place,
                version,
            });
        }
        Ok(missing)
    }

    fn sealer(&self, request: &ProposalRequest<'_>) -> Result<Sealer, ProposalError> {
        let sealer = keys::sealer(&self.crypto, self.sealer.as_ref())
            .map_err(|_| ProposalError::person(NO_KEY))?;
        match request.trust.sealer(sealer.id()) {
            Some(_) => Ok(sealer),
            None => Err(ProposalError::person(format!(
                "the key that the reconciler seals with, `{}`, is nobody's in `trust/people/`: put \
                 its public half there, and push that",
                sealer.id()
            ))),
        }
    }
}

impl Proposer for Proposals {
    fn propose(&self, request: &ProposalRequest<'_>) -> Result<Option<CommitId>, ProposalError> {
        let branch = ProposalRequest::branch(request.environment);
        let branch = BranchName::new(branch).map_err(|error| said(&error))?;
        let tip = self.tip(&branch, request.commit)?;
        let tree = self
            .repository
            .tree(tip.as_ref().unwrap_or(request.commit))?;
        let missing = self.missing(request, tree.as_ref())?;
        if missing.is_empty() {
            return Ok(None);
        }
        let sealer = self.sealer(request)?;
        let recipients = recipients(request)?;
        let mut files = Vec::new();
        let mut names = String::new();
        for one in &missing {
            let file = one.place.file();
            let sealed = self.seal(request, &sealer, &recipients, one)?;
            let about = sealed_file::context(request.repository, &one.place);
            let before = text(tree.as_ref(), &file)?;
            let key = one.recipe.key();
            let after = sealed_file::with(&file, before.as_deref(), &about, key, Some(&sealed));
            let after = after.map_err(|error| refused(&error))?;
            names.push_str(&format!("- {}#{key}, version {}\n", one.place, one.version));
            files.push((file, after.into_bytes()));
        }
        let environment = request.environment;
        let message = format!(
            "Secrets of {environment}, made for review\n\n{names}\nMade for {}; sealed with the \
             reconciler's own key. What needs them waits until this is merged.",
            request.commit.short()
        );
        let id = Digest::of_json(&(environment, &files)).short();
        let publication = Publication {
            run: RunId::new(format!("secrets-{id}")).map_err(|error| said(&error))?,
            branch,
            from: Some(request.commit.clone()),
            files,
            message,
            at: request.at,
            note: None,
        };
        Ok(Some(self.repository.publish(&publication)?))
    }
}

impl Proposals {
    fn seal(
        &self,
        request: &ProposalRequest<'_>,
        sealer: &Sealer,
        recipients: &[Recipient],
        one: &Missing<'_>,
    ) -> Result<stratum_core::kinds::secret::SealedValue, ProposalError> {
        let made = one.recipe.make(&OpenSsl, &one.wanted.desired);
        let secret = made.map_err(ProposalError::later)?;
        let place = Place {
            repo: request.repository,
            environment: request.environment.as_str(),
            path: &one.place.path,
            key: one.recipe.key(),
            version: one.version,
        };
        stratum_seal::seal(
            &self.crypto,
            sealer,
            recipients,
            &place,
            request.at,
            &secret,
        )
        .map_err(|error| said(&error))
    }
}

/// The keys of whoever reads the environment.
fn recipients(request: &ProposalRequest<'_>) -> Result<Vec<Recipient>, ProposalError> {
    let mut found = Vec::new();
    for (name, recipient) in request.trust.readers(request.environment) {
        let key = Recipient::from_str(&recipient.key).map_err(|error| {
            ProposalError::person(format!(
                "the key in `trust/recipients/{name}.toml` cannot be used: {error}"
            ))
        })?;
        found.push(key);
    }
    match found.is_empty() {
        false => Ok(found),
        true => Err(ProposalError::person(format!(
            "nobody in `trust/recipients/` reads `{}`, so nothing can be sealed for it",
            request.environment
        ))),
    }
}

/// The text of a file; `None` when there is none.
fn text(tree: &dyn Tree, file: &str) -> Result<Option<String>, ProposalError> {
    let entry = tree.entry(file).map_err(|error| said(&error))?;
    let Some(entry) = entry else { return Ok(None) };
    let bytes = tree.blob(&entry.id, file).map_err(|error| said(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| said(&error.utf8_error()))?;
    Ok(Some(text))
}

fn said(error: &(dyn std::error::Error + 'static)) -> ProposalError {
    ProposalError::person(chain(error))
}

fn refused(error: &AssemblyError) -> ProposalError {
    ProposalError::person(error.to_string())
}
