//! `stratum hook`

use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};

use stratum_assembly::adapters;
use stratum_core::finding::{Finding, any_error, codes};
use stratum_core::ids::{BranchName, EnvironmentName};
use stratum_core::ports::{Loader, Repository as _, Tree};
use stratum_core::settings::Settings;

use crate::arguments::GlobalArguments;
use crate::commands::check::{self, check, present};
use crate::commands::plan::{PlanArguments, Planner};
use crate::commands::wake;
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::files::{Files, top};
use crate::git;
use crate::leaks;
use crate::show;
use crate::style::Role;

/// Does what a hook of git does; the files in `hooks/` call it
///
/// Nothing is said when all is well.
#[derive(Debug, clap::Args)]
pub(crate) struct HookArguments {
    /// The hook
    hook: Hook,

    /// What git gives to the hook
    arguments: Vec<String>,
}

/// The hooks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Hook {
    /// Checks what is staged, and refuses plaintext and private keys.
    PreCommit,
    /// Says what a push would change.
    PrePush,
    /// The checks of `pre-commit`, on a server, for all that is pushed.
    PreReceive,
    /// Wakes the reconciler.
    PostReceive,
}

/// One ref that is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Update {
    /// What the other side has; `None` where the ref is new.
    old: Option<String>,
    /// What it will have; `None` where the ref is deleted.
    new: Option<String>,
    /// The ref over there.
    name: String,
}

impl Update {
    fn new(old: &str, new: &str, name: &str) -> Self {
        let real = |id: &str| (!id.bytes().all(|byte| byte == b'0')).then(|| id.to_owned());
        Self {
            old: real(old),
            new: real(new),
            name: name.to_owned(),
        }
    }

    fn branch(&self) -> Option<BranchName> {
        BranchName::new(self.name.strip_prefix("refs/heads/")?).ok()
    }
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &HookArguments) -> Result<Exit, CommandError> {
    // A hook is about the repository that git calls it for, whatever `STRATUM_REPO` says.
    let global = GlobalArguments {
        repo: None,
        ..context.global.clone()
    };
    let context = &Context {
        global,
        ..context.clone()
    };
    match arguments.hook {
        Hook::PreCommit => pre_commit(context),
        Hook::PrePush => pre_push(context, arguments.arguments.first().map(String::as_str)),
        Hook::PreReceive => pre_receive(context),
        Hook::PostReceive => wake::wake(context),
    }
}

fn pre_commit(context: &Context) -> Result<Exit, CommandError> {
    let place = context.place()?;
    let top = top(&check::work_tree_folder(context))?;
    let files = Files::of_index(&top)?;
    let mut findings = leaks::staged(&top)?;
    if let Some(update) = of_framework() {
        // The pre-commit framework was told a range of commits instead, as in CI.
        let old = update.old.map(|old| format!("^{old}"));
        let known: Vec<&str> = old.as_deref().into_iter().collect();
        findings.extend(leaks::brought(&top, "HEAD", &known)?);
    }
    if is_kept(&files)? || head_is_kept(&place) {
        let revision = present(&place)?;
        findings.extend(check(loader()?.as_ref(), &files, &revision)?);
    }
    Ok(judge(
        context,
        &findings,
        &files,
        "`git commit` again when it is mended",
    ))
}

/// Whether stratum keeps what the tree says: other repositories are only searched for keys.
fn is_kept(tree: &dyn Tree) -> Result<bool, CommandError> {
    let entry = tree.entry("stratum.ncl");
    let entry = entry.map_err(stratum_core::ports::LoadError::from)?;
    Ok(entry.is_some())
}

fn head_is_kept(place: &Place) -> bool {
    let head = place.repository.resolve("HEAD");
    let tree = head.and_then(|head| place.repository.tree(&head));
    tree.is_ok_and(|tree| is_kept(tree.as_ref()).unwrap_or(true))
}

fn loader() -> Result<std::sync::Arc<dyn Loader>, CommandError> {
    Ok(adapters::loader(&adapters::providers()?, None)?)
}

/// Says what is wrong, on stderr, where it is an error; otherwise what was not looked at.
fn judge(context: &Context, findings: &[Finding], tree: &dyn Tree, next: &str) -> Exit {
    let ui = &context.ui;
    if !any_error(findings) {
        // What nobody looked at is said also when all is well.
        let unread = findings
            .iter()
            .filter(|finding| finding.code.0 == codes::CREDENTIAL.code);
        for finding in unread {
            let place = finding.source.as_ref().map(|source| source.file.as_str());
            let said = format!("{}: {}", place.unwrap_or_default(), finding.message);
            ui.say(&crate::style::one_line(&said));
        }
        return Exit::Done;
    }
    let texts = |path: &str| check::text(tree, path);
    ui.complain(&show::finding::findings(ui.side_theme(), findings, &texts));
    ui.complain(&format!(
        "{}; nothing was done",
        show::finding::count(findings)
    ));
    if let Some(first) = findings.iter().find(|finding| finding.is_error()) {
        let hint = format!(
            "`stratum explain {}` says more about it; {next}",
            first.code
        );
        ui.hint(&hint);
    }
    Exit::Wrong
}

/// The lines git writes to a hook.
fn lines() -> Result<Vec<Vec<String>>, CommandError> {
    let read: io::Result<Vec<String>> = io::stdin().lock().lines().collect();
    let read = read.map_err(|error| {
        CommandError::machine("what git says on standard input cannot be read").because(&error)
    })?;
    let words = read
        .iter()
        .map(|line| line.split_whitespace().map(str::to_owned).collect());
    Ok(words.collect())
}

/// What the pre-commit framework says about a push or a range of commits.
///
/// *Source*: <https://pre-commit.com/#pre-push>.
fn of_framework() -> Option<Update> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (old, new) = (
        variable("PRE_COMMIT_FROM_REF")?,
        variable("PRE_COMMIT_TO_REF")?,
    );
    let name = variable("PRE_COMMIT_REMOTE_BRANCH").unwrap_or_default();
    Some(Update::new(&old, &new, &name))
}

/// *Source*: githooks(5), pre-push: `<local ref> <local id> <remote ref> <remote id>`.
fn pre_push(context: &Context, remote: Option<&str>) -> Result<Exit, CommandError> {
    if let Some(update) = of_framework() {
        let remote = std::env::var("PRE_COMMIT_REMOTE_NAME").unwrap_or("origin".to_owned());
        return preview(context, &update, &remote);
    }
    let mut exit = Exit::Done;
    for line in lines()? {
        let [_, local, name, known] = line.as_slice() else {
            continue;
        };
        let update = Update::new(known, local, name);
        exit = exit.max(preview(context, &update, remote.unwrap_or("origin"))?);
    }
    Ok(exit)
}

/// Says what one pushed branch would change in the environments that follow it.
fn preview(context: &Context, update: &Update, remote: &str) -> Result<Exit, CommandError> {
    let (Some(new), Some(branch)) = (&update.new, update.branch()) else {
        return Ok(Exit::Done);
    };
    let place = context.place()?;
    let commit = place.repository.resolve(new)?;
    let tree = place.repository.tree(&commit)?;
    if !is_kept(tree.as_ref())? {
        return Ok(Exit::Done);
    }
    let loader = loader()?;
    let mut findings = check(
        loader.as_ref(),
        tree.as_ref(),
        &place.repository.revision(&commit)?,
    )?;
    let settings = loader.settings(tree.as_ref())?.value;
    let default = default_branch(remote);
    if !is_followed(settings.as_ref(), &branch, &default) {
        findings.retain(may_be_nowhere);
    }
    let remotes = format!("--remotes={remote}");
    findings.extend(leaks::messages(Path::new("."), new, &["--not", &remotes])?);
    if any_error(&findings) {
        let next = "`git push` again when it is mended";
        return Ok(judge(context, &findings, tree.as_ref(), next));
    }
    let Some(settings) = settings else {
        return Ok(Exit::Done);
    };
    let Some(base) = base(&place, update, remote) else {
        return Ok(Exit::Done);
    };
    let asked = PlanArguments::between(Some(base), Some(new.clone()));
    context.block_on(async {
        let planner = Planner::new(&place, &asked).await?;
        for name in planner.environments(&settings)? {
            if follows(&settings, &name, &branch, &default) {
                let made = planner.preview(&settings, &name, &commit).await?;
                summarize(context, &name, &made);
            }
        }
        Ok(Exit::Done)
    })
}

/// One line for an environment that would change, and one for each thing policy says about it.
fn summarize(context: &Context, name: &EnvironmentName, made: &stratum_runtime::Preview) {
    let Some(plan) = made.plan.as_ref().filter(|plan| !plan.is_empty()) else {
        return;
    };
    let theme = context.ui.side_theme();
    let summary = plan.summary();
    context
        .ui
        .say(&format!("{}: {summary}", theme.paint(Role::Strong, name)));
    for (step, judgement) in made.verdict.refused(plan) {
        let decision = judgement.map_or("deny", |judgement| judgement.decision.as_str());
        let reason = judgement.and_then(|judgement| judgement.policies.first());
        let reason = reason.map_or("no policy allows it", |policy| policy.reason.as_str());
        let said = format!(
            "  {} {}: {decision}: {reason}",
            step.action.symbol(),
            step.address
        );
        context
            .ui
            .say(&theme.paint(Role::Warning, crate::style::one_line(&said)));
    }
}

/// What the other side has: the ref itself, or where the branch began.
fn base(place: &Place, update: &Update, remote: &str) -> Option<String> {
    if let Some(old) = &update.old {
        return place.repository.resolve(old).ok().map(|id| id.to_string());
    }
    let new = update.new.as_deref()?;
    let head = format!("refs/remotes/{remote}/HEAD");
    git::text(Path::new("."), &["merge-base", &head, new]).ok()
}

/// The branch that HEAD names over there, as far as this clone knows.
fn default_branch(remote: &str) -> Option<BranchName> {
    let head = format!("refs/remotes/{remote}/HEAD");
    let name = git::text(Path::new("."), &["symbolic-ref", "-q", &head]).ok()?;
    BranchName::new(name.strip_prefix(&format!("refs/remotes/{remote}/"))?).ok()
}

/// Whether an environment is read from `branch`. Where nobody knows the default branch, it is every
/// branch: too much is said rather than too little.
fn follows(
    settings: &Settings,
    name: &EnvironmentName,
    branch: &BranchName,
    default: &Option<BranchName>,
) -> bool {
    let own = settings.environments.get(name);
    match (own.and_then(|own| own.branch.as_ref()), default) {
        (Some(own), _) => own == branch,
        (None, Some(default)) => default == branch,
        (None, None) => true,
    }
}

/// Whether any environment is read from `branch`; where the settings cannot be read, whether it is
/// the default one.
fn is_followed(
    settings: Option<&Settings>,
    branch: &BranchName,
    default: &Option<BranchName>,
) -> bool {
    match settings {
        Some(settings) => {
            let mut names = settings.environments.keys();
            names.any(|name| follows(settings, name, branch, default))
        }
        None => default.as_ref().is_none_or(|default| default == branch),
    }
}

/// What a branch may not have although nobody follows it.
fn may_be_nowhere(finding: &Finding) -> bool {
    finding.code.0 == codes::PLAINTEXT.code
}

/// *Source*: githooks(5), pre-receive: `<old id> <new id> <ref>`.
fn pre_receive(context: &Context) -> Result<Exit, CommandError> {
    let place = context.place()?;
    let folder = PathBuf::from(context.location());
    let mut exit = Exit::Done;
    for line in lines()? {
        let [old, new, name] = line.as_slice() else {
            continue;
        };
        let update = Update::new(old, new, name);
        if let Some(new) = &update.new {
            exit = exit.max(receive(context, &place, &folder, &update, new)?);
        }
    }
    Ok(exit)
}

/// Checks one ref that is being pushed. What is not followed by an environment may have errors, but
/// no plaintext and no private key.
fn receive(
    context: &Context,
    place: &Place,
    folder: &Path,
    update: &Update,
    new: &str,
) -> Result<Exit, CommandError> {
    let files = Files::of_commit(folder, new)?;
    let mut findings = leaks::brought(folder, new, &["--not", "--all"])?;
    if is_kept(&files)? {
        let loader = loader()?;
        let mut found = check(loader.as_ref(), &files, &present(place)?)?;
        let settings = loader.settings(&files)?.value;
        let default = place.repository.tips().ok().and_then(|tips| tips.head);
        let branch = update.branch();
        if !branch.is_some_and(|branch| is_followed(settings.as_ref(), &branch, &default)) {
            found.retain(may_be_nowhere);
        }
        findings.extend(found);
    }
    let next = format!("`{}` stays as it was; mend it, and push again", update.name);
    Ok(judge(context, &findings, &files, &next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_and_deleted_refs_are_told_from_moved_ones() {
        let zero = "0".repeat(40);
        let update = Update::new(&zero, &"a".repeat(40), "refs/heads/main");
        assert_eq!(update.old, None);
        assert_eq!(update.branch().unwrap().as_str(), "main");
        let update = Update::new(&"a".repeat(40), &zero, "refs/tags/v1");
        assert_eq!((update.new.clone(), update.branch()), (None, None));
    }
}
