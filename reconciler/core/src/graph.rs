//! Who depends on whom among the resources of one Environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Finding, codes};
use crate::ids::{Address, LocalAddress};
use crate::resource::Resource;
use crate::suggest;
use crate::value::Path;

/// The direct dependencies of every resource, and an order in which each stands after its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// Direct dependencies by address.
    pub dependencies: BTreeMap<Address, BTreeSet<Address>>,
    /// Every address, dependencies first; resources in a circle are left out.
    pub order: Vec<Address>,
}

impl Graph {
    /// Builds the graph from references and `meta.depends_on`.
    ///
    /// *Errors*: one finding for each dangling dependency and one for each circle; what they name
    /// is left out of the graph.
    pub fn build(resources: &BTreeMap<Address, Resource>) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        let dependencies = resources
            .iter()
            .map(|(address, resource)| {
                (address.clone(), direct(resource, resources, &mut findings))
            })
            .collect();
        let order = order(&dependencies);
        if order.len() < resources.len() {
            findings.push(circle(&dependencies, &order, resources));
        }
        (
            Self {
                dependencies,
                order,
            },
            findings,
        )
    }
}

/// The resources that `resource` depends on; those that are not there become findings.
fn direct(
    resource: &Resource,
    resources: &BTreeMap<Address, Resource>,
    findings: &mut Vec<Finding>,
) -> BTreeSet<Address> {
    let mut found = BTreeSet::new();
    let mut add = |local: &LocalAddress, path: Path| {
        let environment = resource.address.environment.clone();
        let target = Address {
            environment,
            local: local.clone(),
        };
        if resources.contains_key(&target) {
            found.insert(target);
        } else {
            findings.push(dangling(resource, local, &path, resources));
        }
    };
    for (attribute, value) in &resource.attributes {
        value.references(&mut |reference| add(&reference.resource, Path::of(attribute)));
    }
    for (index, local) in resource.meta.depends_on.iter().enumerate() {
        add(local, Path::of("meta").key("depends_on").index(index));
    }
    found
}

fn dangling(
    resource: &Resource,
    target: &LocalAddress,
    path: &Path,
    resources: &BTreeMap<Address, Resource>,
) -> Finding {
    let message = format!(
        "`{}` refers to `{target}`, which is not there",
        resource.address
    );
    let mut finding = Finding::error(&codes::DANGLING, message);
    finding.source = resource.source(path).cloned();
    let names: Vec<String> = resources
        .keys()
        .map(|address| address.local.to_string())
        .collect();
    finding.hint = suggest::hint(&target.to_string(), names.iter().map(String::as_str));
    finding
}

/// Dependencies first, otherwise by address (Kahn's algorithm with a sorted front).
fn order(dependencies: &BTreeMap<Address, BTreeSet<Address>>) -> Vec<Address> {
    let addresses: Vec<&Address> = dependencies.keys().collect();
    let index: BTreeMap<&Address, usize> = addresses
        .iter()
        .enumerate()
        .map(|(index, address)| (*address, index))
        .collect();
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); addresses.len()];
    let mut missing: Vec<usize> = Vec::with_capacity(addresses.len());
    for (own, required) in dependencies.values().enumerate() {
        missing.push(required.len());
        for target in required.iter().filter_map(|address| index.get(address)) {
            dependants
                .get_mut(*target)
                .into_iter()
                .for_each(|list| list.push(own));
        }
    }
    walk(&dependants, missing)
        .into_iter()
        .filter_map(|index| addresses.get(index).map(|address| (*address).clone()))
        .collect()
}

/// Indexes in an order in which each stands after those it misses; those in a circle are left out.
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

fn circle(
    dependencies: &BTreeMap<Address, BTreeSet<Address>>,
    order: &[Address],
    resources: &BTreeMap<Address, Resource>,
) -> Finding {
    let placed: BTreeSet<&Address> = order.iter().collect();
    let mut path: Vec<&Address> = Vec::new();
    let mut current = dependencies
        .keys()
        .find(|address| !placed.contains(address));
    while let Some(address) = current {
        if let Some(start) = path.iter().position(|seen| *seen == address) {
            path.drain(..start);
            break;
        }
        path.push(address);
        current = dependencies
            .get(address)
            .and_then(|required| required.iter().find(|target| !placed.contains(*target)));
    }
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
    fn dependencies_come_first() {
        let (graph, findings) =
            Graph::build(&resources(&[("a", &["c"]), ("b", &["a"]), ("c", &[])]));
        let order: Vec<_> = graph.order.iter().map(|a| a.name().as_str()).collect();
        assert_eq!((order, findings), (vec!["c", "a", "b"], vec![]));
    }

    #[test]
    fn circle_is_named_with_its_place() {
        let (_, findings) =
            Graph::build(&resources(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]));
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
        let (_, findings) = Graph::build(&resources(&[("site", &[]), ("index", &["siet"])]));
        assert_eq!(findings[0].code.0, codes::DANGLING.code);
        assert_eq!(findings[0].hint.as_deref(), Some("did you mean `t.site`?"));
    }
}
