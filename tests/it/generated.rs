//! Secrets that stratum makes itself, from `git push` to the programs that use them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ground::{Answer, Ground, PROGRAM, git};

/// A repository with an identity, and with a sealer's key of the reconciler.
struct Mint {
    ground: Ground,
    home: PathBuf,
}

impl Mint {
    fn new(settings: &str, infra: &str) -> Self {
        let ground = Ground::new();
        let home = ground.clone_folder().parent().unwrap().join("home");
        fs::create_dir(&home).unwrap();
        ground.write("stratum.ncl", settings);
        ground.write("infra/staging.ncl", infra);
        let mint = Self { ground, home };
        let identity = mint.key("staging.identity");
        mint.clone(&[
            "secrets",
            "keygen",
            "identity",
            "--out",
            &identity,
            "--trust",
            "--name",
            "staging",
            "--environment",
            "staging",
        ])
        .ends_with(0);
        mint
    }

    fn key(&self, name: &str) -> String {
        self.home.join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, folder: &Path, arguments: &[&str], dies: Option<u64>) -> Answer {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(folder)
            .env("HOME", &self.home)
            .stdin(Stdio::null());
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "STRATUM_REPO",
            "STRATUM_STATE",
            "STRATUM_SEALER",
            "XDG_CONFIG_HOME",
        ] {
            command.env_remove(name);
        }
        command.env("STRATUM_IDENTITY", self.key("staging.identity"));
        command.env("STRATUM_LOG", "trace");
        if let Some(at) = dies {
            command.env("STRATUM_CRASH_AT", at.to_string());
        }
        let output = command.output().unwrap();
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            side: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn clone(&self, arguments: &[&str]) -> Answer {
        self.run(&self.ground.clone_folder(), arguments, None)
    }

    fn bare(&self, arguments: &[&str]) -> Answer {
        self.run(&self.ground.bare(), arguments, None)
    }

    fn reconcile(&self, more: &[&str], dies: Option<u64>) -> Answer {
        let root = self.ground.made("");
        let words = ["reconcile", "--once", "--root", root.to_str().unwrap()];
        self.run(&self.ground.bare(), &[&words[..], more].concat(), dies)
    }

    fn once(&self) -> Answer {
        self.reconcile(&[], None)
    }

    fn made(&self, path: &str) -> String {
        fs::read_to_string(self.ground.made(&format!("staging/{path}"))).unwrap()
    }

    fn shown(&self, resource: &str) -> serde_json::Value {
        let address = format!("staging/{resource}");
        self.bare(&["show", "--json", &address]).ends_with(0).json()
    }
}

const SETTINGS: &str = "{ name = \"t\", environments = { staging = {} } }\n";

/// A password, a key and a certificate, and files that they go to.
fn infra(keepers: u32) -> String {
    format!(
        "let stratum = import \"stratum.ncl\" in\n{{\n  \
         generated_password.db = {{ length = 40, keepers = {keepers} }},\n  \
         generated_private_key.tls = {{}},\n  \
         generated_self_signed_cert.tls = {{\n    \
         private_key_pem = generated_private_key.tls.private_key_pem,\n    \
         common_name = \"shop\", dns_names = [\"shop.example.org\"],\n  }},\n  \
         local_file.conf = {{ path = \"conf\", \
         content = stratum.fmt [\"pw=\", generated_password.db.result, \"\\n\"] }},\n  \
         local_file.key = {{ path = \"key.pem\", \
         content = generated_private_key.tls.private_key_pem }},\n  \
         local_file.cert = {{ path = \"cert.pem\", \
         content = generated_self_signed_cert.tls.cert_pem }},\n}}\n"
    )
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

/// The files below `folder` that hold a text.
fn holding(folder: &Path, part: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            holding(&path, part, found);
        } else if kind.is_file() && holds(&fs::read(&path).unwrap_or_default(), part) {
            found.push(path);
        }
    }
}

#[test]
fn what_is_made_goes_where_it_is_named_and_is_found_nowhere_else() {
    let mint = Mint::new(SETTINGS, &infra(1));
    mint.clone(&["check"]).ends_with(0);
    mint.ground.push("first");
    let planned = mint.bare(&["plan"]).ends_with(0);
    let name = "generated/generated_password.db#result v1";
    assert!(planned.out.contains(name), "{}", planned.out);
    let first = mint.once().ends_with(0);
    let conf = mint.made("conf");
    let password = conf.trim_end().strip_prefix("pw=").unwrap().to_owned();
    assert_eq!(password.len(), 40);
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = mint.ground.made(&format!("staging/{path}"));
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(
        (mode("conf"), mode("key.pem"), mode("cert.pem")),
        (0o600, 0o600, 0o644)
    );
    let key = mint.made("key.pem");
    assert!(
        key.starts_with("-----BEGIN PRIVATE KEY-----"),
        "a PKCS #8 key"
    );
    assert!(
        mint.made("cert.pem")
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    let shown = mint.shown("generated_private_key.tls");
    let public = shown["attributes"]["public_key_openssh"].as_str().unwrap();
    assert!(public.starts_with("ecdsa-sha2-nistp256 "), "{public}");
    assert_eq!(shown["attributes"]["private_key_pem"]["version"], 1);

    // Nothing is left to do, and nothing is made again.
    mint.once().ends_with(0);
    assert_eq!(mint.made("conf"), conf);

    // A new one: what uses it is updated, and versions are shown.
    mint.ground.write("infra/staging.ncl", &infra(2));
    mint.ground.push("second");
    let planned = mint.bare(&["plan"]).ends_with(0);
    assert!(planned.out.contains("#result v2"), "{}", planned.out);
    let second = mint.once().ends_with(0);
    let newer = mint.made("conf");
    assert_ne!(newer, conf);
    assert_eq!(mint.made("key.pem"), key, "the key is another secret");

    mint.bare(&["secrets", "rotate-state-key"]);
    let mut said = format!("{}{}{}{}", first.out, first.side, second.out, second.side);
    for words in [
        &["status", "--json"][..],
        &["get", "--json"],
        &["history", "--json"],
        &["show", "staging/local_file.conf"],
        &["show", "staging/generated_password.db", "--json"],
        &["plan", "--json"],
    ] {
        let answer = mint.bare(words);
        said.push_str(&answer.out);
        said.push_str(&answer.side);
    }
    let body = key.lines().nth(1).unwrap().to_owned();
    let newer = newer.trim_end().strip_prefix("pw=").unwrap().to_owned();
    let mut found = Vec::new();
    for part in [&password, &newer, &body] {
        assert!(!holds(said.as_bytes(), part), "it was said");
        holding(&mint.ground.bare(), part, &mut found);
        holding(&mint.ground.clone_folder(), part, &mut found);
        holding(&mint.ground.made(""), part, &mut found);
    }
    let mine = ["conf", "key.pem"].map(|name| mint.ground.made(&format!("staging/{name}")));
    found.retain(|path| !mine.contains(path));
    assert!(found.is_empty(), "{found:?}");
    let records = git(&mint.ground.bare(), &["log", "-p", "--all", "--format=%B"]);
    assert!(
        records.contains("\"version\":2"),
        "the record names the version"
    );
    assert!(!records.contains(&password) && !records.contains(&newer) && !records.contains(&body));
}

#[test]
fn a_secret_may_not_stand_where_it_would_be_shown() {
    let mint = Mint::new(
        SETTINGS,
        "{\n  generated_password.db = {},\n  local_service.app = {\n    \
         command = [\"sleep\", generated_password.db.result],\n  },\n}\n",
    );
    let answer = mint.clone(&["check"]).ends_with(1);
    assert!(
        answer.out.contains("`command` names a secret"),
        "{}",
        answer.out
    );
    assert!(answer.out.contains("infra/staging.ncl:4"), "{}", answer.out);
}

#[test]
fn policy_says_which_may_be_read() {
    let mint = Mint::new(SETTINGS, &infra(1));
    let policy = "@id(\"no-keys\")\n@reason(\"keys are read by nobody\")\nforbid (principal, \
                  action == Action::\"readSecret\", resource is Secret)\nwhen { resource.path like \
                  \"*generated_private_key*\" };\n";
    mint.ground.write("policies/keys.cedar", policy);
    mint.clone(&["check"]);
    mint.ground.push("first");
    for answer in [mint.bare(&["plan"]), mint.once()] {
        let said = format!("{}{}", answer.out, answer.side);
        assert_ne!(answer.code, 0, "{said}");
        let refused = "`generated/generated_private_key.tls#private_key_pem` may not be read";
        assert!(said.contains(refused), "{said}");
        assert!(said.contains("infra/staging.ncl:6"), "{said}");
    }
}

#[test]
fn taking_one_away_is_called_irreversible_before() {
    let mint = Mint::new(
        SETTINGS,
        "{ generated_password.db = {}, local_data.a = {} }\n",
    );
    mint.ground.push("first");
    mint.once().ends_with(0);
    mint.ground
        .write("infra/staging.ncl", "{ local_data.a = {} }\n");
    mint.ground.push("without");
    let planned = mint.bare(&["plan"]);
    assert!(planned.out.contains("irreversible"), "{}", planned.out);
    // Nobody is in trust, so nobody could approve it.
    mint.once().ends_with(0);
    let left = mint.bare(&["get", "--json"]).json();
    assert_eq!(left["resources"].as_array().unwrap().len(), 1, "{left}");
}

/// The version and the digest of the password that the state names.
fn named(mint: &Mint) -> serde_json::Value {
    mint.shown("generated_password.db")["attributes"]["result"].clone()
}

#[test]
fn whenever_the_reconciler_dies_a_secret_is_made_once() {
    let mint = Mint::new(SETTINGS, &infra(1));
    mint.ground.push("first");
    let (mut died, mut values) = (0, Vec::<String>::new());
    for (keepers, version) in [(1, 1), (2, 2)] {
        if keepers == 2 {
            mint.ground.write("infra/staging.ncl", &infra(keepers));
            mint.ground.push("second");
        }
        // Each life is a few steps longer than the one before it, and goes on where that one died.
        let mut seen: Option<String> = None;
        for at in (0..400).step_by(2) {
            let answer = mint.reconcile(&[], Some(at));
            // What a program may have read already stays what it is.
            let conf = fs::read_to_string(mint.ground.made("staging/conf")).unwrap_or_default();
            let fresh = !conf.is_empty() && !values.contains(&conf);
            if let (true, Some(before)) = (fresh, &seen) {
                assert_eq!(before, &conf, "another was made after life {at}");
            }
            if fresh {
                seen = Some(conf);
            }
            if answer.code == 0 {
                break;
            }
            died += 1;
        }
        mint.once().ends_with(0);
        assert_eq!(named(&mint)["version"], version);
        let conf = mint.made("conf");
        assert!(seen.is_none_or(|seen| seen == conf));
        values.push(conf);
    }
    assert!(died >= 20, "only {died} deaths");
    assert_ne!(values[0], values[1]);
}

/// Settings under which secrets come by a branch.
const BY_BRANCH: &str =
    "{ name = \"t\", environments = { staging = {} }, secrets = { generated = 'branch } }\n";

fn password(length: u32) -> String {
    format!(
        "{{\n  generated_password.db = {{ length = {length} }},\n  \
         local_file.conf = {{ path = \"conf\", content = generated_password.db.result }},\n  \
         local_file.other = {{ path = \"other\", content = \"{length}\\n\" }},\n}}\n"
    )
}

#[test]
fn by_a_branch_a_secret_is_reviewed_before_it_is_used() {
    let mint = Mint::new(BY_BRANCH, &password(40));
    let branch = "stratum/secrets/staging";
    let file = "secrets/staging/generated/generated_password.db.sealed.yaml";
    let (bare, clone) = (mint.ground.bare(), mint.ground.clone_folder());
    mint.clone(&["check"]).ends_with(0);
    mint.ground.push("first");

    // Without a key it says what to do; what needs no secret is applied.
    mint.once();
    assert_eq!(mint.made("other"), "40\n");
    assert!(!mint.ground.made("staging/conf").exists());
    let status = mint.bare(&["status", "--json"]).json();
    let said = status["environments"][0]["reason"].as_str().unwrap();
    assert!(said.contains("--sealer FILE"), "{said}");
    assert_eq!(git(&bare, &["branch", "--list", branch]), "");

    let sealer = mint.key("stratum.sealer");
    let words = [
        "secrets", "keygen", "sealer", "--name", "stratum", "--trust",
    ];
    mint.clone(&[&words[..], &["--out", &sealer]].concat())
        .ends_with(0);
    mint.ground.push("the reconciler may seal");
    let with = ["--sealer", sealer.as_str()];
    let told = mint.reconcile(&with, None);
    let told = told.out + &told.side;
    // It is news, and nothing is in trouble.
    assert!(told.contains("secrets of staging for review"), "{told}");
    assert!(!told.contains("trouble"), "{told}");
    let status = mint.bare(&["status", "--json"]).json();
    let said = status["environments"][0]["reason"].as_str().unwrap();
    assert!(said.contains("`stratum/secrets/staging`"), "{said}");
    let proposed = git(&bare, &["show", &format!("{branch}:{file}")]);
    assert!(proposed.contains("  result:\n    v: 1\n"), "{proposed}");

    // Looked at again, it is the same one: the branch does not move.
    let tip = git(&bare, &["rev-parse", branch]);
    mint.ground.push("something else");
    mint.reconcile(&with, None);
    assert_eq!(git(&bare, &["rev-parse", branch]), tip);
    assert!(!mint.ground.made("staging/conf").exists());

    let merge = || {
        git(&clone, &["fetch", "-q", "origin"]);
        let from = format!("origin/{branch}");
        git(
            &clone,
            &["merge", "-q", "-m", "The secrets are reviewed", &from],
        );
        mint.ground.push("merged");
    };
    merge();
    mint.clone(&["check"]).ends_with(0);
    mint.reconcile(&with, None).ends_with(0);
    let first = mint.made("conf");
    assert_eq!(first.len(), 40);
    let opened = mint.clone(&[
        "secrets",
        "open",
        "staging/generated/generated_password.db",
        "result",
    ]);
    assert_eq!(opened.ends_with(0).out, first);

    // Another recipe: the old one stays in use until the new one is merged.
    mint.ground.write("infra/staging.ncl", &password(50));
    mint.ground.push("longer");
    mint.reconcile(&with, None);
    assert_eq!(
        (mint.made("conf"), mint.made("other")),
        (first.clone(), "50\n".to_owned())
    );
    assert_eq!(
        git(&bare, &["show", "-s", "--format=%P", branch])
            .lines()
            .count(),
        1
    );
    let record = git(&bare, &["log", "-p", "--format=%B", "stratum/records"]);
    assert!(
        record.contains("## Waits") && record.contains("(version 2)"),
        "{record}"
    );
    merge();
    mint.reconcile(&with, None).ends_with(0);
    let second = mint.made("conf");
    assert_eq!(second.len(), 50);
    let shown = mint.shown("generated_password.db");
    assert_eq!(shown["attributes"]["result"]["version"], 2);

    // The old text comes back with a revert: refused, and the new one stays in use.
    let old = git(&bare, &["show", &format!("{tip}:{file}")]);
    mint.ground.write(file, &format!("{old}\n"));
    mint.ground.push("an old one");
    let planned = mint.bare(&["plan"]).ends_with(1);
    let said = format!("{}{}", planned.out, planned.side);
    assert!(said.contains("STR0706"), "{said}");
    mint.reconcile(&with, None);
    assert_eq!(mint.made("conf"), second);
}
