//! `stratum fmt`

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use similar::TextDiff;
use stratum_core::stand_in::without_mark;

use crate::beneath;
use crate::commands::check::work_tree_folder;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::git;
use crate::show::json::VERSION;
use crate::style::{Mark, Role, harmless, one_line};

/// Tidies Nickel files and forms, and puts Cedar policies into their one form
///
/// Without paths: every such file of the work tree that git does not ignore. Policies are formatted
/// by Cedar's own formatter; of Nickel and TOML only line ends, indenting tabs, trailing spaces and
/// repeated blank lines change, so `nickel format` and this never disagree. A file that cannot be
/// read is left alone and named.
#[derive(Debug, clap::Args)]
pub(crate) struct FmtArguments {
    /// Only these files, or those in these folders
    paths: Vec<PathBuf>,

    /// Change nothing; end with 1 when a file is not in its form
    #[arg(long)]
    check: bool,

    /// With `--check`: show what would change
    #[arg(long, requires = "check")]
    diff: bool,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Nickel,
    Toml,
    Cedar,
}

/// What became of one file.
enum Outcome {
    Kept,
    Formatted { before: String, after: String },
    Unreadable(String),
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &FmtArguments) -> Result<Exit, CommandError> {
    let top = top(&context.standing())?;
    let (mut changed, mut unreadable) = (Vec::new(), Vec::new());
    for (path, language) in files(&top, &arguments.paths)? {
        let shown = path.strip_prefix(&top).unwrap_or(&path);
        let shown = shown.display().to_string();
        match format(&path, language)? {
            Outcome::Kept => {}
            Outcome::Unreadable(reason) => {
                let head = context.ui.side_theme().paint(Role::Bad, "error");
                let said = format!("{head}: {}: {}", harmless(&shown), one_line(&reason));
                context.ui.complain(&said);
                unreadable.push(json!({ "file": shown, "reason": reason }));
            }
            Outcome::Formatted { before, after } => {
                if !arguments.check {
                    replace(&top, &path, &after)?;
                }
                if arguments.diff && !context.global.json {
                    context.ui.answer(&difference(&shown, &before, &after));
                }
                changed.push(shown);
            }
        }
    }
    answer(context, arguments, &changed, &unreadable)?;
    let wrong = !unreadable.is_empty() || (arguments.check && !changed.is_empty());
    Ok(if wrong { Exit::Wrong } else { Exit::Done })
}

fn answer(
    context: &Context,
    arguments: &FmtArguments,
    changed: &[String],
    unreadable: &[serde_json::Value],
) -> Result<(), CommandError> {
    let ui = &context.ui;
    if context.global.json {
        let changed_or_not = if arguments.check {
            "unformatted"
        } else {
            "formatted"
        };
        let answer = json!({
            "version": VERSION, changed_or_not: changed, "unreadable": unreadable,
        });
        return Ok(ui.answer_json(&answer)?);
    }
    let (mark, role) = match arguments.check {
        true => (Mark::Bad, Role::Bad),
        false => (Mark::Good, Role::Good),
    };
    for path in changed.iter().filter(|_| !arguments.diff) {
        let mark = ui.theme().marked(mark, role);
        ui.answer(&format!("{mark} {}\n", harmless(path)));
    }
    if arguments.check && !changed.is_empty() {
        ui.hint("`stratum fmt` puts them into their form");
    }
    Ok(())
}

fn top(context: &Context) -> Result<PathBuf, CommandError> {
    let folder = work_tree_folder(context);
    git::top(&folder)
}

fn language(path: &Path) -> Option<Language> {
    match path.extension()?.to_str()? {
        "ncl" => Some(Language::Nickel),
        "toml" => Some(Language::Toml),
        "cedar" => Some(Language::Cedar),
        _ => None,
    }
}

/// Without paths, TOML is only formatted where it is stratum's own.
fn is_ours(path: &str, language: Language) -> bool {
    match language {
        Language::Nickel | Language::Cedar => true,
        Language::Toml => path.starts_with("forms/") || path.starts_with("trust/"),
    }
}

/// The files that are meant, with how they are read. Symlinks are not followed.
fn files(top: &Path, paths: &[PathBuf]) -> Result<Vec<(PathBuf, Language)>, CommandError> {
    let mut arguments = vec![
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
    ];
    let mut found = Vec::new();
    let mut folders = Vec::new();
    for path in paths {
        let full = stratum_assembly::absolute(path)?;
        match fs::symlink_metadata(&full) {
            Ok(data) if data.is_dir() => folders.push(full.display().to_string()),
            Ok(data) if data.is_file() => {
                let language = language(path).ok_or_else(|| {
                    let message = format!("`{}` is none of .ncl, .toml, .cedar", path.display());
                    CommandError::given(message).hint("name files of these kinds, or folders")
                })?;
                found.push((full, language));
            }
            Ok(_) => {}
            Err(error) => {
                let message = format!("`{}` cannot be read", path.display());
                return Err(CommandError::given(message)
                    .because(&error)
                    .hint("`git status`"));
            }
        }
    }
    if !paths.is_empty() && folders.is_empty() {
        return Ok(found);
    }
    arguments.extend(folders.iter().map(String::as_str));
    let listed = git::run(top, &arguments)?;
    let names = listed
        .split(|byte| *byte == 0)
        .filter_map(|name| std::str::from_utf8(name).ok());
    for name in names.filter(|name| !name.is_empty()) {
        let path = top.join(name);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|data| data.is_file());
        if let Some(language) = language(&path)
            && is_file
            && (!paths.is_empty() || is_ours(name, language))
        {
            found.push((path, language));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup();
    Ok(found)
}

fn format(path: &Path, language: Language) -> Result<Outcome, CommandError> {
    let bytes = fs::read(path).map_err(|error| {
        CommandError::machine(format!("`{}` cannot be read", path.display())).because(&error)
    })?;
    let Ok(before) = String::from_utf8(bytes) else {
        return Ok(Outcome::Unreadable("it is not UTF-8 text".to_owned()));
    };
    // A byte order mark says nothing, and some readers trip over it.
    let text = without_mark(before.clone());
    let formatted = match language {
        Language::Nickel => stratum_load::format::nickel(&text).map_err(|e| e.to_string()),
        Language::Toml => stratum_load::format::toml(&text).map_err(|e| e.to_string()),
        Language::Cedar => stratum_guard::format::cedar(&text),
    };
    Ok(match formatted {
        Err(reason) => Outcome::Unreadable(reason),
        Ok(after) if after == before => Outcome::Kept,
        Ok(after) => Outcome::Formatted { before, after },
    })
}

/// Writes a file as a whole or not at all, with the mode it had. No link below `top` is followed.
fn replace(top: &Path, path: &Path, text: &str) -> Result<(), CommandError> {
    let (top, name) = match path.strip_prefix(top) {
        Ok(name) => (top, name),
        // A file that a person named, and that lies elsewhere.
        Err(_) => (
            path.parent().unwrap_or(Path::new("/")),
            Path::new(path.file_name().unwrap_or_default()),
        ),
    };
    beneath::write(top, &name.to_string_lossy(), text.as_bytes()).map_err(|error| {
        CommandError::machine(format!("`{}` could not be written", path.display())).because(&error)
    })
}

fn difference(path: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    diff.unified_diff().header(path, path).to_string()
}
