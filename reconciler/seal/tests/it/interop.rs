//! Stock age: typage (npm) and age itself (Go), both directions.
//!
//! Each is installed into a temporary folder, once; without node or go, or without the network, the
//! test says that it was skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stratum_core::secret::Secret;
use stratum_seal::age;
use stratum_seal::keys::{identities, identity_file};
use stratum_seal::{Policy, seal, verify};

use crate::support::{PLACE, World, secret, time};

const TYPAGE: &str = "age-encryption@0.3.1";
const AGE: &str = "filippo.io/age/cmd/...@v1.3.2";

/// Runs a program; `None` when it is not there.
fn run(program: &Path, arguments: &[&str], folder: &Path) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command.env("GOBIN", folder).env("GOFLAGS", "-mod=mod");
    command.output().ok()
}

fn install(program: &str, arguments: &[&str], folder: &Path) -> bool {
    let said = match run(Path::new(program), arguments, folder) {
        None => format!("{program} is not on this machine"),
        Some(output) if output.status.success() => return true,
        Some(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    eprintln!("skipped: {program} {}: {said}", arguments.join(" "));
    false
}

fn succeeded(program: &Path, arguments: &[&str], folder: &Path) -> Vec<u8> {
    let output = run(program, arguments, folder).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?} {arguments:?}: {said}");
    output.stdout
}

/// A value of ours, as `base64 -d` of its field `age` gives it, checked before.
fn sealed(world: &World) -> Vec<u8> {
    use base64::Engine as _;
    let recipients = [world.recipient.clone()];
    let text = secret("from stratum");
    let value = seal(
        &world.crypto,
        &world.sealer,
        &recipients,
        &PLACE,
        time(),
        &text,
    )
    .unwrap();
    verify(&world.crypto, &world.trust, Policy::Both, &PLACE, &value).unwrap();
    base64::engine::general_purpose::STANDARD
        .decode(value.age)
        .unwrap()
}

#[test]
fn typage_reads_ours_and_we_read_typage() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let quiet = ["install", "--silent", "--no-audit", "--no-fund", TYPAGE];
    if !install("npm", &quiet, folder) {
        return;
    }
    let world = World::new("openssl");
    fs::write(folder.join("ours.age"), sealed(&world)).unwrap();
    let identity = world.identity.to_text().unwrap();
    fs::write(folder.join("key"), identity.expose()).unwrap();
    fs::write(folder.join("to"), world.recipient.to_string()).unwrap();
    let script = r#"
        import { Decrypter, Encrypter, generateHybridIdentity, identityToRecipient } from "age-encryption";
        import { readFileSync, writeFileSync } from "node:fs";
        const read = name => readFileSync(name, "utf8");
        const decrypter = new Decrypter();
        decrypter.addIdentity(read("key"));
        process.stdout.write(await decrypter.decrypt(readFileSync("ours.age"), "text"));
        const encrypter = new Encrypter();
        encrypter.addRecipient(read("to"));
        writeFileSync("theirs.age", await encrypter.encrypt("from typage"));
        const theirs = await generateHybridIdentity();
        writeFileSync("their-key", theirs);
        writeFileSync("their-to", await identityToRecipient(theirs));
    "#;
    fs::write(folder.join("test.mjs"), script).unwrap();
    let said = succeeded(Path::new("node"), &["test.mjs"], folder);
    assert_eq!(said, b"from stratum");
    theirs(&world, folder, b"from typage");
    let key = Secret::new(fs::read(folder.join("their-key")).unwrap());
    let recipient = fs::read_to_string(folder.join("their-to")).unwrap();
    let parsed = identities(&world.crypto, &key).unwrap();
    assert_eq!(parsed[0].recipient().unwrap().to_string(), recipient);
}

#[test]
fn age_itself_reads_ours_and_we_read_age() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !install("go", &["install", AGE], folder) {
        return;
    }
    let age: PathBuf = folder.join("age");
    let world = World::new("openssl");
    fs::write(folder.join("ours.age"), sealed(&world)).unwrap();
    let file = identity_file(&world.identity, time()).unwrap();
    fs::write(folder.join("key"), file.expose()).unwrap();
    let said = succeeded(&age, &["-d", "-i", "key", "ours.age"], folder);
    assert_eq!(said, b"from stratum");
    let derived = succeeded(&folder.join("age-keygen"), &["-y", "key"], folder);
    let derived = String::from_utf8(derived).unwrap();
    assert_eq!(derived.trim(), world.recipient.to_string());
    fs::write(folder.join("plain"), "from age").unwrap();
    let to = world.recipient.to_string();
    succeeded(&age, &["-r", &to, "-o", "theirs.age", "plain"], folder);
    theirs(&world, folder, b"from age");
    succeeded(&age, &["-a", "-r", &to, "-o", "armored", "plain"], folder);
    fs::rename(folder.join("armored"), folder.join("theirs.age")).unwrap();
    theirs(&world, folder, b"from age");
    succeeded(
        &folder.join("age-keygen"),
        &["-pq", "-o", "their-key"],
        folder,
    );
    let key = Secret::new(fs::read(folder.join("their-key")).unwrap());
    let recipient = identities(&world.crypto, &key).unwrap()[0]
        .recipient()
        .unwrap();
    let file = age::seal(&world.crypto, &[recipient], &[], b"to age").unwrap();
    fs::write(folder.join("second.age"), file).unwrap();
    let said = succeeded(&age, &["-d", "-i", "their-key", "second.age"], folder);
    assert_eq!(said, b"to age");
}

/// Opens `theirs.age`.
fn theirs(world: &World, folder: &Path, expected: &[u8]) {
    let file = fs::read(folder.join("theirs.age")).unwrap();
    let identities = std::slice::from_ref(&world.identity);
    let opened = age::open(&world.crypto, identities, &file, 1 << 20).unwrap();
    assert_eq!(opened.expose(), expected);
}
