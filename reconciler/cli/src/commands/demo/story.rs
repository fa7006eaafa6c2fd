//! The story: pushes, and what becomes of each.

use stratum_core::ids::CommitId;
use stratum_core::ports::{RunOutcome, Unfinished};
use stratum_core::record;
use stratum_core::run::RunSummary;

use super::example::{self, Ports};
use super::page;
use super::sealed::IDENTITY;
use super::stage::{Stage, git};
use crate::failure::CommandError;
use crate::show;
use crate::show::when;
use crate::style::{Mark, Role, harmless, one_line};
use crate::ui::Ui;

/// What is changed in the file of production, chapter by chapter.
pub(crate) const EDITS: [&[(&str, &str)]; 2] = [
    &[(
        "Fresh bread every morning",
        "Fresh bread, and now cinnamon rolls",
    )],
    &[
        (
            "Fresh bread, and now cinnamon rolls",
            "The page nobody shall ever see",
        ),
        ("runtime = \"python3\"", "runtime = \"python3-of-tomorrow\""),
    ],
];

/// Tells the story.
pub(crate) async fn tell(ui: &Ui, stage: &mut Stage) -> Result<(), CommandError> {
    let ports = Ports::default();
    let mut teller = Teller { ui, stage, ports };
    teller.first_push().await?;
    teller.change().await?;
    teller.breaking_change().await?;
    teller.revert().await?;
    teller.changed_secret().await?;
    teller.guarded_change().await?;
    teller.goodbye()
}

pub(super) struct Teller<'a> {
    ui: &'a Ui,
    pub(super) stage: &'a mut Stage,
    pub(super) ports: Ports,
}

impl Teller<'_> {
    async fn first_push(&mut self) -> Result<(), CommandError> {
        self.chapter("1", "The first push");
        let clone = self.stage.clone_folder();
        example::write(&clone)?;
        self.ports = example::move_to_free_ports(&clone)?;
        self.say("A bakery has one repository. It describes its shop twice, for staging and for");
        self.say(
            "production, from the same layers. Each has an order book, which needs a token, and",
        );
        self.say(
            "the token lies sealed in git. Nobody has the keys of the example; here are others:",
        );
        self.own_keys()?;
        self.say("");
        self.command(&format!(
            "stratum reconcile --repo bakery.git --root world --identity {IDENTITY} &"
        ));
        self.stage.start_reconciler(IDENTITY)?;
        self.command("git commit -m \"The shop\"");
        self.stage.commit("The shop")?;
        let commit = self.push()?;
        let runs = self
            .stage
            .outcome(&commit, &example::environments())
            .await?;
        self.planned(&runs, false);
        self.happened(&runs);
        self.served();
        self.recorded(&runs)
    }

    async fn change(&mut self) -> Result<(), CommandError> {
        self.chapter("2", "A change");
        let commit = self.edit_and_push(0, "Announce the cinnamon rolls")?;
        let runs = self.stage.outcome(&commit, &["production"]).await?;
        self.planned(&runs, true);
        self.happened(&runs);
        self.served();
        self.recorded(&runs)
    }

    async fn breaking_change(&mut self) -> Result<(), CommandError> {
        self.chapter("3", "A change that breaks in the middle");
        self.say("The next commit changes the page, and moves the service to a Python that this");
        self.say("machine does not have. Files come first, so half of it is done when it fails.");
        let commit = self.edit_and_push(1, "Use the Python of tomorrow")?;
        let runs = self.stage.outcome(&commit, &["production"]).await?;
        self.planned(&runs, true);
        self.happened(&runs);
        self.served();
        self.recorded(&runs)
    }

    async fn revert(&mut self) -> Result<(), CommandError> {
        self.chapter("4", "The undo button");
        self.say(
            "That commit is held: it is not tried again before there is a new input. Undoing is",
        );
        self.say(
            "git's own word for it. The announcement goes with it, so that there is something",
        );
        self.say("to see.");
        let clone = self.stage.clone_folder();
        self.command("git revert --no-edit HEAD HEAD~1");
        git(&clone, &["revert", "--no-edit", "HEAD", "HEAD~1"])?;
        let commit = self.push()?;
        let runs = self.stage.outcome(&commit, &["production"]).await?;
        self.planned(&runs, true);
        self.happened(&runs);
        self.served();
        self.recorded(&runs)
    }

    fn goodbye(&mut self) -> Result<(), CommandError> {
        self.chapter("7", "Where to look");
        let log = ["log", "--oneline", "--notes=stratum", "main"];
        self.command("git log --oneline --notes=stratum");
        let notes = git(&self.stage.bare(), &log)?;
        for line in notes.lines().filter(|line| !line.trim().is_empty()) {
            self.say(&format!("  {}", harmless(line)));
        }
        let folder = self.stage.folder().display();
        self.say("");
        self.say(&format!("Everything was in {folder}:"));
        self.say("  bakery.git      the repository; records are on its branch stratum/records");
        self.say("  world           what was made, one folder for each environment");
        self.say("  reconciler.log  what `stratum reconcile` said meanwhile");
        self.say("With `stratum demo --wait` it stays until you press Enter; try there:");
        self.say(&format!("  export STRATUM_IDENTITY={folder}/{IDENTITY}"));
        self.say(&format!("  stratum status --repo {folder}/bakery.git"));
        self.say(&format!("  stratum history --repo {folder}/bakery.git"));
        self.say("For a repository of your own: `git init shop && stratum init shop`.");
        Ok(())
    }

    fn edit_and_push(&mut self, chapter: usize, message: &str) -> Result<CommitId, CommandError> {
        let clone = self.stage.clone_folder();
        for (old, new) in EDITS.get(chapter).copied().unwrap_or_default() {
            example::edit(&clone, &example::shop("production"), old, new)?;
        }
        let difference = git(&clone, &["diff", "--unified=0", "--no-color"])?;
        let changed = |line: &&str| {
            (line.starts_with('+') || line.starts_with('-'))
                && !line.starts_with("+++")
                && !line.starts_with("---")
        };
        self.say(&format!("{}:", example::shop("production")));
        for line in difference.lines().filter(changed) {
            let role = if line.starts_with('+') {
                Role::Good
            } else {
                Role::Bad
            };
            let line = self.ui.theme().paint(role, harmless(line));
            self.say(&format!("  {line}"));
        }
        self.command(&format!("git commit -am \"{message}\""));
        self.stage.commit(message)?;
        self.push()
    }

    pub(super) fn push(&mut self) -> Result<CommitId, CommandError> {
        self.command("git push");
        self.stage.push()
    }

    pub(super) fn planned(&self, runs: &[(RunSummary, Unfinished)], whole: bool) {
        for (_, run) in runs {
            self.heading(&format!("planned for {}", run.run.environment));
            let (plan, verdict) = (run.run.plan(), run.run.verdict());
            let text = match whole {
                true => show::plan::plan(self.ui.theme(), plan, verdict),
                false => show::plan::brief(self.ui.theme(), plan),
            };
            self.indented(&text);
        }
    }

    pub(super) fn happened(&self, runs: &[(RunSummary, Unfinished)]) {
        for (summary, run) in runs {
            self.heading(&format!("happened in {}", run.run.environment));
            let theme = self.ui.theme();
            if summary.outcome != Some(RunOutcome::Applied) {
                self.indented(&show::run::events(theme, run.run.plan(), &run.events));
            }
            let (mark, role, word) = match summary.outcome {
                Some(RunOutcome::Applied) => (Mark::Good, Role::Good, "applied"),
                Some(RunOutcome::RolledBack) => (Mark::Back, Role::Warning, "rolled back"),
                Some(RunOutcome::Stuck | RunOutcome::Denied | RunOutcome::Nothing) | None => {
                    (Mark::Bad, Role::Bad, "not applied")
                }
            };
            let took = summary
                .ended_at
                .map(|ended| format!(" in {}", when::took(summary.started_at, ended)))
                .unwrap_or_default();
            let steps = format!(
                "{} steps done, {} put back",
                summary.steps.done, summary.steps.restored
            );
            let reason = match summary.reason.as_str() {
                "" => String::new(),
                reason => format!(": {}", one_line(reason)),
            };
            let mark = theme.marked(mark, role);
            self.indented(&format!("{mark} {word}{took}: {steps}{reason}\n"));
        }
    }

    pub(super) fn served(&self) {
        self.heading(&format!("served at http://127.0.0.1:{}/", self.ports.shop));
        match page::visit(self.ports.shop) {
            Ok(lines) => {
                let text: String = lines
                    .iter()
                    .map(|line| format!("{}\n", harmless(line)))
                    .collect();
                self.indented(&text);
            }
            Err(error) => self.indented(&format!("nothing: {error}\n")),
        }
    }

    fn recorded(&self, runs: &[(RunSummary, Unfinished)]) -> Result<(), CommandError> {
        // One record is enough to see what they look like.
        let Some((_, run)) = runs.first() else {
            return Ok(());
        };
        let path = record::path(&run.run);
        self.heading("recorded in git");
        self.command(&format!("git show stratum/records:{path}"));
        let text = git(
            &self.stage.bare(),
            &["show", &format!("stratum/records:{path}")],
        )?;
        self.indented(&in_words(&text));
        let count = text.lines().count();
        self.indented(&format!(
            "({count} lines in all: facts, words, change, timeline)\n"
        ));
        Ok(())
    }

    pub(super) fn chapter(&self, number: &str, title: &str) {
        let theme = self.ui.theme();
        let title = theme.paint(Role::Strong, format!("{number}. {title}"));
        self.say(&format!("\n{}\n{title}\n", theme.rule()));
    }

    pub(super) fn heading(&self, text: &str) {
        let text = self.ui.theme().paint(Role::Name, text);
        self.say(&format!("\n{text}"));
    }

    pub(super) fn command(&self, text: &str) {
        let text = self.ui.theme().paint(Role::Strong, format!("$ {text}"));
        self.say(&text);
    }

    pub(super) fn indented(&self, text: &str) {
        for line in text.lines() {
            self.say(format!("  {line}").trim_end());
        }
    }

    /// The story is the answer of the command.
    pub(super) fn say(&self, text: &str) {
        self.ui.answer(&format!("{text}\n"));
    }
}

/// The part of a record that is written for people: its heading and first sentence.
fn in_words(record: &str) -> String {
    let lines = record.lines().skip_while(|line| !line.starts_with("# "));
    let words: Vec<String> = lines
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| !line.trim().is_empty())
        .take(2)
        .map(harmless)
        .collect();
    words.join("\n")
}
