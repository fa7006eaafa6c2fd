//! Settings that can be read, and that do something else than whoever wrote them may think.

use stratum_core::finding::{Finding, codes};
use stratum_core::settings::Settings;

use crate::evaluate::node::{Node, Places};

/// A warning for each.
pub(crate) fn oddities(settings: &Settings, node: &Node, places: Places<'_>) -> Vec<Finding> {
    let start = node.0.or(Some((0, 1, 1)));
    let warning = |at, (said, hint): (String, &str)| {
        let mut finding = Finding::warning(&codes::SETTINGS_INVALID, said).hint(hint);
        finding.source = places.source(at);
        finding
    };
    let at = |path: &[&str]| {
        let mut at = start;
        let mut node = node;
        for name in path {
            let Some(field) = node.field(name) else {
                break;
            };
            at = field.1.or(at);
            node = &field.2;
        }
        at
    };
    let branch = records(settings).map(|said| warning(at(&["records", "branch"]), said));
    let mut found: Vec<Finding> = branch.into_iter().collect();
    for (name, own) in &settings.environments {
        let root = own
            .root
            .as_deref()
            .and_then(|text| root(name.as_str(), text));
        let branch = own.branch.as_ref().map(|branch| branch.as_str());
        let branch = branch.filter(|branch| is_odd(branch)).map(|branch| {
            let said = format!("`{name}` is read from a branch that is called `{branch}`");
            (said, "write the name of a branch as `git branch` has it")
        });
        let place = |key| at(&["environments", name.as_str(), key]);
        found.extend(root.map(|said| warning(place("root"), said)));
        found.extend(branch.map(|said| warning(place("branch"), said)));
    }
    found
}

/// A name that a branch can have, and that git takes for something else nearly everywhere.
fn is_odd(branch: &str) -> bool {
    branch == "HEAD" || branch.starts_with("refs/")
}

/// Records that do not go where the settings say.
fn records(settings: &Settings) -> Option<(String, &'static str)> {
    let wanted = &settings.records.branch;
    let hint = "name a branch of its own, or leave `records.branch` away";
    if is_odd(wanted.as_str()) {
        let said = format!(
            "`records.branch` is no name for a branch: records go to `stratum/records`, not to `{wanted}`"
        );
        return Some((said, hint));
    }
    let mut environments = settings.environments.iter();
    let (name, _) = environments.find(|(_, own)| own.branch.as_ref() == Some(wanted))?;
    let said = format!(
        "`{name}` is read from `{wanted}`, so no record goes there: they go to `stratum/records`"
    );
    Some((said, hint))
}

/// A root that is not where it seems to be.
fn root(name: &str, root: &str) -> Option<(String, &'static str)> {
    if root.starts_with('~') {
        let said = format!("the root of `{name}` begins with `~`, which only a shell replaces");
        return Some((said, "write the path from `/` on"));
    }
    (!root.starts_with('/')).then(|| {
        let said = format!(
            "the root of `{name}` is relative: it lies below the folder of the state, wherever the \
             reconciler keeps that, and has to be given to it by name there"
        );
        (
            said,
            "write the path from `/` on, or leave it away: `world/` beside the state is made",
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::evaluate::in_process;
    use crate::memory::MemoryTree;
    use crate::settings::{FILE, load};

    fn warned(settings: &str) -> Vec<(String, u32, bool)> {
        let text = format!("{{\n name = \"t\",\n {settings} }}");
        let tree = MemoryTree::new([(FILE, text.as_str())]);
        let loaded = load(&in_process(&tree)).unwrap();
        assert!(loaded.value.is_some(), "{settings}: {:?}", loaded.findings);
        let findings = loaded.findings.iter();
        let found = findings.map(|one| {
            let line = one.source.as_ref().map_or(0, |source| source.line);
            (one.message.clone(), line, one.is_error())
        });
        found.collect()
    }

    #[test]
    fn what_is_ignored_or_lies_elsewhere_is_said() {
        for (settings, part) in [
            (
                "environments.a = {},\n records.branch = \"HEAD\"",
                "not to `HEAD`",
            ),
            (
                "environments.a = {},\n records.branch = \"refs/heads/x\"",
                "not to `refs/heads/x`",
            ),
            (
                "environments = { a.branch = \"dev\" },\n records.branch = \"dev\"",
                "`a` is read from `dev`",
            ),
            ("environments = {\n a.root = \"srv/x\" }", "is relative"),
            ("environments = {\n a.root = \"../x\" }", "is relative"),
            ("environments = {\n a.root = \"~/x\" }", "only a shell"),
            ("environments = {\n a.branch = \"HEAD\" }", "called `HEAD`"),
        ] {
            let found = warned(settings);
            assert_eq!(found.len(), 1, "{settings}: {found:?}");
            let (message, line, is_error) = &found[0];
            assert!(
                message.contains(part) && *line == 4 && !is_error,
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_is_as_it_seems_is_not() {
        for settings in [
            "environments = { a = { root = \"/srv/x\", branch = \"dev\" } }",
            "environments.a = {}, records.branch = \"records/of-ours\"",
            "environments.a = {}",
        ] {
            assert_eq!(warned(settings), vec![], "{settings}");
        }
    }
}
