//! Who depends on whom among the resources of one Environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Finding, codes};
use crate::ids::{Address, EnvironmentName, LocalAddress};
use crate::resource::Resource;
use crate::suggest;
use crate::value::Path;

/// The direct dependencies of every resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph<'a> {
    /// Every address, sorted; a resource is named by its index in here.
    pub addresses: Vec<&'a Address>,
    /// For each resource those that it depends on, sorted.
    pub dependencies: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    /// Builds the graph from references and `meta.depends_on`.
    ///
    /// *Errors*: one finding for each dangling dependency, which is left out of the graph, and one
    /// for a circle.
    pub fn build(resources: &'a BTreeMap<Address, Resource>) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        let mut graph = Self {
            addresses: resources.keys().collect(),
            dependencies: Vec::with_capacity(resources.len()),
        };
        for resource in resources.values() {
            let required = graph.direct(resource, &mut findings);
            graph.dependencies.push(required);
        }
        let order = graph.order();
        if order.len() < resources.len() {
            findings.push(graph.circle(&order, resources));
        }
        (graph, findings)
    }

    /// Those that depend on each resource, sorted.
    pub fn dependants(&self) -> Vec<Vec<usize>> {
        let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); self.addresses.len()];
        for (own, required) in self.dependencies.iter().enumerate() {
            for target in required {
                let list = dependants.get_mut(*target);
                list.into_iter().for_each(|list| list.push(own));
            }
        }
        dependants
    }

    fn find(&self, environment: &EnvironmentName, local: &LocalAddress) -> Option<usize> {
        let wanted = (environment, local);
        self.addresses
            .binary_search_by(|address| (&address.environment, &address.local).cmp(&wanted))
            .ok()
    }

    /// The resources that `resource` depends on; those that are not there become findings.
    fn direct(&self, resource: &Resource, findings: &mut Vec<Finding>) -> Vec<usize> {
        let mut found = Vec::new();
        let mut add = |local: &LocalAddress, path: &dyn Fn() -> Path| match self
            .find(&resource.address.environment, local)
        {
            Some(index) => found.push(index),
            None => findings.push(self.dangling(resource, local, &path())),
        };
        for (attribute, value) in &resource.attributes {
            value.references(&mut |reference| add(&reference.resource, &|| Path::of(attribute)));
        }
        for (index, local) in resource.meta.depends_on.iter().enumerate() {
            add(local, &|| Path::of("meta").key("depends_on").index(index));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn dangling(&self, resource: &Resource, target: &LocalAddress, path: &Path) -> Finding {
        let message = format!(
            "`{}` refers to `{target}`, which is not there",
            resource.address
        );
        let mut finding = Finding::error(&codes::DANGLING, message);
        finding.source = resource.source(path).cloned();
        let names = self.addresses.iter().map(|address| &address.local);
        let names: Vec<String> = names.map(ToString::to_string).collect();
        finding.hint = suggest::hint(&target.to_string(), names.iter().map(String::as_str));
        finding
    }

    /// Dependencies first, otherwise by address; resources in a circle are left out.
    fn order(&self) -> Vec<usize> {
        let missing = self.dependencies.iter().map(Vec::len).collect();
        walk(&self.dependants(), missing)
    }

    fn circle(&self, order: &[usize], resources: &BTreeMap<Address, Resource>) -> Finding {
        let placed: BTreeSet<usize> = order.iter().copied().collect();
        let mut path: Vec<usize> = Vec::new();
        let mut current = (0..self.addresses.len()).find(|own| !placed.contains(own));
        while let Some(own) = current {
            if let Some(start) = path.iter().position(|seen| *seen == own) {
                path.drain(..start);
                break;
            }
            path.push(own);
            let required = self.dependencies.get(own);
            current = required
                .and_then(|required| required.iter().find(|target| !placed.contains(target)))
                .copied();
        }
        let path: Vec<&Address> = path
            .into_iter()
            .filter_map(|own| self.addresses.get(own).copied())
            .collect();
        let names: Vec<String> = path
            .iter()
            .map(|address| format!("`{}`", address.local))
            .collect();
        let message = format!("dependency cycle: {} depends on itself", names.join(" -> "));
        let mut finding = Finding::error(&codes::CYCLE, message)
            .hint("take one of these references or `depends_on` entries away");
        finding.source = path
            .first()
            .and_then(|address| resources.get(*address))
            .and_then(|resource| resource.source(&Path::default()))
            .cloned();
        finding
    }
}

/// Indexes in an order in which each stands after those it misses, otherwise sorted; those in a
/// circle are left out (Kahn's algorithm with a sorted front).
pub(crate) fn walk(dependants: &[Vec<usize>], mut missing: Vec<usize>) -> Vec<usize> {
    let mut front: BTreeSet<usize> = missing
        .iter()
        .enumerate()
        .filter(|(_, count)| **count == 0)
        .map(|(own, _)| own)
        .collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(own) = front.pop_first() {
        order.push(own);
        for dependant in dependants.get(own).into_iter().flatten() {
            if let Some(count) = missing.get_mut(*dependant) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    front.insert(*dependant);
                }
            }
        }
    }
    order
}

/// For each index the number of its component: two have the same number when each is reached from
/// the other (Tarjan's algorithm, without recursion).
pub(crate) fn components(targets: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut search = Search {
        targets,
        seen: vec![None; targets.len()],
        low: vec![0; targets.len()],
        component: vec![usize::MAX; targets.len()],
        open: Vec::new(),
        next: 0,
    };
    for start in 0..targets.len() {
        if search.seen.get(start) == Some(&None) {
            search.from(start);
        }
    }
    search.component
}

struct Search<'a> {
    targets: &'a [BTreeSet<usize>],
    /// When each was first seen.
    seen: Vec<Option<usize>>,
    /// The earliest that each reaches.
    low: Vec<usize>,
    component: Vec<usize>,
    /// Those whose component is not known yet.
    open: Vec<usize>,
    next: usize,
}

impl<'a> Search<'a> {
    fn from(&mut self, start: usize) {
        let mut path = vec![(start, self.enter(start))];
        while let Some((own, targets)) = path.last_mut() {
            let own = *own;
            match targets.next() {
                Some(target) => match self.seen.get(*target).copied().flatten() {
                    None => path.push((*target, self.enter(*target))),
                    Some(at) if self.component.get(*target) == Some(&usize::MAX) => {
                        self.lower(own, at);
                    }
                    Some(_) => {}
                },
                None => {
                    path.pop();
                    self.leave(own);
                    let low = self.low.get(own).copied().unwrap_or_default();
                    if let Some((parent, _)) = path.last() {
                        self.lower(*parent, low);
                    }
                }
            }
        }
    }

    fn enter(&mut self, own: usize) -> std::collections::btree_set::Iter<'a, usize> {
        static NONE: BTreeSet<usize> = BTreeSet::new();
        if let (Some(seen), Some(low)) = (self.seen.get_mut(own), self.low.get_mut(own)) {
            *seen = Some(self.next);
            *low = self.next;
        }
        self.next += 1;
        self.open.push(own);
        self.targets.get(own).unwrap_or(&NONE).iter()
    }

    fn lower(&mut self, own: usize, to: usize) {
        if let Some(low) = self.low.get_mut(own) {
            *low = (*low).min(to);
        }
    }

    /// Everything that `own` reaches is known: it closes a component if it reaches nothing earlier.
    fn leave(&mut self, own: usize) {
        if self.low.get(own).copied() != self.seen.get(own).copied().flatten() {
            return;
        }
        while let Some(member) = self.open.pop() {
            if let Some(component) = self.component.get_mut(member) {
                *component = own;
            }
            if member == own {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProviderName;
    use crate::kinds::Kind;
    use crate::resource::Meta;
    use crate::source::Source;

    fn resources(edges: &[(&str, &[&str])]) -> BTreeMap<Address, Resource> {
        edges
            .iter()
            .enumerate()
            .map(|(line, (name, requires))| {
                let address: Address = format!("e/t.{name}").parse().unwrap();
                let depends_on = requires.iter().map(|r| format!("t.{r}").parse().unwrap());
                let resource = Resource {
                    address: address.clone(),
                    kind: Kind::Infrastructure,
                    provider: ProviderName::new("local").unwrap(),
                    attributes: BTreeMap::new(),
                    meta: Meta {
                        depends_on: depends_on.collect(),
                        ..Meta::default()
                    },
                    sources: [(Path::default(), Source::new("f", line as u32 + 1, 1))].into(),
                };
                (address, resource)
            })
            .collect()
    }

    #[test]
    fn components_are_those_that_reach_each_other() {
        let edges = |list: &[&[usize]]| -> Vec<BTreeSet<usize>> {
            list.iter().map(|to| to.iter().copied().collect()).collect()
        };
        let found = components(&edges(&[&[1], &[2, 3], &[0], &[4], &[3], &[5], &[]]));
        let same = |a: usize, b: usize| found[a] == found[b];
        assert!(same(0, 1) && same(1, 2) && same(3, 4));
        assert!(!same(0, 3) && !same(5, 6) && !same(0, 5));
    }

    #[test]
    fn dependencies_come_first() {
        let resources = resources(&[("a", &["c"]), ("b", &["a"]), ("c", &[])]);
        let (graph, findings) = Graph::build(&resources);
        let name = |own: usize| graph.addresses[own].name().as_str();
        let order: Vec<_> = graph.order().into_iter().map(name).collect();
        assert_eq!((order, findings), (vec!["c", "a", "b"], vec![]));
    }

    #[test]
    fn circle_is_named_with_its_place() {
        let resources = resources(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        let (_, findings) = Graph::build(&resources);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].message.contains("`t.b` -> `t.c`"),
            "{}",
            findings[0].message
        );
        assert_eq!(findings[0].source.as_ref().unwrap().line, 2);
    }

    #[test]
    fn dangling_names_the_nearest() {
        let resources = resources(&[("site", &[]), ("index", &["siet"])]);
        let (_, findings) = Graph::build(&resources);
        assert_eq!(findings[0].code.0, codes::DANGLING.code);
        assert_eq!(findings[0].hint.as_deref(), Some("did you mean `t.site`?"));
    }
}
