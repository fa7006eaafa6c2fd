//! Places of environments that are one place, or lie in each other.
//!
//! Only what settings say is compared here: absolute places with absolute ones, and those beside
//! the state with each other. Where links lead is asked on the machine itself.

use std::collections::BTreeMap;

use stratum_core::place::Place;
use stratum_core::settings::{EnvironmentSettings, Settings};

/// The pairs of environments that share a place, with one sentence each; the later one first.
pub(crate) fn shared(settings: &Settings) -> Vec<(String, String)> {
    let all: BTreeMap<&str, Vec<Place>> = settings
        .environments
        .iter()
        .map(|(name, own)| (name.as_str(), places(name.as_str(), own)))
        .collect();
    let mut found = Vec::new();
    for (name, own) in &all {
        for (other, theirs) in all.iter().take_while(|(other, _)| *other < name) {
            let both = own.iter().find(|place| {
                theirs
                    .iter()
                    .any(|one| one.holds(place) || place.holds(one))
            });
            if let Some(place) = both {
                let said = format!(
                    "`{name}` and `{other}` share the place `{place}`: one of them would change what \
                     is the other's"
                );
                found.push(((*name).to_owned(), said));
            }
        }
    }
    found
}

fn places(name: &str, own: &EnvironmentSettings) -> Vec<Place> {
    let default = || format!("world/{name}");
    let root = own.root.clone().unwrap_or_else(default);
    std::iter::once(root)
        .chain(own.roots.iter().cloned())
        .map(|path| Place::of(&path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared_by(environments: serde_json::Value) -> usize {
        let settings = serde_json::json!({ "name": "t", "environments": environments });
        shared(&serde_json::from_value(settings).unwrap()).len()
    }

    #[test]
    fn one_place_is_found_however_it_is_written() {
        let root = |a: &str, b: &str| {
            shared_by(serde_json::json!({ "a": { "root": a }, "b": { "root": b } }))
        };
        for (a, b) in [
            ("/srv", "/srv"),
            ("/srv", "/srv/shop"),
            ("/srv/shop", "/srv"),
            ("/srv/x/../shop", "//srv/./shop/"),
            ("/../srv", "/srv"),
            ("/", "/anything"),
            ("one", "one/two"),
            ("world", "w/../world/x"),
            ("world/b", "world/b"),
        ] {
            assert_eq!(root(a, b), 1, "{a} {b}");
        }
        for (a, b) in [
            ("/srv/a", "/srv/ab"),
            ("one", "two"),
            ("/one", "one"),
            ("../x", "x"),
        ] {
            assert_eq!(root(a, b), 0, "{a} {b}");
        }
    }

    #[test]
    fn defaults_and_further_roots_are_places_too() {
        let of = |a, b| shared_by(serde_json::json!({ "a": a, "b": b, "c": {} }));
        let empty = serde_json::json!({});
        assert_eq!(
            of(empty.clone(), serde_json::json!({ "root": "world/a" })),
            1
        );
        assert_eq!(of(empty.clone(), serde_json::json!({ "root": "world" })), 2);
        let roots = serde_json::json!({ "roots": ["/etc/x"] });
        assert_eq!(of(roots.clone(), serde_json::json!({ "root": "/etc" })), 1);
        assert_eq!(of(roots.clone(), roots), 1);
        assert_eq!(of(empty.clone(), empty), 0);
    }
}
