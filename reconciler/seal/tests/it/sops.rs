//! SOPS files: one that SOPS itself wrote (3.13.2), changed in every way.

use stratum_seal::age::Identity;
use stratum_seal::sops::{self, Leaf, Node, SopsError};

use crate::support::crypto;

const KEY: &str = include_str!("sops/key.txt");
const YAML_AS_JSON: &str = include_str!("sops/sealed.json");
const DOTENV: &str = include_str!("sops/sealed.env");

fn identity() -> Identity {
    let line = KEY.lines().find(|line| !line.starts_with('#')).unwrap();
    Identity::parse(&crypto(), line).unwrap()
}

fn open(text: &str) -> Result<Vec<Leaf>, SopsError> {
    let node: Node = serde_json::from_str(text).unwrap();
    sops::open(&crypto(), &[identity()], &node)
}

fn shown(leaves: &[Leaf]) -> Vec<(String, String, bool)> {
    let one = |leaf: &Leaf| {
        let value = leaf.value.expose_text().unwrap().to_owned();
        (leaf.path.join("."), value, leaf.sealed)
    };
    leaves.iter().map(one).collect()
}

#[test]
fn every_value_comes_over() {
    let expected = [
        ("db.password", "hunter2", true),
        ("db.port", "5432", true),
        ("db.ratio", "0.5", true),
        ("db.tls", "True", true),
        ("db.empty", "", false),
        ("hosts.0", "a.example", true),
        ("hosts.1.name", "b.example", true),
        ("note_unencrypted", "open", false),
    ];
    let expected =
        expected.map(|(path, value, sealed)| (path.to_owned(), value.to_owned(), sealed));
    assert_eq!(shown(&open(YAML_AS_JSON).unwrap()), expected);
    let node = sops::dotenv(DOTENV).unwrap();
    let leaves = sops::open(&crypto(), &[identity()], &node).unwrap();
    let expected = [("USER", "ada"), ("PASSWORD", "line one\nline two")];
    let expected = expected.map(|(path, value)| (path.to_owned(), value.to_owned(), true));
    assert_eq!(shown(&leaves), expected);
}

#[test]
fn what_was_changed_does_not() {
    let error = open(&YAML_AS_JSON.replace("\"open\"", "\"opened\"")).unwrap_err();
    assert_eq!(error, SopsError::Code);
    // A value moved to another key.
    let moved = YAML_AS_JSON.replacen("\"password\"", "\"passwort\"", 1);
    let error = open(&moved).unwrap_err();
    assert_eq!(
        error,
        SopsError::Value {
            path: "db.passwort".to_owned()
        }
    );
    let cut = YAML_AS_JSON.replacen("type:str", "type:other", 1);
    assert!(matches!(open(&cut).unwrap_err(), SopsError::Value { .. }));
    let stranger = [Identity::generate(&crypto()).unwrap()];
    let node: Node = serde_json::from_str(YAML_AS_JSON).unwrap();
    let error = sops::open(&crypto(), &stranger, &node).unwrap_err();
    assert!(matches!(error, SopsError::Key(_)), "{error}");
    let plain: Node = serde_json::from_str("{\"a\":1}").unwrap();
    assert_eq!(
        sops::open(&crypto(), &stranger, &plain).unwrap_err(),
        SopsError::NotSops
    );
    assert!(serde_json::from_str::<Node>("{\"a\":1,\"a\":2}").is_err());
    assert_eq!(
        sops::dotenv("A=1\nB").unwrap_err(),
        SopsError::Line { line: 2 }
    );
}
