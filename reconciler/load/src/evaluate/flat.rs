//! Values as a flat list, so that reading what a child sends needs no recursion in the parser.

use serde::{Deserialize, Serialize};

use super::node::{Datum, Field, Node, Place};

/// The deepest nesting of a value.
pub(crate) const DEEPEST: usize = 100;

/// One value; those in it follow, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item(Place, Head, #[serde(default)] Option<(String, Place)>);

/// A value without those in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Head {
    #[serde(rename = "0")]
    Null,
    #[serde(rename = "h")]
    Hole,
    #[serde(rename = "b")]
    Bool(bool),
    #[serde(rename = "n")]
    Number(serde_json::Number),
    #[serde(rename = "t")]
    Text(String),
    #[serde(rename = "l")]
    List(usize),
    #[serde(rename = "r")]
    Record(usize),
    #[serde(rename = "f")]
    Reference(String),
    #[serde(rename = "j")]
    Join(usize),
    #[serde(rename = "s")]
    Secret(String, String),
}

/// Writes `node` and what is in it to the end of `items`.
pub(crate) fn flatten(node: Node, name: Option<(String, Place)>, items: &mut Vec<Item>) {
    let Node(place, datum) = node;
    let mut children = Vec::new();
    let mut fields = Vec::new();
    let head = match datum {
        Datum::Null => Head::Null,
        Datum::Hole => Head::Hole,
        Datum::Bool(truth) => Head::Bool(truth),
        Datum::Number(number) => Head::Number(number),
        Datum::Text(text) => Head::Text(text),
        Datum::Reference(text) => Head::Reference(text),
        Datum::Secret(path, key) => Head::Secret(path, key),
        Datum::List(list) => {
            children = list;
            Head::List(children.len())
        }
        Datum::Join(list) => {
            children = list;
            Head::Join(children.len())
        }
        Datum::Record(record) => {
            fields = record;
            Head::Record(fields.len())
        }
    };
    items.push(Item(place, head, name));
    children
        .into_iter()
        .for_each(|child| flatten(child, None, items));
    for Field(name, place, child) in fields {
        flatten(child, Some((name, place)), items);
    }
}

/// Reads the next value of `items`; `None` when it is not whole or too deep.
pub(crate) fn gather(items: &mut impl Iterator<Item = Item>) -> Option<Node> {
    gather_below(items, DEEPEST).map(|(node, _)| node)
}

type Named = (Node, Option<(String, Place)>);

fn gather_below(items: &mut impl Iterator<Item = Item>, depth: usize) -> Option<Named> {
    let Item(place, head, name) = items.next()?;
    let below = depth.checked_sub(1)?;
    let mut list = |count: usize| {
        (0..count)
            .map(|_| gather_below(items, below).map(|(node, _)| node))
            .collect::<Option<_>>()
    };
    let datum = match head {
        Head::Null => Datum::Null,
        Head::Hole => Datum::Hole,
        Head::Bool(truth) => Datum::Bool(truth),
        Head::Number(number) => Datum::Number(number),
        Head::Text(text) => Datum::Text(text),
        Head::Reference(text) => Datum::Reference(text),
        Head::Secret(path, key) => Datum::Secret(path, key),
        Head::List(count) => Datum::List(list(count)?),
        Head::Join(count) => Datum::Join(list(count)?),
        Head::Record(count) => Datum::Record(
            (0..count)
                .map(|_| {
                    let (node, name) = gather_below(items, below)?;
                    let (name, place) = name?;
                    Some(Field(name, place, node))
                })
                .collect::<Option<_>>()?,
        ),
    };
    Some((Node(place, datum), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Node {
        let leaf = Node(Some((0, 1, 2)), Datum::Text("x".to_owned()));
        (0..depth).fold(leaf, |node, _| {
            Node(
                None,
                Datum::Record(vec![Field("a".to_owned(), Some((0, 3, 4)), node)]),
            )
        })
    }

    #[test]
    fn what_is_flattened_is_gathered_again() {
        let node = Node(
            None,
            Datum::List(vec![nested(2), Node(None, Datum::Null), nested(0)]),
        );
        let mut items = Vec::new();
        flatten(node.clone(), None, &mut items);
        let bytes = serde_json::to_vec(&items).unwrap();
        let read: Vec<Item> = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(gather(&mut read.into_iter()), Some(node));
    }

    #[test]
    fn too_deep_and_torn_values_are_refused() {
        for (node, cut) in [(nested(DEEPEST + 1), 0), (nested(3), 1)] {
            let mut items = Vec::new();
            flatten(node, None, &mut items);
            items.truncate(items.len() - cut);
            assert_eq!(gather(&mut items.into_iter()), None);
        }
    }
}
