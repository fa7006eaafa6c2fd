//! `agents.ncl`: models, roles, tool servers and groups, and what pipelines may name of them.

use std::collections::BTreeSet;

use stratum_core::finding::{Finding, codes};
use stratum_core::kinds::agents::{ModelProvider, TOOLS};
use stratum_core::kinds::knowledge::day;
use stratum_core::kinds::pipeline::Role;
use stratum_core::ports::TreeError;
use stratum_core::suggest;

use crate::document::{self, Document, Item};
use crate::reading::Reading;
use crate::shape::Shape;

/// The file.
pub(crate) const FILE: &str = "agents.ncl";

/// Groups, where people keep their keys.
const GROUPS: &str = "trust/groups.toml";

/// What pipelines may name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agents {
    /// Tools, the built-in ones included.
    pub(crate) tools: BTreeSet<String>,
    /// Groups that can approve.
    pub(crate) groups: BTreeSet<String>,
    /// The roles that have a model; `None` without `agents.ncl`.
    pub(crate) roles: Option<BTreeSet<String>>,
    /// Whether `agents.ncl` is there and could not be read, so that nothing is known of it.
    pub(crate) unread: bool,
    /// Secrets that it names: where, and `path#key`.
    pub(crate) secrets: Vec<(stratum_core::source::Source, String)>,
}

/// Checks `agents.ncl`, if there is one.
///
/// *Guarantees*: the names of groups are the keys of `trust/groups.toml` if that file exists, and
/// otherwise those of `groups` in `agents.ncl`.
pub(crate) fn agents(
    document: Option<&Document>,
    reading: &mut Reading<'_>,
) -> Result<Agents, TreeError> {
    let mut agents = Agents::default();
    agents.tools.extend(TOOLS.map(str::to_owned));
    if let Some(document) = document {
        check(&document.root(), &mut agents, &mut reading.findings);
    }
    if let Some(text) = reading.text(GROUPS)? {
        match document::toml(GROUPS, &text, &codes::AGENTS_SHAPE) {
            Ok(groups) => {
                agents.groups = groups
                    .root()
                    .entries()
                    .map(|(name, _)| name.to_owned())
                    .collect()
            }
            Err(findings) => reading.findings.extend(findings),
        }
    }
    Ok(agents)
}

fn check(root: &Item<'_>, agents: &mut Agents, findings: &mut Vec<Finding>) {
    let mut shape = Shape::new(&codes::AGENTS_SHAPE, findings);
    if !shape.keys(root, FILE, &["models", "roles"], &["servers", "groups"]) {
        return;
    }
    let models = records(&mut shape, root, "models");
    for (_, model) in &models {
        check_model(&mut shape, model, agents);
    }
    let names: BTreeSet<&str> = models.iter().map(|(name, _)| *name).collect();
    let mut roles = BTreeSet::new();
    for (name, role) in records(&mut shape, root, "roles") {
        if shape.named(&role, "role", name, &Role::NAMES) {
            roles.insert(name.to_owned());
        }
        check_role(&mut shape, &role, &names);
    }
    agents.roles = Some(roles);
    for (name, server) in records(&mut shape, root, "servers") {
        check_server(&mut shape, name, &server, agents);
    }
    for (name, group) in records(&mut shape, root, "groups") {
        if !group.value.is_array() {
            shape.wrong(&group, name, "a list of names");
        }
        agents.groups.insert(name.to_owned());
    }
    name_models(root, &names, findings);
}

/// The entries of the record `key`.
fn records<'a>(shape: &mut Shape<'_>, root: &Item<'a>, key: &str) -> Vec<(&'a str, Item<'a>)> {
    let Some(item) = root.get(key) else {
        return Vec::new();
    };
    if !item.value.is_object() {
        shape.wrong(&item, key, "a record");
    }
    item.entries().collect()
}

fn check_model(shape: &mut Shape<'_>, model: &Item<'_>, agents: &mut Agents) {
    if !shape.keys(
        model,
        "model",
        &["provider", "model", "price"],
        &["endpoint", "secret"],
    ) {
        return;
    }
    shape.one_of(model, "provider", &ModelProvider::NAMES);
    shape.text(model, "model");
    check_url(shape, model, "endpoint");
    check_secret(shape, model, agents);
    if let Some(price) = shape.record(model, "price", &["input", "output", "date"], &[]) {
        shape.amount(&price, "input");
        shape.amount(&price, "output");
        if let Some((date, text)) = shape.text(&price, "date")
            && day(text).is_none()
        {
            shape.wrong(&date, "date", "a day like `2026-11-24`");
        }
    }
}

fn check_url(shape: &mut Shape<'_>, item: &Item<'_>, key: &str) {
    if let Some((url, text)) = shape.text(item, key)
        && !(text.starts_with("https://") || text.starts_with("http://"))
    {
        shape.wrong(&url, key, "a URL that begins with `https://` or `http://`");
    }
}

fn check_secret(shape: &mut Shape<'_>, item: &Item<'_>, agents: &mut Agents) {
    if let Some((secret, text)) = shape.text(item, "secret") {
        match text.split_once('#') {
            Some((path, key)) if !path.is_empty() && !key.is_empty() => {
                agents.secrets.push((secret.source(), text.to_owned()));
            }
            _ => shape.wrong(&secret, "secret", "a secret by name, `path#key`"),
        }
    }
}

fn check_role(shape: &mut Shape<'_>, role: &Item<'_>, models: &BTreeSet<&str>) {
    if !shape.keys(role, "role", &["models"], &["weekly", "monthly"]) {
        return;
    }
    let named = shape.texts(role, "models");
    if named.is_empty()
        && role
            .get("models")
            .is_some_and(|models| models.value.is_array())
    {
        let hint = suggest::hint("", models.iter().copied()).or_else(no_model);
        shape.error(
            role.key_source("models"),
            "a role needs at least one model".to_owned(),
            hint,
        );
    }
    let (weekly, monthly) = (shape.amount(role, "weekly"), shape.amount(role, "monthly"));
    if let (Some(weekly), Some(monthly)) = (weekly, monthly)
        && weekly > monthly
    {
        let message = format!("a week may cost {weekly}, but a month only {monthly}");
        let hint = "raise `monthly`, or lower `weekly`".to_owned();
        shape.error(role.key_source("weekly"), message, Some(hint));
    }
}

fn no_model() -> Option<String> {
    Some("define one under `models`".to_owned())
}

fn check_server(shape: &mut Shape<'_>, name: &str, server: &Item<'_>, agents: &mut Agents) {
    if !shape.keys(
        server,
        "tool server",
        &["tools"],
        &["command", "url", "secret"],
    ) {
        return;
    }
    shape.texts(server, "command");
    check_url(shape, server, "url");
    check_secret(shape, server, agents);
    if server.get("command").is_some() == server.get("url").is_some() {
        let message = format!("tool server `{name}` needs either `command` or `url`");
        let hint = "`command` for a program, `url` for a server".to_owned();
        shape.error(server.source(), message, Some(hint));
    }
    for (item, tool) in shape.texts(server, "tools") {
        if !agents.tools.insert(tool.to_owned()) {
            let message = format!("tool `{tool}` is there twice");
            let hint = "it is built in, or another server has it: leave it out here".to_owned();
            shape.error(item.source(), message, Some(hint));
        }
    }
}

/// Models that roles name and nothing defines.
fn name_models(root: &Item<'_>, models: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
    let mut shape = Shape::new(&codes::PIPELINE_NAME, findings);
    for (_, role) in root.get("roles").iter().flat_map(Item::entries) {
        for item in role.get("models").iter().flat_map(Item::items) {
            if let Some(name) = item.value.as_str().filter(|name| !models.contains(name)) {
                let hint = suggest::hint(name, models.iter().copied()).or_else(no_model);
                shape.error(item.source(), format!("there is no model `{name}`"), hint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::yaml;
    use crate::memory::MemoryTree;

    const GOOD: &str = "\
models:
  small:
    provider: openai
    model: qwen
    endpoint: http://127.0.0.1:11434/v1
    price: { input: 0, output: 0.5, date: 2026-11-01 }
    secret: agents/small#key
roles:
  Monitor: { models: [small], weekly: 1, monthly: 3 }
servers:
  tickets: { command: [tickets, --stdio], tools: [ticket_search] }
groups: { sre: [ada, bo] }
";

    fn read(text: &str, tree: &MemoryTree) -> (Agents, Vec<String>) {
        let document = yaml(FILE, text, 0).unwrap();
        let mut reading = Reading::new(tree);
        let agents = agents(Some(&document), &mut reading).unwrap();
        let show = |f: &Finding| format!("{} {} {}", f.code, f.source.as_ref().unwrap(), f.message);
        (agents, reading.findings.iter().map(show).collect())
    }

    #[test]
    fn a_right_file_defines_tools_groups_and_roles() {
        let (agents, findings) = read(GOOD, &MemoryTree::new([]));
        assert_eq!(findings, [""; 0]);
        assert!(agents.tools.contains("ticket_search") && agents.tools.contains("state_read"));
        assert!(agents.groups.contains("sre") && agents.roles.unwrap().contains("Monitor"));
        assert_eq!(agents.secrets[0].1, "agents/small#key");
        let typed: stratum_core::kinds::agents::Agents =
            yaml(FILE, GOOD, 0).unwrap().root().typed().unwrap();
        assert_eq!(typed.models.len(), 1);
    }

    #[test]
    fn groups_of_trust_come_first() {
        let tree = MemoryTree::new([("trust/groups.toml", "ops = [\"ada\"]\n")]);
        assert_eq!(read(GOOD, &tree).0.groups, ["ops".to_owned()].into());
        let broken = MemoryTree::new([("trust/groups.toml", "ops = \n")]);
        assert!(read(GOOD, &broken).1[0].starts_with("STR0407 trust/groups.toml:1:7 not TOML"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let cases = [
            (
                "provider: openai",
                "provider: opnai",
                "STR0407 agents.ncl:3:15 `opnai` is not a known `provider`",
            ),
            (
                "endpoint: http:",
                "endpoint: ftp:",
                "STR0407 agents.ncl:5:15 `endpoint` must be a URL that begins with `https://` or `http://`, not the text `ftp://127.0.0.1:11434/v1`",
            ),
            (
                "2026-11-01",
                "2026-13-01",
                "STR0407 agents.ncl:6:43 `date` must be a day like `2026-11-24`, not the text `2026-13-01`",
            ),
            (
                "output: 0.5",
                "output: -1",
                "STR0407 agents.ncl:6:32 `output` must be a number that is not negative, not the number `-1`",
            ),
            (
                "agents/small#key",
                "agents",
                "STR0407 agents.ncl:7:13 `secret` must be a secret by name, `path#key`, not the text `agents`",
            ),
            (
                "Monitor:",
                "Monitr:",
                "STR0407 agents.ncl:9:11 `Monitr` is not a known `role`",
            ),
            (
                "[small], weekly",
                "[large], weekly",
                "STR0405 agents.ncl:9:23 there is no model `large`",
            ),
            (
                "weekly: 1",
                "weekly: 9",
                "STR0407 agents.ncl:9:31 a week may cost 9, but a month only 3",
            ),
            (
                "command:",
                "url: http://x, command:",
                "STR0407 agents.ncl:11:12 tool server `tickets` needs either `command` or `url`",
            ),
            (
                "ticket_search",
                "state_read",
                "STR0407 agents.ncl:11:51 tool `state_read` is there twice",
            ),
            (
                "groups:",
                "group:",
                "STR0407 agents.ncl:12:1 agents.ncl has no key `group`",
            ),
        ];
        for (from, to, expected) in cases {
            assert!(GOOD.contains(from), "{from}");
            assert_eq!(
                read(&GOOD.replacen(from, to, 1), &MemoryTree::new([])).1,
                [expected]
            );
        }
    }
}
