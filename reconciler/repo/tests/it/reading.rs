use std::time::Instant;

use stratum_core::ids::CommitId;
use stratum_core::ports::{Repository, RepositoryError, TreeError, TreeKind};

use crate::scene::{Scene, commit, feed_git, git, id, open};

#[test]
fn tips_are_loose_packed_and_nested_branches() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    git(&path, &["branch", "feature/deep/one"]);
    git(&path, &["pack-refs", "--all"]);
    let second = commit(&path, "a", "a", "second");
    git(&path, &["branch", "loose"]);
    git(&path, &["tag", "not-a-branch"]);
    let repository = open(&path);
    let tips = repository.tips().unwrap();
    let names: Vec<_> = tips.branches.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["feature/deep/one", "loose", "main"]);
    assert_eq!(tips.branches.values().last(), Some(&second));
    assert_eq!(tips.head.unwrap().as_str(), "main");

    git(&path, &["checkout", "-q", "--detach"]);
    assert_eq!(repository.tips().unwrap().head, None);
    std::fs::write(path.join(".git/refs/heads/loose"), "garbage").unwrap();
    assert_eq!(
        repository.tips().unwrap().branches.len(),
        2,
        "a damaged branch hides no other"
    );
}

#[test]
fn names_are_resolved_as_git_does() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let first = id(&path, "HEAD");
    let second = commit(&path, "a", "a", "second");
    git(&path, &["tag", "-a", "v1", "-m", "annotated", "HEAD~1"]);
    let repository = open(&path);
    for (name, expected) in [
        ("main", &second),
        ("HEAD", &second),
        ("HEAD~1", &first),
        ("v1", &first),
        ("refs/heads/main", &second),
        (first.as_str(), &first),
        (&first.as_str()[..10], &first),
    ] {
        assert_eq!(&repository.resolve(name).unwrap(), expected, "{name}");
    }
    for name in [
        "nope",
        "HEAD~9",
        "0000000000000000000000000000000000000001",
        "HEAD^{tree}",
        "",
        "--all",
    ] {
        let error = repository.resolve(name).unwrap_err();
        assert!(
            matches!(error, RepositoryError::NoSuchRevision { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_revision_has_author_time_and_message() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let commit = commit(&path, "a", "a", "subject here\n\nbody\nof two lines");
    let revision = open(&path).revision(&commit).unwrap();
    assert_eq!(revision.author, "Ada <ada@example.org>");
    assert_eq!(revision.subject, "subject here");
    assert_eq!(revision.message, "subject here\n\nbody\nof two lines\n");
    let seconds = git(&path, &["show", "-s", "--format=%ct"]);
    assert_eq!(revision.committed_at.as_second().to_string(), seconds);
    let other = CommitId::new("a".repeat(64)).unwrap();
    assert!(open(&path).revision(&other).is_err());
}

#[test]
fn records_are_no_inputs() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let tree = |name: &str| git(&path, &["rev-parse", &format!("{name}^{{tree}}")]);
    let inputs = |name: &str| {
        open(&path)
            .revision(&id(&path, name))
            .unwrap()
            .inputs
            .to_string()
    };
    assert_eq!(inputs("HEAD"), tree("HEAD"));
    // As the only thing in `knowledge`, and beside another file there.
    commit(&path, "knowledge/executions/2026/03/x.md", "x", "a record");
    assert_eq!(inputs("HEAD"), tree("HEAD~1"));
    git(&path, &["rm", "-rq", "knowledge"]);
    commit(&path, "knowledge/adr.md", "adr", "a decision");
    commit(&path, "knowledge/executions/2026/03/y.md", "y", "a record");
    assert_eq!(inputs("HEAD"), tree("HEAD~1"));
    commit(&path, "knowledge/adr.md", "changed", "the decision");
    assert_ne!(inputs("HEAD"), inputs("HEAD~1"));
}

#[test]
fn a_tree_has_every_kind_of_entry_sorted_by_name() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let here = id(&path, "HEAD");
    std::os::unix::fs::symlink("/etc/passwd", path.join("link")).unwrap();
    for name in ["a/x", "a.txt", "a0"] {
        commit(&path, name, name, name);
    }
    git(&path, &["add", "link"]);
    git(
        &path,
        &[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{here},module"),
        ],
    );
    git(&path, &["update-index", "--chmod=+x", "a0"]);
    git(&path, &["commit", "-q", "-m", "kinds"]);
    let tree = open(&path).tree(&id(&path, "HEAD")).unwrap();
    let entries = tree.list("").unwrap();
    let found: Vec<_> = entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.kind))
        .collect();
    let expected = [
        ("a", TreeKind::Folder),
        ("a.txt", TreeKind::File),
        ("a0", TreeKind::Executable),
        ("link", TreeKind::Symlink),
        ("module", TreeKind::Submodule),
        ("stratum.ncl", TreeKind::File),
    ];
    assert_eq!(found, expected);
    let link = tree.entry("link").unwrap().unwrap();
    assert_eq!(tree.blob(&link.id, "link").unwrap(), b"/etc/passwd");
    assert_eq!(tree.entry("a/x").unwrap().unwrap().name, "x");
    assert_eq!(tree.entry("").unwrap().unwrap().kind, TreeKind::Folder);
    for nothing in [
        "b", "a/y", "a.txt/x", "a/", "./a", "a/../a", "/a", "link/x", "module/x",
    ] {
        assert_eq!(tree.entry(nothing).unwrap(), None, "{nothing}");
        assert!(tree.list(nothing).unwrap().is_empty(), "{nothing}");
    }
}

#[test]
fn a_name_that_is_not_utf8_fails_its_folder_alone() {
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    commit(&path, "docs/good", "good", "good");
    std::fs::write(
        path.join("docs")
            .join(std::ffi::OsStr::from_bytes(b"bad\xff")),
        "x",
    )
    .unwrap();
    git(&path, &["add", "."]);
    git(&path, &["commit", "-q", "-m", "odd"]);
    let tree = open(&path).tree(&id(&path, "HEAD")).unwrap();
    assert!(matches!(tree.list("docs"), Err(TreeError::Name { path }) if path == "docs"));
    assert!(tree.entry("docs/good").unwrap().is_some());
    assert_eq!(tree.list("").unwrap().len(), 2);
}

#[test]
fn a_replaced_object_is_read_as_what_its_id_says() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let first = id(&path, "HEAD");
    let second = commit(&path, "stratum.ncl", "evil", "second");
    git(&path, &["replace", first.as_str(), second.as_str()]);
    let revision = open(&path).revision(&first).unwrap();
    assert_eq!(revision.subject, "first");
}

#[test]
fn between_gives_what_is_new_newest_first() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let first = id(&path, "HEAD");
    for name in ["b", "c", "d"] {
        commit(&path, name, name, name);
    }
    let head = id(&path, "HEAD");
    let repository = open(&path);
    let subjects = |old: Option<&CommitId>, new: &CommitId, limit| -> Vec<String> {
        let commits = repository.between(old, new, limit).unwrap();
        commits
            .into_iter()
            .map(|revision| revision.subject)
            .collect()
    };
    assert_eq!(subjects(Some(&first), &head, 10), ["d", "c", "b"]);
    assert_eq!(subjects(Some(&first), &head, 2), ["d", "c"]);
    assert_eq!(subjects(None, &head, 10), ["d", "c", "b", "first"]);
    assert!(subjects(Some(&head), &head, 10).is_empty());
    assert!(subjects(Some(&head), &first, 10).is_empty());
    let unknown = CommitId::new("1".repeat(40)).unwrap();
    assert_eq!(subjects(Some(&unknown), &head, 10).len(), 4);
    git(&path, &["reset", "-q", "--hard", "HEAD~2"]);
    let rewritten = commit(&path, "e", "e", "e");
    assert_eq!(subjects(Some(&head), &rewritten, 10), ["e"]);
}

#[test]
fn ten_thousand_blobs_are_read_from_several_threads() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let mut stream = String::from("commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 0\n");
    for n in 0..10_000 {
        let content = format!("{{ n = {n} }}");
        let (folder, length) = (n % 100, content.len());
        stream += &format!("M 100644 inline infra/{folder:02}/{n}.ncl\ndata {length}\n{content}\n");
    }
    feed_git(&path, &["fast-import", "--quiet", "--force"], &stream);
    let tree = open(&path).tree(&id(&path, "HEAD")).unwrap();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let tree = &tree;
            scope.spawn(move || {
                for n in (half..10_000).step_by(2) {
                    let name = format!("infra/{:02}/{n}.ncl", n % 100);
                    let entry = tree.entry(&name).unwrap().unwrap();
                    assert_eq!(
                        tree.blob(&entry.id, &name).unwrap(),
                        format!("{{ n = {n} }}").into_bytes()
                    );
                }
            });
        }
    });
    println!("10,000 entries and blobs: {:?}", begun.elapsed());
    // About 0.1 s in an optimised build; without caches it takes tens of seconds.
    assert!(begun.elapsed().as_secs() < 5);
    // What git packs anew meanwhile is found again.
    git(&path, &["repack", "-adq"]);
    let entry = tree.entry("infra/00/0.ncl").unwrap().unwrap();
    assert_eq!(tree.blob(&entry.id, "").unwrap(), b"{ n = 0 }");
}
