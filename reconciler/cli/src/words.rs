//! The tags by which people speak to the reconciler, as far as one can offer them.

use stratum_core::approve;
use stratum_core::ports::{EnvironmentRow, ProposalRequest, Repository as _};
use stratum_repo::GitRepository;

/// The name of a tag that says this, and that nobody took.
pub(crate) fn free(repository: &GitRepository, tag: String) -> String {
    approve::free(tag, |name| {
        repository.resolve(&format!("refs/tags/{name}")).is_ok()
    })
}

/// Whether somebody is trusted to speak about the environment: by the commit whose rules hold.
pub(crate) fn somebody_may_speak(repository: &GitRepository, row: &EnvironmentRow) -> bool {
    let pin = row.pin.as_ref().map(|pin| &pin.commit);
    let tree = row
        .revision
        .as_ref()
        .or(pin)
        .and_then(|base| repository.tree(base).ok());
    let people = tree
        .and_then(|tree| stratum_assembly::seal_check::files(tree.as_ref(), "trust/people").ok());
    people.is_some_and(|people| people.iter().any(|(file, _)| file.ends_with(".toml")))
}

/// The tag that has the held run of an environment tried again, where somebody could say so.
pub(crate) fn retry(repository: &GitRepository, row: &EnvironmentRow) -> Option<String> {
    let hold = row.hold.as_ref()?;
    let tag = || free(repository, format!("stratum/retry/{}", hold.run));
    somebody_may_speak(repository, row).then(tag)
}

/// The tag that resumes an environment that a word suspended.
pub(crate) fn resume(repository: &GitRepository, row: &EnvironmentRow) -> Option<String> {
    row.remembered.suspended.as_ref()?;
    Some(free(repository, format!("stratum/resume/{}", row.name)))
}

/// The branch with secrets of an environment that is not yet in what it should come to.
pub(crate) fn proposal(repository: &GitRepository, row: &EnvironmentRow) -> Option<String> {
    let branch = ProposalRequest::branch(&row.name);
    let tip = repository.resolve(&format!("refs/heads/{branch}")).ok()?;
    let wanted = row.desired_revision.as_ref()?;
    let merged = repository.follows(wanted, &tip).unwrap_or(false);
    (!merged).then_some(branch)
}
