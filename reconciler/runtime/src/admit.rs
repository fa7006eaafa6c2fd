//! Which places an environment may have: those that the operator of this machine gives, and none
//! that is another environment's.
//!
//! A repository chooses among the places; it never adds one. Places are compared as places: what a
//! link, a `..` or another spelling leads to is the same place.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use stratum_core::ids::EnvironmentName;
use stratum_core::ports::Site;
use stratum_core::settings::{EnvironmentSettings, Settings};

use crate::site::{Roots, wanted};

/// The default root is a folder of ours: a link that stands in its place leads to somebody else's.
fn is_no_link(roots: &Roots, environment: &EnvironmentName) -> Result<(), String> {
    if roots.trial.is_some() {
        return Ok(());
    }
    let world = roots.state_folder.join("world");
    let own = world.join(environment.as_str());
    match [world, own].iter().find(|path| path.is_symlink()) {
        None => Ok(()),
        Some(path) => Err(format!(
            "its root `{}` is a link, and what it leads to was given by nobody: put a folder there, or \
             name the place as its `root` and give it with `--roots`",
            path.display()
        )),
    }
}

/// The roots that the state remembers: of all environments that are named, and of those that once
/// were and still hold something.
pub(crate) type Remembered = BTreeMap<EnvironmentName, PathBuf>;

/// Whether the settings of an environment name places at all.
pub(crate) fn names_places(own: &EnvironmentSettings) -> bool {
    own.root.is_some() || !own.roots.is_empty()
}

/// Admits the places of an environment.
///
/// *Errors*: one sentence, with what the operator can do.
pub fn admit(
    roots: &Roots,
    environment: &EnvironmentName,
    settings: &Settings,
    remembered: &Remembered,
    site: &Site,
) -> Result<(), String> {
    let own = settings.environments.get(environment);
    if !own.is_some_and(names_places) {
        // What lies in the default is nobody else's, unless another one names it, and is refused.
        return is_no_link(roots, environment);
    }
    // `--root` and what it led to before are the operator's choice already.
    let chosen = own.is_some_and(|own| own.root.is_some()) && roots.trial.is_none();
    let root = chosen.then_some(&site.root);
    let default = roots.state_folder.join("world").join(environment.as_str());
    for place in root.into_iter().chain(&site.roots) {
        is_given(roots, &default, place)?;
    }
    let own = place_of(&site.root);
    let all: Vec<PathBuf> = site.roots.iter().map(|root| place_of(root)).collect();
    for (other, theirs) in others(roots, environment, settings, remembered) {
        let theirs = place_of(&theirs);
        let one = all.iter().chain([&own]).find(|one| overlap(one, &theirs));
        if let Some(one) = one {
            return Err(format!(
                "its root `{}` and `{}` of `{other}` are one place, or one lies in the other: give \
                 each environment places of its own",
                one.display(),
                theirs.display()
            ));
        }
    }
    Ok(())
}

/// A place is given when it is named on this machine, or lies in one that is, or in the default.
fn is_given(roots: &Roots, default: &Path, place: &Path) -> Result<(), String> {
    let (shown, real) = (place.display(), place_of(place));
    let named: Vec<PathBuf> = roots.named.iter().map(|named| place_of(named)).collect();
    if named.contains(&real) {
        return Ok(());
    }
    let given = roots.trial.iter().map(PathBuf::as_path).chain([default]);
    let given: Vec<PathBuf> = given.map(place_of).chain(named).collect();
    if !given.iter().any(|given| real.starts_with(given)) {
        return Err(format!(
            "its root `{shown}` is not among the places that this machine gives to environments: \
             name it with `--roots {shown}`, or in the file `{}`",
            roots.file.display()
        ));
    }
    match swappable(&real) {
        None => Ok(()),
        Some(folder) => Err(format!(
            "its root `{shown}` lies in `{}`, where others may put something else in its place: if \
             that is meant, name the root itself with `--roots {shown}`",
            folder.display()
        )),
    }
}

/// The places of all other environments: those that are named, and those that once were and still
/// hold something.
fn others(
    roots: &Roots,
    environment: &EnvironmentName,
    settings: &Settings,
    remembered: &Remembered,
) -> Vec<(EnvironmentName, PathBuf)> {
    let mut found = Vec::new();
    for (name, own) in settings
        .environments
        .iter()
        .filter(|(name, _)| *name != environment)
    {
        let root = remembered.get(name).cloned();
        let root = root.unwrap_or_else(|| wanted(&roots.state_folder, name, own));
        found.push((name.clone(), root));
        found.extend(own.roots.iter().map(|root| (name.clone(), root.into())));
    }
    let forgotten = remembered
        .iter()
        .filter(|(name, _)| *name != environment && !settings.environments.contains_key(*name));
    found.extend(forgotten.map(|(name, root)| (name.clone(), root.clone())));
    found
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The place that a path leads to: links and `..` are followed as far as it is there.
pub(crate) fn place_of(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut there = path;
    loop {
        if let Ok(mut real) = there.canonicalize() {
            for name in missing.iter().rev() {
                match *name {
                    std::path::Component::ParentDir => {
                        real.pop();
                    }
                    name => real.push(name),
                }
            }
            return real;
        }
        let (Some(name), Some(around)) = (there.components().next_back(), there.parent()) else {
            return path.to_owned();
        };
        missing.push(name);
        there = around;
    }
}

/// The folder, on the way to a place or the place itself, in which somebody else than this user
/// and root may write.
fn swappable(place: &Path) -> Option<PathBuf> {
    let own = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let found = place.ancestors().find(|folder| {
        folder.symlink_metadata().is_ok_and(|stat| {
            let (mode, sticky) = (stat.mode(), stat.mode() & 0o1000 != 0);
            let by_group = mode & 0o020 != 0 && ![0, group].contains(&stat.gid());
            let by_others = mode & 0o002 != 0 || by_group;
            // In a sticky folder nobody replaces what is another's.
            ![0, own].contains(&stat.uid()) || (by_others && !(sticky && *folder != place))
        })
    });
    found.map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::site::site_of;

    struct Ground {
        folder: tempfile::TempDir,
        roots: Roots,
    }

    fn ground() -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        for name in ["state", "srv/shop", "other"] {
            std::fs::create_dir_all(top.join(name)).unwrap();
        }
        let roots = Roots {
            state_folder: top.join("state"),
            own: top.join("state/own"),
            trial: None,
            named: vec![top.join("srv")],
            hidden: Vec::new(),
            file: top.join("state/roots"),
        };
        Ground { folder, roots }
    }

    impl Ground {
        fn path(&self, name: &str) -> String {
            self.folder.path().join(name).to_str().unwrap().to_owned()
        }

        fn admit(&self, environments: &serde_json::Value) -> Result<(), String> {
            self.admit_with(environments, &Remembered::new())
        }

        fn admit_with(
            &self,
            environments: &serde_json::Value,
            remembered: &Remembered,
        ) -> Result<(), String> {
            let settings = serde_json::json!({ "name": "t", "environments": environments });
            let settings: Settings = serde_json::from_value(settings).unwrap();
            let name = EnvironmentName::new("a").unwrap();
            let own = settings.environments[&name].clone();
            let site = site_of(&self.roots, &name, &own, None);
            admit(&self.roots, &name, &settings, remembered, &site)
        }
    }

    #[test]
    fn a_repository_chooses_among_the_places_of_the_operator() {
        let ground = ground();
        let root = |name: &str| serde_json::json!({ "a": { "root": ground.path(name) } });
        ground.admit(&root("srv/shop")).unwrap();
        ground.admit(&root("srv")).unwrap();
        ground.admit(&serde_json::json!({ "a": {} })).unwrap();
        ground
            .admit(&serde_json::json!({ "a": { "root": "world/a/deep" } }))
            .unwrap();
        for outside in [
            "other",
            "srv/../other",
            "srv/shop/../../other",
            "srvx",
            "state/own",
            "",
        ] {
            let said = ground.admit(&root(outside)).unwrap_err();
            assert!(said.contains("--roots"), "{outside}: {said}");
        }
        let extra = serde_json::json!({ "a": { "roots": ["/"] } });
        assert!(ground.admit(&extra).is_err());
        let another = serde_json::json!({ "a": { "root": "world/b" } });
        assert!(ground.admit(&another).is_err());
        symlink(ground.path("other"), ground.path("srv/link")).unwrap();
        assert!(
            ground.admit(&root("srv/link")).is_err(),
            "a link leads elsewhere"
        );
        assert!(
            ground.admit(&root("srv/link/new")).is_err(),
            "a link leads elsewhere"
        );
    }

    #[test]
    fn two_environments_never_share_a_place() {
        let ground = ground();
        let shop = ground.path("srv/shop");
        symlink(ground.path("srv/shop"), ground.path("srv/same")).unwrap();
        for theirs in [
            "srv/shop",
            "srv",
            "srv/shop/deep",
            "srv/./shop/",
            "srv/same",
        ] {
            let theirs = ground.path(theirs);
            for other in [
                serde_json::json!({ "root": theirs }),
                serde_json::json!({ "roots": [theirs] }),
            ] {
                let said = ground.admit(&serde_json::json!({ "a": { "root": shop }, "b": other }));
                assert!(said.unwrap_err().contains("one place"), "{theirs}");
            }
        }
        let beside =
            serde_json::json!({ "a": { "root": shop }, "b": { "root": ground.path("srv/shop2") } });
        ground.admit(&beside).unwrap();
    }

    /// It lies where another one lay that has another name now.
    #[test]
    fn a_place_that_another_one_left_something_in_is_still_its() {
        let ground = ground();
        let gone = EnvironmentName::new("gone").unwrap();
        let remembered = Remembered::from([(gone, ground.path("srv/shop").into())]);
        let here = serde_json::json!({ "a": { "root": ground.path("srv/shop") } });
        let said = ground.admit_with(&here, &remembered).unwrap_err();
        assert!(said.contains("`gone`"), "{said}");
    }

    #[test]
    fn a_place_that_others_may_swap_is_named_itself_or_refused() {
        let mut ground = ground();
        let mode = |name: &str, mode| {
            let path = ground.folder.path().join(name);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let shop = serde_json::json!({ "a": { "root": ground.path("srv/shop") } });
        mode("srv", 0o777);
        assert!(ground.admit(&shop).unwrap_err().contains("others may"));
        mode("srv", 0o1777);
        ground.admit(&shop).unwrap();
        mode("srv/shop", 0o1777);
        assert!(
            ground.admit(&shop).is_err(),
            "others may write into the root itself"
        );
        ground.roots.named = vec![ground.path("srv/shop").into()];
        ground.admit(&shop).unwrap();
    }

    #[test]
    fn a_place_is_one_however_it_is_written() {
        let ground = ground();
        let real = place_of(&ground.folder.path().join("srv/shop"));
        for path in [
            "srv/./shop",
            "srv/x/../shop",
            "state/../srv/shop",
            "srv//shop/",
        ] {
            assert_eq!(place_of(&ground.folder.path().join(path)), real, "{path}");
        }
    }
}
