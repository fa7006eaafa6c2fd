use std::path::Path;

use stratum_core::ports::Repository;

use crate::scene::{Scene, git, id, litter, open, publish, record};

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
    let ids = litter(&path, 2_100);
    let before = loose(&path);
    assert!(before > 2_100);
    let tree = repository.tree(&head).unwrap();
    assert_eq!(repository.maintain().unwrap(), before);
    assert_eq!(loose(&path), 0);
    for id in [&ids[0], &ids[2_099]] {
        assert!(git(&path, &["cat-file", "-p", id]).starts_with("litter-"));
    }
    assert_eq!(tree.list("").unwrap().len(), 1);
    publish(&repository, &record("run-2", Some(head)));
    git(&path, &["fsck", "--strict"]);
    let left: Vec<_> = std::fs::read_dir(repository.state_folder())
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
