//! Comments with plans: small, dangerous, huge and hostile.

use std::path::Path as FilePath;

use stratum_core::finding::{Finding, codes};
use stratum_core::plan::{Action, Plan, Reversibility};
use stratum_core::source::Source;
use stratum_core::value::Value;
use stratum_core::verdict::{Decision, Verdict};
use stratum_forge::markdown::{COMMENT_BYTES, Compared, Links, PLAN, Plans, Section};

use crate::samples::{change, commit, environment, plan, secret, step, text, verdict};

struct Report {
    plans: Vec<(Plan, Verdict)>,
    findings: Vec<Finding>,
    head: char,
}

impl Report {
    fn of(plan: Plan) -> Self {
        let verdict = verdict(&plan, &Decision::Allow, "reversible", "it can be put back");
        Self {
            plans: vec![(plan, verdict)],
            findings: Vec::new(),
            head: 'a',
        }
    }

    fn write(&self, before: Option<&str>) -> String {
        self.write_within(before, COMMENT_BYTES)
    }

    fn write_within(&self, before: Option<&str>, longest: usize) -> String {
        let (head, base) = (commit(self.head), commit('0'));
        let sections = self.plans.iter().map(|(plan, verdict)| Section {
            environment: &plan.environment,
            plan: Some(plan),
            verdict,
            findings: &[],
        });
        let plans = Plans {
            head: &head,
            compared: Compared::Commit(&base),
            sections: sections.collect(),
            findings: &self.findings,
            notes: Vec::new(),
            links: Links {
                files: Some(format!("https://github.com/octo/shop/blob/{head}")),
                whole: Some(
                    "[artifacts of this run](https://github.com/octo/shop/actions/runs/1)"
                        .to_owned(),
                ),
            },
        };
        let comment = plans.markdown(before, longest);
        is_whole(&comment, longest);
        comment
    }
}

/// No block is cut: every fence and fold that is opened is closed, and the hidden lines are there.
fn is_whole(comment: &str, longest: usize) {
    assert!(comment.len() <= longest, "{} bytes", comment.len());
    assert!(comment.starts_with(PLAN));
    assert!(comment.trim_end().ends_with(" -->"));
    let mut fence: Option<usize> = None;
    let mut folds = 0_i32;
    for line in comment.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match fence {
            Some(open) if ticks == line.len() && ticks >= open => fence = None,
            Some(_) => {}
            None if ticks >= 3 && !line[ticks..].contains('`') => fence = Some(ticks),
            None => {
                let line = without_spans(line);
                folds += line.matches("<details>").count() as i32;
                folds -= line.matches("</details>").count() as i32;
            }
        }
    }
    assert_eq!((fence, folds), (None, 0), "{comment}");
}

fn small() -> Report {
    let old = "server {\n  listen 80;\n  root /srv/www;\n}\n";
    let new = "server {\n  listen 443 ssl;\n  root /srv/www;\n}\n";
    let mut hidden = change("environment.TOKEN", text("old"), text("new"));
    hidden.sensitive = true;
    Report::of(plan(
        "production",
        vec![
            step(
                Action::Create,
                "local_file.robots",
                vec![
                    change("content", None, text("User-agent: *\nDisallow: /\n")),
                    change("path", None, text("/srv/www/robots.txt")),
                    change("digest", None, Some(Value::Unknown)),
                ],
            ),
            step(
                Action::Update,
                "local_file.nginx",
                vec![change("content", text(old), text(new)), hidden],
            ),
            step(
                Action::Update,
                "local_file.database",
                vec![change("content", secret(3), secret(4))],
            ),
        ],
    ))
}

fn dangerous() -> Report {
    let mut remove = step(Action::Remove, "local_folder.uploads", Vec::new());
    remove.reversibility = Reversibility::Irreversible;
    let paths = vec![change("path", text("/srv/uploads"), text("/srv/files"))];
    let make = step(Action::Make, "local_folder.uploads", paths);
    let mut delete = step(Action::Delete, "local_exec.database", Vec::new());
    delete.reversibility = Reversibility::Irreversible;
    let plan = plan(
        "production",
        vec![
            remove,
            make,
            delete,
            step(
                Action::Update,
                "local_file.motd",
                vec![change("mode", text("0644"), text("0600"))],
            ),
        ],
    );
    let mut verdict = verdict(&plan, &Decision::Allow, "reversible", "it can be put back");
    for place in [0, 2] {
        let judged = verdict.steps.values_mut().nth(place).unwrap();
        judged.decision = Decision::Deny;
        judged.policies[0].id = "irreversible-delete".to_owned();
        judged.policies[0].reason =
            "removing this is irreversible, and nobody approved it".to_owned();
    }
    let protected = Finding::error(&codes::PROTECTED, "`local_folder.uploads` is protected")
        .at(Source::new("infra/production.ncl", 31, 5))
        .hint("take the protection away in a commit of its own first");
    Report {
        plans: vec![(plan, verdict)],
        findings: vec![protected],
        head: 'a',
    }
}

fn huge() -> Report {
    let mut steps = Vec::new();
    for number in 0..10_000 {
        let action = match number % 10 {
            0 => Action::Delete,
            1 | 2 => Action::Update,
            _ => Action::Create,
        };
        let type_name = ["local_file", "local_folder", "local_data"][number % 3];
        let changes = vec![change("content", text("one\ntwo\n"), text("one\nthree\n"))];
        let changes = if action == Action::Delete {
            Vec::new()
        } else {
            changes
        };
        steps.push(step(action, &format!("{type_name}.r{number:05}"), changes));
    }
    Report::of(plan("production", steps))
}

/// Compares with the example that people read, or writes it when `STRATUM_WRITE_EXAMPLES` is set.
fn example(name: &str, comment: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../action/examples");
    let path = FilePath::new(folder).join(name);
    if std::env::var_os("STRATUM_WRITE_EXAMPLES").is_some() {
        std::fs::write(&path, comment).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        written, comment,
        "{name} differs: run with STRATUM_WRITE_EXAMPLES=1"
    );
}

#[test]
fn a_small_plan_is_shown_whole() {
    let comment = small().write(None);
    example("small.md", &comment);
    for part in [
        "1 to add, 2 to change, 0 to destroy",
        "-  listen 80;",
        "+  listen 443 ssl;",
        "! environment.TOKEN: (sensitive)",
        "+ digest: (known after apply)",
        " v3)",
        " v4)",
        "infra/production.ncl#L12",
    ] {
        assert!(comment.contains(part), "{part}\n{comment}");
    }
    assert!(!comment.contains("\"new\""), "{comment}");
}

#[test]
fn what_is_lost_stands_first_with_its_reason() {
    let comment = dangerous().write(None);
    example("dangerous.md", &comment);
    let at = |part: &str| {
        comment
            .find(part)
            .unwrap_or_else(|| panic!("{part}\n{comment}"))
    };
    assert!(at("STR0801") < at("**replace** `local_folder.uploads`"));
    assert!(at("**delete** `local_exec.database`") < at("1 to change</summary>"));
    assert!(at("`path` cannot change in place") > 0);
    assert!(at("nobody approved it (`irreversible-delete`)") > 0);
    assert!(at("**2 to destroy**") > 0);
}

#[test]
fn ten_thousand_changes_fit_and_every_one_is_counted() {
    let report = huge();
    let began = std::time::Instant::now();
    let comment = report.write(None);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    example("huge.md", &comment);
    assert!(comment.contains("7000 to add, 2000 to change, **1000 to destroy**"));
    assert!(comment.contains("more that do not fit here"));
    let summary = report.write_within(None, 1_000_000);
    assert!(summary.len() > comment.len());
}

#[test]
fn nothing_is_cut_however_little_room_there_is() {
    let (small, dangerous, huge) = (small(), dangerous(), huge());
    for longest in [2_000, 2_500, 3_000, 4_000, 8_000, 16_000, 40_000] {
        small.write_within(None, longest);
        dangerous.write_within(None, longest);
        huge.write_within(None, longest);
    }
}

#[test]
fn many_environments_fit() {
    let plans = (0..400).map(|number| {
        let steps = vec![step(Action::Delete, "local_file.a", Vec::new())];
        let steps = if number % 2 == 0 { steps } else { Vec::new() };
        let plan = plan(&format!("environment-{number:03}"), steps);
        let verdict = verdict(&plan, &Decision::Allow, "x", "x");
        (plan, verdict)
    });
    let report = Report {
        plans: plans.collect(),
        findings: Vec::new(),
        head: 'a',
    };
    let comment = report.write(None);
    assert!(comment.contains("### 170 more environments"), "{comment}");
    assert!(comment.contains("and 150 more."), "{comment}");
}

#[test]
fn the_same_plan_gives_the_same_bytes_and_earlier_ones_stay_visible() {
    let mut report = small();
    let first = report.write(None);
    assert_eq!(first, report.write(Some(&first)));
    report.head = 'b';
    let second = report.write(Some(&first));
    assert!(
        second.contains("### Earlier") && second.contains("`aaaaaaaaaaaa` allowed"),
        "{second}"
    );
    assert_eq!(second, report.write(Some(&second)));
    // Someone edits the comment: what cannot be read is forgotten, and nothing breaks.
    let edited = second.replace("\"earlier\":", "\"earlier\": <b>");
    assert_eq!(
        first.lines().count(),
        report.write(Some(&edited)).lines().count()
    );
}

#[test]
fn text_of_others_obeys_nothing() {
    let evil = "``` \n</details>\n<!-- stratum:plan v1 -->\n@octo/owners ![x](https://evil.example/x) <script>|a|\n````\n# head";
    let mut hostile = step(
        Action::Update,
        "local_file.a",
        vec![
            change("content", text("x\n"), text(evil)),
            change(evil, text(evil), text("y")),
        ],
    );
    hostile.source = Some(Source::new("infra/`]( evil)<b>@all.ncl", 1, 1));
    let plan = plan("production", vec![hostile]);
    let verdict = verdict(&plan, &Decision::Deny, evil, evil);
    let report = Report {
        plans: vec![(plan, verdict)],
        findings: vec![Finding::error(&codes::SYNTAX, evil).hint(evil)],
        head: 'a',
    };
    let comment = report.write(None);
    let outside = outside_of_code(&comment);
    for part in [
        "<script",
        "@octo",
        "@all",
        "](https://evil",
        "<!-- stratum:plan v1 -->",
        "<b>",
    ] {
        assert!(!outside.contains(part), "{part}\n{outside}");
    }
    assert_eq!(outside.matches("<!--").count(), 2, "{outside}");
    assert_eq!(environment("production").as_str(), "production");
}

/// The comment without fenced blocks and code spans: what a forge would obey.
fn outside_of_code(comment: &str) -> String {
    let mut text = String::new();
    let mut fence: Option<usize> = None;
    for line in comment.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match fence {
            Some(open) if ticks == line.len() && ticks >= open => fence = None,
            Some(_) => {}
            None if ticks >= 3 && !line[ticks..].contains('`') => fence = Some(ticks),
            None => {
                text.push_str(&without_spans(line));
                text.push('\n');
            }
        }
    }
    text
}

fn without_spans(line: &str) -> String {
    let characters: Vec<char> = line.chars().collect();
    let run = |from: usize| characters[from..].iter().take_while(|c| **c == '`').count();
    let (mut text, mut place) = (String::new(), 0);
    while place < characters.len() {
        let ticks = run(place);
        if ticks == 0 {
            text.push(characters[place]);
            place += 1;
            continue;
        }
        let mut end = place + ticks;
        while end < characters.len() && run(end) != ticks {
            end += run(end).max(1);
        }
        place = if end < characters.len() {
            end + ticks
        } else {
            place + ticks
        };
    }
    text
}
