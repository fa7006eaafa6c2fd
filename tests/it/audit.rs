//! The audit log of the real program: what it says, who else can read it, what is found.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Error, Hash, Tile, TileHashReader, TileReader};

use crate::ground::{Ground, PROGRAM, run};

fn log(ground: &Ground) -> PathBuf {
    ground.bare().join("stratum/audit")
}

/// A repository that was applied three times, the last time in vain.
fn reconciled() -> Ground {
    let ground = Ground::with_a_file();
    ground.push("first");
    assert_eq!(ground.once().code, 0);
    let files: String = (0..150)
        .map(|n| format!("  local_data.d{n} = {{ input = \"{n}\" }},\n"))
        .collect();
    ground.write("infra/staging.ncl", &format!("{{\n{files}}}\n"));
    // A budget holds from the commit after the one that brings it.
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = { max_deletes = 0 } } }\n",
    );
    ground.push("second");
    assert_eq!(ground.once().code, 0);
    ground.write(
        "infra/staging.ncl",
        "{ local_data.one = { input = \"1\" } }\n",
    );
    ground.push("third");
    assert_ne!(ground.once().code, 0);
    ground
}

fn listed(ground: &Ground) -> Vec<Value> {
    let out = ground.stratum(&["audit", "list", "--json"]).out;
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_was_decided_done_and_refused_is_in_the_log() {
    let ground = reconciled();
    let verified = ground.stratum(&["audit", "verify", "--json"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.side);
    let verified = verified.json();
    assert_eq!(verified["valid"], true);
    assert_eq!(verified["waiting"], 0);
    let entries = listed(&ground);
    let count = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
    for kind in [
        "lease-taken",
        "configuration-changed",
        "verdict",
        "apply",
        "refused",
    ] {
        assert!(count(kind) > 0, "nothing is `{kind}`");
    }
    let verdict = entries
        .iter()
        .find(|entry| entry["kind"] == "verdict")
        .unwrap();
    let name = verdict["people"][0]["name"].as_str().unwrap();
    assert!(name.contains('@'), "{verdict}");
    let refused = entries
        .iter()
        .find(|entry| entry["kind"] == "refused")
        .unwrap();
    assert!(refused["what"]["refused"]["reason"].as_str().unwrap().len() > 10);
}

/// Reads the tiles of a folder as a server would serve them.
struct Folder(PathBuf);

impl TileReader for Folder {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let path = |tile: &Tile| tile.path().replacen("tile/8/", "tile/", 1);
        let read = |tile: &Tile| fs::read(self.0.join(path(tile)));
        Ok(tiles.iter().map(|tile| read(tile).unwrap()).collect())
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

fn entries(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut entries) = (bytes, Vec::new());
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let (entry, more) = more.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        rest = more;
    }
    entries
}

/// The checkpoint, if one who knows nothing of stratum accepts its Ed25519 line.
fn opened(part: &Path) -> Result<Checkpoint, String> {
    let keys = fs::read_to_string(part.join("keys")).unwrap();
    let key = keys.lines().min_by_key(|line| line.len()).unwrap();
    let verifier = StandardVerifier::new(key).map_err(|error| error.to_string())?;
    let note = Note::from_bytes(&fs::read(part.join("checkpoint")).unwrap());
    let note = note.map_err(|error| error.to_string())?;
    let known = VerifierList::new(vec![Box::new(verifier)]);
    let (verified, _) = note.verify(&known).map_err(|error| error.to_string())?;
    assert_eq!(verified.len(), 1);
    Checkpoint::from_bytes(note.text()).map_err(|error| error.to_string())
}

#[test]
fn another_reader_of_tiles_accepts_checkpoint_tiles_and_proofs() {
    let ground = reconciled();
    let verified = ground.stratum(&["audit", "verify", "--json"]).json();
    let part = log(&ground).join(verified["parts"][0]["name"].as_str().unwrap());
    let checkpoint = opened(&part).unwrap();
    let size = checkpoint.size();
    assert!(size > 300, "{size}");
    let folder = Folder(part.clone());
    let reader = TileHashReader::new(size, *checkpoint.hash(), &folder);
    assert_eq!(
        tlog_tiles::tree_hash(size, &reader).unwrap(),
        *checkpoint.hash()
    );
    for bundle in 0..size.div_ceil(256) {
        let width = (size - bundle * 256).min(256) as u32;
        let tile = Tile::new(8, 0, bundle, width, false);
        let path = tile.path().replacen("tile/8/0/", "tile/entries/", 1);
        let entries = entries(&fs::read(part.join(path)).unwrap());
        assert_eq!(entries.len(), width as usize);
        for (index, entry) in (bundle * 256..).zip(entries) {
            let leaf = tlog_tiles::record_hash(&entry);
            let proof = tlog_tiles::prove_record(size, index, &reader).unwrap();
            tlog_tiles::check_record(&proof, size, *checkpoint.hash(), index, leaf).unwrap();
        }
    }
    // A proof that we make convinces it too.
    let name = part.file_name().unwrap().to_str().unwrap();
    let shown = ground
        .stratum(&["audit", "show", &format!("{name}/99"), "--json"])
        .json();
    let hash = |text: &Value| {
        let text = text.as_str().unwrap();
        let byte = |place: usize| u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).unwrap();
        Hash(std::array::from_fn(byte))
    };
    let proof: Vec<Hash> = shown["proof"]
        .as_array()
        .unwrap()
        .iter()
        .map(hash)
        .collect();
    let leaf = tlog_tiles::record_hash(shown["stored"].as_str().unwrap().as_bytes());
    tlog_tiles::check_record(&proof, size, *checkpoint.hash(), 99, leaf).unwrap();
    // And it sees what we see.
    let path = part.join("checkpoint");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace(&format!("\n{size}\n"), &format!("\n{}\n", size - 1)),
    )
    .unwrap();
    assert!(opened(&part).is_err());
    assert_eq!(ground.stratum(&["audit", "verify"]).code, 1);
}

#[test]
fn an_export_is_verified_elsewhere_with_pinned_keys_and_a_change_is_named() {
    let ground = reconciled();
    let out = ground.made("../copy");
    let copy = out.to_str().unwrap();
    let exported = ground.stratum(&["audit", "export", "--from", "2020-01-01", "--out", copy]);
    assert_eq!(exported.code, 0, "{}", exported.side);
    let keys = log(&ground).join("keys/log.pub");
    let key = keys.to_str().unwrap();
    let here = ground.clone_folder();
    let verify = |key: &str| {
        crate::ground::stratum(&here, &["audit", "verify", "--log", copy, "--key", key])
    };
    let good = verify(key);
    assert_eq!(good.code, 0, "{}{}", good.out, good.side);
    assert!(
        good.out.contains("is redacted"),
        "an export has no names: {}",
        good.out
    );
    // The keys of another log.
    let other = reconciled();
    let wrong = log(&other).join("keys/log.pub");
    let refused = verify(wrong.to_str().unwrap());
    assert_eq!(refused.code, 1);
    assert!(
        refused.out.contains("not the one that was given"),
        "{}",
        refused.out
    );
    let part = fs::read_dir(&out)
        .unwrap()
        .flatten()
        .find(|e| e.path().is_dir())
        .unwrap()
        .path();
    let bundle = part.join("tile/entries/000");
    let mut bytes = fs::read(&bundle).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let found = verify(key);
    assert_eq!(found.code, 1);
    assert!(
        found.out.contains("tile/entries/000") && found.out.contains("was altered"),
        "{}",
        found.out
    );
}

#[test]
fn a_log_that_cannot_be_written_stops_the_work_and_nothing_is_applied() {
    let ground = reconciled();
    let tiles = log(&ground);
    let part = fs::read_dir(&tiles)
        .unwrap()
        .flatten()
        .find(|e| e.file_name().to_string_lossy().starts_with("0001"));
    let part = part.unwrap().path();
    fs::rename(&part, tiles.join("away")).unwrap();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {} } }\n",
    );
    ground.write(
        "infra/staging.ncl",
        "{ local_file.b = { path = \"b\", content = \"b\" } }\n",
    );
    ground.push("fourth");
    let refused = ground.once();
    assert_ne!(refused.code, 0);
    assert!(refused.side.contains("audit"), "{}", refused.side);
    assert!(
        refused.side.contains("audit verify"),
        "a hint: {}",
        refused.side
    );
    assert!(!ground.made("staging/b").exists(), "nothing was applied");
    assert_eq!(ground.stratum(&["audit", "verify"]).code, 1);
    fs::rename(tiles.join("away"), &part).unwrap();
    let again = ground.once();
    assert!(again.code == 0 || again.code == 4, "{}", again.side);
    assert_eq!(again.code == 0, ground.made("staging/b").exists());
    assert_eq!(ground.stratum(&["audit", "verify"]).code, 0);
}

#[test]
fn entries_are_kept_as_long_as_the_applied_settings_say() {
    if !can_fake_time() {
        return;
    }
    let ground = Ground::with_a_file();
    let keep = |months: u32| {
        let text =
            format!("{{ name = \"t\", environments.staging = {{}}, audit.months = {months} }}\n");
        ground.write("stratum.ncl", &text);
        ground.push(&format!("{months} months"));
    };
    keep(240);
    let mut command = Command::new("faketime");
    let then = [
        "-f",
        "@2019-03-10 10:00:00",
        PROGRAM,
        "reconcile",
        "--once",
        "--root",
    ];
    command.args(then).arg(ground.made(""));
    run(&ground.bare(), &mut command).ends_with(0);
    let entries = log(&ground).join("0001-2019-03/tile/entries");
    let verified = || {
        ground
            .stratum(&["audit", "verify", "--json"])
            .ends_with(0)
            .json()
    };
    ground.write(
        "infra/staging.ncl",
        "{ local_data.b = { input = \"b\" } }\n",
    );
    ground.push("another month");
    ground.once().ends_with(0);
    ground.once().ends_with(0);
    assert!(entries.exists());
    // What was pushed and is not applied deletes nothing.
    ground.write("infra/staging.ncl", "{ local_data.b = { input = ");
    keep(12);
    let answer = ground.once();
    assert!(
        answer.code != 0 && entries.exists() && !answer.side.contains("is over"),
        "{}",
        answer.side
    );
    ground.write(
        "infra/staging.ncl",
        "{ local_data.b = { input = \"c\" } }\n",
    );
    ground.push("mended");
    ground.once().ends_with(0);
    // The part ended when the next began, a moment ago: its time is not over yet.
    assert!(entries.exists());
    // More than a year later, by the clock and by the commit that is applied.
    let clone = ground.clone_folder();
    ground.write(
        "infra/staging.ncl",
        "{ local_data.b = { input = \"d\" } }\n",
    );
    let mut commit = Command::new("faketime");
    commit.args(["-f", "+430d", "git", "commit", "-q", "-a", "-m", "later"]);
    run(&clone, &mut commit).ends_with(0);
    let mut push = Command::new("git");
    run(&clone, push.args(["push", "-q"])).ends_with(0);
    let mut later = Command::new("faketime");
    later.args(["-f", "+430d", PROGRAM, "reconcile", "--once", "--root"]);
    later.arg(ground.made(""));
    let answer = run(&ground.bare(), &mut later).ends_with(0);
    assert!(!entries.exists(), "{}", answer.side);
    let verified = verified();
    assert_eq!(verified["parts"][0]["pruned"], true, "{verified}");
    let pruned = ground
        .stratum(&["audit", "list", "--kind", "pruned"])
        .ends_with(0);
    assert!(
        pruned.out.contains("entries of 0001-2019-03"),
        "{}",
        pruned.out
    );
    for command in ["status", "doctor"] {
        let said = ground.stratum(&[command]).ends_with(0).out;
        assert!(
            said.contains("the entries of 2019-03 are deleted"),
            "{said}"
        );
        assert!(said.contains("signed by Ed25519 "), "{said}");
    }
}

/// Whether `faketime` is here, which lets a program see another time.
fn can_fake_time() -> bool {
    let found = Command::new("faketime").arg("--version").output();
    if found.is_err() {
        eprintln!("skipped: `faketime` is not installed");
    }
    found.is_ok()
}

/// A look by a clock that says something else.
fn once_at(ground: &Ground, time: &str) {
    let mut command = Command::new("faketime");
    command
        .args(["-f", time, PROGRAM, "reconcile", "--once", "--root"])
        .arg(ground.made(""));
    run(&ground.bare(), &mut command);
}

#[test]
fn a_clock_that_is_years_off_deletes_nothing() {
    if !can_fake_time() {
        return;
    }
    let ground = Ground::with_a_file();
    ground.push("first");
    ground.once().ends_with(0);
    let before = listed(&ground);
    assert!(!before.is_empty());
    let kept = || {
        let now = listed(&ground);
        let lost = before.iter().filter(|entry| !now.contains(entry)).count();
        assert_eq!(lost, 0, "{lost} entries are gone");
        assert!(now.iter().all(|entry| entry["kind"] != "pruned"));
    };
    for time in ["+3650d", "+3651d", "+7300d", "+7301d"] {
        once_at(&ground, time);
        // What it wrote with that clock must not bear it out for the next one.
        ground.write(
            "infra/staging.ncl",
            &format!("{{ local_data.x = {{ input = \"{time}\" }} }}\n"),
        );
        ground.push(time);
        once_at(&ground, time);
        kept();
    }
    ground.once();
    kept();
    ground.stratum(&["audit", "verify"]).ends_with(0);
}

#[test]
fn what_was_written_by_a_clock_of_1970_is_kept_when_the_time_is_known() {
    if !can_fake_time() {
        return;
    }
    let ground = Ground::with_a_file();
    ground.push("first");
    once_at(&ground, "@1970-01-03 10:00:00");
    let before = listed(&ground);
    assert!(before.iter().any(|entry| entry["kind"] == "apply"));
    for name in ["b", "c"] {
        let text = format!("{{ local_data.{name} = {{ input = \"1\" }} }}\n");
        ground.write("infra/staging.ncl", &text);
        ground.push(name);
        ground.once().ends_with(0);
    }
    let now = listed(&ground);
    assert!(before.iter().all(|entry| now.contains(entry)), "{now:?}");
    ground.stratum(&["audit", "verify"]).ends_with(0);
}

/// The log of a program that kept steps and addresses apart is valid, and what cannot be relied on
/// in it is counted.
#[test]
fn entries_that_may_name_another_resource_are_counted() {
    let log = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("reconciler/store/tests/fixtures/format-6/audit");
    let log = log.to_str().unwrap();
    let ground = Ground::new();
    let said = ground
        .stratum(&["audit", "verify", "--log", log])
        .ends_with(0);
    let wanted = "may be that of another resource of the same run";
    assert!(said.out.contains(wanted), "{}", said.out);
    let json = ground
        .stratum(&["--json", "audit", "verify", "--log", log])
        .json();
    assert!(
        json["parts"][0]["doubtful"].as_u64().unwrap() > 10,
        "{json}"
    );
    let own = Ground::with_a_file();
    own.push("first");
    own.once().ends_with(0);
    let json = own.stratum(&["--json", "audit", "verify"]).json();
    assert_eq!(json["parts"][0]["doubtful"], 0, "{json}");
}

#[test]
fn a_log_that_is_not_as_it_was_signed_is_seen_at_a_glance() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    let part = fs::read_dir(log(&ground)).unwrap().flatten();
    let part = part
        .map(|entry| entry.path())
        .find(|path| path.join("checkpoint").exists());
    let path = part.unwrap().join("checkpoint");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen('\n', "\n1", 1)).unwrap();
    let status = ground.stratum(&["status"]).ends_with(0);
    assert!(
        status
            .out
            .contains("`stratum audit verify` names the place"),
        "{}",
        status.out
    );
    let doctor = ground.stratum(&["doctor"]).ends_with(1);
    assert!(
        doctor.out.contains("is not one of this text"),
        "{}",
        doctor.out
    );
    fs::remove_dir_all(log(&ground)).unwrap();
    let doctor = ground.stratum(&["doctor"]).ends_with(1);
    assert!(
        doctor.out.contains("the state knows of entries"),
        "{}",
        doctor.out
    );
}
