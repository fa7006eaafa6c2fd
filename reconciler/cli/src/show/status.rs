//! Environments at a glance: to be understood in five seconds.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::show::json::EnvironmentView;
use crate::show::when;
use crate::style::{Mark, Role, Theme, one_line};

/// A look at the world that is older than this says little, in seconds.
const STALE: i64 = 24 * 3_600;

/// One sentence on all environments, then each: what needs attention first, with what to do.
pub(crate) fn status(theme: &Theme, environments: &[EnvironmentView], now: Timestamp) -> String {
    let mut sorted: Vec<&EnvironmentView> = environments.iter().collect();
    sorted.sort_by_key(|environment| rank(environment, now));
    let widest = sorted
        .iter()
        .map(|environment| environment.name.as_str().chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    if environments.len() > 1 {
        text.push_str(&headline(theme, &sorted, now));
    }
    for environment in sorted {
        write_environment(&mut text, theme, environment, widest, now);
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
        "Suspended" => 3,
        "Reconciling" => 4,
        _ => 5,
    }
}

/// Whether nobody looked at it for so long that what it says may be wrong.
fn is_stale(environment: &EnvironmentView, now: Timestamp) -> bool {
    let seen = environment.observed_at.map(Timestamp::as_second);
    seen.is_some_and(|second| now.as_second().saturating_sub(second) > STALE)
}

fn headline(theme: &Theme, sorted: &[&EnvironmentView], now: Timestamp) -> String {
    let names = |wanted: &[u8]| -> Vec<&str> {
        let found = sorted.iter().filter(|e| wanted.contains(&rank(e, now)));
        found.map(|e| e.name.as_str()).collect()
    };
    let (stalled, unsure) = (names(&[0]), names(&[1, 2]));
    let calm = sorted.len() - stalled.len() - unsure.len();
    let (mark, role, mut sentence) = match (stalled.as_slice(), unsure.as_slice()) {
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
    now: Timestamp,
) {
    let (mut mark, mut role) = look(environment.condition);
    let stale = is_stale(environment, now);
    if stale && environment.condition == "Ready" {
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

/// What a person does next, where something is to be done.
fn next(environment: &EnvironmentView) -> Option<String> {
    let behind = environment.desired_revision.is_some()
        && environment.desired_revision != environment.revision;
    // What came after a held commit is in the way itself: reverting the held one would not help.
    let held = environment.held.as_ref().filter(|held| {
        let wanted = environment.desired_revision.as_ref();
        wanted.is_none_or(|wanted| wanted == *held)
    });
    match (environment.condition, held, &environment.last_run) {
        ("Stalled", Some(held), _) => Some(format!(
            "`git revert {}` or push a fix; `stratum show {}` has the story",
            held.short(),
            environment
                .last_run
                .as_ref()
                .map_or("RUN", |run| run.as_str()),
        )),
        ("Stalled", None, Some(run)) if environment.outcome.is_some() || !behind => {
            Some(format!("`stratum show {run}` has the story"))
        }
        // A commit that changes nothing of the environment leaves it at what is held.
        ("Stalled", None, _) if environment.held.is_some() => environment.held.as_ref().map(|held| {
            format!(
                "`git revert {}` or push a fix of it; `stratum check` and `stratum plan` show what \
                 else is in the way",
                held.short()
            )
        }),
        ("Stalled", None, _) => {
            Some("`stratum check` and `stratum plan` show what is in the way".to_owned())
        }
        ("Unknown", _, _) => Some("`stratum reconcile` looks at it".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::show::json::AgainView;
    use stratum_core::ids::{CommitId, EnvironmentName, RunId};

    fn environment(name: &str, condition: &'static str) -> EnvironmentView {
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
        let text = status(&Theme::PLAIN, &[stalled], now);
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
        assert_eq!(status(&Theme::PLAIN, &all, now), expected);
    }

    #[test]
    fn a_run_that_ended_badly_is_named_and_a_file_that_cannot_be_read_is_not_its_fault() {
        let mut stalled = environment("production", "Stalled");
        stalled.desired_revision = Some(CommitId::new("b".repeat(40)).unwrap());
        assert!(next(&stalled).unwrap().contains("stratum check"));
        // An unrelated commit after one that is held.
        stalled.held = Some(CommitId::new("c".repeat(40)).unwrap());
        assert!(next(&stalled).unwrap().contains("git revert cccccccccccc"));
        stalled.held = None;
        stalled.outcome = Some("stuck");
        assert!(next(&stalled).unwrap().contains("stratum show 2026"));
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
            let text = status(&Theme::PLAIN, &all, now);
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
        let text = status(&Theme::PLAIN, &[environment("a", "Ready")], now);
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
        let text = status(&narrow, &[environment("staging", "Ready"), stalled], now);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 40, "{text}");
        assert!(
            text.contains("\n!! production  Stalled\n    aaaa"),
            "{text}"
        );
    }
}
