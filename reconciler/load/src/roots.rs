//! Places of environments that are one place, or lie in each other.
//!
//! Only what settings say is compared here: absolute places with absolute ones, and those beside
//! the state with each other. Where links lead is asked on the machine itself.

use std::collections::BTreeMap;

use stratum_core::place::Place;
use stratum_core::settings::{EnvironmentSettings, Settings};

/// Who shares a place with another one, with one sentence each; the later one of the two first.
///
/// *Guarantees*: of many that share one place each is paired with the first of them, so that the
/// answer is no longer than the settings.
pub(crate) fn shared(settings: &Settings) -> Vec<(String, String)> {
    let mut first: BTreeMap<Place, &str> = BTreeMap::new();
    let mut all = Vec::new();
    let mut pairs = BTreeMap::new();
    for (name, own) in &settings.environments {
        let name = name.as_str();
        for place in places(name, own) {
            let holder = *first.entry(place.clone()).or_insert(name);
            note(&mut pairs, name, holder, &place);
            all.push((name, place));
        }
    }
    for (name, place) in all {
        let top = Place::of(if place.is_absolute() { "/" } else { "" });
        for around in place.around().chain([top]) {
            if let Some(holder) = first.get(&around) {
                note(&mut pairs, name, holder, &place);
            }
        }
    }
    let said = |((later, other), place): ((&str, &str), Place)| {
        let said = format!(
            "`{later}` and `{other}` share the place `{place}`: one of them would change what is the \
             other's"
        );
        (later.to_owned(), said)
    };
    pairs.into_iter().map(said).collect()
}

/// Notes that two share a place, the later one first, once.
fn note<'a>(
    pairs: &mut BTreeMap<(&'a str, &'a str), Place>,
    one: &'a str,
    other: &'a str,
    place: &Place,
) {
    if one != other {
        let pair = (one.max(other), one.min(other));
        pairs.entry(pair).or_insert_with(|| place.clone());
    }
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

    /// Whoever brings many environments with one place gets no more findings than environments.
    #[test]
    fn of_many_that_share_one_place_each_is_named_once() {
        let all = (0..3_000).map(|n| (format!("e{n:04}"), serde_json::json!({ "root": "/srv" })));
        let all: serde_json::Map<_, _> = all.collect();
        assert_eq!(shared_by(all.into()), 2_999);
    }
}
