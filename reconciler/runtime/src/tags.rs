//! What people said by signed tags: heard once, and remembered where it holds on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use stratum_core::condition::Hold;
use stratum_core::digest::Digest;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::EnvironmentRow;
use stratum_core::remembered::Suspension;
use stratum_core::signed::{Refused, SignedTag};

use crate::admission::PolicyInput;
use crate::error::RuntimeError;
use crate::guard::{Heard, Said, Word};
use crate::reconcile::Reconciler;

/// The tags as they were last seen, and what was said of them.
#[derive(Default)]
pub(crate) struct Words {
    tags: Arc<Vec<SignedTag>>,
    digest: Option<Digest>,
    /// The environments of the very first look: each pins its own commit.
    pub(crate) first: Option<BTreeSet<EnvironmentName>>,
    /// What the audit log was told of tags that are looked at again and again.
    told: BTreeSet<(EnvironmentName, String)>,
}

impl Reconciler {
    /// Takes in the tags as they are now.
    pub(crate) fn hear(&self, tags: Vec<SignedTag>) {
        let names: Vec<_> = tags.iter().map(|tag| (&tag.name, &tag.id)).collect();
        let digest = Digest::of_json(&names);
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.digest != Some(digest) {
            words.digest = Some(digest);
            words.tags = Arc::new(tags);
        }
    }

    /// Whether the audit log was told this of a tag before; it is from now on.
    pub(crate) fn was_told(&self, environment: &EnvironmentName, told: String) -> bool {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        !words.told.insert((environment.clone(), told))
    }

    pub(crate) fn tags(&self) -> Arc<Vec<SignedTag>> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&words.tags)
    }

    /// The tags by name, with their objects.
    pub(crate) fn words_by_name(&self) -> BTreeMap<String, String> {
        let tags = self.tags();
        let names = tags.iter().map(|tag| (tag.name.clone(), tag.id.clone()));
        names.collect()
    }

    /// Whether the environment is suspended by a word, and since which: a suspension that counted
    /// holds until a word that counts resumes it, whatever became of its tag.
    pub(crate) async fn suspension(
        self: &Arc<Self>,
        input: &PolicyInput,
        row: &mut EnvironmentRow,
    ) -> Result<Option<Suspension>, RuntimeError> {
        let (own, asked) = (Arc::clone(self), input.clone());
        let environment = &input.case.environment;
        let heard = self
            .blocking(move || {
                own.guard()
                    .suspended(&asked.case, &asked.rules, &asked.tags)
            })
            .await?;
        self.log_void(environment, "suspend", &heard.void).await?;
        let known = row.remembered.suspended.clone();
        let after = |at: Timestamp| row.remembered.resumed.is_none_or(|resumed| at > resumed);
        match heard.said {
            Said::Suspend(word) if after(word.at) => {
                if known
                    .as_ref()
                    .is_none_or(|known| known.object != word.object)
                {
                    self.log_word(environment, &word).await?;
                }
                row.remembered.suspended = Some(Suspension {
                    by: word.by,
                    tag: word.tag,
                    object: word.object,
                    at: word.at,
                });
            }
            Said::Resume(word) if known.as_ref().is_some_and(|known| word.at >= known.at) => {
                self.log_word(environment, &word).await?;
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
        self.log_void(environment, "suspend", &gone).await
    }

    /// Who said that the held run shall be tried again, if someone who may did; and the tags that
    /// were meant to say so.
    pub(crate) async fn retried(
        self: &Arc<Self>,
        input: &PolicyInput,
        hold: &Hold,
    ) -> Result<Heard<Option<Word>>, RuntimeError> {
        let (own, asked, run) = (Arc::clone(self), input.clone(), hold.run.clone());
        let heard = self
            .blocking(move || {
                own.guard()
                    .retried(&asked.case, &asked.rules, &asked.tags, &run)
            })
            .await?;
        let environment = &input.case.environment;
        self.log_void(environment, "retry", &heard.void).await?;
        if let Some(word) = &heard.said {
            self.log_word(environment, word).await?;
            tracing::info!(run = %hold.run, by = %word.by, "tried again, as a tag says");
        }
        Ok(heard)
    }
}
