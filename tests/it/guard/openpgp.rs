//! Keys of OpenPGP, made and used by gpg itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{By, Guarded, has, program};

/// A moment of the year 2020, as gpg takes it.
const THEN: &str = "20200601T000000";

/// The folder of keys that [`Guarded::git`] signs with.
struct Keyring {
    home: PathBuf,
}

impl Keyring {
    fn of(guarded: &Guarded) -> Self {
        let home = guarded.keys.path().join("gnupg");
        fs::create_dir(&home).unwrap();
        Self { home }
    }

    /// A copy, for keys as others see them later.
    fn copy(&self, name: &str) -> Self {
        let home = self.home.with_file_name(name);
        let copied = Command::new("cp")
            .arg("-r")
            .args([&self.home, &home])
            .status();
        assert!(copied.unwrap().success());
        Self { home }
    }

    fn gpg(&self, arguments: &[&str]) -> String {
        self.gpg_told("", arguments)
    }

    /// Runs gpg, with answers to what it asks.
    fn gpg_told(&self, answers: &str, arguments: &[&str]) -> String {
        use std::io::Write as _;
        let mut command = Command::new("gpg");
        command
            .env("GNUPGHOME", &self.home)
            .args(["--batch", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(answers.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "gpg {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes a key; `usage` is that of its primary key.
    fn make(&self, name: &str, algorithm: &str, usage: &str, more: &[&str]) {
        let user = format!("{name} <{name}@example.org>");
        let arguments = ["--quick-gen-key", &user, algorithm, usage, "never"];
        self.gpg(&[more, &arguments[..]].concat());
    }

    fn fingerprint(&self, name: &str) -> String {
        let mail = format!("{name}@example.org");
        let listed = self.gpg(&["--with-colons", "--list-keys", &mail]);
        let line = listed
            .lines()
            .find(|line| line.starts_with("fpr:"))
            .unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    fn add_subkey(&self, name: &str, usage: &str, expires: &str, more: &[&str]) {
        let primary = self.fingerprint(name);
        let arguments = ["--quick-add-key", &primary, "ed25519", usage, expires];
        self.gpg(&[more, &arguments[..]].concat());
    }

    /// Names a person in trust, with this key.
    fn trust(&self, guarded: &Guarded, name: &str) {
        let public = self.gpg(&["--armor", "--export", &format!("{name}@example.org")]);
        let text = format!("email = [\"{name}@example.org\"]\nopenpgp = ['''\n{public}''']\n");
        let path = format!("trust/people/{name}.toml");
        guarded.ground.write(&path, &text);
    }

    /// Takes a key back, by the certificate that gpg made for that with the key.
    fn revoke(&self, name: &str) {
        let file = format!("openpgp-revocs.d/{}.rev", self.fingerprint(name));
        let text = fs::read_to_string(self.home.join(file)).unwrap();
        let path = self.home.join("revocation");
        fs::write(&path, text.replace(":-----BEGIN", "-----BEGIN")).unwrap();
        self.gpg(&["--import", path.to_str().unwrap()]);
    }

    /// Takes the first subkey back.
    fn revoke_subkey(&self, name: &str) {
        let answers = "key 1\nrevkey\ny\n0\n\ny\nsave\n";
        let fingerprint = self.fingerprint(name);
        let arguments = ["--command-fd", "0", "--edit-key", &fingerprint];
        // Asked, and not with --batch.
        let mut command = Command::new("gpg");
        command
            .env("GNUPGHOME", &self.home)
            .args([
                "--no-tty",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), answers.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let listed = self.gpg(&["--with-colons", "--list-keys", &fingerprint]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(listed.contains("\nsub:r:"), "{listed}{said}");
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        let ended = command.env("GNUPGHOME", &self.home).args(["--kill", "all"]);
        // One that was never started cannot be ended.
        let _ = ended.output();
    }
}

/// A program that is gpg in another time.
fn gpg_then(folder: &Path) -> String {
    let path = folder.join("gpg-then");
    program(
        &path,
        &format!("exec gpg --faked-system-time {THEN}! \"$@\""),
    );
    path.to_str().unwrap().to_owned()
}

#[test]
fn openpgp_keys_sign_commits_and_tags() {
    if !has("gpg") {
        return;
    }
    let guarded = Guarded::new(&["ada"]);
    let keys = Keyring::of(&guarded);
    keys.make("carla", "ed25519", "sign", &[]);
    keys.make("dan", "rsa3072", "sign", &[]);
    // As gpg does it by default: the primary key certifies, and a subkey signs.
    keys.make("sam", "ed25519", "cert", &[]);
    keys.add_subkey("sam", "sign", "1d", &[]);
    for name in ["carla", "dan", "sam"] {
        keys.trust(&guarded, name);
    }
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    guarded.file("staging", "a", "two");
    guarded.push("sam", By::Gpg("sam"), "by a subkey");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
    guarded.file("production", "p", "one");
    guarded.push("carla", By::Gpg("carla"), "by carla");
    guarded.once().ends_with(4);
    let tag = format!("stratum/approve/{}", guarded.ballot("production"));
    guarded.say("dan", By::Gpg("dan"), &tag, "fine");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
    let record = guarded.record("production");
    assert!(record.contains("carla"), "{record}");
    assert!(record.contains("dan"), "{record}");
}

#[test]
fn openpgp_keys_that_were_taken_back_or_expired_sign_nothing() {
    if !has("gpg") {
        return;
    }
    let guarded = Guarded::new(&["ada"]);
    let keys = Keyring::of(&guarded);
    let then = format!("{THEN}!");
    let then = ["--faked-system-time", then.as_str()];
    keys.make("rita", "ed25519", "sign", &[]);
    keys.make("rob", "ed25519", "cert", &[]);
    keys.add_subkey("rob", "sign", "never", &[]);
    let user = "eva <eva@example.org>";
    keys.gpg(&[
        then[0],
        then[1],
        "--quick-gen-key",
        user,
        "ed25519",
        "sign",
        "10d",
    ]);
    keys.make("eli", "ed25519", "cert", &then);
    keys.add_subkey("eli", "sign", "10d", &then);
    // Trust has them as they are known to be now; whoever signs has them as they were.
    let later = keys.copy("gnupg-later");
    later.revoke("rita");
    later.revoke_subkey("rob");
    for name in ["rita", "rob", "eva", "eli"] {
        later.trust(&guarded, name);
    }
    let base = guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    let program = format!("gpg.program={}", gpg_then(guarded.keys.path()));
    let cases = [
        ("rita", "the key is revoked", "gpg.program=gpg"),
        ("rob", "the subkey is revoked", "gpg.program=gpg"),
        ("eva", "the key expired on 2020-06-11", program.as_str()),
        ("eli", "the key expired on 2020-06-11", program.as_str()),
    ];
    for (name, why, program) in cases {
        guarded.file("staging", "a", name);
        let arguments = ["-c", program, "commit", "-q", "-S", "-a", "-m", name];
        guarded.git(name, By::Gpg(name), &arguments);
        guarded.git(name, By::Nobody, &["push", "-q", "origin", "HEAD:main"]);
        guarded.denied("staging", &format!("it is signed by `{name}`, and {why}"));
        assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
        guarded.back_to(&base);
    }
}
