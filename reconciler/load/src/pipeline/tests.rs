use super::*;
use crate::document::yaml;
use crate::memory::MemoryTree;

/// A right pipeline. It is YAML here: the checks see values and places, whatever the language.
const GOOD: &str = "\
name: incident-response
intent: Shorten the time to a diagnosis
triggers:
  - { on: drift, environment: production }
  - { on: schedule, cron: 0 6 * * 1 }
  - { on: manual }
concurrency: { key: environment, policy: queue }
deadline: 30m
budget: { usd: 2.0, tokens: 200000, turns: 20, on_exceed: fallback }
network: []
steps:
  - id: triage
    role: Monitor
    prompt: prompts/triage.md
    inputs: { drift: { from: trigger.diff, untrusted: true } }
    tools: [knowledge_search, state_read]
    output: { schema: schemas/triage.json, max_bytes: 65536 }
    retry: { limit: 2, on: [rate_limit, server], backoff: { from: 2s, to: 30s } }
    timeout: 5m
  - id: fix
    role: DevOps
    needs: [triage]
    when: steps.triage.output.severity != 'low'
    propose:
      - { action: open_change, max: 1, paths: ['infra/production/**'], undo: close_change }
    approval: { by: sre, min: 1, expires: 4h, not_author: true }
    timeout: 10m
";

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": { "severity": { "enum": ["low", "high"] }, "summary": { "type": "string" } }
}"#;

fn tree() -> MemoryTree {
    MemoryTree::new([
        ("prompts/triage.md", "look"),
        ("schemas/triage.json", SCHEMA),
    ])
}

fn found_in(text: &str, tree: &MemoryTree) -> Vec<String> {
    let document = yaml("p.ncl", text, 0).unwrap();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let agents = Agents {
        tools: names(&["knowledge_search", "state_read"]),
        groups: names(&["sre"]),
        roles: Some(names(&["Monitor", "DevOps"])),
        ..Agents::default()
    };
    let world = World {
        agents: &agents,
        environments: ["production", "staging"].into(),
    };
    let mut reading = Reading::new(tree);
    pipeline(&document, &world, &mut reading).unwrap();
    assert!(
        reading
            .findings
            .iter()
            .all(|finding| finding.hint.is_some()),
        "{:?}",
        reading.findings
    );
    let show = |finding: &stratum_core::finding::Finding| {
        format!(
            "{} {} {}",
            finding.code,
            finding.source.as_ref().unwrap(),
            finding.message
        )
    };
    reading.findings.iter().map(show).collect()
}

/// What is found when `from` is written `to`.
fn found(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    found_in(&GOOD.replacen(from, to, 1), &tree())
}

#[test]
fn a_right_pipeline_has_no_findings() {
    assert_eq!(found_in(GOOD, &tree()), [""; 0]);
}

#[test]
fn keys_and_types_are_looked_at() {
    let cases = [
        (
            "deadline:",
            "deadlin:",
            "STR0401 p.ncl:8:1 pipeline has no key `deadlin`",
        ),
        (
            "intent: Shorten",
            "intnt: Shorten",
            "STR0401 p.ncl:1:1 pipeline lacks `intent`",
        ),
        (
            "name: incident-response",
            "name: a b",
            "STR0401 p.ncl:1:7 `name` must be a name without white space, `/` and `#`, not the text `a b`",
        ),
        (
            "on: manual",
            "on: manul",
            "STR0401 p.ncl:6:11 `manul` is not a known `on`",
        ),
        (
            "on: manual",
            "on: manual, cron: x",
            "STR0401 p.ncl:6:19 trigger has no key `cron`",
        ),
        (
            "policy: queue",
            "policy: wait",
            "STR0401 p.ncl:7:42 `wait` is not a known `policy`",
        ),
        (
            "key: environment",
            "key: 1",
            "STR0401 p.ncl:7:21 `key` must be a text, not the number `1`",
        ),
        (
            "tokens: 200000",
            "tokens: -1",
            "STR0401 p.ncl:9:29 `tokens` must be a whole number from 1, not the number `-1`",
        ),
        (
            "on_exceed: fallback",
            "on_exceed: no",
            "STR0401 p.ncl:9:59 `no` is not a known `on_exceed`",
        ),
        (
            "network: []",
            "network: ['https://x.org']",
            "STR0401 p.ncl:10:11 `https://x.org` is not a host",
        ),
        (
            "role: Monitor",
            "role: Monitr",
            "STR0401 p.ncl:13:11 `Monitr` is not a known `role`",
        ),
        (
            "id: triage",
            "id: tri-age",
            "STR0401 p.ncl:12:9 `tri-age` cannot be a step id: conditions name it as `steps.tri-age`",
        ),
        (
            "max_bytes: 65536",
            "max: 1",
            "STR0401 p.ncl:17:44 `output` has no key `max`",
        ),
        (
            "rate_limit",
            "ratelimit",
            "STR0401 p.ncl:18:29 `ratelimit` is not a known `on`",
        ),
        (
            "from: 2s",
            "from: 2h",
            "STR0401 p.ncl:18:61 `backoff` begins with a longer wait than it ends with",
        ),
        (
            "undo: close_change",
            "undo: delete_comment",
            "STR0401 p.ncl:25:72 `delete_comment` does not undo `open_change`",
        ),
        (
            ", paths: ['infra/production/**']",
            "",
            "STR0401 p.ncl:25:9 `open_change` needs `paths`: the files it may touch",
        ),
        (
            "'infra/production/**'",
            "'infra/[a'",
            "STR0401 p.ncl:25:48 `infra/[a` is not a pattern for paths: unclosed character class; missing ']'",
        ),
        (
            "min: 1, expires",
            "min: 0, expires",
            "STR0401 p.ncl:26:31 `min` must be a whole number from 1, not the number `0`",
        ),
    ];
    for (from, to, expected) in cases {
        let found = found(from, to);
        assert!(
            found.iter().any(|line| line == expected),
            "{to}: {found:#?}"
        );
    }
}

#[test]
fn durations_and_times_parse() {
    assert_eq!(
        found("deadline: 30m", "deadline: soon"),
        ["STR0401 p.ncl:8:11 `soon` is not a duration: write for example `30s`, `5m`, `1h`"]
    );
    let cron = found("cron: 0 6 * * 1", "cron: 0 99 * * 1");
    assert!(
        cron[0].starts_with("STR0401 p.ncl:5:27 `0 99 * * 1` is not a cron expression: "),
        "{cron:?}"
    );
    assert_eq!(found("cron: 0 6 * * 1", "cron: 0 0 6 * * 1").len(), 1);
}

#[test]
fn several_findings_of_one_file_are_all_told() {
    let text = GOOD
        .replace("deadline: 30m", "deadlin: 30m")
        .replace("timeout: 5m", "timeout: x");
    assert_eq!(found_in(&text, &tree()).len(), 2);
}

#[test]
fn ids_are_unique_and_needs_known_and_without_a_circle() {
    assert_eq!(
        found("id: fix", "id: triage")[0],
        "STR0402 p.ncl:20:9 step id `triage` is used twice"
    );
    assert_eq!(
        found("needs: [triage]", "needs: [triag]"),
        ["STR0402 p.ncl:22:13 step `fix` needs `triag`, which is no step"]
    );
    assert_eq!(
        found("timeout: 5m", "needs: [fix]"),
        ["STR0402 p.ncl:20:9 steps need each other: `fix` -> `triage` -> `fix`"]
    );
}

#[test]
fn files_exist_and_schemas_are_json() {
    assert_eq!(
        found("prompts/triage.md", "prompts/triag.md"),
        ["STR0403 p.ncl:14:13 there is no file `prompts/triag.md`"]
    );
    assert_eq!(
        found("schemas/triage.json", "schemas/none.json"),
        ["STR0403 p.ncl:17:23 there is no file `schemas/none.json`"]
    );
    let broken = MemoryTree::new([
        ("prompts/triage.md", ""),
        ("schemas/triage.json", "{\n  \"a\": ]"),
    ]);
    assert_eq!(
        found_in(GOOD, &broken),
        ["STR0403 schemas/triage.json:2:8 `schemas/triage.json` is not JSON: expected value"]
    );
}

#[test]
fn conditions_parse_and_name_earlier_steps_only() {
    let when = "steps.triage.output.severity != 'low'";
    let cases = [
        ("'a ='", "STR0404 p.ncl:23:11 `when` does not parse: "),
        (
            "stps.triage.output.severity",
            "STR0404 p.ncl:23:11 `stps` is neither `steps` nor `trigger`",
        ),
        (
            "steps.triag.output.x",
            "STR0404 p.ncl:23:11 step `fix` reads `triag`, which is no step",
        ),
        (
            "steps.fix.output.x",
            "STR0404 p.ncl:23:11 step `fix` reads `fix`, which is not an earlier step",
        ),
        (
            "steps.triage.severity",
            "STR0404 p.ncl:23:11 `steps.triage.severity` is not the output of a step",
        ),
        (
            "steps.triage.output.severty",
            "STR0404 p.ncl:23:11 the output of `triage` has no `severty`",
        ),
    ];
    for (to, expected) in cases {
        let found = found(when, to);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{to}: {found:?}"
        );
    }
    assert_eq!(found(when, "trigger.environment == 'production'"), [""; 0]);
    let later = found("timeout: 5m", "when: steps.fix.output.x");
    assert_eq!(
        later,
        ["STR0404 p.ncl:19:11 step `triage` reads `fix`, which is not an earlier step"]
    );
    let odd = found("from: trigger.diff", "from: diff");
    assert_eq!(
        odd,
        ["STR0404 p.ncl:15:30 `diff` is nothing that an input can come from"]
    );
}

#[test]
fn tools_groups_environments_and_models_are_defined() {
    let cases = [
        (
            "state_read",
            "state_raed",
            "STR0405 p.ncl:16:31 there is no tool `state_raed`",
        ),
        (
            "by: sre",
            "by: ops",
            "STR0405 p.ncl:26:21 there is no group `ops`",
        ),
        (
            "environment: production",
            "environment: prod",
            "STR0405 p.ncl:4:31 there is no environment `prod`",
        ),
        (
            "role: DevOps",
            "role: Tester",
            "STR0405 p.ncl:21:11 role `Tester` has no model, so the step could not run",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(found(from, to), [expected]);
    }
}

#[test]
fn untrusted_text_meets_no_secret_no_network_and_no_free_proposal() {
    assert_eq!(
        found("timeout: 5m", "secrets: ['a#b']"),
        ["STR0406 p.ncl:19:14 step `triage` may hold no secret: its input `drift` is untrusted"]
    );
    assert_eq!(
        found("timeout: 5m", "network: [example.org]"),
        ["STR0406 p.ncl:19:14 step `triage` may hold no network: its input `drift` is untrusted"]
    );
    assert_eq!(
        found(
            "    approval: { by: sre, min: 1, expires: 4h, not_author: true }\n",
            ""
        ),
        [
            "STR0406 p.ncl:25:7 step `fix` may hold no proposal without approval: untrusted text reaches it through the output of `triage`"
        ]
    );
    assert_eq!(
        found("trigger.diff, untrusted: true", "trigger.diff"),
        [
            "STR0406 p.ncl:15:22 `trigger.diff` is text from the world, and the input does not say whether it is trusted"
        ]
    );
}

#[test]
fn closed_values_drop_the_taint_and_texts_carry_it() {
    let given = |field: &str| {
        let inputs = format!("inputs: {{ level: {{ from: steps.triage.output.{field} }} }}");
        let text = GOOD.replace("needs: [triage]", &inputs);
        let approval = "    approval: { by: sre, min: 1, expires: 4h, not_author: true }\n";
        found_in(&text.replace(approval, ""), &tree()).len()
    };
    assert_eq!((given("severity"), given("summary")), (0, 1));
}
