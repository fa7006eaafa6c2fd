//! Circles among things that name each other.

use std::collections::{BTreeMap, BTreeSet};

/// Every circle among `edges`, each as the names in it, beginning and ending with the same one.
///
/// *Guarantees*: deterministic; circles that share a name with one already found are left out, so
/// that one mistake gives one finding. Names without an entry of their own end a way.
pub fn circles<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let mut walk = Walk {
        edges,
        done: BTreeSet::new(),
        found: Vec::new(),
    };
    for start in edges.keys() {
        walk.from(start);
    }
    walk.found
}

struct Walk<'e, 'a> {
    edges: &'e BTreeMap<&'a str, BTreeSet<&'a str>>,
    done: BTreeSet<&'a str>,
    found: Vec<Vec<&'a str>>,
}

impl<'a> Walk<'_, 'a> {
    /// Walks depth first, without recursion: a chain may be as long as a hostile file.
    fn from(&mut self, start: &'a str) {
        let mut way: Vec<(&'a str, Vec<&'a str>)> = Vec::new();
        let mut places: BTreeMap<&'a str, usize> = BTreeMap::new();
        let mut next = Some(start);
        loop {
            if let Some(name) = next.take().filter(|name| !self.done.contains(name)) {
                if let Some(begin) = places.get(name) {
                    self.note(&way, *begin, name);
                } else {
                    places.insert(name, way.len());
                    let targets = self.edges.get(name).into_iter().flatten().rev();
                    way.push((name, targets.copied().collect()));
                }
            }
            let Some((name, targets)) = way.last_mut() else {
                return;
            };
            next = targets.pop();
            if next.is_none() {
                self.done.insert(name);
                places.remove(name);
                way.pop();
            }
        }
    }

    fn note(&mut self, way: &[(&'a str, Vec<&'a str>)], begin: usize, name: &'a str) {
        let mut circle: Vec<&str> = way.iter().skip(begin).map(|(name, _)| *name).collect();
        let known = |name: &&str| self.found.iter().flatten().any(|other| other == name);
        if !circle.iter().any(known) {
            circle.push(name);
            self.found.push(circle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(
        pairs: &[(&'static str, &'static str)],
    ) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        let mut edges: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (from, to) in pairs {
            edges.entry(*from).or_default().insert(*to);
        }
        edges
    }

    #[test]
    fn a_diamond_is_no_circle() {
        let diamond = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")];
        assert!(circles(&edges(&diamond)).is_empty());
    }

    #[test]
    fn every_separate_circle_is_found_once() {
        let two = [("a", "b"), ("b", "a"), ("c", "c"), ("x", "a"), ("b", "c")];
        assert_eq!(circles(&edges(&two)), [vec!["a", "b", "a"], vec!["c", "c"]]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let names: Vec<String> = (0..200_000).map(|n| format!("{n:06}")).collect();
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for pair in names.windows(2) {
            edges.entry(&pair[0]).or_default().insert(&pair[1]);
        }
        edges.entry("199999").or_default().insert("000000");
        assert_eq!(circles(&edges).len(), 1);
    }
}
