//! `stratum doctor`

mod beside;
mod isolation;
mod rebuild;
mod secrets;
mod state;
mod users;

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::json;
use stratum_assembly::adapters;
use stratum_core::ports::{Repository as _, RepositoryError};
use stratum_load::{Enforcement, Evaluators};

use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::git;
use crate::style::{Mark, Role, Theme, one_line};

/// Free space under which a state may soon be unable to grow, in bytes.
const ROOM: u64 = 256 << 20;

/// The oldest git whose pushes are safe with what stratum asks of it.
const OLDEST_GIT: (u32, u32) = (2, 31);

/// Looks for what is missing on this machine, and names the command that brings it
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArguments {}

/// How one thing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    health: Health,
    sentence: String,
    remedy: Option<String>,
    /// What is to be done one after the other, where one sentence is not enough.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Good,
    Weak,
    Bad,
}

impl Check {
    fn good(name: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            name,
            health: Health::Good,
            sentence: sentence.into(),
            remedy: None,
            steps: Vec::new(),
        }
    }

    fn weak(name: &'static str, sentence: impl Into<String>, remedy: &str) -> Self {
        Self {
            health: Health::Weak,
            remedy: Some(remedy.to_owned()),
            ..Self::good(name, sentence)
        }
    }

    fn bad(name: &'static str, sentence: impl Into<String>, remedy: &str) -> Self {
        Self {
            health: Health::Bad,
            ..Self::weak(name, sentence, remedy)
        }
    }
}

/// Carries out the command.
pub(crate) fn run(context: &Context, _arguments: &DoctorArguments) -> Result<Exit, CommandError> {
    let mut checks = vec![
        check_git(),
        check_evaluator()?,
        check_clock(),
        secrets::check_crypto(),
        secrets::check_memory(),
        isolation::check(),
    ];
    match context.known_place() {
        Ok(place) => {
            checks.push(check_repository(&place));
            checks.push(check_room(place.state_folder()));
            checks.extend(beside::check(&place));
            checks.extend(users::check(&place));
            checks.extend(context.block_on(async { Ok(state::check(&place).await) })?);
        }
        Err(error) => {
            let sentence = error.render(&Theme::PLAIN);
            let sentence = one_line(sentence.trim_start_matches("error: "));
            let remedy = error.hints().join("; ");
            checks.push(Check::bad("repository", sentence, &remedy));
        }
    }
    let worst = checks.iter().map(|check| check.health).max();
    if context.global.json {
        context
            .ui
            .answer_json(&json!({ "version": 1, "checks": checks }))?;
    } else {
        context.ui.answer(&text(context.ui.theme(), &checks));
    }
    Ok(match worst {
        Some(Health::Bad) => Exit::Wrong,
        Some(Health::Weak | Health::Good) | None => Exit::Done,
    })
}

fn text(theme: &Theme, checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let (mark, role) = match check.health {
            Health::Good => (Mark::Good, Role::Good),
            Health::Weak => (Mark::Unknown, Role::Warning),
            Health::Bad => (Mark::Bad, Role::Bad),
        };
        let mark = theme.marked(mark, role);
        text.push_str(&format!("{mark} {:<11} {}\n", check.name, check.sentence));
        if let Some(remedy) = &check.remedy {
            let head = theme.paint(Role::Name, "do");
            text.push_str(&format!("    {head}: {remedy}\n"));
        }
        for (number, step) in (1..).zip(&check.steps) {
            text.push_str(&format!("    {number}. {step}\n"));
        }
    }
    text
}

fn check_git() -> Check {
    const NAME: &str = "git";
    let remedy = "`apt-get install git`, or install a newer git";
    let Ok(said) = git::text(Path::new("."), &["--version"]) else {
        return Check::bad(NAME, "there is no `git` command", remedy);
    };
    match version(&said) {
        Some(found) if found >= OLDEST_GIT => Check::good(NAME, said),
        Some((major, minor)) => {
            let sentence = format!("git {major}.{minor} is older than 2.31");
            Check::bad(NAME, sentence, remedy)
        }
        None => Check::weak(NAME, format!("`{said}` names no version"), remedy),
    }
}

/// `git version 2.39.5 (...)`: the first two numbers.
fn version(said: &str) -> Option<(u32, u32)> {
    let numbers = said.split_whitespace().nth(2)?;
    let mut numbers = numbers.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn check_evaluator() -> Result<Check, CommandError> {
    const NAME: &str = "confinement";
    let remedy = "use a kernel from 5.13 on with Landlock in its `lsm=` list, and a container \
                  runtime that allows it";
    let evaluators = Evaluators::new(adapters::this_program()?);
    let confinement = match evaluators.confinement() {
        Ok(confinement) => confinement,
        Err(error) => {
            let failure = CommandError::from(error).render(&Theme::PLAIN);
            return Ok(Check::bad(NAME, one_line(&failure), remedy));
        }
    };
    let word = |enforcement: Enforcement| match enforcement {
        Enforcement::Full => "full",
        Enforcement::Partial => "in part",
        Enforcement::Missing => "missing",
    };
    let sentence = format!(
        "code from repositories runs under Landlock ({}) and seccomp ({})",
        word(confinement.landlock),
        word(confinement.seccomp)
    );
    let whole = [confinement.landlock, confinement.seccomp]
        .iter()
        .all(|enforcement| *enforcement == Enforcement::Full);
    Ok(match whole {
        true => Check::good(NAME, sentence),
        false => Check::weak(NAME, sentence, remedy),
    })
}

/// A clock that is before this program was built orders records wrongly.
fn check_clock() -> Check {
    const NAME: &str = "clock";
    let remedy = "set the clock, for example with `timedatectl set-ntp true`";
    let built = adapters::this_program()
        .ok()
        .and_then(|program| std::fs::metadata(program).ok()?.modified().ok());
    let now = SystemTime::now();
    let said = jiff::Timestamp::now().strftime("it is %Y-%m-%d %H:%M:%SZ");
    match built.and_then(|built| built.duration_since(now).ok()) {
        Some(early) if early > Duration::from_secs(120) => {
            let sentence = format!("{said}, and this program is newer than that");
            Check::bad(NAME, sentence, remedy)
        }
        Some(_) | None => Check::good(NAME, said.to_string()),
    }
}

fn check_repository(place: &Place) -> Check {
    const NAME: &str = "repository";
    let repository = &place.repository;
    let form = match (repository.is_mirror(), repository.is_bare()) {
        (true, _) => "the mirror of a remote",
        (false, true) => "bare",
        (false, false) => "with a work tree",
    };
    let whole = format!("`{}`, {form}", repository.location());
    if let Some(error) = repository.unreached() {
        let remedy = "`git ls-remote` with the same address: it needs the same network and keys";
        return Check::bad(NAME, format!("{whole}: {error}"), remedy);
    }
    match repository.resolve("HEAD") {
        Ok(head) => match repository.tree(&head).map(|tree| tree.entry("stratum.ncl")) {
            Ok(Ok(Some(_))) => Check::good(NAME, format!("{whole}, HEAD at {}", head.short())),
            Ok(Ok(None)) => {
                let sentence = format!("{whole}, without `stratum.ncl` at HEAD");
                Check::bad(NAME, sentence, "`stratum init` writes one; then commit it")
            }
            Ok(Err(error)) => Check::bad(NAME, format!("{whole}: {error}"), "`git fsck`"),
            Err(error) => Check::bad(NAME, format!("{whole}: {error}"), "`git fsck`"),
        },
        Err(error @ (RepositoryError::Empty { .. } | RepositoryError::NoSuchRevision { .. })) => {
            let remedy = "push a first commit; `stratum init` in a clone writes the first files";
            Check::bad(NAME, error.to_string(), remedy)
        }
        Err(error) => {
            let sentence = error.to_string();
            let hints = CommandError::from(error).hints();
            let remedy = hints.first().map_or("`git fsck`", String::as_str);
            Check::bad(NAME, sentence, remedy)
        }
    }
}

/// The room on the disk that holds the state, or will.
fn check_room(folder: &Path) -> Check {
    const NAME: &str = "disk";
    let remedy = "`df -h` shows what is full; make room on it";
    let there = folder.ancestors().find(|folder| folder.exists());
    let Some(Ok(disk)) = there.map(rustix::fs::statvfs) else {
        return Check::weak(NAME, "the room left cannot be told", "`df -h`");
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let sentence = format!("{} MiB free where the state is", free >> 20);
    match free >= ROOM {
        true => Check::good(NAME, sentence),
        false => Check::bad(NAME, sentence, remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_git_are_read() {
        assert_eq!(version("git version 2.39.5"), Some((2, 39)));
        assert_eq!(version("git version 2.45.1.windows.1"), Some((2, 45)));
        assert_eq!(version("git version"), None);
        assert!((2, 9) < OLDEST_GIT && (3, 0) > OLDEST_GIT);
    }

    #[test]
    fn each_fault_names_what_to_do() {
        let checks = [
            Check::good("git", "git version 2.39.5"),
            Check {
                steps: vec!["look".to_owned(), "act".to_owned()],
                ..Check::bad("disk", "3 MiB free", "`df -h`")
            },
        ];
        let expected = "\
ok git         git version 2.39.5
!! disk        3 MiB free
    do: `df -h`
    1. look
    2. act
";
        assert_eq!(text(&Theme::PLAIN, &checks), expected);
    }
}
