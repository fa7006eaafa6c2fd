//! `stratum.ncl` becomes Settings.

use stratum_core::finding::{Finding, codes};
use stratum_core::ids::{BranchName, EnvironmentName};
use stratum_core::ports::{LoadError, Loaded};
use stratum_core::settings::{Budget, Settings};
use stratum_core::source::Source;

use crate::evaluate::node::{Node, Places};
use crate::evaluate::{Evaluator, Output};
use crate::oddities::oddities;
use crate::outline::{Check, Key, Outline, key, required};

/// The file.
pub(crate) const FILE: &str = "stratum.ncl";

const DRIFT: Outline = Outline::Object(&[
    key("mode", Outline::Choice(&["correct", "report", "ignore"])),
    key("every", Outline::Duration),
]);

const ENVIRONMENT: Outline = Outline::Object(&[
    key("branch", Outline::Accepted(is_branch)),
    key("root", Outline::Accepted(is_root)),
    key("roots", Outline::List(&Outline::Accepted(is_absolute))),
    key("user", Outline::Text),
    key("isolated", Outline::Bool),
    key("network", Outline::Bool),
    key(
        "on_failure",
        Outline::Choice(&["rollback", "halt", "continue"]),
    ),
    key("drift", DRIFT),
    key("max_deletes", Outline::Accepted(is_budget)),
    key("parallelism", Outline::Count(1)),
    key("suspended", Outline::Bool),
    key("empty", Outline::Bool),
    key("labels", Outline::Map(&Outline::Text)),
]);

const SETTINGS: &[Key] = &[
    required("name", Outline::Text),
    required("environments", Outline::Map(&ENVIRONMENT)),
    key(
        "records",
        Outline::Object(&[key("branch", Outline::Accepted(is_branch))]),
    ),
    key("drift", DRIFT),
    key(
        "limits",
        Outline::Object(&[
            key("memory", Outline::Count(64)),
            key("time", Outline::Duration),
            key("call", Outline::Duration),
        ]),
    ),
    key("signatures", Outline::Choice(&["required", "warn", "off"])),
    key(
        "approvals",
        Outline::Object(&[key("valid", Outline::Duration)]),
    ),
    key("knowledge", Outline::Object(&[key("org", Outline::Text)])),
    key(
        "secrets",
        Outline::Object(&[
            key(
                "signatures",
                Outline::Choice(&["ed25519", "either", "both", "ml-dsa"]),
            ),
            key("generated", Outline::Choice(&["state", "branch"])),
        ]),
    ),
    key(
        "audit",
        Outline::Object(&[key("months", Outline::Accepted(is_months))]),
    ),
    key(
        "retention",
        Outline::Object(&[
            key("journals", Outline::Count(10)),
            key("journal_days", Outline::Count(1)),
            key("history", Outline::Count(10)),
            key("history_days", Outline::Count(1)),
            key("observations", Outline::Count(1)),
            key("observation_days", Outline::Count(1)),
        ]),
    ),
];

fn is_branch(json: &serde_json::Value) -> Result<(), String> {
    let text = json.as_str().ok_or("must be the name of a branch")?;
    BranchName::new(text)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn is_absolute(json: &serde_json::Value) -> Result<(), String> {
    match json.as_str() {
        Some(text) if text.starts_with('/') => is_root(json),
        _ => Err("must be an absolute path".to_owned()),
    }
}

/// A path that a system can have; where it may lie is asked by whoever has the places.
fn is_root(json: &serde_json::Value) -> Result<(), String> {
    let text = json.as_str().ok_or("must be a path")?;
    let long = |name: &str| name.len() > 255;
    match text {
        "" => Err("is empty, and would be every place".to_owned()),
        _ if text.contains('\0') => Err("has a NUL byte in it, which no path can have".to_owned()),
        _ if text.len() > 4095 || text.split('/').any(long) => {
            Err("is longer than a system takes: 255 bytes a name, 4095 in all".to_owned())
        }
        _ => Ok(()),
    }
}

fn is_months(json: &serde_json::Value) -> Result<(), String> {
    let months = json.as_f64().filter(|months| months.fract() == 0.0);
    match months {
        Some(1.0..=1200.0) => Ok(()),
        Some(_) | None => Err("must be a whole number of months from 1 to 1200".to_owned()),
    }
}

fn is_budget(json: &serde_json::Value) -> Result<(), String> {
    Budget::try_from(json.clone()).map(|_| ())
}

/// Reads the settings of a tree.
pub(crate) fn load(evaluator: &Evaluator<'_>) -> Result<Loaded<Settings>, LoadError> {
    if !evaluator.has(FILE)? {
        let finding = Finding::error(&codes::SETTINGS_MISSING, format!("there is no `{FILE}`"))
            .at(Source::start_of(FILE))
            .hint("`stratum init` writes one");
        return Ok(Loaded {
            value: None,
            findings: vec![finding],
        });
    }
    let Output {
        value,
        files,
        mut findings,
        ..
    } = evaluator.output(FILE, false)?;
    let Some(node) = value else {
        return Ok(Loaded {
            value: None,
            findings,
        });
    };
    findings.extend(check(&node, Places(&files)));
    let value = if findings.iter().any(Finding::is_error) {
        None
    } else {
        match serde_json::from_value(node.to_json()) {
            Ok(settings) => {
                findings.extend(shared_places(&settings, &node, Places(&files)));
                findings.extend(oddities(&settings, &node, Places(&files)));
                Some(settings)
            }
            Err(error) => {
                let finding = Finding::error(&codes::SETTINGS_INVALID, error.to_string());
                findings.push(finding.at(Source::start_of(FILE)));
                None
            }
        }
    };
    Ok(Loaded { value, findings })
}

/// A finding for each two environments that share a place.
fn shared_places(settings: &Settings, node: &Node, places: Places<'_>) -> Vec<Finding> {
    let of = |name: &str| node.field("environments")?.2.field(name)?.1;
    let finding = |(name, said): (String, String)| {
        let mut finding = Finding::error(&codes::SETTINGS_INVALID, said)
            .hint("give each environment a root of its own");
        let start = node.0.or(Some((0, 1, 1)));
        finding.source = places.source(of(&name).or(start));
        finding
    };
    crate::roots::shared(settings)
        .into_iter()
        .map(finding)
        .collect()
}

fn check(node: &Node, places: Places<'_>) -> Vec<Finding> {
    let mut check = Check {
        unknown: &codes::SETTINGS_UNKNOWN,
        invalid: &codes::SETTINGS_INVALID,
        places,
        findings: Vec::new(),
    };
    let start = node.0.or(Some((0, 1, 1)));
    check.value(Outline::Object(SETTINGS), node, start, "");
    let mut findings = check.findings;
    if let Some(environments) = node.field("environments") {
        let names = environments.2.fields();
        if names.is_empty() && findings.is_empty() {
            findings.extend(places.source(environments.1).map(|source| {
                Finding::error(&codes::SETTINGS_INVALID, "`environments` is empty")
                    .at(source)
                    .hint("write for example `environments = { staging = {} }`")
            }));
        }
        for field in names {
            let reason = match EnvironmentName::new(field.0.clone()) {
                Ok(name) if name.is_repository() => {
                    "`repository` is the name of what belongs to no environment".to_owned()
                }
                Ok(_) => continue,
                Err(error) => error.to_string(),
            };
            let mut finding = Finding::error(&codes::SETTINGS_INVALID, reason);
            finding.source = places.source(field.1.or(start));
            findings.push(finding);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::in_process;
    use crate::memory::MemoryTree;

    fn read(text: &str) -> Loaded<Settings> {
        let tree = MemoryTree::new([(FILE, text)]);
        load(&in_process(&tree)).unwrap()
    }

    #[test]
    fn the_example_of_the_design_is_read() {
        let loaded = read(
            "{ name = \"shop\", environments = { staging = {}, production = { branch = \"main\",\n\
             root = \"/srv/shop\", roots = [\"/etc/shop\"], on_failure = 'rollback,\n\
             drift = { mode = 'correct, every = \"5m\" }, max_deletes = 5, parallelism = 10,\n\
             suspended = false } }, records = { branch = \"stratum/records\" }, signatures = 'warn }",
        );
        assert_eq!(loaded.findings, vec![]);
        let settings = loaded.value.unwrap();
        assert_eq!(
            (settings.name.as_str(), settings.environments.len()),
            ("shop", 2)
        );
    }

    #[test]
    fn the_contract_for_editors_accepts_the_same() {
        let text = "{ name = \"shop\", environments = { a = { max_deletes = \"20%\" } } }\n\
                    | (import \"stratum/repo.ncl\").Settings";
        let loaded = read(text);
        assert_eq!(loaded.findings, vec![]);
        let plain = read("{ name = \"shop\", environments = { a = { max_deletes = \"20%\" } } }");
        assert_eq!(
            loaded.value, plain.value,
            "the contract has other defaults than the engine"
        );
    }

    #[test]
    fn each_mistake_has_code_place_and_hint() {
        let cases: [(&str, &str, u32, Option<&str>); 14] = [
            (
                "{ name = \"x\",\n environments = { a.drift.every = \"0s\" } }",
                "STR0103",
                2,
                None,
            ),
            (
                "{ name = \"x\",\n limits.time = \"0ms\", environments.a = {} }",
                "STR0103",
                2,
                None,
            ),
            (
                "{ name = \"x\",\n environments.a.root = \"\" }",
                "STR0103",
                2,
                None,
            ),
            (
                "{ name = \"x\",\n environments.a.roots = [\"/a\", \"b\"] }",
                "STR0103",
                2,
                None,
            ),
            (
                "{ name = \"x\", environments.a = {},\n audit.months = 0 }",
                "STR0103",
                2,
                None,
            ),
            (
                "{\n nam = \"x\",\n name = \"x\", environments.a = {} }",
                "STR0102",
                2,
                Some("did you mean `name`?"),
            ),
            (
                "{ name = \"x\",\n environments.a.on_failure = 'rolback }",
                "STR0103",
                2,
                Some("did you mean `rollback`?"),
            ),
            (
                "{ name = \"x\",\n environments = { a.drift.every = \"soon\" } }",
                "STR0103",
                2,
                None,
            ),
            ("{ name = 5,\n environments.a = {} }", "STR0103", 1, None),
            (
                "{ environments.a = {} }",
                "STR0103",
                1,
                Some("add `name = ...`"),
            ),
            (
                "{ name = \"x\",\n environments = {} }",
                "STR0103",
                2,
                Some("write for example `environments = { staging = {} }`"),
            ),
            (
                "{ name = \"x\",\n environments.repository = {} }",
                "STR0103",
                2,
                None,
            ),
            (
                "{ name = \"x\",\n environments.a.parallelism = 0 }",
                "STR0103",
                2,
                None,
            ),
            (
                "{ name = \"x\", environments.a = { roots =\n [\"etc\"] } }",
                "STR0103",
                2,
                None,
            ),
        ];
        for (text, code, line, hint) in cases {
            let loaded = read(text);
            let found: Vec<_> = loaded
                .findings
                .iter()
                .map(|f| {
                    (
                        f.code.0.as_str(),
                        f.source.as_ref().unwrap().line,
                        f.hint.as_deref(),
                    )
                })
                .collect();
            assert_eq!(
                found,
                vec![(code, line, hint)],
                "{text}: {:?}",
                loaded.findings
            );
            assert_eq!(loaded.value, None);
        }
    }

    #[test]
    fn a_tree_without_settings_is_told_what_to_do() {
        let loaded = load(&in_process(&MemoryTree::default())).unwrap();
        assert_eq!(loaded.findings[0].code.0, "STR0101");
    }
}
