use std::collections::BTreeMap;

use stratum_core::ports::TreeKind;

use super::*;
use crate::memory::MemoryTree;

/// A right file; `{age}` is an age header and three bytes.
const GOOD: &str = "\
stratum: sealed/v1
context: { repo: shop, environment: production, path: payments/db }
values:
  password:
    v: 7
    age: {age}
    sig: AAAA
  user.name:
    v: 1
    age: {age}
    sig: AAAA
";

const FILE: &str = "secrets/production/payments/db.sealed.yaml";

fn age() -> String {
    STANDARD.encode(b"age-encryption.org/v1\nabc")
}

fn good() -> String {
    GOOD.replace("{age}", &age())
}

fn show(findings: &[Finding]) -> Vec<String> {
    assert!(findings.iter().all(|finding| finding.hint.is_some()));
    let line = |f: &Finding| format!("{} {} {}", f.code, f.source.as_ref().unwrap(), f.message);
    findings.iter().map(line).collect()
}

fn load(tree: &MemoryTree) -> Registered {
    load_secrets(tree, &EnvironmentName::new("production").unwrap()).unwrap()
}

fn found(from: &str, to: &str) -> Vec<String> {
    let text = good();
    assert!(text.contains(from), "{from}");
    show(
        &load(&MemoryTree::new([(
            FILE,
            text.replacen(from, to, 1).as_str(),
        )]))
        .findings,
    )
}

fn settings() -> Settings {
    let text = r#"{ "name": "shop", "environments": { "production": {} } }"#;
    serde_json::from_str(text).unwrap()
}

fn strays(files: &[(&str, &str)]) -> Vec<String> {
    show(&stray_secrets(&MemoryTree::new(files.iter().copied()), &settings()).unwrap())
}

#[test]
fn values_become_resources_by_the_digest_of_the_age_file() {
    let text = good();
    let files = [
        (FILE, text.as_str()),
        ("secrets/production/README.md", "x"),
        ("secrets/production/.gitkeep", ""),
    ];
    let registered = load(&MemoryTree::new(files));
    assert_eq!(show(&registered.findings), [""; 0]);
    let names: Vec<String> = registered
        .resources
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        names,
        [
            "production/secret.payments/db#password",
            "production/secret.payments/db#user.name"
        ]
    );
    let first = registered.resources.values().next().unwrap();
    let digest = Digest::of_bytes(b"age-encryption.org/v1\nabc").to_string();
    let expected: BTreeMap<String, Value> = [
        ("digest".to_owned(), Value::text(digest)),
        ("version".to_owned(), Value::Number(7.into())),
        ("path".to_owned(), Value::text(FILE)),
        ("key".to_owned(), Value::text("password")),
    ]
    .into();
    assert_eq!((&first.attributes, first.kind), (&expected, Kind::Secret));
    assert_eq!(
        first.sources[&stratum_core::value::Path::default()].to_string(),
        format!("{FILE}:5:5")
    );
    assert!(
        registered.closure.0.contains_key("secrets/production")
            && registered.closure.0.contains_key(FILE)
    );
}

#[test]
fn plaintext_is_found_and_never_shown() {
    let tree = MemoryTree::new([
        ("secrets/production/db.txt", "hunter2"),
        ("secrets/production/x.sealed.yaml", "password: hunter2\n"),
        ("secrets/production/y.sealed.yaml", "[hunter2"),
    ]);
    let found = show(&load(&tree).findings);
    assert_eq!(
        found,
        [
            "STR0701 secrets/production/db.txt:1:1 a file under `secrets/` is not sealed",
            "STR0701 secrets/production/x.sealed.yaml:1:1 a file under `secrets/` is not sealed",
            "STR0701 secrets/production/y.sealed.yaml:1:1 a file under `secrets/` is not sealed",
        ]
    );
    let text = good().replace(&age(), "hunter2").replace("AAAA", "hunter2");
    let text = text
        .replace("v: 7", "v: hunter2")
        .replace("stratum: sealed/v1", "stratum: hunter2");
    let tree = MemoryTree::new([(FILE, text.as_str())]);
    let registered = load(&tree);
    assert!(registered.findings.len() >= 5 && registered.resources.is_empty());
    assert!(!format!("{:?}", registered.findings).contains("hunter2"));
}

#[test]
fn the_shape_is_looked_at() {
    let age = age();
    let cases = [
        (
            "sealed/v1",
            "sealed/v9",
            "STR0702 F:1:10 the format of the sealed file is not known",
        ),
        (
            "v: 7",
            "v: 0",
            "STR0702 F:5:8 `v` must be a whole number from 1, not a number",
        ),
        (
            "sig: AAAA",
            "sgi: AAAA",
            "STR0702 F:5:5 sealed value lacks `sig`|STR0702 F:7:5 sealed value has no key `sgi`",
        ),
        (
            "sig: AAAA",
            "sig: 'no base64'",
            "STR0702 F:7:10 `sig` is not base64",
        ),
        (&age, "AAAA", "STR0702 F:6:10 `age` is not an age file"),
        (
            "  user.name",
            "  password",
            "STR0702 F:8:3 the sealed file is not YAML that stratum reads: a key is given twice, or the syntax is wrong",
        ),
        (
            "  user.name",
            "  'user name'",
            "STR0702 F:9:5 a key of a sealed value has other characters",
        ),
        (
            "environment: production",
            "environment: staging",
            "STR0703 F:2:37 sealed for another environment: the file lies in `production`",
        ),
        (
            "payments/db }",
            "payments/web }",
            "STR0703 F:2:55 sealed for another path: the file lies in `payments/db`",
        ),
    ];
    for (from, to, expected) in cases {
        let found = found(from, to).join("|").replace(FILE, "F");
        assert_eq!(found, expected, "{to}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let mut large = AGE.to_vec();
    large.resize(LARGEST_VALUE + 1, b'x');
    let found = found(&age(), &STANDARD.encode(large));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with(&format!("STR0702 {FILE}:6:10 `age` has 262145 bytes")),
        "{found:?}"
    );
}

#[test]
fn strays_belong_to_no_environment() {
    let other = good().replace("repo: shop", "repo: club");
    assert_eq!(
        strays(&[
            ("secrets/README.md", ""),
            ("secrets/db.txt", "x"),
            ("secrets/db.sealed.yaml", "x"),
            ("secrets/prodction/db.sealed.yaml", "x"),
            ("secrets/production/db.txt", "is found by the environment"),
            (FILE, &other),
        ]),
        [
            "STR0703 secrets/db.sealed.yaml:1:1 the sealed file lies in the folder of no environment",
            "STR0701 secrets/db.txt:1:1 a file under `secrets/` is not sealed",
            "STR0703 secrets/prodction/db.sealed.yaml:1:1 the sealed file lies in the folder of no environment",
            "STR0703 secrets/production/payments/db.sealed.yaml:2:18 sealed for another repository: the file lies in `shop`",
        ]
    );
}

#[test]
fn a_symlink_is_not_followed() {
    let tree = MemoryTree::new([]).with(
        "secrets/production/a.sealed.yaml",
        TreeKind::Symlink,
        b"/etc/passwd",
    );
    assert_eq!(
        show(&load(&tree).findings),
        [
            "STR0105 secrets/production/a.sealed.yaml:1:1 `secrets/production/a.sealed.yaml` is a symlink"
        ]
    );
}
