//! The repository as people have it, and tools that change nothing that nobody changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::ground::{Ground, PROGRAM, git, run, stratum};
use crate::secrets::Scene;

fn said(answer: &crate::ground::Answer) -> String {
    format!("{}{}", answer.out, answer.side)
}

#[test]
fn a_dotenv_file_is_read_as_every_reader_reads_it_or_refused_with_the_line() {
    let mut scene = Scene::new();
    let file = scene.home.join("app.env");
    let path = file.to_str().unwrap().to_owned();
    let words = [
        "secrets",
        "import",
        &path,
        "staging/app",
        "--from",
        "dotenv",
    ];
    for (text, line) in [
        ("INLINE=ok\nWIN=C:\\new\\table\n", "line 2"),
        ("DQQ=\"say \\\"hi\\\"\"\n", "line 1"),
        ("A=1\n\n# c\nB=x#y\n", "line 4"),
        ("ODD KEY=x\n", "line 1"),
    ] {
        fs::write(&file, text).unwrap();
        let answer = scene.clone(&words, "").ends_with(1);
        assert!(answer.side.contains(line), "{}", answer.side);
    }
    let sealed = scene
        .ground
        .clone_folder()
        .join("secrets/staging/app.sealed.yaml");
    assert!(!sealed.exists(), "a refused file was imported in part");
    fs::write(
        &file,
        "\u{feff}FIRST=1\r\nINLINE=value # a comment\r\nQ=\"quoted\" # a comment\r\nSQ='a\\nb'\r\nTRAIL=x   \r\nDQ=\"a\\nb\"\r\n",
    )
    .unwrap();
    scene.clone(&words, "").ends_with(0);
    for (key, value) in [
        ("FIRST", "1"),
        ("INLINE", "value"),
        ("Q", "quoted"),
        ("SQ", "a\\nb"),
        ("TRAIL", "x"),
        ("DQ", "a\nb"),
    ] {
        assert_eq!(scene.open("staging/app", key).out, value, "{key}");
    }
}

#[test]
fn an_edit_that_changes_nothing_changes_nothing() {
    let mut scene = Scene::new();
    for (key, value) in [
        ("dos", "one\r\ntwo\r\n"),
        ("mac", "one\rtwo"),
        ("null", "null"),
        ("ends", "x\n\n"),
        ("mark", "\u{feff}x\u{2028}y"),
    ] {
        scene.seal(key, value);
    }
    let file = "secrets/staging/payments/db.sealed.yaml";
    let file = scene.ground.clone_folder().join(file);
    let before = fs::read(&file).unwrap();
    // What editors do: another end of lines, a mark, a blank line at the end.
    for editor in [
        "true",
        "sed -i 's/$/\\r/'",
        "sed -i '1s/^/\\xef\\xbb\\xbf/'",
        "sed -i '$a\\\\'",
    ] {
        let mut command = Command::new(PROGRAM);
        command
            .args(["secrets", "edit", "staging/payments/db", "--identity"])
            .arg(scene.home.join("staging.identity"))
            .env("HOME", &scene.home)
            .env("STRATUM_SEALER", scene.home.join("ada.sealer"))
            .env("EDITOR", editor);
        let answer = run(&scene.ground.clone_folder(), &mut command);
        assert_eq!(answer.code, 0, "{editor}: {}", said(&answer));
        assert!(
            said(&answer).contains("nothing changed"),
            "{editor}: {}",
            said(&answer)
        );
        assert_eq!(fs::read(&file).unwrap(), before, "{editor}");
    }
}

#[test]
fn an_edit_that_is_killed_leaves_nothing_in_the_clear() {
    let mut scene = Scene::new();
    scene.seal("password", "correct-horse-battery");
    let told = scene.home.join("told");
    let editor = format!("sh -c 'echo \"$1\" > {}; sleep 30' sh", told.display());
    let mut child = Command::new(PROGRAM)
        .args(["secrets", "edit", "staging/payments/db", "--identity"])
        .arg(scene.home.join("staging.identity"))
        .current_dir(scene.ground.clone_folder())
        .env("HOME", &scene.home)
        .env("STRATUM_SEALER", scene.home.join("ada.sealer"))
        .env("EDITOR", editor)
        .env_remove("VISUAL")
        .spawn()
        .unwrap();
    let until = |what: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !what() {
            assert!(begun.elapsed().as_secs() < 60, "it took too long");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    until(&|| fs::read_to_string(&told).is_ok_and(|path| path.ends_with('\n')));
    let path = fs::read_to_string(&told).unwrap();
    let path = Path::new(path.trim());
    assert!(
        fs::read_to_string(path)
            .unwrap()
            .contains("correct-horse-battery")
    );
    child.kill().unwrap();
    child.wait().unwrap();
    until(&|| !path.exists() && !path.parent().unwrap().exists());
}

#[test]
fn nothing_is_written_through_a_link_of_a_branch() {
    let mut scene = Scene::new();
    let clone = scene.ground.clone_folder();
    let elsewhere = scene.home.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir_all(clone.join("secrets")).unwrap();
    symlink(&elsewhere, clone.join("secrets/staging")).unwrap();
    let words = ["secrets", "seal", "staging/app", "k"];
    let answer = scene.clone(&words, "hunter2hunter2");
    assert_ne!(answer.code, 0, "{}", said(&answer));
    for place in ["staging/.git/x", "staging/x/.GIT/y"] {
        scene
            .clone(&["secrets", "seal", place, "k"], "v")
            .ends_with(1);
    }
    // An infrastructure folder that is a link: the formatter leaves it alone too.
    fs::write(elsewhere.join("a.ncl"), "{   }   \n").unwrap();
    symlink(&elsewhere, clone.join("infra/linked")).unwrap();
    scene.clone(&["fmt"], "");
    assert_eq!(
        fs::read_to_string(elsewhere.join("a.ncl")).unwrap(),
        "{   }   \n"
    );
    let names: Vec<_> = fs::read_dir(&elsewhere)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["a.ncl"]);
}

#[test]
fn a_sealed_file_outside_a_sparse_checkout_is_not_begun_anew() {
    let mut scene = Scene::new();
    scene.seal("password", "one");
    scene.seal("program", "two");
    scene.ground.push("first");
    let clone = scene.ground.clone_folder();
    git(&clone, &["sparse-checkout", "set", "docs", "trust"]);
    let answer = scene.clone(&["secrets", "seal", "staging/payments/db", "other"], "two");
    answer.ends_with(1);
    assert!(!clone.join("secrets").exists());
    // What is checked is the whole.
    scene.clone(&["check"], "").ends_with(0);
}

#[test]
fn a_merge_without_the_program_is_a_conflict_that_nobody_overlooks() {
    let mut scene = Scene::new();
    let clone = scene.ground.clone_folder();
    scene.clone(&["init"], "").ends_with(0);
    scene.seal("password", "one");
    scene.ground.push("first");
    git(&clone, &["checkout", "-q", "-b", "side"]);
    scene.seal("password", "theirs");
    git(&clone, &["commit", "-qam", "theirs"]);
    git(&clone, &["checkout", "-q", "main"]);
    scene.seal("password", "ours");
    git(&clone, &["commit", "-qam", "ours"]);
    let mut merge = Command::new("git");
    merge.args(["merge", "side"]).env("PATH", "/usr/bin:/bin");
    let answer = run(&clone, &mut merge);
    assert_ne!(answer.code, 0);
    let file = "secrets/staging/payments/db.sealed.yaml";
    let text = fs::read_to_string(clone.join(file)).unwrap();
    assert!(
        text.contains("<<<<<<< ours") && text.contains(">>>>>>> theirs"),
        "{text}"
    );
    git(&clone, &["add", file]);
    let answer = stratum(&clone, &["check"]).ends_with(1);
    assert!(
        said(&answer).contains("merge that was not resolved"),
        "{}",
        said(&answer)
    );
}

#[test]
fn what_is_only_announced_to_git_does_not_stop_a_commit() {
    let ground = Ground::with_a_file();
    let clone = ground.clone_folder();
    ground.push("first");
    ground.write("infra/staging/new.ncl", "{");
    git(&clone, &["add", "-N", "infra/staging/new.ncl"]);
    ground.write("README", "hi");
    git(&clone, &["add", "README"]);
    let answer = stratum(&clone, &["check", "--staged"]);
    assert_eq!(answer.code, 0, "{}", said(&answer));
    let answer = stratum(&clone, &["hook", "pre-commit"]);
    assert_eq!(answer.code, 0, "{}", said(&answer));
    git(&clone, &["add", "infra/staging/new.ncl"]);
    stratum(&clone, &["hook", "pre-commit"]).ends_with(1);
}

#[test]
fn each_odd_state_of_a_repository_is_named_with_the_way_out() {
    let ground = Ground::with_a_file();
    let clone = ground.clone_folder();
    ground.push("first");
    ground.push("second");
    let around = clone.parent().unwrap();
    let shallow = around.join("shallow");
    let address = format!("file://{}", ground.bare().display());
    git(around, &["clone", "-q", "--depth=1", &address, "shallow"]);
    let answer = stratum(&shallow, &["plan", "--base", "HEAD~1"]).ends_with(1);
    assert!(said(&answer).contains("--unshallow"), "{}", said(&answer));
    // HEAD names a branch that is not there.
    git(
        &ground.bare(),
        &["symbolic-ref", "HEAD", "refs/heads/master"],
    );
    for words in [&["plan"][..], &["doctor"], &["reconcile", "--once"]] {
        let answer = ground.stratum(words);
        assert_ne!(answer.code, 0);
        let said = said(&answer);
        assert!(
            said.contains("`master`") && said.contains("symbolic-ref"),
            "{words:?}: {said}"
        );
    }
    git(&ground.bare(), &["symbolic-ref", "HEAD", "refs/heads/main"]);
    // A submodule, a link and pointers where files are read.
    fs::remove_file(clone.join("infra/staging.ncl")).unwrap();
    let module = ["-c", "protocol.file.allow=always", "submodule", "add", "-q"];
    git(
        &clone,
        &[&module[..], &[&address, "infra/staging"]].concat(),
    );
    let answer = stratum(&clone, &["check"]).ends_with(1);
    assert!(
        said(&answer).contains("`infra/staging` is a submodule"),
        "{}",
        said(&answer)
    );
    git(&clone, &["reset", "-q", "--hard"]);
    fs::remove_dir_all(clone.join("infra/staging")).unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n";
    for path in [
        "infra/staging.ncl",
        "secrets/staging/db.sealed.yaml",
        "stratum.ncl",
        "policies/a.cedar",
    ] {
        ground.write(path, pointer);
        let answer = stratum(&clone, &["check"]).ends_with(1);
        let said = said(&answer);
        assert!(
            said.contains("git LFS") && !said.contains("change the secret"),
            "{path}: {said}"
        );
        git(&clone, &["stash", "-q", "-u"]);
    }
    // A mark at the start of files, which the formatter takes away.
    let text = fs::read_to_string(clone.join("infra/staging.ncl")).unwrap();
    ground.write("infra/staging.ncl", &format!("\u{feff}{text}"));
    ground.write(
        "policies/a.cedar",
        "\u{feff}@id(\"a\") @reason(\"all\") permit (principal, action, resource);\n",
    );
    stratum(&clone, &["check"]).ends_with(0);
    stratum(&clone, &["fmt"]).ends_with(0);
    assert!(
        !fs::read(clone.join("infra/staging.ncl"))
            .unwrap()
            .starts_with(b"\xef\xbb\xbf")
    );
}

#[test]
fn every_form_of_a_repository_is_read() {
    let ground = Ground::with_a_file();
    let clone = ground.clone_folder();
    let first = ground.push("first");
    let around = clone.parent().unwrap().to_owned();
    // A linked work tree, a detached HEAD, alternates.
    git(
        &clone,
        &["worktree", "add", "-q", "../linked", "-b", "other"],
    );
    stratum(&around.join("linked"), &["check"]).ends_with(0);
    git(&around.join("linked"), &["checkout", "-q", "--detach"]);
    stratum(&around.join("linked"), &["plan"]).ends_with(0);
    git(&around, &["clone", "-q", "--shared", "bare.git", "shared"]);
    stratum(&around.join("shared"), &["plan"]).ends_with(0);
    // No commit yet.
    git(&around, &["init", "-q", "unborn"]);
    fs::write(
        around.join("unborn/stratum.ncl"),
        "{ name = \"t\", environments.staging.empty = true }",
    )
    .unwrap();
    stratum(&around.join("unborn"), &["check"]).ends_with(0);
    // A commit in another encoding.
    let mut commit = Command::new("git");
    commit.args([
        "-c",
        "i18n.commitEncoding=ISO-8859-1",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
    ]);
    commit.arg(latin());
    assert_eq!(run(&clone, &mut commit).code, 0);
    git(&clone, &["push", "-q", "origin", "HEAD:main"]);
    ground.once().ends_with(0);
    let record = git(&ground.bare(), &["log", "-1", "-p", "stratum/records"]);
    assert!(record.contains("caf\u{e9}"), "{record}");
    assert_ne!(first, git(&clone, &["rev-parse", "HEAD"]));
}

/// Names of files that are not UTF-8, in a commit as in a work tree: named, with what to do.
#[test]
fn a_name_that_cannot_be_read_is_named_with_the_way_out() {
    use std::os::unix::ffi::OsStrExt as _;
    let ground = Ground::with_a_file();
    let clone = ground.clone_folder();
    let name = std::ffi::OsStr::from_bytes(b"infra/staging/x\xff.ncl");
    fs::create_dir(clone.join("infra/staging")).unwrap();
    fs::write(clone.join(name), "{}").unwrap();
    ground.push("odd");
    let words = [
        &["check"][..],
        &["check", "--rev", "HEAD"],
        &["check", "--staged"],
    ];
    for words in words {
        let answer = stratum(&clone, words).ends_with(1);
        let said = said(&answer);
        assert!(
            said.contains("not UTF-8") && said.contains("git mv"),
            "{words:?}: {said}"
        );
    }
    let answer = ground.stratum(&["plan"]).ends_with(1);
    assert!(said(&answer).contains("git mv"), "{}", said(&answer));
    let answer = ground.once();
    assert_ne!(answer.code, 0);
    assert!(said(&answer).contains("not UTF-8"), "{}", said(&answer));
}

/// `café` in ISO-8859-1.
fn latin() -> &'static std::ffi::OsStr {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(b"caf\xe9")
}

#[test]
fn what_a_program_says_of_a_secret_reaches_no_record() {
    let mut scene = Scene::new();
    let pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhki\nBKcwggSjAgEAAoIBAQC\n-----END KEY-----\n";
    scene.seal("password", "hunter2hunter2");
    scene.seal("program", pem);
    let text = "let stratum = import \"stratum.ncl\" in\n{ local_exec.x = { create = [\"sh\", \"-c\", \
        \"echo $PEM >&2; printf '%s' \\\"$PEM\\\" | head -2 >&2; printf '%s' \\\"$PEM\\\" | base64 >&2; \
        printf '%s' \\\"$PEM\\\" | od -An -tx1 >&2; exit 1\"], delete = [\"true\"], \
        env.PEM = stratum.secret \"payments/db\" \"program\" } }\n";
    scene.ground.write("infra/staging.ncl", text);
    scene.ground.push("leak");
    scene.once().ends_with(1);
    scene.bare(&["history", "--json"]);
    scene.bare(&["status"]);
    scene.bare(&["events"]);
    let record = git(&scene.ground.bare(), &["show", "stratum/records"]);
    let notes = git(&scene.ground.bare(), &["log", "-p", "--all"]);
    for part in ["MIIEvQ", "BKcwgg", "TUlJRXZR", "4d 49 49 45", "IIEvQI"] {
        for (place, text) in [("said", &scene.said), ("record", &record), ("git", &notes)] {
            // The canaries of the seal command are in no output either.
            assert!(!text.contains(part), "{part} in {place}");
        }
    }
    assert!(record.contains("(secret)"), "{record}");
}

/// A health check is given no secret, and may say one all the same.
#[test]
fn what_a_health_check_says_of_a_secret_reaches_nobody() {
    let mut scene = Scene::new();
    scene.seal("password", "hunter2hunter2");
    scene.seal("program", "x");
    let text = "let stratum = import \"stratum.ncl\" in\n{ local_file.conf = { path = \"conf\", \
        content = stratum.secret \"payments/db\" \"password\", mode = \"0600\", meta.health = { \
        command = [\"sh\", \"-c\", \"cat conf >&2; exit 1\"], every = \"100ms\", within = \"500ms\" } } }\n";
    scene.ground.write("infra/staging.ncl", text);
    scene.ground.push("unhealthy");
    scene.once().ends_with(1);
    for words in [&["status"][..], &["history", "--json"], &["events"]] {
        scene.bare(words);
    }
    let log = git(&scene.ground.bare(), &["log", "-p", "--all"]);
    for text in [&scene.said, &log] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(log.contains("(secret)"), "{log}");
}

/// States of a clone and of a repository that nothing is wrong with.
#[test]
fn what_git_lets_an_index_and_refs_be_is_read() {
    let ground = Ground::with_a_file();
    let clone = ground.clone_folder();
    ground.push("first");
    git(&ground.bare(), &["pack-refs", "--all"]);
    git(&ground.bare(), &["gc", "-q"]);
    for words in [
        &["update-index", "--index-version", "4"][..],
        &["update-index", "--split-index"],
        &["update-index", "--assume-unchanged", "infra/staging.ncl"],
        &["update-index", "--skip-worktree", "infra/staging.ncl"],
        &["update-index", "--untracked-cache"],
    ] {
        git(&clone, words);
        stratum(&clone, &["check", "--staged"]).ends_with(0);
    }
    ground.once().ends_with(0);
    // HEAD of the repository is a commit, and no branch.
    let tip = git(&ground.bare(), &["rev-parse", "main"]);
    git(&ground.bare(), &["update-ref", "--no-deref", "HEAD", &tip]);
    ground.stratum(&["plan"]).ends_with(0);
    ground.once().ends_with(0);
    // Of other hashes.
    let other = clone.parent().unwrap().join("sha256");
    let around = clone.parent().unwrap();
    git(around, &["init", "-q", "--object-format=sha256", "sha256"]);
    for path in ["stratum.ncl", "infra/staging.ncl"] {
        fs::create_dir_all(other.join("infra")).unwrap();
        fs::copy(clone.join(path), other.join(path)).unwrap();
    }
    git(&other, &["add", "--all"]);
    git(&other, &["commit", "-q", "-m", "x"]);
    stratum(&other, &["check"]).ends_with(0);
    stratum(&other, &["plan"]).ends_with(0);
}

/// What git refuses because another user has it is said with a path that leads out.
#[test]
fn a_clone_of_another_user_is_named_by_its_whole_path() {
    if run(Path::new("/"), Command::new("id").arg("-u")).out.trim() != "0" {
        return; // Only root can give a file away.
    }
    let ground = Ground::with_a_file();
    let clone = ground.clone_folder();
    ground.push("first");
    assert_eq!(
        run(&clone, Command::new("chown").args(["-R", "54321", "."])).code,
        0
    );
    let answer = stratum(&clone, &["check"]);
    if answer.code == 0 {
        return; // A git that minds only the folder that it is called in.
    }
    let way_out = format!("safe.directory {}", clone.canonicalize().unwrap().display());
    assert!(said(&answer).contains(&way_out), "{}", said(&answer));
}

/// A time of day in UTC that lies so many seconds ahead, as TOML writes it.
fn ahead(seconds: u64) -> String {
    let mut date = Command::new("date");
    date.args([
        "-u",
        "-d",
        &format!("+{seconds} seconds"),
        "+%Y-%m-%dT%H:%M:%SZ",
    ]);
    run(Path::new("/"), &mut date).out.trim().to_owned()
}

#[test]
fn a_sealer_whose_keys_expired_seals_nothing_new_whatever_date_it_has() {
    let mut scene = Scene::new();
    let clone = scene.ground.clone_folder();
    scene.seal("password", "one-of-the-old");
    scene.seal("program", "two-of-the-old");
    scene.ground.push("first");
    scene.once().ends_with(0);
    // The keys of Ada end soon, and that comes into force first.
    let person = clone.join("trust/people/ada.toml");
    let text = fs::read_to_string(&person).unwrap();
    fs::write(&person, format!("expires = {}\n{text}", ahead(12))).unwrap();
    scene.ground.push("ada leaves");
    scene.once().ends_with(0);
    // Sealed in time, or so it says: pushed when the time is over.
    let file = clone.join("secrets/staging/payments/db.sealed.yaml");
    let before = fs::read_to_string(&file).unwrap();
    scene.seal("password", "new-and-too-late");
    scene
        .clone(&["secrets", "seal", "staging/other", "k"], "another file")
        .ends_with(0);
    std::thread::sleep(std::time::Duration::from_secs(13));
    scene.ground.push("late");
    let answer = scene.once();
    assert_ne!(answer.code, 0, "{}", said(&answer));
    let status = scene.bare(&["status"]);
    let told = format!("{}{}", said(&answer), said(&status));
    assert!(told.contains("keys expired"), "{told}");
    assert_eq!(scene.conf(), "pw=one-of-the-old");
    // What was in force goes on, byte for byte, beside other changes.
    fs::write(&file, &before).unwrap();
    fs::remove_file(clone.join("secrets/staging/other.sealed.yaml")).unwrap();
    let infra = clone.join("infra/staging.ncl");
    let text = fs::read_to_string(&infra)
        .unwrap()
        .replace("\"pw=\"", "\"password=\"");
    fs::write(&infra, text).unwrap();
    scene.ground.push("as it was");
    scene.once().ends_with(0);
    assert_eq!(scene.conf(), "password=one-of-the-old");
}

#[test]
fn an_identity_that_opens_nothing_does_not_unseal() {
    let mut scene = Scene::new();
    scene.seal("password", "one");
    scene.seal("program", "two");
    scene.ground.push("first");
    let other = scene.key("other.identity");
    scene
        .clone(&["secrets", "keygen", "identity", "--out", &other], "")
        .ends_with(0);
    let (root, bare) = (scene.ground.made(""), scene.ground.bare());
    let words = [
        "reconcile",
        "--once",
        "--root",
        root.to_str().unwrap(),
        "--identity",
        &other,
    ];
    let answer = scene.run(&bare, &words, "");
    assert_ne!(answer.code, 0);
    assert!(
        answer.side.contains("opens none of the sealed values"),
        "{}",
        answer.side
    );
    // The state is not sealed to the wrong one, so the right one is taken.
    scene.once().ends_with(0);
    assert_eq!(scene.conf(), "pw=one");
}

#[test]
fn a_share_is_given_to_the_reconciler_only() {
    if run(Path::new("/"), Command::new("id").arg("-u")).out.trim() != "0" {
        // Only root can be somebody else.
        return;
    }
    let mut scene = Scene::new();
    let state = scene.home.join("open");
    fs::create_dir(&state).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    fs::set_permissions(&state, fs::Permissions::from_mode(0o1777)).unwrap();
    for around in [scene.home.as_path(), scene.home.parent().unwrap()] {
        fs::set_permissions(around, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let got = state.join("got");
    let script = format!(
        "import socket\ns=socket.socket(socket.AF_UNIX)\ns.bind('{0}/unseal.sock')\ns.listen()\n\
         open('{0}/ready','w')\nwhile True:\n c,_=s.accept()\n d=c.recv(65536)\n open('{1}','ab').write(d)\n \
         c.sendall(b'{{\"open\":false,\"have\":0,\"need\":0}}\\n')\n c.close()\n",
        state.display(),
        got.display()
    );
    let mut stranger = Command::new("python3")
        .args(["-c", &script])
        .uid(54321)
        .spawn()
        .unwrap();
    while !state.join("ready").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let identity = scene.key("staging.identity");
    let state = state.join("state.db");
    let words = [
        "--state",
        state.to_str().unwrap(),
        "secrets",
        "unseal",
        "--identity",
        &identity,
    ];
    let bare = scene.ground.bare();
    let answer = scene.run(&bare, &words, "");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    answer.ends_with(1);
    assert!(
        fs::read(&got).unwrap_or_default().is_empty(),
        "something was sent"
    );
}
