//! The examples of webhook deliveries that GitHub publishes.

use std::path::{Path, PathBuf};

use serde_json::Value;
use stratum_forge::webhook::{Event, Secrets, signature};

/// The packages that `tests/forge/install` puts into the cache; `None` says why on stderr.
pub(crate) fn package(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")))?;
    let path = cache.join("stratum/forge-tests/node_modules").join(name);
    if !path.exists() {
        eprintln!("SKIPPED: `{name}` is not in the cache; `sh tests/forge/install` puts it there");
        return None;
    }
    Some(path)
}

#[test]
fn every_published_delivery_is_accepted_or_ignored_as_it_should_be() {
    let Some(package) = package("@octokit/webhooks-examples") else {
        return;
    };
    let secret = b"a secret for the examples";
    let secrets = Secrets::read(secret).unwrap();
    let (mut looks, mut pings, mut ignored) = (0, 0, 0);
    for folder in std::fs::read_dir(package).unwrap() {
        let Ok(text) = std::fs::read(folder.unwrap().path().join("index.json")) else {
            continue;
        };
        let kinds: Vec<Value> = serde_json::from_slice(&text).unwrap();
        for kind in kinds {
            let name = kind["name"].as_str().unwrap();
            for example in kind["examples"].as_array().unwrap() {
                let body = serde_json::to_vec(example).unwrap();
                let signed = signature(secret, &body);
                assert_eq!(secrets.check(Some(&signed), &body), Ok(()));
                let event = Event::read(name, &body, None).unwrap();
                match (name, event) {
                    ("ping", Event::Ping) => pings += 1,
                    ("push" | "pull_request", Event::Look) => looks += 1,
                    ("ping" | "push" | "pull_request", other) => panic!("{name}: {other:?}"),
                    (_, Event::Ignored(_)) => ignored += 1,
                    (name, other) => panic!("{name}: {other:?}"),
                }
                let other = Event::read(name, &body, Some("nobody/nothing")).unwrap();
                assert!(!matches!(other, Event::Look), "{name}");
            }
        }
    }
    eprintln!("{looks} wake, {pings} pings, {ignored} ignored");
    assert!(looks > 10 && pings > 1 && ignored > 100);
}
