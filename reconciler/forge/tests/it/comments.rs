//! One comment, whatever happens to it.

use stratum_core::ids::CommitId;
use stratum_core::ports::{CommitState, CommitStatus, Forge, PullNumber, Written};
use stratum_forge::github::{Author, GitHub};

use crate::fake::{Fake, Fault, PULL, pull};

const MARKER: &str = "<!-- stratum:plan ";

async fn say(client: &GitHub, text: &str) -> Written {
    let text = format!("{MARKER}-->\n{text}");
    let place = client
        .comment(PullNumber(PULL), MARKER, &|_| text.clone())
        .await
        .unwrap();
    place.written
}

#[tokio::test]
async fn a_comment_is_made_kept_edited_and_made_again() {
    let fake = Fake::start().await;
    let client = fake.client();
    assert_eq!(say(&client, "one").await, Written::Created);
    assert_eq!(say(&client, "one").await, Written::Kept);
    assert_eq!(fake.count("PATCH"), 0);
    assert_eq!(say(&client, "two").await, Written::Edited);
    assert_eq!(fake.bodies(), [format!("{MARKER}-->\ntwo")]);
    fake.inner().comments.clear();
    assert_eq!(say(&client, "two").await, Written::Created);
    assert_eq!(fake.bodies().len(), 1);
    assert_eq!(fake.count("GET /user"), 1);
}

#[tokio::test]
async fn what_someone_wrote_into_our_comment_is_put_right() {
    let fake = Fake::start().await;
    let client = fake.client();
    say(&client, "one").await;
    fake.inner().comments[0]["body"] =
        format!("{MARKER}-->\r\none\r\nall is well, merge it").into();
    assert_eq!(say(&client, "one").await, Written::Edited);
    assert_eq!(fake.bodies(), [format!("{MARKER}-->\none")]);
}

#[tokio::test]
async fn line_ends_that_github_changed_are_no_change() {
    let fake = Fake::start().await;
    let client = fake.client();
    say(&client, "one\n").await;
    fake.inner().comments[0]["body"] = format!("{MARKER}-->\r\none").into();
    assert_eq!(say(&client, "one\n").await, Written::Kept);
}

#[tokio::test]
async fn a_comment_by_someone_else_is_never_ours() {
    let fake = Fake::start().await;
    fake.inner()
        .add_comment("mallory", &format!("{MARKER}-->\nnothing to see"));
    fake.inner()
        .add_comment("stratum-bot", &format!("quoting {MARKER}"));
    let client = fake.client();
    assert_eq!(say(&client, "one").await, Written::Created);
    let bodies = fake.bodies();
    assert_eq!(bodies.len(), 3);
    assert!(bodies[0].ends_with("nothing to see") && bodies[1].starts_with("quoting"));
}

#[tokio::test]
async fn a_comment_after_hundreds_of_others_is_found() {
    let fake = Fake::start().await;
    for number in 0..250 {
        fake.inner()
            .add_comment("people", &format!("comment {number}"));
    }
    let ours = format!("{MARKER}-->\none");
    fake.inner().add_comment("stratum-bot", &ours);
    assert_eq!(say(&fake.client(), "two").await, Written::Edited);
    assert_eq!(fake.count("GET /repos/octo/shop/issues/7/comments"), 3);
    assert_eq!(fake.bodies().len(), 251);
}

#[tokio::test]
async fn the_token_of_a_workflow_may_not_ask_who_it_is() {
    let fake = Fake::start().await;
    let workflows = "github-actions[bot]".to_owned();
    fake.inner().login = None;
    fake.inner().writer.clone_from(&workflows);
    let mut settings = fake.settings();
    settings.author = Author::Asked {
        or_else: Some(workflows),
    };
    let client = GitHub::new(settings).unwrap();
    assert_eq!(say(&client, "one").await, Written::Created);
    assert_eq!(say(&client, "two").await, Written::Edited);
    let other = GitHub::new(fake.settings()).unwrap();
    let asked = other.comment(PullNumber(PULL), MARKER, &|_| String::new());
    assert!(asked.await.is_err());
}

#[tokio::test]
async fn a_comment_that_goes_while_it_is_edited_is_made_again() {
    let fake = Fake::start().await;
    let client = fake.client();
    say(&client, "one").await;
    let gone = Fault::Refuse(404, Vec::new(), "Not Found");
    fake.fails([Fault::Pass, gone]);
    assert_eq!(say(&client, "two").await, Written::Edited);
    assert_eq!(fake.bodies().len(), 1);
}

#[tokio::test]
async fn a_status_fits_and_the_pull_requests_of_a_commit_are_told_apart() {
    let fake = Fake::start().await;
    let client = fake.client();
    let commit = CommitId::new("a".repeat(40)).unwrap();
    let status = CommitStatus {
        commit: commit.clone(),
        context: "stratum/production".to_owned(),
        state: CommitState::Failure,
        description: "rolled back: ".repeat(40),
        target: Some("https://example.org/record".to_owned()),
    };
    client.status(&status).await.unwrap();
    let (at, sent) = fake.inner().statuses[0].clone();
    assert_eq!(at, commit.as_str());
    assert_eq!(sent["state"], "failure");
    assert_eq!(sent["target_url"], "https://example.org/record");
    let head = "b".repeat(40);
    let both = vec![pull(1, &head, true), pull(2, &head, false)];
    fake.inner().pulls.insert(commit.to_string(), both);
    let pulls = client.pulls(&commit).await.unwrap();
    let merged: Vec<(u64, bool)> = pulls.iter().map(|p| (p.number.0, p.merged)).collect();
    assert_eq!(merged, [(1, true), (2, false)]);
}
