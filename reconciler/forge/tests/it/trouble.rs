//! A GitHub that is down, slow, full or strict.

use std::time::{Duration, Instant};

use stratum_core::ids::CommitId;
use stratum_core::ports::{
    CommitState, CommitStatus, Forge, ForgeError, PullNumber, Retry, Written,
};
use stratum_forge::github::{GitHub, Settings, TokenSource};

use crate::fake::{Fake, Fault, PULL, TOKEN};

const MARKER: &str = "<!-- stratum:plan ";

async fn say(client: &GitHub) -> Result<Written, ForgeError> {
    let text = format!("{MARKER}-->\none");
    let wording = |_: Option<&str>| text.clone();
    let place = client.comment(PullNumber(PULL), MARKER, &wording).await;
    if let Err(error) = &place {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(TOKEN) && !shown.contains("ghp_"), "{shown}");
    }
    place.map(|place| place.written)
}

fn status() -> CommitStatus {
    CommitStatus {
        commit: CommitId::new("a".repeat(40)).unwrap(),
        context: "stratum/production".to_owned(),
        state: CommitState::Success,
        description: "applied".to_owned(),
        target: None,
    }
}

fn refuse(status: u16) -> Fault {
    Fault::Refuse(status, Vec::new(), "")
}

fn limit(status: u16, name: &'static str, value: &str) -> Fault {
    Fault::Refuse(status, vec![(name, value.to_owned())], "wait")
}

#[tokio::test]
async fn what_passes_is_waited_out() {
    let fake = Fake::start().await;
    fake.fails([refuse(502), Fault::CutShort, Fault::BreakOff, refuse(503)]);
    assert_eq!(say(&fake.client()).await.unwrap(), Written::Created);
    assert_eq!(fake.bodies().len(), 1);
}

/// The request was carried out and the answer was lost: asking once more would write two.
#[tokio::test]
async fn a_lost_answer_makes_no_second_comment() {
    for fault in [
        Fault::CutShort,
        Fault::BreakOff,
        Fault::Late(Duration::from_secs(2)),
    ] {
        let fake = Fake::start().await;
        fake.fails([Fault::Pass, Fault::Pass, fault.clone()]);
        let written = say(&fake.client()).await.unwrap();
        assert_eq!(written, Written::Kept, "{fault:?}");
        assert_eq!(fake.bodies().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let fake = Fake::start().await;
    let client = fake.client();
    fake.fails([limit(429, "retry-after", "1")]);
    let began = Instant::now();
    client.status(&status()).await.unwrap();
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(fake.inner().statuses.len(), 1);
    fake.fails([limit(403, "retry-after", "1")]);
    client.status(&status()).await.unwrap();
    assert_eq!(client.counts().failures.get("limited"), Some(&2));
}

#[tokio::test]
async fn a_limit_beyond_patience_is_an_error_that_says_when() {
    let fake = Fake::start().await;
    let client = fake.client();
    fake.fails([limit(403, "x-ratelimit-remaining", "0")]);
    let error = client.status(&status()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Later(Duration::from_secs(60)));
    fake.fails([Fault::Refuse(
        403,
        Vec::new(),
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    )]);
    let error = client.status(&status()).await.unwrap_err();
    assert!(matches!(error, ForgeError::Limited { .. }), "{error}");
    let later = jiff::Timestamp::now().as_second() + 1800;
    let headers = vec![
        ("x-ratelimit-remaining", "0".to_owned()),
        ("x-ratelimit-reset", later.to_string()),
    ];
    fake.fails([Fault::Refuse(429, headers, "")]);
    match client.status(&status()).await.unwrap_err() {
        ForgeError::Limited { wait, .. } => assert!(wait.as_secs().abs_diff(1800) < 60),
        other => panic!("{other}"),
    }
    assert_eq!(fake.inner().statuses.len(), 0);
}

#[tokio::test]
async fn a_token_without_the_right_is_said_at_once() {
    let fake = Fake::start().await;
    let client = fake.client();
    let denied = Fault::Refuse(
        403,
        Vec::new(),
        "Resource not accessible by personal access token",
    );
    fake.fails([Fault::Pass, Fault::Pass, denied]);
    let error = say(&client).await.unwrap_err();
    assert_eq!(error.retry(), Retry::NeedsPerson);
    let text = error.to_string();
    assert!(
        text.contains("pull-requests: write") && text.contains("Resource not"),
        "{text}"
    );
    assert_eq!(fake.count("POST"), 1);
}

#[tokio::test]
async fn a_token_that_is_not_known_is_said_without_being_shown() {
    let fake = Fake::start().await;
    let mut settings = fake.settings();
    settings.token = TokenSource::Given("ghp_expired".to_owned());
    let error = say(&GitHub::new(settings).unwrap()).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unknown { .. }), "{error}");
}

#[tokio::test]
async fn a_token_in_a_file_may_change_while_it_runs() {
    let fake = Fake::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "ghp_expired\n").unwrap();
    let mut settings = fake.settings();
    settings.token = TokenSource::File(file.path().to_owned());
    let client = GitHub::new(settings).unwrap();
    assert!(client.status(&status()).await.is_err());
    std::fs::write(file.path(), format!("{TOKEN}\n")).unwrap();
    client.status(&status()).await.unwrap();
}

#[tokio::test]
async fn a_forge_that_does_not_answer_is_given_up() {
    let fake = Fake::start().await;
    let mut settings = fake.settings();
    settings.patience = Duration::from_millis(900);
    let client = GitHub::new(settings).unwrap();
    fake.fails(vec![Fault::Late(Duration::from_secs(60)); 10]);
    let began = Instant::now();
    let error = client.status(&status()).await.unwrap_err();
    assert!(matches!(error, ForgeError::Slow { .. }), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_forge_that_is_not_there_is_said() {
    let token = TokenSource::Given(TOKEN.to_owned());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut settings = Settings::new(&address, "octo/shop".parse().unwrap(), token).unwrap();
    settings.patience = Duration::from_millis(300);
    settings.pause = Duration::from_millis(50);
    let error = say(&GitHub::new(settings).unwrap()).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_not_tried_again() {
    let fake = Fake::start().await;
    let client = fake.client();
    let wording = |_: Option<&str>| MARKER.to_owned();
    let error = client
        .comment(PullNumber(8), MARKER, &wording)
        .await
        .unwrap_err();
    assert!(matches!(error, ForgeError::Missing { .. }), "{error}");
    assert_eq!(fake.count("GET /repos"), 1);
}

/// GitHub refuses whoever sends many at once, so the client is held for as long as a request takes.
#[tokio::test]
async fn one_request_is_under_way_at_a_time() {
    let fake = Fake::start().await;
    let mut settings = fake.settings();
    settings.timeout = Duration::from_secs(60);
    let client = GitHub::new(settings).unwrap();
    fake.fails(vec![Fault::Late(Duration::from_millis(50)); 6]);
    let status = status();
    let all = (0..6).map(|_| client.status(&status));
    for told in futures_util::future::join_all(all).await {
        told.unwrap();
    }
    assert_eq!(fake.inner().busiest, 1);
}

/// Who waits behind one that is not answered waits for the time of that one, and no longer.
#[tokio::test]
async fn a_request_that_is_not_answered_holds_up_the_next_for_its_time_only() {
    let fake = Fake::start().await;
    let mut settings = fake.settings();
    settings.patience = Duration::ZERO;
    let client = GitHub::new(settings).unwrap();
    fake.fails([Fault::Late(Duration::from_secs(3600))]);
    let status = status();
    let (slow, next) = tokio::join!(client.status(&status), client.status(&status));
    assert!(matches!(slow, Err(ForgeError::Slow { .. })), "{slow:?}");
    next.unwrap();
}
