//! YAML with places, read with small budgets: these files may be hostile.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Options, Spanned};
use stratum_core::source::Source;
use stratum_core::value::Path;

use super::Document;

/// Why a text is not YAML that stratum reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// One sentence.
    pub(crate) message: String,
    /// Where.
    pub(crate) source: Source,
}

/// Reads one YAML document that starts after `skipped` lines of `file`.
///
/// *Guarantees*: anchors, aliases, merge keys, duplicate keys, several documents and keys that are
/// not texts are refused, so that the text says what it looks like.
pub(crate) fn yaml(file: &str, text: &str, skipped: u32) -> Result<Document, Fault> {
    let source = |location: Location| {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        Source::new(
            file,
            skipped.saturating_add(number(location.line())),
            number(location.column()),
        )
    };
    let read = serde_saphyr::from_str_with_options::<Spanned<Data>>(text, options());
    let data = read.map_err(|error| {
        let first = Location::UNKNOWN;
        Fault {
            message: message(&error),
            source: source(error.location().unwrap_or(first)),
        }
    })?;
    let mut document = Document::new(Source::new(file, skipped + 1, 1));
    document.root = document.place(data, &Path::default(), &source);
    Ok(document)
}

/// Reads YAML as `T`; the line where it cannot be, without what stands there.
pub(crate) fn yaml_as<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Option<usize>> {
    let read = serde_saphyr::from_str_with_options::<T>(text, options());
    read.map_err(|error| {
        let line = error.location().map(|location| location.line());
        line.and_then(|line| usize::try_from(line).ok())
    })
}

fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_aliases: 0,
        max_anchors: 0,
        max_merge_keys: 0,
        max_documents: 1,
        max_depth: 16,
        max_nodes: 20_000,
        max_events: 60_000,
    };
    serde_saphyr::options! { budget: budget, strict_booleans: true }
}

fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    let end = line.find(" at line ").unwrap_or(line.len());
    line.get(..end)
        .unwrap_or(line)
        .trim_end_matches(['.', ':'])
        .to_owned()
}

/// A value with its parts, each with its place.
enum Data {
    Scalar(Value),
    List(Vec<Spanned<Data>>),
    Record(Vec<(Spanned<String>, Spanned<Data>)>),
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Data, E> {
        Ok(Data::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Data, D::Error> {
        Data::deserialize(deserializer)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Data, E> {
        Ok(Data::Scalar(truth.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Data, E> {
        Ok(Data::Scalar(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Data, E> {
        Ok(Data::Scalar(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Data, E> {
        Ok(Data::Scalar(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Data, E> {
        Ok(Data::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Data, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Data::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Data, A::Error> {
        let mut record = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            record.push(entry);
        }
        Ok(Data::Record(record))
    }
}

impl Document {
    fn place(
        &mut self,
        data: Spanned<Data>,
        path: &Path,
        source: &impl Fn(Location) -> Source,
    ) -> Value {
        self.values.insert(path.clone(), source(data.referenced));
        match data.value {
            Data::Scalar(value) => value,
            Data::List(items) => {
                let items = items.into_iter().enumerate();
                Value::Array(
                    items
                        .map(|(n, item)| self.place(item, &path.index(n), source))
                        .collect(),
                )
            }
            Data::Record(entries) => {
                let mut record = serde_json::Map::new();
                for (key, value) in entries {
                    let path = path.key(&key.value);
                    self.keys.insert(path.clone(), source(key.referenced));
                    let value = self.place(value, &path, source);
                    record.insert(key.value, value);
                }
                Value::Object(record)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_keys_know_their_place() {
        let text = "id: a\nlist:\n  - { type: x, to: 7 }\nno: ~\n";
        let document = yaml("k.md", text, 1).unwrap();
        let root = document.root();
        let item = root.get("list").unwrap().items().next().unwrap();
        assert_eq!(item.source(), Source::new("k.md", 4, 5));
        assert_eq!(item.get("to").unwrap().source(), Source::new("k.md", 4, 20));
        assert_eq!(item.key_source("to"), Source::new("k.md", 4, 16));
        assert_eq!(root.key_source("no"), Source::new("k.md", 5, 1));
        assert!(root.get("no").is_none());
    }

    #[test]
    fn dates_stay_texts_and_numbers_numbers() {
        let document = yaml("k.md", "date: 2026-11-23\nn: 50\nv: 1.5\n", 0).unwrap();
        let expected = serde_json::json!({ "date": "2026-11-23", "n": 50, "v": 1.5 });
        assert_eq!(document.root().value, &expected);
    }

    #[test]
    fn what_hides_its_meaning_is_refused_with_its_place() {
        let place = |text: &str| yaml("k.md", text, 0).unwrap_err().source.to_string();
        assert_eq!(place("a: 1\na: 2\n"), "k.md:2:1");
        assert_eq!(place("a: &x 1\nb: *x\n"), "k.md:1:7");
        assert_eq!(place("a: [1\nb: 2\n"), "k.md:2:2");
        assert_eq!(place("a: 1\n---\nb: 2\n").split(':').next(), Some("k.md"));
    }
}
