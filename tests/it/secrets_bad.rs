//! Bad sealed values, from `git push` on: named with file, key and reason, before anything is done.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ground::{Answer, git, run};
use crate::secrets::Scene;

const FILE: &str = "secrets/staging/payments/db.sealed.yaml";

impl Scene {
    fn path(&self, file: &str) -> PathBuf {
        self.ground.clone_folder().join(file)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// Two environments, two versions, the second one in force.
    fn in_force() -> Self {
        let mut scene = Self::new();
        scene.ground.write(
            "stratum.ncl",
            "{ name = \"t\", environments = { staging = {}, production = {} } }\n",
        );
        scene.ground.write("infra/production.ncl", "{}\n");
        let identity = scene.key("production.identity");
        let words = [
            "secrets",
            "keygen",
            "identity",
            "--out",
            &identity,
            "--trust",
            "--name",
            "production",
        ];
        let words = [&words[..], &["--environment", "production"]].concat();
        scene.clone(&words, "").ends_with(0);
        scene.seal("password", "one-password");
        scene.seal("program", "of-the-program");
        scene.ground.push("first");
        scene.once().ends_with(0);
        scene.seal("password", "two-password");
        scene.ground.push("second");
        scene.once().ends_with(0);
        assert_eq!(scene.conf(), "pw=two-password");
        scene
    }

    /// Pushes what stands in the clone, with another change beside it, and holds what is said
    /// against what must be. Then everything is put back.
    fn refused(&mut self, what: &str, expected: &[&str]) {
        self.refused_in("staging", what, expected);
    }

    fn refused_in(&mut self, environment: &str, what: &str, expected: &[&str]) {
        let clone = self.ground.clone_folder();
        let before = git(&clone, &["rev-parse", "HEAD"]);
        let file = format!("infra/{environment}.ncl");
        let infra = self.read(&file).replace(
            "}\n",
            "\n  local_file.also = { path = \"also\", content = \"new\\n\" },\n}\n",
        );
        self.ground.write(&file, &infra);
        self.ground.push(what);
        let answer = self.once();
        assert_eq!(answer.code, 1, "{what}: {}{}", answer.out, answer.side);
        let said = format!("{}{}", answer.out, answer.side);
        for word in expected {
            assert!(said.contains(word), "{what}: no `{word}` in {said}");
        }
        assert_eq!(self.conf(), "pw=two-password", "{what}");
        let also = self.ground.made(&format!("{environment}/also"));
        assert!(!also.exists(), "{what}: something was applied");
        git(&clone, &["reset", "-q", "--hard", &before]);
        git(&clone, &["clean", "-q", "-fd"]);
        git(&clone, &["push", "-q", "-f", "origin", "HEAD:main"]);
    }

    /// The line of a field of a key, without what stands before it.
    fn field(&self, key: &str, field: &str) -> String {
        let text = self.read(FILE);
        let (_, rest) = text.split_once(&format!("  {key}:\n")).unwrap();
        let line = rest.lines().find(|line| line.contains(field)).unwrap();
        line.trim().split_once(": ").unwrap().1.to_owned()
    }

    fn sealer(&mut self, name: &str, trust: bool) -> String {
        let file = self.key(&format!("{name}.sealer"));
        let words = [
            "secrets", "keygen", "sealer", "--name", name, "--out", &file,
        ];
        let words = match trust {
            true => [&words[..], &["--trust"]].concat(),
            false => words.to_vec(),
        };
        self.clone(&words, "").ends_with(0);
        file
    }

    /// Seals the password as somebody else.
    fn sealed_by(&mut self, sealer: &str, value: &str) {
        let words = ["secrets", "seal", "staging/payments/db", "password"];
        self.clone(&[&words[..], &["--sealer", sealer]].concat(), value)
            .ends_with(0);
    }
}

#[test]
fn a_value_that_was_moved_is_refused() {
    let mut scene = Scene::in_force();
    let text = scene.read(FILE);
    let other = "secrets/staging/payments/other.sealed.yaml";
    fs::write(scene.path(other), &text).unwrap();
    scene.refused("to another path", &["STR0703", other, "another path"]);

    // What the file claims is changed with it: the place itself is signed.
    let claimed = text.replace("path: payments/db", "path: payments/other");
    fs::write(scene.path(other), &claimed).unwrap();
    let reason = "was sealed for another repository, environment, path, key or version";
    scene.refused(
        "to another path, with its context",
        &["STR0703", other, "`password`", reason],
    );

    let production = "secrets/production/payments/db.sealed.yaml";
    for (what, text, reason) in [
        (
            "to another environment",
            text.clone(),
            "another environment",
        ),
        (
            "to another environment, with its context",
            text.replace("environment: staging", "environment: production"),
            reason,
        ),
    ] {
        scene.ground.write(production, &text);
        scene.ground.write(
            "infra/production.ncl",
            "let stratum = import \"stratum.ncl\" in\n{\n  local_file.b = { path = \"b\", content = stratum.secret \"payments/db\" \
             \"password\" },\n}\n",
        );
        scene.refused_in("production", what, &["STR0703", production, reason]);
        assert!(!scene.ground.made("production/b").exists(), "{what}");
    }

    let renamed = text
        .replace("  program:", "  x:")
        .replace("  password:", "  program:")
        .replace("  x:", "  password:");
    fs::write(scene.path(FILE), renamed).unwrap();
    scene.refused("to another key", &["STR0703", FILE, "`password`", reason]);

    fs::write(scene.path(FILE), text.replacen("v: 2", "v: 3", 1)).unwrap();
    scene.refused("to another version", &["STR0703", FILE, reason]);
}

#[test]
fn a_value_by_somebody_who_may_not_seal_is_refused() {
    let mut scene = Scene::in_force();
    // She brings her key along: the trust of the applied commit judges.
    let eve = scene.sealer("eve", true);
    scene.sealed_by(&eve, "eves-password");
    scene.refused(
        "by a key that is nobody's",
        &[
            "STR0705",
            FILE,
            "`password`",
            "which is nobody's in `trust/`",
        ],
    );

    let eve = scene.sealer("eva", true);
    scene.ground.write(
        "policies/own.cedar",
        "@id(\"eva-seals-nothing-of-payments\")\n@reason(\"payments are sealed by ada\")\n\
         forbid (principal == Sealer::\"eva\", action == Action::\"seal\", resource is Secret)\n\
         when { resource.path like \"payments/*\" };\n",
    );
    scene.ground.push("trust and policy come first");
    scene.once().ends_with(0);
    scene.sealed_by(&eve, "evas-password");
    scene.refused(
        "by somebody whom policy forbids it",
        &[
            "STR0705",
            FILE,
            "`eva` may not seal `payments/db#password`",
            "payments are sealed by ada",
            "eva-seals-nothing-of-payments",
        ],
    );

    scene.ground.write(
        "policies/own.cedar",
        "@id(\"nobody-reads-the-program\")\n@reason(\"it is not to be read here\")\n\
         forbid (principal is Reconciler, action == Action::\"readSecret\", resource is Secret)\n\
         when { resource.path == \"payments/db#program\" };\n",
    );
    scene.ground.push("nobody reads one of them");
    // What is in force is judged by the base, which allowed it still.
    scene.once().ends_with(0);
    scene.seal("password", "three-password");
    scene.refused(
        "one that policy lets nobody read",
        &[
            "STR0705",
            FILE,
            "`payments/db#program` may not be read",
            "it is not to be read here",
        ],
    );
}

#[test]
fn a_value_that_is_damaged_or_huge_is_refused() {
    let mut scene = Scene::in_force();
    let text = scene.read(FILE);
    let (age, sig) = (
        scene.field("password", "age:"),
        scene.field("password", "sig:"),
    );
    let flipped = |field: &str, at: usize| {
        let mut bytes = STANDARD.decode(field).unwrap();
        let at = bytes.len() - at;
        bytes[at] ^= 1;
        text.replace(field, &STANDARD.encode(bytes))
    };
    let cut = |field: &str, by: usize| {
        let bytes = STANDARD.decode(field).unwrap();
        text.replace(field, &STANDARD.encode(&bytes[..bytes.len() - by]))
    };
    let stanza = {
        let bytes = STANDARD.decode(&age).unwrap();
        let at = bytes.windows(4).position(|four| four == b"\n---").unwrap();
        let more = [&bytes[..=at], b"-> other 1\nAAAA\n", &bytes[at + 1..]].concat();
        text.replace(&age, &STANDARD.encode(more))
    };
    let huge = |length: usize| {
        let bytes = [STANDARD.decode(&age).unwrap(), vec![0; length]].concat();
        text.replace(&age, &STANDARD.encode(bytes))
    };
    let of_one_name = format!("{text}  password:\n    v: 3\n    age: {age}\n    sig: {sig}\n");
    let key = "`password`";
    for (what, text, expected) in [
        (
            "a flipped bit of the payload",
            flipped(&age, 1),
            ["STR0704", key, "does not match"],
        ),
        (
            "a flipped bit of a signature",
            flipped(&sig, 9),
            ["STR0704", key, "does not match"],
        ),
        (
            "a cut payload",
            cut(&age, 20),
            ["STR0704", key, "does not match"],
        ),
        (
            "a cut header",
            cut(&age, 90),
            ["STR0702", key, "it does not end"],
        ),
        (
            "cut signatures",
            cut(&sig, 60),
            ["STR0704", key, "cut or too long"],
        ),
        (
            "an unknown recipient",
            stanza,
            ["STR0707", key, "the unknown kind `other`"],
        ),
        (
            "a huge value",
            huge(300 << 10),
            ["STR0702", "`age` has", "the most is 262144"],
        ),
        (
            "a huge file",
            huge(900 << 10),
            ["STR0", "bytes; the most is", "db.sealed.yaml"],
        ),
        (
            "two keys of one name",
            of_one_name,
            ["STR0702", "a key is given twice", "db.sealed"],
        ),
        (
            "a plaintext",
            "password: hunter2\n".to_owned(),
            ["STR0701", "not sealed", "db.sealed"],
        ),
    ] {
        fs::write(scene.path(FILE), text).unwrap();
        scene.refused(what, &[&expected[..], &[FILE]].concat());
    }

    let plain = "secrets/staging/notes.txt";
    scene.ground.write(plain, "password hunter2\n");
    scene.refused("a plaintext beside it", &["STR0701", plain]);
    assert!(!scene.said.contains("hunter2"), "a plaintext was repeated");

    // A sealer who is trusted seals to somebody who is no recipient.
    let clone = scene.ground.clone_folder();
    let stranger = scene.key("stranger.identity");
    let words = [
        "secrets",
        "keygen",
        "identity",
        "--out",
        &stranger,
        "--trust",
        "--name",
        "stranger",
        "--environment",
        "staging",
    ];
    scene.clone(&words, "").ends_with(0);
    scene.seal("password", "three-password");
    git(&clone, &["clean", "-q", "-fd", "trust"]);
    scene.refused(
        "a recipient who is not in trust",
        &["STR0707", FILE, key, "is no recipient of `staging`"],
    );
}

/// A `sig` with one of its two signatures left: the classical one, or the other.
fn half(sig: &str, classical: bool) -> String {
    const CLASSICAL: usize = 3 + 64;
    const OTHER: usize = 3 + 3309;
    let bytes = STANDARD.decode(sig).unwrap();
    let (rest, other) = bytes.split_at(bytes.len() - OTHER);
    let (rest, one) = rest.split_at(rest.len() - CLASSICAL);
    let (count, statement) = rest.split_last().unwrap();
    assert_eq!((*count, one[0], other[0]), (2, 1, 2));
    let kept = if classical { one } else { other };
    STANDARD.encode([statement, &[1], kept].concat())
}

/// The stage of signatures is that of the base: no commit lowers it for what it brings.
#[test]
fn a_stage_of_signatures_holds_for_what_comes_after_the_word() {
    let mut scene = Scene::in_force();
    let settings = scene.read("stratum.ncl");
    let at = |stage: &str| {
        let own = format!("name = \"t\", secrets = {{ signatures = '\"{stage}\" }}");
        settings.replace("name = \"t\"", &own)
    };
    scene.seal("password", "three-password");
    let (text, sig) = (scene.read(FILE), scene.field("password", "sig:"));
    for (stage, classical) in [
        ("both", true),
        ("both", false),
        ("ed25519", true),
        ("either", true),
        ("either", false),
        ("ml-dsa", false),
    ] {
        scene.ground.write("stratum.ncl", &at(stage));
        fs::write(scene.path(FILE), text.replace(&sig, &half(&sig, classical))).unwrap();
        scene.refused(stage, &["STR07", FILE, "`password`"]);
    }
    scene.ground.write("stratum.ncl", &at("either"));
    scene.ground.push("first the word");
    scene.once().ends_with(0);
    fs::write(scene.path(FILE), text.replace(&sig, &half(&sig, true))).unwrap();
    scene.ground.push("and then what it allows");
    scene.once().ends_with(0);
    assert_eq!(scene.conf(), "pw=three-password");
}

/// What was sealed before the keys expired and comes after is as late as what says so: the date in
/// it is the sealer's own word.
#[test]
fn after_a_sealers_expiry_only_what_the_base_has_counts() {
    let mut scene = Scene::in_force();
    let expires = std::time::SystemTime::now() + std::time::Duration::from_secs(30);
    let seconds = expires
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut date = Command::new("date");
    date.args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"]);
    let date = run(&scene.ground.clone_folder(), &mut date).out;
    let person = "trust/people/ada.toml";
    let text = format!("expires = {date}{}", scene.read(person));
    scene.ground.write(person, &text);
    scene.ground.push("until then");
    scene.once().ends_with(0);
    let before = scene.read(FILE);
    scene.seal("password", "three-password");
    let changed = scene.read(FILE);
    scene.seal("another", "another-value");
    let added = scene.read(FILE);
    assert!(expires.elapsed().is_err(), "this machine is too slow");
    while expires.elapsed().is_err() {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for (what, text, key) in [
        ("another value", &changed, "`password`"),
        ("another key", &added, "`another`"),
    ] {
        fs::write(scene.path(FILE), text).unwrap();
        scene.refused(what, &["STR0705", FILE, key, "whose keys expired"]);
    }
    fs::write(scene.path(FILE), before).unwrap();
    scene.ground.write("infra/production.ncl", "{}\n\n");
    scene.ground.push("what is there stays");
    scene.once().ends_with(0);
    assert_eq!(scene.conf(), "pw=two-password");
}

/// Commits, signed with the SSH key, and pushes.
fn signed(scene: &Scene, message: &str) {
    let clone = scene.ground.clone_folder();
    git(&clone, &["add", "--all"]);
    let key = format!("user.signingkey={}", scene.key("ssh"));
    let words = ["-c", "gpg.format=ssh", "-c", &key];
    let commit = ["commit", "-q", "--allow-empty", "-S", "-m", message];
    git(&clone, &[&words[..], &commit].concat());
    git(&clone, &["push", "-q", "origin", "HEAD:main"]);
}

/// Makes a tag and pushes it; signed with a key, or not.
fn tag(scene: &Scene, name: &str, key: Option<&str>) {
    let clone = scene.ground.clone_folder();
    let key = key.map(|key| format!("user.signingkey={}", scene.key(key)));
    let mut words = vec!["-c", "gpg.format=ssh"];
    words.extend(key.iter().flat_map(|key| ["-c", key.as_str()]));
    let sign = if key.is_some() { "-s" } else { "-a" };
    words.extend(["tag", "-f", sign, name, "-m", "it is wanted"]);
    git(&clone, &words);
    git(
        &clone,
        &["push", "-q", "-f", "origin", &format!("refs/tags/{name}")],
    );
}

#[test]
fn an_old_value_comes_back_with_a_signed_word_only() {
    let mut scene = Scene::new();
    for name in ["ssh", "eves"] {
        let file = scene.key(name);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", &file]);
        run(&scene.ground.clone_folder(), &mut keygen).ends_with(0);
    }
    let public = fs::read_to_string(scene.key("ssh.pub")).unwrap();
    let person = scene.read("trust/people/ada.toml");
    let person = format!(
        "email = [\"ada@example.org\"]\nssh = [\"{}\"]\n\n{person}",
        public.trim()
    );
    scene.ground.write("trust/people/ada.toml", &person);
    scene.seal("password", "one-password");
    scene.seal("program", "of-the-program");
    signed(&scene, "first");
    scene.once().ends_with(0);
    let old = scene.read(FILE);
    scene.seal("password", "two-password");
    signed(&scene, "second");
    scene.once().ends_with(0);

    fs::write(scene.path(FILE), &old).unwrap();
    signed(&scene, "replayed from history");
    let refused = |answer: Answer, why: &str| {
        assert_eq!(answer.code, 1, "{why}: {}{}", answer.out, answer.side);
        let said = format!("{}{}", answer.out, answer.side);
        for word in [
            "STR0706",
            FILE,
            "`password` is version 1",
            "version 2 was in force",
        ] {
            assert!(said.contains(word), "{why}: no `{word}` in {said}");
        }
        said
    };
    let said = refused(scene.once(), "no word");
    assert_eq!(scene.conf(), "pw=two-password");
    // The message names the tag that lets it come back.
    let (_, rest) = said.split_once("git tag -s ").unwrap();
    let name = rest.split('`').next().unwrap().to_owned();
    assert_eq!(
        name,
        "stratum/allow-rollback/staging/payments/db#password@v1"
    );

    tag(&scene, &name, None);
    refused(scene.once(), "a word that nobody signed");
    tag(&scene, &name, Some("eves"));
    refused(scene.once(), "a word of a stranger");
    let other = name.replace("password", "program");
    tag(&scene, &other, Some("ssh"));
    refused(scene.once(), "a word about another value");
    tag(&scene, &name, Some("ssh"));
    scene.once().ends_with(0);
    assert_eq!(scene.conf(), "pw=one-password");
    // The next version is above the highest that was in force.
    scene.seal("password", "three-password");
    assert_eq!(scene.field("password", "v:"), "3");
    signed(&scene, "a new one");
    scene.once().ends_with(0);
    assert_eq!(scene.conf(), "pw=three-password");
}

#[test]
fn another_identity_than_the_states_is_refused_and_says_what_can_be_done() {
    let mut scene = Scene::in_force();
    fs::rename(scene.key("staging.identity"), scene.key("lost")).unwrap();
    fs::copy(
        scene.key("production.identity"),
        scene.key("staging.identity"),
    )
    .unwrap();
    let answer = scene.once().ends_with(1);
    let said = &answer.side;
    assert!(
        said.contains("the state is sealed to another identity"),
        "{said}"
    );
    assert!(said.contains("reconciler/docs/lost-identity.md"), "{said}");
    assert_eq!(scene.conf(), "pw=two-password");
}

/// Whoever chose the answer of an API would choose which secret is opened, and who gets it.
#[test]
fn what_a_program_prints_opens_no_secret() {
    let mut scene = Scene::in_force();
    let sealed = STANDARD.decode(scene.field("password", "age:")).unwrap();
    let answer = scene
        .ground
        .clone_folder()
        .parent()
        .unwrap()
        .join("api-answer");
    fs::write(&answer, sealed).unwrap();
    let summed = Command::new("sha256sum")
        .arg(&answer)
        .output()
        .unwrap()
        .stdout;
    let digest: String = String::from_utf8(summed)
        .unwrap()
        .chars()
        .take(64)
        .collect();
    let secret = format!(
        "{{\"$stratum\":{{\"secret\":{{\"path\":\"payments/db\",\"key\":\"password\",\"version\":2,\"digest\":\"{digest}\"}}}}}}"
    );
    for (number, printed) in [
        secret.clone(),
        format!("{{\"deep\":[{secret}]}}"),
        "{\"$stratum\":\"unknown\"}".to_owned(),
        "{\"$stratum\":{\"reference\":{\"resource\":\"local_file.conf\",\"path\":\"content\"}}}"
            .to_owned(),
        format!("{{\"$stratum\":{{\"join\":[\"pw=\",{secret}]}}}}"),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(&answer, &printed).unwrap();
        let posted = answer.with_file_name(format!("posted-{number}"));
        let (from, to) = (answer.display(), posted.display());
        let more = format!(
            "  local_exec.api{number} = {{ create = [\"cat\", \"{from}\"], delete = [\"true\"] }},\n  \
             local_exec.post{number} = {{ create = [\"sh\", \"-c\", \"cat > {to}\"], \
             delete = [\"true\"], inputs = {{ body = local_exec.api{number}.output }} }},\n}}\n"
        );
        let infra = scene.read("infra/staging.ncl");
        let infra = format!("{}{more}", infra.trim_end().trim_end_matches('}'));
        scene.ground.write("infra/staging.ncl", &infra);
        scene.ground.push(&format!("post {number}"));
        let answer = scene.once();
        let text = fs::read_to_string(&posted).unwrap_or_default();
        assert!(!text.contains("two-password"), "{printed}: {text}");
        assert_eq!(answer.code, 0, "{printed}: {}{}", answer.out, answer.side);
        // What was printed goes on as what it is: data.
        let given: serde_json::Value = serde_json::from_str(&text).unwrap();
        let body: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(given["body"], body, "{printed}");
        assert!(!scene.said.contains("two-password"));
    }
}
