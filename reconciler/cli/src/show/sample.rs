//! A plan and its verdict for tests of what is shown.

use serde_json::json;
use stratum_core::plan::Plan;
use stratum_core::verdict::Verdict;

/// One step of each sort: create, update of a text, replace, delete.
pub(crate) fn plan() -> Plan {
    let digest = "0".repeat(64);
    serde_json::from_value(json!({
        "environment": "staging",
        "revision": "1".repeat(40),
        "inputs": digest,
        "base": { "serial": 3, "digest": digest },
        "digest": digest,
        "resources": 3,
        "blocked": [],
        "drifted": [{
            "address": "staging/local_file.motd",
            "changes": [{ "path": "mode", "before": "0644", "after": "0600" }],
        }],
        "steps": [
            step(0, "local_directory.site", "create", json!("new"), json!({
                "changes": [
                    { "path": "id", "after": { "$stratum": "unknown" } },
                    { "path": "path", "after": "site",
                      "source": { "file": "infra/staging.ncl", "line": 3, "column": 5 } },
                ],
                "source": { "file": "infra/staging.ncl", "line": 2, "column": 3 },
            })),
            step(1, "local_file.index", "update", json!("changed"), json!({
                "requires": [0],
                "changes": [
                    { "path": "content", "before": "a\nb\nc\n", "after": "a\nB\nc\n" },
                    { "path": "key", "before": "x", "after": "y", "sensitive": true },
                    { "path": "mode", "before": "0644", "after": "0600" },
                ],
                "source": { "file": "layers/site.ncl", "line": 9, "column": 3 },
            })),
            step(2, "local_symlink.www", "remove", json!({ "cannot-change": ["target"] }), json!({
                "pair": 3, "reversibility": "recreated",
            })),
            step(3, "local_symlink.www", "make", json!({ "cannot-change": ["target"] }), json!({
                "pair": 2, "requires": [1, 2],
                "changes": [{ "path": "target", "before": "a", "after": "b" }],
            })),
            step(4, "local_exec.job", "delete", json!("not-in-repository"), json!({
                "reversibility": "irreversible",
                "changes": [{ "path": "create", "before": ["x"] }],
            })),
        ],
    }))
    .unwrap()
}

fn step(
    id: u32,
    address: &str,
    action: &str,
    reason: serde_json::Value,
    more: serde_json::Value,
) -> serde_json::Value {
    let mut step = json!({
        "id": id,
        "address": format!("staging/{address}"),
        "kind": "infrastructure",
        "provider": "local",
        "action": action,
        "reversibility": "reversible",
        "effect": "world",
        "reason": reason,
    });
    let fields = step.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    step
}

/// Allows all but the step that cannot be put back.
pub(crate) fn verdict() -> Verdict {
    let allow =
        json!({ "decision": "allow", "policies": [{ "id": "reversible", "reason": "fine" }] });
    let deny =
        json!({ "decision": "deny", "policies": [{ "id": "no-loss", "reason": "it is lost" }] });
    serde_json::from_value(json!({ "steps": {
        "0": allow, "1": allow, "2": allow, "3": allow, "4": deny,
    }}))
    .unwrap()
}
