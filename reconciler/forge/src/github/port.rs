//! The port: comments, statuses, and the pull requests of a commit.

use async_trait::async_trait;
use serde_json::json;
use stratum_core::ids::CommitId;
use stratum_core::ports::{
    CommentPlace, CommitStatus, Forge, ForgeError, Pull, PullNumber, Wording, Written,
};

use crate::github::GitHub;
use crate::github::call::{Again, Ask};
use crate::github::model::{Comment, PullRequest, User};
use crate::github::settings::Author;

/// The longest description of a status. *Source*: GitHub answers 422 beyond it.
const DESCRIPTION: usize = 140;

/// The most pages that are read of a list: an answer that always names a next page ends too.
const PAGES: usize = 50;

/// Entries of one page; the most that GitHub gives.
const PAGE: usize = 100;

#[async_trait]
impl Forge for GitHub {
    async fn comment(
        &self,
        pull: PullNumber,
        marker: &str,
        wording: Wording<'_>,
    ) -> Result<CommentPlace, ForgeError> {
        let author = self.author().await?;
        let mut patience = self.patience();
        loop {
            let error = match self.write_comment(pull, marker, &author, wording).await {
                Ok(place) => return Ok(place),
                Err(error) => error,
            };
            // The comment may be there although the answer was lost, or be gone although it was
            // there just now: it is looked for again.
            let error = passing(error)?;
            if !patience.wait(&error).await {
                return Err(error);
            }
        }
    }

    async fn status(&self, status: &CommitStatus) -> Result<(), ForgeError> {
        let repository = &self.settings.repository;
        let path = format!("/repos/{repository}/statuses/{}", status.commit);
        let mut body = json!({
            "state": status.state,
            "context": status.context,
            "description": fit(&status.description),
        });
        if let (Some(target), Some(map)) = (&status.target, body.as_object_mut()) {
            map.insert("target_url".to_owned(), target.as_str().into());
        }
        let doing = "set a commit status (it needs `statuses: write`)";
        // The newest status of a context counts, so the same one twice says the same.
        self.ask(doing, Ask::Post(&body), &path, Again::Harmless)
            .await?;
        Ok(())
    }

    async fn pulls(&self, commit: &CommitId) -> Result<Vec<Pull>, ForgeError> {
        let repository = &self.settings.repository;
        let path = format!("/repos/{repository}/commits/{commit}/pulls");
        let doing = "find the pull requests of a commit (it needs `pull-requests: read`)";
        let mut pulls = Vec::new();
        for page in 1..=PAGES {
            let path = format!("{path}?per_page={PAGE}&page={page}");
            let answer = self.ask(doing, Ask::Get, &path, Again::Harmless).await?;
            let found: Vec<PullRequest> = answer.read()?;
            let is_last = found.is_empty() || !answer.has_next;
            for pull in found {
                pulls.push(pull.try_into()?);
            }
            if is_last {
                break;
            }
        }
        Ok(pulls)
    }

    fn file_url(&self, commit: &CommitId, path: &str) -> String {
        let (web, repository) = (&self.settings.web, &self.settings.repository);
        format!("{web}/{repository}/blob/{commit}/{path}")
    }
}

impl GitHub {
    /// Who writes our comments.
    async fn author(&self) -> Result<String, ForgeError> {
        let mut known = self.author.lock().await;
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let author = match &self.settings.author {
            Author::Known(login) => login.clone(),
            Author::Asked { or_else } => {
                let doing = "ask whose token it is";
                let asked = self.ask(doing, Ask::Get, "/user", Again::Harmless).await;
                match (asked, or_else) {
                    (Ok(answer), _) => answer.read::<User>()?.login,
                    (Err(ForgeError::Forbidden { .. }), Some(login)) => login.clone(),
                    (Err(error), _) => return Err(error),
                }
            }
        };
        *known = Some(author.clone());
        Ok(author)
    }

    async fn write_comment(
        &self,
        pull: PullNumber,
        marker: &str,
        author: &str,
        wording: Wording<'_>,
    ) -> Result<CommentPlace, ForgeError> {
        let found = self.find_comment(pull, marker, author).await?;
        let before = found.as_ref().and_then(|comment| comment.body.as_deref());
        let wanted = wording(before);
        let repository = &self.settings.repository;
        let body = json!({ "body": wanted });
        let (path, ask, again, written) = match &found {
            Some(comment) if before.is_some_and(|before| same(before, &wanted)) => {
                return Ok(CommentPlace {
                    written: Written::Kept,
                    url: comment.html_url.clone(),
                });
            }
            Some(comment) => {
                let path = format!("/repos/{repository}/issues/comments/{}", comment.id);
                (path, Ask::Patch(&body), Again::Harmless, Written::Edited)
            }
            None => {
                let path = format!("/repos/{repository}/issues/{}/comments", pull.0);
                (path, Ask::Post(&body), Again::Harmful, Written::Created)
            }
        };
        let doing = "write a comment (it needs `pull-requests: write`)";
        let answer = match self.ask(doing, ask, &path, again).await {
            Err(ForgeError::Missing { doing }) if found.is_some() => {
                let reason = "the comment was deleted meanwhile".to_owned();
                return Err(ForgeError::Unreadable { doing, reason });
            }
            answer => answer?,
        };
        let comment: Comment = answer.read()?;
        let by = comment.user.as_ref().map(|user| user.login.as_str());
        if let Some(by) = by.filter(|by| !by.eq_ignore_ascii_case(author)) {
            tracing::warn!(
                written_by = by,
                looked_for = author,
                "comments of this token are by someone else than was looked for, so each run \
                 would write a new one: name the author"
            );
        }
        Ok(CommentPlace {
            written,
            url: comment.html_url,
        })
    }

    /// Our comment: the first by `author` that begins with `marker`.
    async fn find_comment(
        &self,
        pull: PullNumber,
        marker: &str,
        author: &str,
    ) -> Result<Option<Comment>, ForgeError> {
        let repository = &self.settings.repository;
        let path = format!("/repos/{repository}/issues/{}/comments", pull.0);
        let doing = "read the comments of a pull request (it needs `pull-requests: read`)";
        let is_ours = |comment: &Comment| {
            let begins = comment
                .body
                .as_deref()
                .is_some_and(|body| body.starts_with(marker));
            let user = comment.user.as_ref();
            begins && user.is_some_and(|user| user.login.eq_ignore_ascii_case(author))
        };
        for page in 1..=PAGES {
            let path = format!("{path}?per_page={PAGE}&page={page}");
            let answer = self.ask(doing, Ask::Get, &path, Again::Harmless).await?;
            let comments: Vec<Comment> = answer.read()?;
            let is_last = comments.is_empty() || !answer.has_next;
            let found = comments.into_iter().find(is_ours);
            if found.is_some() || is_last {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

impl TryFrom<PullRequest> for Pull {
    type Error = ForgeError;

    fn try_from(pull: PullRequest) -> Result<Self, ForgeError> {
        let head = CommitId::new(pull.head.sha).map_err(|error| ForgeError::Unreadable {
            doing: "find the pull requests of a commit".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            number: PullNumber(pull.number),
            head,
            merged: pull.merged_at.is_some(),
            title: pull.title,
        })
    }
}

/// What may pass by itself; the rest is given back at once. Limits were waited for already.
fn passing(error: ForgeError) -> Result<ForgeError, ForgeError> {
    match error {
        ForgeError::Unreachable { .. }
        | ForgeError::Slow { .. }
        | ForgeError::Trouble { .. }
        | ForgeError::Unreadable { .. } => Ok(error),
        ForgeError::Settings { .. }
        | ForgeError::Unknown { .. }
        | ForgeError::Forbidden { .. }
        | ForgeError::Missing { .. }
        | ForgeError::Limited { .. }
        | ForgeError::Refused { .. } => Err(error),
    }
}

/// Whether two bodies say the same: GitHub may change line ends and what stands at the end.
fn same(a: &str, b: &str) -> bool {
    let flat = |text: &str| text.replace("\r\n", "\n").trim_end().to_owned();
    flat(a) == flat(b)
}

/// A description that fits, cut at a word.
fn fit(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let flat = words.join(" ");
    if flat.chars().count() <= DESCRIPTION {
        return flat;
    }
    let kept: String = flat.chars().take(DESCRIPTION - 1).collect();
    let end = kept.rfind(' ').unwrap_or(kept.len());
    format!("{}…", kept.get(..end).unwrap_or(&kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_cut_at_a_word() {
        assert_eq!(fit("all\nwell"), "all well");
        let long = fit(&"word ".repeat(60));
        assert!(
            long.chars().count() <= DESCRIPTION && long.ends_with("word…"),
            "{long}"
        );
        assert_eq!(fit(&"x".repeat(200)).chars().count(), DESCRIPTION);
    }
}
