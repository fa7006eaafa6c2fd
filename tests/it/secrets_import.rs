//! Secrets that come from elsewhere, and keys that go where they must not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::ground::git;
use crate::secrets::Scene;

#[test]
fn what_other_tools_keep_is_imported() {
    let mut scene = Scene::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("reconciler/seal/tests/it/sops");
    let take = |name: &str| {
        let to = scene.home.join(name);
        fs::copy(fixtures.join(name), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
        to.to_str().unwrap().to_owned()
    };
    let (key, classical) = (take("key.txt"), take("classical.txt"));
    let (json, env, age) = (take("sealed.json"), take("sealed.env"), take("value.age"));
    let import = |file: &str, place: &str, key: &str| -> Vec<String> {
        ["secrets", "import", file, place, "--identity", key]
            .map(str::to_owned)
            .into()
    };
    let call = |scene: &mut Scene, words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        scene.clone(&words, "")
    };
    let answer = call(&mut scene, &import(&json, "staging/a", &key)).ends_with(0);
    assert!(
        answer.out.contains("left out `note_unencrypted`"),
        "{}",
        answer.out
    );
    let value = scene.open("staging/a", "db.password").ends_with(0).out;
    assert_eq!(value, "hunter2");
    call(&mut scene, &import(&env, "staging/b", &key)).ends_with(0);
    assert_eq!(
        scene.open("staging/b", "PASSWORD").out,
        "line one\nline two"
    );
    call(&mut scene, &import(&age, "staging/c", &classical)).ends_with(0);
    assert_eq!(scene.open("staging/c", "value").out, "of-age-x25519");
    let plain = scene.home.join("app.env");
    fs::write(&plain, "# a comment\nexport A_B=\"two words\"\nEMPTY=\n").unwrap();
    let plain = plain.to_str().unwrap().to_owned();
    let answer = call(&mut scene, &import(&plain, "staging/d", &key)).ends_with(0);
    assert!(answer.out.contains("left out `EMPTY`"), "{}", answer.out);
    assert_eq!(scene.open("staging/d", "A_B").out, "two words");
    // The wrong identity, and a changed file.
    let answer = call(&mut scene, &import(&json, "staging/e", &classical)).ends_with(1);
    assert!(
        answer.side.contains("cannot be imported"),
        "{}",
        answer.side
    );
    fs::write(
        &json,
        fs::read_to_string(&json)
            .unwrap()
            .replace("\"open\"", "\"shut\""),
    )
    .unwrap();
    let answer = call(&mut scene, &import(&json, "staging/e", &key)).ends_with(1);
    assert!(
        answer.side.contains("cannot be imported"),
        "{}",
        answer.side
    );
    assert!(
        !scene
            .ground
            .clone_folder()
            .join("secrets/staging/e.sealed.yaml")
            .exists()
    );
    scene.clone(&["secrets", "verify"], "").ends_with(0);
}

#[test]
fn private_keys_in_the_repository_are_found_whatever_their_kind() {
    let mut scene = Scene::new();
    let identity = scene.key("staging.identity");
    let words = ["secrets", "split", "--shares", "2", "--threshold", "2"];
    scene
        .clone(&[&words[..], &["--identity", &identity]].concat(), "")
        .ends_with(0);
    let clone = scene.ground.clone_folder();
    for name in ["ada.sealer", "staging.identity", "staging-1.share"] {
        let text = fs::read_to_string(scene.home.join(name)).unwrap();
        // The key alone, as somebody would paste it into a file of settings.
        let key = text.lines().find(|line| !line.starts_with('#')).unwrap();
        fs::write(clone.join("infra/settings.txt"), format!("key = {key}\n")).unwrap();
        git(&clone, &["add", "--all"]);
        let answer = scene.clone(&["hook", "pre-commit"], "");
        assert_eq!(answer.code, 1, "{name}: {}{}", answer.out, answer.side);
        let said = format!("{}{}", answer.out, answer.side);
        assert!(
            said.contains("STR0709") && said.contains("infra/settings.txt"),
            "{name}: {said}"
        );
        assert!(
            !said.contains(&key[key.len() - 40..]),
            "{name}: it was repeated"
        );
    }
}
