//! A GitHub that keeps state, and fails as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use stratum_forge::github::{Author, GitHub, Settings, TokenSource};

/// The token that the tests use; it must be seen in no error.
pub(crate) const TOKEN: &str = "ghp_0123456789abcdefTESTTOKEN";

/// The pull request that is there.
pub(crate) const PULL: u64 = 7;

/// What happens to the next request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing.
    Pass,
    /// It is answered with a status, headers and a message, and nothing is done.
    Refuse(u16, Vec<(&'static str, String)>, &'static str),
    /// It is done, and answered after a while.
    Late(Duration),
    /// It is done, and the answer breaks off in the middle.
    BreakOff,
    /// It is done, and the answer is JSON that ends too early.
    CutShort,
}

/// A request is under way while this lives.
struct UnderWay(Fake);

impl UnderWay {
    fn at(fake: &Fake) -> Self {
        let mut inner = fake.inner();
        inner.busy += 1;
        inner.busiest = inner.busiest.max(inner.busy);
        Self(fake.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.inner().busy -= 1;
    }
}

/// What the fake knows.
#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) comments: Vec<Value>,
    pub(crate) statuses: Vec<(String, Value)>,
    pub(crate) pulls: BTreeMap<String, Vec<Value>>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) requests: Vec<String>,
    /// `None`: the token may not ask.
    pub(crate) login: Option<String>,
    /// Who writes what is written.
    pub(crate) writer: String,
    /// How many requests were under way at most.
    pub(crate) busiest: usize,
    busy: usize,
    next: u64,
}

/// A GitHub at an address of this machine.
#[derive(Clone)]
pub(crate) struct Fake {
    inner: Arc<Mutex<Inner>>,
    pub(crate) address: String,
}

impl Fake {
    /// A GitHub with one pull request and without comments.
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            login: Some("stratum-bot".to_owned()),
            writer: "stratum-bot".to_owned(),
            next: 100,
            ..Inner::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { inner, address };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// What happens to the next requests.
    pub(crate) fn fails(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner().faults.extend(faults);
    }

    /// Settings that are impatient enough for a test.
    pub(crate) fn settings(&self) -> Settings {
        let token = TokenSource::Given(TOKEN.to_owned());
        let mut settings =
            Settings::new(&self.address, "octo/shop".parse().unwrap(), token).unwrap();
        settings.author = Author::Asked { or_else: None };
        settings.timeout = Duration::from_millis(700);
        settings.patience = Duration::from_secs(5);
        settings.pause = Duration::from_millis(20);
        settings
    }

    pub(crate) fn client(&self) -> GitHub {
        GitHub::new(self.settings()).unwrap()
    }

    /// How many requests began so.
    pub(crate) fn count(&self, beginning: &str) -> usize {
        let inner = self.inner();
        inner
            .requests
            .iter()
            .filter(|request| request.starts_with(beginning))
            .count()
    }

    /// The bodies of all comments.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let inner = self.inner();
        let body = |comment: &Value| comment["body"].as_str().unwrap().to_owned();
        inner.comments.iter().map(body).collect()
    }
}

impl Inner {
    /// Someone writes a comment.
    pub(crate) fn add_comment(&mut self, login: &str, body: &str) -> u64 {
        self.next += 1;
        let id = self.next;
        self.comments.push(comment(id, login, body));
        id
    }

    fn answer(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        body: &Bytes,
    ) -> (u16, Value, bool) {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        match (method, parts.as_slice()) {
            ("GET", ["user"]) => match &self.login {
                Some(login) => (200, viewer(login), false),
                None => refusal(403, "Resource not accessible by integration"),
            },
            ("GET", ["repos", "octo", "shop", "issues", number, "comments"]) => {
                if *number != PULL.to_string() {
                    return refusal(404, "Not Found");
                }
                let (page, per_page) = (number_in(query, "page"), number_in(query, "per_page"));
                let from = (page - 1) * per_page;
                let all = &self.comments;
                let shown: Vec<Value> = all.iter().skip(from).take(per_page).cloned().collect();
                let has_next = from + shown.len() < all.len();
                (200, Value::Array(shown), has_next)
            }
            ("POST", ["repos", "octo", "shop", "issues", _, "comments"]) => {
                let text = json["body"].as_str().unwrap();
                if text.len() > 65_536 {
                    return refusal(422, "body is too long (maximum is 65536 characters)");
                }
                let writer = self.writer.clone();
                let id = self.add_comment(&writer, text);
                (201, comment(id, &writer, text), false)
            }
            ("PATCH", ["repos", "octo", "shop", "issues", "comments", id]) => {
                let id: u64 = id.parse().unwrap();
                let found = self.comments.iter_mut().find(|comment| comment["id"] == id);
                match found {
                    Some(found) => {
                        found["body"] = json["body"].clone();
                        (200, found.clone(), false)
                    }
                    None => refusal(404, "Not Found"),
                }
            }
            ("POST", ["repos", "octo", "shop", "statuses", commit]) => {
                let length = json["description"]
                    .as_str()
                    .unwrap_or_default()
                    .chars()
                    .count();
                if length > 140 {
                    return refusal(422, "description is too long (maximum is 140 characters)");
                }
                self.statuses.push(((*commit).to_owned(), json.clone()));
                self.next += 1;
                (201, status(self.next, &json), false)
            }
            ("GET", ["repos", "octo", "shop", "commits", commit, "pulls"]) => {
                let pulls = self.pulls.get(*commit).cloned().unwrap_or_default();
                (200, Value::Array(pulls), false)
            }
            _ => refusal(404, "Not Found"),
        }
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let _under_way = UnderWay::at(&fake);
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let fault = {
        let mut inner = fake.inner();
        inner.requests.push(format!("{method} {path}"));
        inner.faults.pop_front().unwrap_or(Fault::Pass)
    };
    let authorised = parts.headers.get("authorization");
    let expected = format!("Bearer {TOKEN}");
    if authorised.is_none_or(|value| value.to_str().unwrap() != expected) {
        return build(401, &json!({ "message": "Bad credentials" }), &[]);
    }
    if let Fault::Refuse(status, headers, message) = &fault {
        return build(*status, &json!({ "message": message }), headers);
    }
    let query = parts.uri.query().unwrap_or_default();
    let (status, value, has_next) = fake.inner().answer(method, path, query, &body);
    let next = format!("<{}{path}?page=2>; rel=\"next\"", fake.address);
    let link = [("link", next)];
    let headers = if has_next { &link[..] } else { &[] };
    match fault {
        Fault::Late(wait) => {
            tokio::time::sleep(wait).await;
            build(status, &value, headers)
        }
        Fault::BreakOff => {
            let text = value.to_string();
            let half = text[..text.len() / 2].to_owned();
            let mut response = Response::new(Body::from_stream(futures(half)));
            *response.status_mut() = status.try_into().unwrap();
            response
        }
        Fault::CutShort => {
            let text = value.to_string();
            let mut response = Response::new(Body::from(text[..text.len() / 2].to_owned()));
            *response.status_mut() = status.try_into().unwrap();
            response
        }
        Fault::Pass | Fault::Refuse(..) => build(status, &value, headers),
    }
}

/// The beginning of a body, and then an error.
fn futures(half: String) -> impl futures_util::Stream<Item = Result<String, std::io::Error>> {
    futures_util::stream::iter([Ok(half), Err(std::io::Error::other("broken off"))])
}

fn build(status: u16, value: &Value, headers: &[(&'static str, String)]) -> Response {
    let mut builder = Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8");
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(Body::from(value.to_string())).unwrap()
}

fn refusal(status: u16, message: &str) -> (u16, Value, bool) {
    (status, json!({ "message": message }), false)
}

fn number_in(query: &str, name: &str) -> usize {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| *key == name);
    found.next().unwrap().1.parse().unwrap()
}

/// An account, with every field that GitHub's description asks for.
fn user(login: &str) -> Value {
    let url = format!("https://api.github.com/users/{login}");
    json!({
        "login": login, "id": 1, "node_id": "U_1", "gravatar_id": "", "type": "Bot",
        "site_admin": false, "avatar_url": url, "url": url, "html_url": url,
        "followers_url": url, "following_url": url, "gists_url": url, "starred_url": url,
        "subscriptions_url": url, "organizations_url": url, "repos_url": url,
        "events_url": url, "received_events_url": url,
    })
}

/// An account that asks for itself.
fn viewer(login: &str) -> Value {
    let mut viewer = user(login);
    for name in [
        "name", "company", "blog", "location", "email", "hireable", "bio",
    ] {
        viewer[name] = Value::Null;
    }
    for name in ["public_repos", "public_gists", "followers", "following"] {
        viewer[name] = 0.into();
    }
    for name in ["created_at", "updated_at"] {
        viewer[name] = "2026-11-24T03:00:00Z".into();
    }
    viewer
}

fn comment(id: u64, login: &str, body: &str) -> Value {
    let url = format!("https://api.github.com/repos/octo/shop/issues/comments/{id}");
    json!({
        "id": id, "node_id": format!("IC_{id}"), "url": url, "body": body, "user": user(login),
        "html_url": format!("https://github.com/octo/shop/pull/{PULL}#issuecomment-{id}"),
        "issue_url": format!("https://api.github.com/repos/octo/shop/issues/{PULL}"),
        "created_at": "2026-11-24T03:00:00Z", "updated_at": "2026-11-24T03:00:00Z",
        "author_association": "NONE",
    })
}

fn status(id: u64, json: &Value) -> Value {
    let at = "2026-11-24T03:00:00Z";
    json!({
        "url": "https://api.github.com/repos/octo/shop/statuses/x", "avatar_url": null, "id": id,
        "node_id": "SC_1", "state": json["state"], "description": json["description"],
        "target_url": json["target_url"], "context": json["context"], "created_at": at,
        "updated_at": at, "creator": user("stratum-bot"),
    })
}

/// A pull request, as far as it is read here.
pub(crate) fn pull(number: u64, head: &str, merged: bool) -> Value {
    json!({
        "number": number, "title": "a change", "head": { "sha": head, "ref": "x" },
        "merged_at": merged.then_some("2026-11-24T03:00:00Z"),
    })
}
