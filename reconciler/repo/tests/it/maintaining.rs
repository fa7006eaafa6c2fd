use std::path::Path;

use stratum_core::ports::Repository;

use crate::scene::{Scene, feed_git, git, id, litter, mirror, open, publish, record};

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

#[test]
fn many_packs_of_a_mirror_become_one_and_nothing_is_lost() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let folder = scene.path("mirror.git");
    let repository = mirror(&bare, folder.clone());
    let ids = litter(&folder, 50);
    for id in &ids {
        feed_git(
            &folder,
            &["pack-objects", "-q", "objects/pack/pack"],
            &format!("{id}\n"),
        );
    }
    git(&folder, &["prune-packed", "-q"]);
    let packs = || {
        let entries = std::fs::read_dir(folder.join("objects/pack")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".pack")).count()
    };
    assert!(packs() >= 50);
    repository.maintain().unwrap();
    assert!(packs() <= 2, "{}", packs());
    for id in [&ids[0], &ids[49]] {
        assert!(git(&folder, &["cat-file", "-p", id]).starts_with("litter-"));
    }
    publish(&repository, &record("run-1", Some(id(&clone, "HEAD"))));
    // Those of other people are theirs.
    for id in &litter(&bare, 45) {
        feed_git(
            &bare,
            &["pack-objects", "-q", "objects/pack/pack"],
            &format!("{id}\n"),
        );
    }
    open(&bare).maintain().unwrap();
    assert!(
        std::fs::read_dir(bare.join("objects/pack"))
            .unwrap()
            .count()
            >= 90
    );
}
