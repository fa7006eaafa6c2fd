//! What people said by signed tags: heard once, and remembered where it holds on.

use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::condition::Hold;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::EnvironmentRow;
use stratum_core::remembered::{Remembered, Suspension};
use stratum_core::signed::Refused;

use crate::audit::AuditLog;
use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::guard::{Heard, Said, Word};
use crate::policy::{Policy, PolicyInput};

/// Asks policy what the words about an environment come to, and writes it into the audit log.
pub(crate) struct Hearing {
    pub(crate) policy: Arc<Policy>,
    pub(crate) blocking: Blocking,
    pub(crate) log: Arc<AuditLog>,
}

impl Hearing {
    /// Whether the environment is suspended by a word, and since which: a suspension that counted
    /// holds until a word that counts resumes it, whatever became of its tag.
    pub(crate) async fn suspension(
        &self,
        input: &PolicyInput,
        row: &mut EnvironmentRow,
    ) -> Result<Option<Suspension>, RuntimeError> {
        let (policy, asked) = (Arc::clone(&self.policy), input.clone());
        let environment = &input.case.environment;
        let heard = self
            .blocking
            .run(move || {
                policy
                    .guard()
                    .suspended(&asked.case, &asked.rules, &asked.tags)
            })
            .await?;
        self.log.void(environment, "suspend", &heard.void).await?;
        let known = row.remembered.suspended.clone();
        match take_in(&mut row.remembered, heard.said) {
            Taken::Heeded(word) => self.log.word(environment, &word).await?,
            Taken::Known => {}
            Taken::Nothing => self.say_it_is_gone(environment, known.as_ref()).await?,
        }
        Ok(row.remembered.suspended.clone())
    }

    /// Writes, once, that the tag of a suspension is gone, and that the suspension holds.
    async fn say_it_is_gone(
        &self,
        environment: &EnvironmentName,
        suspended: Option<&Suspension>,
    ) -> Result<(), RuntimeError> {
        let gone = suspended.map(|suspended| Refused {
            tag: suspended.tag.clone(),
            why: format!(
                "it is gone or was overwritten; the suspension by {} holds until a word that \
                 counts resumes it",
                suspended.by
            ),
        });
        let gone: Vec<Refused> = gone.into_iter().collect();
        self.log.void(environment, "suspend", &gone).await
    }

    /// Who said that the held run shall be tried again, if someone who may did; and the tags that
    /// were meant to say so.
    pub(crate) async fn retried(
        &self,
        input: &PolicyInput,
        hold: &Hold,
    ) -> Result<Heard<Option<Word>>, RuntimeError> {
        let (policy, asked, run) = (Arc::clone(&self.policy), input.clone(), hold.run.clone());
        let heard = self
            .blocking
            .run(move || {
                policy
                    .guard()
                    .retried(&asked.case, &asked.rules, &asked.tags, &run)
            })
            .await?;
        let environment = &input.case.environment;
        self.log.void(environment, "retry", &heard.void).await?;
        if let Some(word) = &heard.said {
            self.log.word(environment, word).await?;
            tracing::info!(run = %hold.run, by = %word.by, "tried again, as a tag says");
        }
        Ok(heard)
    }
}

/// What came of the last word about suspending an environment.
enum Taken {
    /// It is heeded from now on.
    Heeded(Box<Word>),
    /// It was heeded before, or there is nothing that it changes.
    Known,
    /// None counts.
    Nothing,
}

/// Remembers what follows from a word.
fn take_in(remembered: &mut Remembered, said: Said) -> Taken {
    let known = remembered.suspended.clone();
    let later = |at: Timestamp| remembered.resumed.is_none_or(|resumed| at > resumed);
    match (said, known) {
        (Said::Suspend(word), known) if later(word.at) => {
            remembered.suspended = Some(Suspension {
                by: word.by.clone(),
                tag: word.tag.clone(),
                object: word.object.clone(),
                at: word.at,
            });
            match known.is_some_and(|known| known.object == word.object) {
                true => Taken::Known,
                false => Taken::Heeded(Box::new(word)),
            }
        }
        (Said::Resume(word), Some(known)) if word.at >= known.at => {
            remembered.suspended = None;
            remembered.resumed = Some(word.at);
            Taken::Heeded(Box::new(word))
        }
        (Said::Resume(word), None) => {
            remembered.resumed = remembered.resumed.max(Some(word.at));
            Taken::Known
        }
        (Said::Suspend(_) | Said::Resume(_) | Said::Nothing, _) => Taken::Nothing,
    }
}
