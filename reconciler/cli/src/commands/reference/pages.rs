//! The pages.

use std::fmt::Write as _;

use stratum_core::finding::codes;

use super::contract::{self, Entry};
use super::head;
use crate::exit::{self, Exit};

/// How a command can end, by its words.
type Exits = dyn Fn(&str) -> Vec<Exit>;

/// Every command with its options.
pub(super) fn commands(grammar: clap::Command, exits: &Exits) -> String {
    let mut command = grammar.term_width(100);
    command.build();
    let mut text = head(
        "Commands",
        "`stratum COMMAND --help` prints the same. stdout is the answer, stderr is everything else.",
    );
    let _infallible = writeln!(text, "\n```\n{}\n```", exit::TABLE);
    text.push_str("\n## Options of every command\n\n");
    let global = command.get_arguments().filter(|a| a.is_global_set());
    global.for_each(|argument| option(&mut text, argument));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write_command(&mut text, "stratum", sub, exits, 2);
    }
    text
}

fn write_command(
    text: &mut String,
    above: &str,
    command: &clap::Command,
    exits: &Exits,
    level: usize,
) {
    let name = format!("{above} {}", command.get_name());
    let marks = "#".repeat(level);
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let _infallible = writeln!(text, "\n{marks} {name}\n\n{}", sentences(&about));
    let own = command
        .get_arguments()
        .filter(|a| !a.is_hide_set() && !a.is_global_set() && a.get_id() != "help");
    let mut first = true;
    for argument in own {
        if std::mem::take(&mut first) {
            text.push('\n');
        }
        option(text, argument);
    }
    let codes = exits(name.strip_prefix("stratum ").unwrap_or(&name));
    let codes: Vec<_> = codes.iter().map(|exit| exit.code().to_string()).collect();
    if !codes.is_empty() {
        let _infallible = writeln!(text, "\nExit codes: {}.", codes.join(", "));
    }
    for sub in command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        write_command(text, &name, sub, exits, level + 1);
    }
}

/// The paragraphs, each with a full stop.
fn sentences(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let paragraph = paragraph.trim();
        match paragraph.ends_with(['.', ':', '`']) {
            true => paragraph.to_owned(),
            false => format!("{paragraph}."),
        }
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn option(text: &mut String, argument: &clap::Arg) {
    let names = argument.get_value_names().unwrap_or_default();
    let value = match argument.get_action().takes_values() {
        true => names
            .first()
            .map(|name| name.to_string())
            .unwrap_or_default(),
        false => String::new(),
    };
    let name = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long} {value}"),
        (None, Some(long)) => format!("--{long} {value}"),
        (Some(short), None) => format!("-{short} {value}"),
        (None, None) => value,
    };
    let help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let _infallible = write!(text, "- `{}`: {}", name.trim(), help.trim_end_matches('.'));
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let _infallible = write!(text, " (default `{}`)", defaults.join(", "));
    }
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if argument.get_action().takes_values() && !possible.is_empty() {
        let _infallible = write!(text, "; one of {}", possible.join(", "));
    }
    if let Some(variable) = argument.get_env() {
        let _infallible = write!(
            text,
            "; environment variable `{}`",
            variable.to_string_lossy()
        );
    }
    text.push('\n');
}

/// Every code of a finding.
pub(super) fn findings() -> String {
    let mut text = head(
        "Findings",
        "What `check`, `plan`, the hooks and pull requests complain about. `stratum explain CODE` \
         prints the same. A code is never used again for something else.",
    );
    let groups = [
        ("01", "The files of a repository"),
        ("02", "Nickel"),
        ("03", "Resources"),
        ("04", "Pipelines"),
        ("05", "Forms"),
        ("06", "Knowledge"),
        ("07", "Sealed files, trust, private keys"),
        ("08", "Plans"),
        ("09", "Policies and signatures"),
    ];
    let mut open = "";
    for code in codes::ALL {
        let group = code.code.get(3..5).unwrap_or_default();
        if group != open {
            let title = groups.iter().find(|(key, _)| *key == group);
            let title = title.map_or("Others", |(_, title)| title);
            let _infallible = writeln!(text, "\n## {title}\n");
            open = group;
        }
        let _infallible = writeln!(
            text,
            "- **{}**, {}: {}",
            code.code, code.title, code.explanation
        );
    }
    text
}

/// Every setting with its default.
pub(super) fn settings() -> String {
    let mut text = head(
        "Settings",
        "The keys of `stratum.ncl`, and those that every resource may have under `meta`. How the file \
         is written: [schemas/README.md](../../../schemas/README.md).",
    );
    let repo = include_str!("../../../../../schemas/repo.ncl");
    let resource = include_str!("../../../../../schemas/resource.ncl");
    text.push_str("\n## `stratum.ncl`\n\n");
    table(&mut text, &contract::entries(repo, "Settings"));
    text.push_str("\n## `meta` of a resource\n\n");
    table(&mut text, &contract::entries(resource, "Meta"));
    text
}

/// Every policy that ships.
pub(super) fn policies() -> String {
    let mut text = head(
        "Policies",
        "The policies that ship in the program. A file under `policies/` adds to them; a policy with the \
         same `@id` takes the place of one. Their text: [policies/](../../../policies).",
    );
    text.push_str("\n| id | reason |\n| --- | --- |\n");
    for policy in stratum_guard::shipped() {
        let _infallible = writeln!(text, "| `{}` | {} |", policy.id, policy.reason);
    }
    text
}

/// Every number of `/metrics`.
pub(super) fn metrics() -> String {
    let mut text = head(
        "Metrics",
        "What `GET /metrics` gives where `stratum reconcile --listen` runs, in the form of OpenMetrics. \
         Labels are bounded: environments beyond the first 200 are counted together.",
    );
    text.push_str("\n| name | type | labels | what |\n| --- | --- | --- | --- |\n");
    let sample = stratum_server::sample_of_metrics();
    let help = |name: &str| {
        let lead = format!("# HELP {name} ");
        sample.lines().find_map(|line| line.strip_prefix(&lead))
    };
    for line in sample.lines() {
        let Some((name, form)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        else {
            continue;
        };
        // A counter is called so much and `_total`.
        let full = if form == "counter" {
            format!("{name}_total")
        } else {
            name.to_owned()
        };
        let labels: Vec<&str> = sample
            .lines()
            .find_map(|line| {
                line.strip_prefix(&full)?
                    .strip_prefix('{')?
                    .split('}')
                    .next()
            })
            .map(|labels| {
                labels
                    .split(',')
                    .filter_map(|l| l.split('=').next())
                    .collect()
            })
            .unwrap_or_default();
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let about = help(name).unwrap_or_default();
        let labels = labels.join(", ");
        let _infallible = writeln!(text, "| `{full}` | {form} | {labels} | {about} |");
    }
    text
}

fn table(text: &mut String, entries: &[Entry]) {
    text.push_str("| key | form | default | what |\n| --- | --- | --- | --- |\n");
    for entry in entries {
        let default = match (&entry.default, entry.optional) {
            (Some(default), _) => format!("`{}`", default.replace('|', "\\|")),
            (None, true) => "none".to_owned(),
            (None, false) => "must be given".to_owned(),
        };
        let form = entry.form.replace('|', "\\|");
        let about = entry.about.replace('|', "\\|");
        let _infallible = writeln!(text, "| `{}` | `{form}` | {default} | {about} |", entry.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn pages_hold_what_they_are_about() {
        let page = commands(table::grammar(), &table::exits);
        for part in [
            "## stratum status",
            "- `--since REV`: ",
            "  4  denied by policy",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(
            !page.contains("stratum hook\n"),
            "hidden commands are not for people"
        );
        assert!(findings().contains("- **STR0302**, unknown attribute: "));
        let page = settings();
        for part in [
            "| `name` | `String` | must be given | ",
            "| `environments.<name>.parallelism` | `Number` | `10` | ",
            "| `drift.every` | `Duration` | `\"5m\"` | ",
            "| `protect` | ",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }
}
