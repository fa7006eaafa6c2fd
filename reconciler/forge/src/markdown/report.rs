//! A comment with the plans of all environments of one commit.

use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::plan::{Plan, Summary};
use stratum_core::verdict::{Decision, Verdict};

use crate::markdown::escape::{code, cut, plain, prose};
use crate::markdown::fit::{Budget, Share};
use crate::markdown::marker::{Entry, Remembered, Standing, combined, plan_line};
use crate::markdown::section::Drawn;
use crate::markdown::step::place;

/// Findings that are listed before the rest is only counted.
const FINDINGS: usize = 50;

/// Environments that are drawn before the rest is only counted.
const DRAWN: usize = 30;

/// Names of environments in one sentence.
const NAMES: usize = 50;

/// What a plan was compared with.
#[derive(Debug, Clone, Copy)]
pub enum Compared<'a> {
    /// The state, and the world as it is.
    State,
    /// Another commit, as if it were applied exactly.
    Commit(&'a CommitId),
    /// Nothing: everything is new.
    Nothing,
}

/// Where links lead; each is left out where it is not known.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// The files of the commit, without a slash at the end.
    pub files: Option<String>,
    /// Where the whole plan is kept.
    pub whole: Option<String>,
}

/// The plan of one environment.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// Its plan; `None` when findings stood in its way.
    pub plan: Option<&'a Plan>,
    /// What policy says.
    pub verdict: &'a Verdict,
    /// What was noticed in its files and its plan.
    pub findings: &'a [Finding],
}

/// What is said about one commit.
#[derive(Debug, Clone)]
pub struct Plans<'a> {
    /// The commit.
    pub head: &'a CommitId,
    /// What it was compared with.
    pub compared: Compared<'a>,
    /// Every environment that it touches.
    pub sections: Vec<Section<'a>>,
    /// What was noticed that belongs to no environment.
    pub findings: &'a [Finding],
    /// Sentences of our own, as markdown.
    pub notes: Vec<String>,
    /// Where links lead.
    pub links: Links,
}

/// How a plan stands, by what policy and checks say.
pub fn standing(section: &Section<'_>) -> Standing {
    let Some(plan) = section.plan else {
        return Standing::Errors;
    };
    if any_error(section.findings) {
        return Standing::Errors;
    }
    section
        .verdict
        .refused(plan)
        .map(|(_, judgement)| match judgement.map(|j| &j.decision) {
            Some(Decision::NeedsApproval { .. }) => Standing::NeedsApproval,
            Some(Decision::Deny | Decision::Allow) | None => Standing::Denied,
        })
        .max()
        .unwrap_or(Standing::Allowed)
}

impl Plans<'_> {
    /// The counts over all environments.
    pub fn summary(&self) -> Summary {
        let plans = self.sections.iter().filter_map(|section| section.plan);
        plans.fold(Summary::default(), |sum, plan| add(sum, plan.summary()))
    }

    /// The digest over all plans; that of the only one where there is one.
    pub fn digest(&self) -> stratum_core::digest::Digest {
        combined(&self.digests())
    }

    /// The worst standing.
    pub fn standing(&self) -> Standing {
        let own = if any_error(self.findings) {
            Standing::Errors
        } else {
            Standing::Allowed
        };
        self.sections.iter().map(standing).fold(own, Standing::max)
    }

    /// One sentence for a commit status and a log.
    pub fn sentence(&self) -> String {
        let summary = self.summary();
        match self.standing() {
            Standing::Allowed if summary == Summary::default() => "no changes".to_owned(),
            Standing::Allowed => counts(&summary),
            other => format!("{}: {}", other.as_str(), counts(&summary)),
        }
    }

    /// The comment, at most `longest` bytes. `before` is what the comment says now.
    pub fn markdown(&self, before: Option<&str>, longest: usize) -> String {
        let entry = Entry {
            head: self.head.clone(),
            digest: self.digest(),
            summary: self.summary(),
            standing: self.standing(),
        };
        let remembered = Remembered::after(before, entry);
        let top = format!(
            "{}{}",
            plan_line(self.head, &self.digests()),
            self.headline()
        );
        let bottom = format!("{}{}", self.foot(&remembered), remembered.line());
        let room = longest.saturating_sub(top.len() + bottom.len());
        format!("{top}{}{bottom}", self.middle(room))
    }

    fn digests(&self) -> Vec<(EnvironmentName, stratum_core::digest::Digest)> {
        let of = |section: &Section<'_>| Some((section.environment.clone(), section.plan?.digest));
        self.sections.iter().filter_map(of).collect()
    }

    fn headline(&self) -> String {
        let mut text = format!("## stratum: {}\n\n", self.sentence());
        let summary = self.summary();
        let many = self.sections.len();
        let environments = if many == 1 {
            "environment"
        } else {
            "environments"
        };
        text.push_str(&format!(
            "{} in {many} {environments}, for commit {}, {}.\n\n",
            numbers(&summary),
            code(self.head.short()),
            self.compared_with()
        ));
        for note in &self.notes {
            text.push_str(&format!("{note}\n\n"));
        }
        text
    }

    fn compared_with(&self) -> String {
        match self.compared {
            Compared::State => "compared with the state and the world as it is".to_owned(),
            Compared::Commit(base) => format!(
                "compared with commit {} as if it were applied; neither state nor world was \
                 looked at",
                code(base.short())
            ),
            Compared::Nothing => "with nothing applied before".to_owned(),
        }
    }

    fn middle(&self, room: usize) -> String {
        let findings = self.all_findings();
        let mut budget = Budget::new(room);
        let mut text = String::new();
        let alert = self.alert();
        if budget.take(&alert, Share::All) {
            text.push_str(&alert);
        }
        text.push_str(&self.draw_findings(&findings, &mut budget));
        let mut sections: Vec<&Section<'_>> = self.sections.iter().collect();
        // Those that lose most stand first; names keep the order stable.
        sections.sort_by_key(|section| {
            let summary = section.plan.map(Plan::summary).unwrap_or_default();
            let loss = summary.delete + summary.replace;
            (std::cmp::Reverse(loss), section.environment.clone())
        });
        let (busy, quiet): (Vec<_>, Vec<_>) = sections
            .into_iter()
            .filter(|section| section.plan.is_some())
            .partition(|section| section.plan.is_some_and(Drawn::is_worth_it));
        let (drawn, counted) = busy.split_at(busy.len().min(DRAWN));
        let tail = others(counted, &quiet);
        if budget.take(&tail, Share::All) {
            let mut drawn: Vec<Drawn> = drawn
                .iter()
                .filter_map(|section| Drawn::new(section, &self.links))
                .collect();
            Drawn::fit(&mut drawn, &mut budget);
            text.extend(drawn.iter().map(Drawn::markdown));
            text.push_str(&tail);
        }
        text
    }

    fn alert(&self) -> String {
        let sentence = match self.standing() {
            Standing::Allowed => return String::new(),
            Standing::NeedsApproval => {
                "> [!WARNING]\n> Someone must approve this before it is applied."
            }
            Standing::Denied => "> [!CAUTION]\n> Policy denies this, so nothing of it is applied.",
            Standing::Errors => "> [!CAUTION]\n> There are errors, so nothing of it is applied.",
        };
        format!("{sentence}\n\n")
    }

    /// Every finding once, errors first, then by place.
    fn all_findings(&self) -> Vec<&Finding> {
        let sections = self.sections.iter().flat_map(|section| section.findings);
        let mut all: Vec<&Finding> = self.findings.iter().chain(sections).collect();
        all.sort_by(|a, b| {
            (b.severity, &a.source, &a.code, &a.message)
                .cmp(&(a.severity, &b.source, &b.code, &b.message))
        });
        all.dedup();
        all
    }

    fn draw_findings(&self, findings: &[&Finding], budget: &mut Budget) -> String {
        if findings.is_empty() {
            return String::new();
        }
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        let warnings = findings.len() - errors;
        let head = format!(
            "### Findings: {}, {}\n\n",
            many(errors, "error"),
            many(warnings, "warning")
        );
        let mut text = head;
        budget.force(text.len() + 100);
        let mut listed = 0;
        for finding in findings.iter().take(FINDINGS) {
            let line = self.finding(finding);
            if !budget.take(&line, Share::Half) {
                break;
            }
            text.push_str(&line);
            listed += 1;
        }
        if listed < findings.len() {
            text.push_str(&format!("- and {} more\n", findings.len() - listed));
        }
        text.push('\n');
        text
    }

    fn finding(&self, finding: &Finding) -> String {
        let word = if finding.is_error() {
            "error"
        } else {
            "warning"
        };
        let place = finding
            .source
            .as_ref()
            .map(|source| format!(" ({})", place(source, &self.links)))
            .unwrap_or_default();
        let hint = finding
            .hint
            .as_ref()
            .map(|hint| format!(" ({})", prose(&cut(hint, 300))))
            .unwrap_or_default();
        format!(
            "- **{word}** {}{place}: {}{hint}\n",
            code(&finding.code.0),
            prose(&cut(&finding.message, 500))
        )
    }

    fn foot(&self, remembered: &Remembered<Entry>) -> String {
        let mut text = String::new();
        if let Some(whole) = &self.links.whole {
            text.push_str(&format!("The whole plan, as JSON: {whole}\n\n"));
        }
        if !remembered.earlier.is_empty() {
            text.push_str("### Earlier\n\n");
            for entry in &remembered.earlier {
                text.push_str(&format!(
                    "- {} {}: {}\n",
                    code(entry.head.short()),
                    entry.standing.as_str(),
                    counts(&entry.summary)
                ));
            }
            if remembered.older > 0 {
                text.push_str(&format!("- and {} before them\n", remembered.older));
            }
            text.push('\n');
        }
        text
    }
}

/// Environments that are only named or counted.
fn others(counted: &[&Section<'_>], quiet: &[&Section<'_>]) -> String {
    let mut text = String::new();
    if !counted.is_empty() {
        let sum = counted
            .iter()
            .filter_map(|section| section.plan)
            .fold(Summary::default(), |sum, plan| add(sum, plan.summary()));
        text.push_str(&format!(
            "### {} more environments: {}\n\n",
            counted.len(),
            counts(&sum)
        ));
    }
    if !quiet.is_empty() {
        let names: Vec<String> = quiet
            .iter()
            .take(NAMES)
            .map(|section| plain(section.environment.as_str()))
            .collect();
        let more = match quiet.len().saturating_sub(NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        text.push_str(&format!("No changes in {}{more}.\n\n", names.join(", ")));
    }
    text
}

fn add(a: Summary, b: Summary) -> Summary {
    Summary {
        create: a.create + b.create,
        update: a.update + b.update,
        replace: a.replace + b.replace,
        delete: a.delete + b.delete,
        adopt: a.adopt + b.adopt,
    }
}

fn many(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    }
}

/// The counts, as in every tool of the field.
pub(crate) fn counts(summary: &Summary) -> String {
    let text = summary.to_string();
    let text = text.trim_start_matches("Plan: ").trim_end_matches('.');
    text.to_owned()
}

/// The counts with weight on what is lost.
fn numbers(summary: &Summary) -> String {
    let text = counts(summary);
    match summary.delete + summary.replace {
        0 => format!("Plan: {text}"),
        lost => {
            let word = format!("{lost} to destroy");
            format!("Plan: {}", text.replace(&word, &format!("**{word}**")))
        }
    }
}
