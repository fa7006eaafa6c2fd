//! What people said by signed tags: heard once, and remembered where it holds on.

use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::condition::Hold;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::EnvironmentRow;
use stratum_core::remembered::Suspension;
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
        let after = |at: Timestamp| row.remembered.resumed.is_none_or(|resumed| at > resumed);
        match heard.said {
            Said::Suspend(word) if after(word.at) => {
                if known
                    .as_ref()
                    .is_none_or(|known| known.object != word.object)
                {
                    self.log.word(environment, &word).await?;
                }
                row.remembered.suspended = Some(Suspension {
                    by: word.by,
                    tag: word.tag,
                    object: word.object,
                    at: word.at,
                });
            }
            Said::Resume(word) if known.as_ref().is_some_and(|known| word.at >= known.at) => {
                self.log.word(environment, &word).await?;
                row.remembered.suspended = None;
                row.remembered.resumed = Some(word.at);
            }
            Said::Resume(word) if known.is_none() => {
                let resumed = row.remembered.resumed.max(Some(word.at));
                row.remembered.resumed = resumed;
            }
            Said::Suspend(_) | Said::Resume(_) | Said::Nothing => {
                self.say_it_is_gone(environment, known.as_ref()).await?;
            }
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
