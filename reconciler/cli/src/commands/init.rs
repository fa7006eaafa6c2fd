//! `stratum init`

use std::path::{Path, PathBuf};

use serde_json::json;
use stratum_core::ids::EnvironmentName;

use crate::beneath;
use crate::commands::install;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::git;
use crate::style::{Mark, Role};

/// Makes a repository ready: settings and a first environment
///
/// It writes what is not there yet and never changes what is. Run it as often as you like.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArguments {
    /// The work tree
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// The name of the repository [default: that of the folder]
    #[arg(long)]
    name: Option<String>,

    /// An environment; may be given several times
    #[arg(long = "env", value_name = "NAME", default_value = "production")]
    environments: Vec<EnvironmentName>,

    /// Install the hooks of git, too; in a bare repository, nothing else
    #[arg(long)]
    hooks: bool,
}

/// A file to write, below the work tree.
struct Draft {
    path: String,
    text: String,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &InitArguments) -> Result<Exit, CommandError> {
    if arguments.hooks && install::is_bare(&arguments.folder) {
        let hooks = install::install(&arguments.folder)?;
        list(context, &hooks.written, &hooks.kept)?;
        hooks.notes.iter().for_each(|note| context.ui.hint(note));
        return Ok(Exit::Done);
    }
    let folder = top(&arguments.folder)?;
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => name_of(&folder),
    };
    let mut written = Vec::new();
    let mut kept = Vec::new();
    for draft in drafts(&folder, &name, &arguments.environments) {
        match beneath::write_new(&folder, &draft.path, draft.text.as_bytes()) {
            Ok(true) => written.push(draft.path),
            Ok(false) => kept.push(draft.path),
            Err(error) => {
                let message = format!("`{}` could not be written", draft.path);
                return Err(CommandError::machine(message).because(&error));
            }
        }
    }
    drivers(&folder)?;
    let mut notes = Vec::new();
    if arguments.hooks {
        let hooks = install::install(&folder)?;
        written.extend(hooks.written);
        kept.extend(hooks.kept);
        notes = hooks.notes;
    }
    list(context, &written, &kept)?;
    if !context.global.json {
        context.ui.hint(NEXT);
    }
    notes.iter().for_each(|note| context.ui.hint(note));
    Ok(Exit::Done)
}

/// What comes after the first files.
const NEXT: &str =
    "`stratum check` looks at the files; `git add -A && git commit`, then `stratum plan`";

fn list(context: &Context, written: &[String], kept: &[String]) -> Result<(), CommandError> {
    let ui = &context.ui;
    if context.global.json {
        let answer = json!({ "version": 1, "written": written, "kept": kept });
        ui.answer_json(&answer)?;
        return Ok(());
    }
    let theme = ui.theme();
    for path in written {
        ui.answer(&format!(
            "{} {path}\n",
            theme.marked(Mark::Good, Role::Good)
        ));
    }
    for path in kept {
        let mark = theme.marked(Mark::Idle, Role::Quiet);
        ui.answer(&format!("{mark} {path} (is there already)\n"));
    }
    Ok(())
}

/// How git merges sealed files. Where the program is not on the path, git alone merges them line by
/// line: what it cannot merge then has its marks, and no side is dropped in silence.
const DRIVER: &str = "if command -v stratum >/dev/null; then stratum secrets merge-driver %O %A %B \
                      %P; else git merge-file -L ours -L base -L theirs %A %O %B; fi";

/// What was set before there was a way without the program.
const OLD_DRIVER: &str = "stratum secrets merge-driver %O %A %B %P";

/// Tells git how sealed files are compared and merged here; what somebody set already stays.
fn drivers(folder: &Path) -> Result<(), CommandError> {
    for (name, value) in [
        ("diff.stratum.textconv", "stratum secrets diff-driver"),
        ("merge.stratum.name", "sealed files, value by value"),
        ("merge.stratum.driver", DRIVER),
    ] {
        let there = git::text(folder, &["config", "--get", name]);
        if there.is_err() || there.is_ok_and(|there| there == OLD_DRIVER) {
            git::run(folder, &["config", name, value])?;
        }
    }
    Ok(())
}

/// The top of the work tree that holds `folder`.
fn top(folder: &Path) -> Result<PathBuf, CommandError> {
    if !folder.is_dir() {
        let message = format!("there is no folder `{}`", folder.display());
        return Err(CommandError::given(message).hint(format!("`mkdir {}`", folder.display())));
    }
    git::top(folder)
}

fn name_of(folder: &Path) -> String {
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "repository".to_owned())
}

fn drafts(folder: &Path, name: &str, environments: &[EnvironmentName]) -> Vec<Draft> {
    let mut drafts = vec![
        Draft {
            path: "stratum.ncl".to_owned(),
            text: settings(name, environments),
        },
        Draft {
            path: ".gitattributes".to_owned(),
            text: "*.sealed.yaml diff=stratum merge=stratum\n".to_owned(),
        },
    ];
    for environment in environments {
        // An environment in a folder of its own has its files already.
        if !folder.join("infra").join(environment.as_str()).is_dir() {
            drafts.push(Draft {
                path: format!("infra/{environment}.ncl"),
                text: infrastructure(environment),
            });
        }
    }
    drafts
}

fn settings(name: &str, environments: &[EnvironmentName]) -> String {
    let names: String = environments
        .iter()
        .map(|environment| format!("    {environment} = {{}},\n"))
        .collect();
    // A string of Nickel, with what its quotes and `%{` mean taken away.
    let name = serde_json::Value::from(name)
        .to_string()
        .replace("%{", "\\%{");
    format!(
        "# What stratum keeps, and how. Every other setting has a default.\n{{\n  name = {name},\n  environments = {{\n{names}  }},\n}}\n"
    )
}

fn infrastructure(environment: &EnvironmentName) -> String {
    format!(
        "# The resources of `{environment}`. A push of a change to them is all it takes.\n\
         {{\n  local_file.hello = {{\n    path = \"hello.txt\",\n    \
         content = \"hello from {environment}\\n\",\n  }},\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_settings_are_the_smallest() {
        let environments = [EnvironmentName::new("production").unwrap()];
        let expected = "\
# What stratum keeps, and how. Every other setting has a default.
{
  name = \"a \\\"shop\\\" \\%{x}\",
  environments = {
    production = {},
  },
}
";
        assert_eq!(settings("a \"shop\" %{x}", &environments), expected);
    }
}
