use std::path::Path;

use stratum_core::ports::Repository;

use crate::scene::{Scene, git, id, open, publish, record};

fn loose(path: &Path) -> usize {
    let counted = git(path, &["count-objects"]);
    counted.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn loose_objects_are_packed_and_none_is_lost() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let head = id(&path, "HEAD");
    let repository = open(&path);
    publish(&repository, &record("run-1", Some(head.clone())));
    assert_eq!(repository.maintain().unwrap(), 0, "a few are left alone");
    // No ref leads to these.
    let names: Vec<String> = (0..2_100).map(|n| format!("file-{n}")).collect();
    for name in &names {
        std::fs::write(path.join(name), name).unwrap();
    }
    let mut arguments = vec!["hash-object", "-w", "--"];
    arguments.extend(names.iter().map(String::as_str));
    let ids = git(&path, &arguments);
    let before = loose(&path);
    assert!(before > 2_100);
    let tree = repository.tree(&head).unwrap();
    assert_eq!(repository.maintain().unwrap(), before);
    assert_eq!(loose(&path), 0);
    for id in [ids.lines().next().unwrap(), ids.lines().last().unwrap()] {
        assert!(git(&path, &["cat-file", "-p", id]).starts_with("file-"));
    }
    assert_eq!(tree.list("").unwrap().len(), 1);
    publish(&repository, &record("run-2", Some(head)));
    git(&path, &["fsck", "--strict"]);
    let left: Vec<_> = std::fs::read_dir(repository.state_folder())
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
