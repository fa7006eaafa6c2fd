//! Environments at a glance: to be understood in five seconds.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::show::json::EnvironmentView;
use crate::show::next::next;
use crate::show::when;
use crate::style::{Mark, Role, Theme, one_line};

/// A look at the world that is older than this says little, in seconds.
const STALE: i64 = 24 * 3_600;

/// One sentence on all environments, then each: what needs attention first, with what to do.
///
/// `unattended`: nobody reconciles, so all is as it was when somebody did.
pub(crate) fn status(
    theme: &Theme,
    environments: &[EnvironmentView],
    unattended: bool,
    now: Timestamp,
) -> String {
    let mut sorted: Vec<&EnvironmentView> = environments.iter().collect();
    sorted.sort_by_key(|environment| rank(environment, now));
    let widest = sorted
        .iter()
        .map(|environment| environment.name.as_str().chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    if environments.len() > 1 {
        text.push_str(&headline(theme, &sorted, unattended, now));
    }
    for environment in sorted {
        write_environment(&mut text, theme, environment, widest, (unattended, now));
    }
    if environments.is_empty() {
        text.push_str("no environments yet\n");
    }
    text
}

/// How much an environment needs somebody: 0 for the most.
fn rank(environment: &EnvironmentView, now: Timestamp) -> u8 {
    match environment.condition {
        "Stalled" => 0,
        "Unknown" => 1,
        "Ready" if is_stale(environment, now) => 2,
        "Ready" if environment.behind.is_some() => 4,
        "Suspended" => 3,
        "Reconciling" => 4,
        _ => 5,
    }
}

/// Whether nothing is to be done about it.
pub(crate) fn is_well(environment: &EnvironmentView, now: Timestamp) -> bool {
    let current = environment.behind.is_none() && environment.unknown == 0;
    environment.condition == "Ready" && current && !is_stale(environment, now)
}

/// Whether nobody looked at it for so long that what it says may be wrong.
fn is_stale(environment: &EnvironmentView, now: Timestamp) -> bool {
    let seen = environment.observed_at.map(Timestamp::as_second);
    seen.is_some_and(|second| now.as_second().saturating_sub(second) > STALE)
}

fn headline(
    theme: &Theme,
    sorted: &[&EnvironmentView],
    unattended: bool,
    now: Timestamp,
) -> String {
    let names = |wanted: &[u8]| -> Vec<&str> {
        let found = sorted.iter().filter(|e| wanted.contains(&rank(e, now)));
        found.map(|e| e.name.as_str()).collect()
    };
    let (stalled, unsure) = (names(&[0]), names(&[1, 2]));
    let calm = sorted.len() - stalled.len() - unsure.len();
    let (mark, role, mut sentence) = match (stalled.as_slice(), unsure.as_slice()) {
        ([], []) if unattended => {
            let (ready, all) = (names(&[5]).len(), sorted.len());
            let sentence =
                format!("nobody reconciles: {ready} of {all} were Ready when somebody did");
            (Mark::Unknown, Role::Warning, sentence)
        }
        ([], []) => {
            let ready = names(&[5]).len();
            let others = match calm - ready {
                0 => String::new(),
                some => format!(", {some} in work or set aside"),
            };
            let sentence = format!("nothing needs you: {ready} of {calm} are Ready{others}");
            (Mark::Good, Role::Good, sentence)
        }
        ([], unsure) => {
            let sentence = format!(
                "nobody can say how {} {}",
                some_of(unsure),
                if unsure.len() == 1 { "is" } else { "are" }
            );
            (Mark::Unknown, Role::Warning, sentence)
        }
        (stalled, _) => {
            let sentence = format!(
                "{} {} you",
                some_of(stalled),
                if stalled.len() == 1 { "needs" } else { "need" }
            );
            (Mark::Bad, Role::Bad, sentence)
        }
    };
    if calm > 0 && calm < sorted.len() {
        let _infallible = write!(
            sentence,
            "; nothing is wrong with {calm} of {}",
            sorted.len()
        );
    }
    let sentence = theme.wrapped(0, &format!("{} {sentence}", theme.mark(mark)));
    format!("{}\n\n", theme.paint(role, sentence.trim_end()))
}

/// The first few names, and how many more there are.
fn some_of(names: &[&str]) -> String {
    match names {
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [one, two, rest @ ..] => format!("{one}, {two} and {} more", rest.len()),
        [] => String::new(),
    }
}

/// The symbol and look of a condition.
pub(crate) fn look(condition: &str) -> (Mark, Role) {
    match condition {
        "Ready" => (Mark::Good, Role::Good),
        "Reconciling" => (Mark::Busy, Role::Name),
        "Stalled" => (Mark::Bad, Role::Bad),
        "Suspended" => (Mark::Idle, Role::Warning),
        _ => (Mark::Unknown, Role::Warning),
    }
}

fn write_environment(
    text: &mut String,
    theme: &Theme,
    environment: &EnvironmentView,
    widest: usize,
    (unattended, now): (bool, Timestamp),
) {
    let (mut mark, mut role) = look(environment.condition);
    let stale = is_stale(environment, now);
    let left = unattended && environment.behind.is_some();
    if (stale || left) && environment.condition == "Ready" {
        (mark, role) = (Mark::Unknown, Role::Warning);
    }
    let revision = environment
        .revision
        .as_ref()
        .map_or("-", |commit| commit.short());
    let seen = environment
        .observed_at
        .map(|then| format!(", looked at {}", when::ago(now, then)))
        .unwrap_or_default();
    let (condition, counts) = (environment.condition, counts(environment));
    let name = environment.name.as_str();
    let marked = theme.marked(mark, role);
    let width = 2 + widest + 2 + 11 + 2 + 12 + 2 + counts.len() + seen.len();
    let line = if width <= theme.columns() {
        let condition = theme.paint(role, format!("{condition:<11}"));
        let seen = theme.paint(Role::Quiet, seen);
        format!("{marked} {name:<widest$}  {condition}  {revision:<12}  {counts}{seen}\n")
    } else {
        let condition = theme.paint(role, condition);
        let rest = theme.wrapped(4, &format!("{revision}, {counts}{seen}"));
        format!(
            "{marked} {}  {condition}\n{rest}",
            theme.paint(Role::Strong, name)
        )
    };
    text.push_str(&line);
    if !environment.reason.is_empty() {
        let again = environment.again.as_ref();
        let again = again.map(|again| {
            let since = when::ago(now, again.since);
            format!(" (the same {} times, first {since})", again.times)
        });
        let reason = one_line(&environment.reason) + &again.unwrap_or_default();
        text.push_str(&theme.wrapped(4, &reason));
    }
    let others = environment.in_the_way.iter();
    for (address, why) in others.filter(|(_, why)| **why != environment.reason) {
        text.push_str(&theme.wrapped(4, &one_line(&format!("`{address}`: {why}"))));
    }
    if let Some(behind) = &environment.behind {
        let (branch, commit) = (&behind.branch, behind.commit.short());
        let said = format!("`{branch}` is at {commit}, and nothing of that is applied");
        text.push_str(&theme.wrapped(4, &said));
    }
    if stale {
        let asked = "nobody looked at it for more than a day: is `stratum reconcile` running?";
        text.push_str(&theme.wrapped(4, asked));
    }
    if let Some(next) = next(environment) {
        let said = theme.wrapped(4, &format!("next: {next}"));
        let head = theme.paint(Role::Name, "next");
        text.push_str(&said.replacen("next", &head, 1));
    }
}

fn counts(environment: &EnvironmentView) -> String {
    let mut text = match environment.resources {
        1 => "1 resource".to_owned(),
        many => format!("{many} resources"),
    };
    if environment.drifted > 0 {
        let _infallible = write!(text, ", {} drifted", environment.drifted);
    }
    if environment.unknown > 0 {
        let _infallible = write!(text, ", {} unknown", environment.unknown);
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::show::json::AgainView;
    use stratum_assembly::attendance::Behind;
    use stratum_core::ids::{BranchName, CommitId, EnvironmentName, RunId};

    pub(crate) fn environment(name: &str, condition: &'static str) -> EnvironmentView {
        EnvironmentView {
            name: EnvironmentName::new(name).unwrap(),
            condition,
            reason: String::new(),
            revision: Some(CommitId::new("a".repeat(40)).unwrap()),
            desired_revision: Some(CommitId::new("a".repeat(40)).unwrap()),
            resources: 4,
            drifted: 0,
            unknown: 0,
            held: None,
            sealed: None,
            outcome: None,
            last_run: Some(RunId::new("20261124T031500Z-1f9c2a").unwrap()),
            observed_at: Some(Timestamp::from_second(1_000).unwrap()),
            again: None,
            in_the_way: BTreeMap::new(),
            behind: None,
            word: None,
            proposal: None,
        }
    }

    #[test]
    fn what_came_again_and_what_is_in_the_way_is_said() {
        let mut stalled = environment("production", "Stalled");
        stalled.reason = "its drift could not be corrected".to_owned();
        let since = Timestamp::from_second(900).unwrap();
        stalled.again = Some(AgainView { times: 7, since });
        let other = "production/local_file.motd".parse().unwrap();
        stalled.in_the_way = BTreeMap::from([
            (other, "no room".to_owned()),
            (
                "production/local_file.a".parse().unwrap(),
                stalled.reason.clone(),
            ),
        ]);
        let now = Timestamp::from_second(1_020).unwrap();
        let text = status(&Theme::PLAIN, &[stalled], false, now);
        let said = "    its drift could not be corrected (the same 7 times, first 2 min ago)\n    \
                    `production/local_file.motd`: no room\n";
        assert!(text.contains(said), "{text}");
    }

    #[test]
    fn what_needs_attention_says_why_and_what_next() {
        let mut stalled = environment("production", "Stalled");
        stalled.reason = "`production/local_exec.job`: it exited with 1".to_owned();
        stalled.held = Some(CommitId::new("b".repeat(40)).unwrap());
        stalled.desired_revision = stalled.held.clone();
        stalled.drifted = 1;
        let all = [environment("staging", "Ready"), stalled];
        let expected = "\
!! production needs you; nothing is wrong with 1 of 2

!! production  Stalled      aaaaaaaaaaaa  4 resources, 1 drifted, looked at 20 s ago
    `production/local_exec.job`: it exited with 1
    next: `git revert bbbbbbbbbbbb` or push a fix; `stratum show 20261124T031500Z-1f9c2a` has the story
ok staging     Ready        aaaaaaaaaaaa  4 resources, looked at 20 s ago
";
        let now = Timestamp::from_second(1_020).unwrap();
        assert_eq!(status(&Theme::PLAIN, &all, false, now), expected);
    }

    #[test]
    fn unknown_is_never_shown_as_well() {
        let (mark, role) = look("Unknown");
        assert_ne!((mark, role), look("Ready"));
        assert_ne!(role, Role::Good);
    }

    #[test]
    fn one_sentence_says_whether_to_get_up() {
        let now = Timestamp::from_second(1_020).unwrap();
        let say = |conditions: &[&'static str]| {
            let names = ["a", "b", "c", "d"].iter().zip(conditions);
            let all: Vec<_> = names
                .map(|(n, condition)| environment(n, condition))
                .collect();
            let text = status(&Theme::PLAIN, &all, false, now);
            text.lines().next().unwrap().to_owned()
        };
        assert_eq!(
            say(&["Ready", "Ready"]),
            "ok nothing needs you: 2 of 2 are Ready"
        );
        assert_eq!(
            say(&["Ready", "Suspended"]),
            "ok nothing needs you: 1 of 2 are Ready, 1 in work or set aside"
        );
        assert_eq!(
            say(&["Ready", "Unknown"]),
            "?? nobody can say how b is; nothing is wrong with 1 of 2"
        );
        assert_eq!(
            say(&["Stalled", "Stalled", "Stalled"]),
            "!! a, b and 1 more need you"
        );
    }

    #[test]
    fn what_nobody_looked_at_for_a_day_is_not_shown_as_well() {
        let now = Timestamp::from_second(200_000).unwrap();
        let text = status(&Theme::PLAIN, &[environment("a", "Ready")], false, now);
        assert!(text.starts_with("?? a  Ready"), "{text}");
        assert!(text.contains("is `stratum reconcile` running?"), "{text}");
    }

    #[test]
    fn forty_columns_are_enough() {
        let narrow = Theme {
            terminal: true,
            width: 40,
            ..Theme::PLAIN
        };
        let mut stalled = environment("production", "Stalled");
        stalled.reason = "`production/local_exec.job`: it exited with 1".to_owned();
        let now = Timestamp::from_second(1_020).unwrap();
        let text = status(
            &narrow,
            &[environment("staging", "Ready"), stalled],
            false,
            now,
        );
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 40, "{text}");
        assert!(
            text.contains("\n!! production  Stalled\n    aaaa"),
            "{text}"
        );
    }

    #[test]
    fn what_nobody_reconciles_is_not_said_to_be_well() {
        let now = Timestamp::from_second(1_020).unwrap();
        let mut all = [environment("a", "Ready"), environment("b", "Ready")];
        let text = status(&Theme::PLAIN, &all, true, now);
        assert!(
            text.starts_with("?? nobody reconciles: 2 of 2 were Ready"),
            "{text}"
        );
        all[0].behind = Some(Behind {
            branch: BranchName::new("main").unwrap(),
            commit: CommitId::new("b".repeat(40)).unwrap(),
        });
        let text = status(&Theme::PLAIN, &all, true, now);
        assert!(text.contains("\n?? a  Ready"), "{text}");
        let said = "    `main` is at bbbbbbbbbbbb, and nothing of that is applied\n";
        assert!(text.contains(said), "{text}");
    }
}
