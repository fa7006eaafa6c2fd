//! Fails on a dependency that is not in the picture of the house.
//!
//! The rooms are the crates under `reconciler/`. Arrows point one way: `main` to `cli`, `cli` to
//! `server` and `assembly`, these to the adapters and `runtime`, all of them to `core`. A heavy library belongs to
//! one room.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// The rooms, and the rooms each may use.
const PICTURE: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("load", &["core"]),
    ("repo", &["core"]),
    ("store", &["core"]),
    ("providers", &["core"]),
    ("runtime", &["core"]),
    ("seal", &["core"]),
    ("guard", &["core"]),
    ("forge", &["core"]),
    ("testkit", &["core"]),
    (
        "assembly",
        &[
            "core",
            "load",
            "seal",
            "guard",
            "repo",
            "forge",
            "store",
            "providers",
            "runtime",
        ],
    ),
    ("server", &["core", "runtime", "store", "forge"]),
    (
        "cli",
        &[
            "core",
            "assembly",
            "server",
            "load",
            "seal",
            "guard",
            "repo",
            "forge",
            "store",
            "providers",
            "runtime",
        ],
    ),
];

/// Libraries that the pure room may use: none of them touches a file, a clock or a network.
const PURE: &[&str] = &[
    "aho-corasick",
    "async-trait",
    "base64",
    "jiff",
    "serde",
    "serde_json",
    "sha2",
    "strsim",
    "thiserror",
    "zeroize",
];

/// Libraries that every other room may use besides the pure ones.
const COMMON: &[&str] = &["futures-util", "rustix", "tokio", "tracing"];

/// Libraries that belong to one room.
const OWNED: &[(&str, &str)] = &[
    ("anstyle", "cli"),
    ("aws-lc-rs", "seal"),
    ("axum", "server"),
    ("bech32", "seal"),
    ("cedar-policy", "guard"),
    ("cedar-policy-formatter", "guard"),
    ("chacha20poly1305", "seal"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("croner", "load"),
    ("ed25519-dalek", "seal"),
    ("flate2", "cli"),
    ("fluent-syntax", "load"),
    ("foreign-types", "seal"),
    ("gix", "repo"),
    ("globset", "load"),
    ("hyper", "providers"),
    ("hyper-util", "providers"),
    ("landlock", "load"),
    ("lz4_flex", "store"),
    ("libc", "seal"),
    ("memsec", "seal"),
    ("miette", "guard"),
    ("minijinja", "load"),
    ("ml-dsa", "seal"),
    ("ml-kem", "seal"),
    ("nickel-lang-core", "load"),
    ("notify", "repo"),
    ("octocrab", "forge"),
    ("openssl", "seal"),
    ("openssl-src", "seal"),
    ("openssl-sys", "seal"),
    ("oqs", "seal"),
    ("pgp", "guard"),
    ("prometheus-client", "server"),
    ("pulldown-cmark", "load"),
    ("rand_core", "seal"),
    ("regex", "load"),
    ("rustls", "server"),
    ("seccompiler", "load"),
    ("serde-saphyr", "load"),
    ("sha3", "seal"),
    ("shake", "seal"),
    ("sqlx", "store"),
    ("ssh-key", "guard"),
    ("tokio-rustls", "server"),
    ("tracing-subscriber", "cli"),
    ("vsss-rs", "seal"),
    ("x25519-dalek", "seal"),
];

/// Libraries of a few rooms.
const SHARED: &[(&str, &[&str])] = &[
    ("getrandom", &["assembly", "cli"]),
    ("hmac", &["forge", "seal"]),
    ("http-body-util", &["forge", "providers"]),
    ("similar", &["cli", "forge"]),
    ("tempfile", &["cli", "repo", "testkit"]),
    ("toml", &["guard", "load"]),
];

/// Libraries that any room may use in its tests.
const IN_TESTS: &[&str] = &["axum", "flate2", "proptest", "stratum-testkit", "tempfile"];

/// Rooms that another room may use in its tests: the engine lives over the real state there, and a
/// certificate is made for the server.
const TOGETHER_IN_TESTS: &[(&str, &str)] = &[("runtime", "store"), ("server", "seal")];

#[test]
fn no_dependency_leaves_the_picture() {
    let packages = workspace();
    let mut complaints = Vec::new();
    for package in &packages {
        let Some(room) = package.name.strip_prefix("stratum-") else {
            continue;
        };
        for dependency in &package.dependencies {
            let in_tests = dependency.kind == DependencyKind::Development;
            complaints.extend(complaint(room, &dependency.name, in_tests));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_room_is_in_the_picture_and_the_program_is_only_the_command_line() {
    let packages = workspace();
    let rooms: Vec<&str> = packages
        .iter()
        .filter_map(|package| package.name.strip_prefix("stratum-"))
        .collect();
    for room in &rooms {
        assert!(
            PICTURE.iter().any(|(known, _)| known == room),
            "`{room}` is not in the picture"
        );
    }
    let program = packages
        .iter()
        .find(|package| package.name.as_str() == "stratum");
    let uses: Vec<&str> = program
        .unwrap()
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.as_str())
        .collect();
    assert_eq!(uses, ["stratum-cli"]);
}

#[test]
fn edges_outside_the_picture_are_seen() {
    assert_eq!(complaint("runtime", "stratum-core", false), None);
    assert_eq!(complaint("store", "sqlx", false), None);
    assert_eq!(complaint("store", "stratum-testkit", true), None);
    assert_eq!(complaint("runtime", "stratum-store", true), None);
    for (room, dependency, in_tests) in [
        ("core", "tokio", false),
        ("core", "stratum-load", false),
        ("load", "stratum-store", false),
        ("runtime", "sqlx", false),
        ("runtime", "stratum-store", false),
        ("store", "stratum-runtime", true),
        ("cli", "stratum-testkit", false),
        ("core", "stratum-load", true),
        ("providers", "some-new-library", false),
    ] {
        let found = complaint(room, dependency, in_tests);
        assert!(found.is_some(), "{room} -> {dependency} went unseen");
    }
}

fn workspace() -> Vec<Package> {
    let mut command = MetadataCommand::new();
    command.manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    command.no_deps();
    command.exec().unwrap().packages
}

/// What is wrong with `room` using `dependency`; `None` when it may.
fn complaint(room: &str, dependency: &str, in_tests: bool) -> Option<String> {
    if in_tests && IN_TESTS.contains(&dependency) {
        return None;
    }
    if let Some(other) = dependency.strip_prefix("stratum-") {
        let (_, allowed) = PICTURE.iter().find(|(known, _)| *known == room)?;
        if in_tests && TOGETHER_IN_TESTS.contains(&(room, other)) {
            return None;
        }
        return (!allowed.contains(&other))
            .then(|| format!("`{room}` may not use the room `{other}`"));
    }
    if PURE.contains(&dependency) || (room != "core" && COMMON.contains(&dependency)) {
        return None;
    }
    let several = SHARED.iter().find(|(name, _)| *name == dependency);
    if several.is_some_and(|(_, rooms)| rooms.contains(&room)) {
        return None;
    }
    match OWNED.iter().find(|(name, _)| *name == dependency) {
        Some((_, owner)) if *owner == room => None,
        Some((_, owner)) => Some(format!(
            "`{room}` may not use `{dependency}`: it belongs to `{owner}`"
        )),
        None => Some(format!(
            "`{dependency}` of `{room}` is not in the picture: give it a room in {}",
            file!()
        )),
    }
}

/// The rooms that touch the world.
const ADAPTERS: &[&str] = &[
    "load",
    "seal",
    "guard",
    "repo",
    "forge",
    "store",
    "providers",
];

/// Files above `assembly` that name two adapters and join none: they show what one says and read
/// files with the other, or only pass them on.
const NAMES_TWO: &[&str] = &[
    "cli/src/commands/demo/stage.rs",
    "cli/src/commands/fmt.rs",
    "cli/src/commands/plan.rs",
    "cli/src/commands/reconcile.rs",
    "cli/src/commands/secrets/drivers.rs",
    "cli/src/commands/secrets/import.rs",
];

#[test]
fn adapters_are_joined_in_assembly_and_nowhere_above() {
    let rooms = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reconciler");
    let mut left = vec![rooms.join("cli/src")];
    let mut complaints = Vec::new();
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let named = |room: &&&str| text.contains(&format!("stratum_{room}::"));
            let named: Vec<_> = ADAPTERS.iter().filter(named).collect();
            let inside = path.strip_prefix(&rooms).unwrap().to_str().unwrap();
            if named.len() > 1 && !NAMES_TWO.contains(&inside) {
                complaints.push(format!("{inside} joins {named:?}"));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
