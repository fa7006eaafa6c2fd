//! Resources and what they depend on, as a tree.

use std::collections::{BTreeMap, BTreeSet};

use stratum_core::ids::Address;

use crate::show::status::look;
use crate::style::{Mark, Role, Theme, fit, harmless, one_line};

/// One resource of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// How it is: `Ready`, `Stalled` or `Unknown`.
    pub(crate) condition: &'static str,
    /// Why nobody knows, where that is so.
    pub(crate) because: Option<String>,
    /// How many of its attributes differ from what was applied.
    pub(crate) drifted: usize,
    /// What stands below it.
    pub(crate) below: Vec<Address>,
}

/// A line that is still to be written.
struct Pending {
    address: Address,
    /// For each level above: whether more follows there.
    follows: Vec<bool>,
}

/// The trees that begin at `roots`; what stands in several places is drawn out at the first.
pub(crate) fn tree(theme: &Theme, roots: &[Address], leaves: &BTreeMap<Address, Leaf>) -> String {
    let mut text = String::new();
    let mut drawn = BTreeSet::new();
    let mut open: Vec<Pending> = pending(roots, &[]);
    while let Some(Pending { address, follows }) = open.pop() {
        let leaf = leaves.get(&address);
        let below = leaf.map(|leaf| leaf.below.as_slice()).unwrap_or_default();
        let again = !drawn.insert(address.clone()) && !below.is_empty();
        text.push_str(&line(theme, &address, leaf, &follows, again));
        if !again {
            open.extend(pending(below, &follows));
        }
    }
    text
}

/// The lines for `addresses`, the last one first, as a stack wants them.
fn pending(addresses: &[Address], above: &[bool]) -> Vec<Pending> {
    let last = addresses.len().saturating_sub(1);
    let line = |(index, address): (usize, &Address)| Pending {
        address: address.clone(),
        follows: [above, &[index < last]].concat(),
    };
    addresses.iter().enumerate().rev().map(line).collect()
}

fn line(
    theme: &Theme,
    address: &Address,
    leaf: Option<&Leaf>,
    follows: &[bool],
    again: bool,
) -> String {
    let branch = branch(theme, follows);
    let (mark, role) = leaf.map_or((Mark::Unknown, Role::Warning), |leaf| look(leaf.condition));
    let words = words(leaf, again);
    let mark_width = theme.mark(mark).chars().count();
    let taken = branch.chars().count() + mark_width + 1;
    let name = harmless(&address.local.to_string());
    let wanted = name.chars().count()
        + if words.is_empty() {
            0
        } else {
            words.chars().count() + 2
        };
    let room = theme.columns().saturating_sub(taken);
    let (branch, mark) = (theme.paint(Role::Quiet, &branch), theme.marked(mark, role));
    if words.is_empty() || wanted <= room {
        let name = fit(&name, room.max(8));
        let words = match words.is_empty() {
            true => String::new(),
            false => format!("  {}", theme.paint(role, words)),
        };
        return format!("{branch}{mark} {name}{words}\n");
    }
    let name = fit(&name, room.max(8));
    let words = theme.wrapped(taken.min(theme.columns() / 2), &words);
    let words = theme.paint(role, words.trim_end_matches('\n'));
    format!("{branch}{mark} {name}\n{words}\n")
}

/// What is to be said besides the name; nothing when all is well.
fn words(leaf: Option<&Leaf>, again: bool) -> String {
    let mut words = Vec::new();
    match leaf {
        None => words.push("not in the state".to_owned()),
        Some(leaf) => {
            if let Some(because) = &leaf.because {
                words.push(format!("{}: {}", leaf.condition, one_line(because)));
            } else if leaf.condition != "Ready" {
                words.push(leaf.condition.to_owned());
            }
            match leaf.drifted {
                0 => {}
                1 => words.push("1 attribute drifted".to_owned()),
                many => words.push(format!("{many} attributes drifted")),
            }
        }
    }
    if again {
        words.push("(see above)".to_owned());
    }
    words.join(", ")
}

/// The lines that lead to a name. Where they would take half of the terminal, their number does.
fn branch(theme: &Theme, follows: &[bool]) -> String {
    let (pass, fork, end) = match theme.unicode {
        true => ("│  ", "├─ ", "└─ "),
        false => ("|  ", "|- ", "`- "),
    };
    let (last, above) = match follows.split_last() {
        Some((last, above)) => (*last, above),
        None => (false, [].as_slice()),
    };
    let turn = if last { fork } else { end };
    if follows.len().saturating_mul(3) > theme.columns() / 2 {
        return format!("{:>3} {turn}", follows.len());
    }
    let lead: String = above
        .iter()
        .map(|more| if *more { pass } else { "   " })
        .collect();
    format!("{lead}{turn}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str) -> Address {
        format!("e/local_file.{name}").parse().unwrap()
    }

    fn leaves(edges: &[(&str, &[&str])]) -> BTreeMap<Address, Leaf> {
        let leaf = |below: &[&str]| Leaf {
            condition: "Ready",
            because: None,
            drifted: 0,
            below: below.iter().map(|name| address(name)).collect(),
        };
        let all = edges
            .iter()
            .map(|(name, below)| (address(name), leaf(below)));
        all.collect()
    }

    #[test]
    fn what_stands_twice_is_drawn_out_once() {
        let mut leaves = leaves(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["b"]), ("d", &[])]);
        leaves.get_mut(&address("d")).unwrap().condition = "Unknown";
        leaves.get_mut(&address("d")).unwrap().because = Some("the answer\nwas lost".to_owned());
        leaves.get_mut(&address("c")).unwrap().drifted = 2;
        let expected = "\
`- ok local_file.a
   |- ok local_file.b
   |  `- ?? local_file.d  Unknown: the answer was lost
   `- ok local_file.c  2 attributes drifted
      `- ok local_file.b  (see above)
";
        assert_eq!(tree(&Theme::PLAIN, &[address("a")], &leaves), expected);
    }

    #[test]
    fn circles_end_and_deep_trees_stay_on_the_terminal() {
        let circle = leaves(&[("a", &["b"]), ("b", &["a"])]);
        assert_eq!(
            tree(&Theme::PLAIN, &[address("a")], &circle)
                .lines()
                .count(),
            3
        );

        let narrow = Theme {
            terminal: true,
            width: 40,
            unicode: true,
            ..Theme::PLAIN
        };
        let names: Vec<String> = (0..5_000).map(|n| format!("n{n}")).collect();
        let mut deep = leaves(&[]);
        for (at, name) in names.iter().enumerate() {
            let below: Vec<&str> = names.get(at + 1).map(String::as_str).into_iter().collect();
            deep.extend(leaves(&[(name, &below)]));
        }
        let text = tree(&narrow, &[address("n0")], &deep);
        assert_eq!(text.lines().count(), 5_000);
        assert!(
            text.lines().all(|line| line.chars().count() <= 40),
            "{text}"
        );
    }
}
