//! A person's file as JSON with the place of every value and key, whatever it was written in.

mod lines;
mod toml;
mod yaml;

use std::collections::BTreeMap;

use serde_json::Value;
use stratum_core::source::Source;
use stratum_core::value::Path;

pub(crate) use lines::Lines;
pub(crate) use toml::toml;
pub(crate) use yaml::{yaml, yaml_as};

use crate::evaluate::Evaluated;

/// A person's file as JSON with places.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    root: Value,
    values: BTreeMap<Path, Source>,
    keys: BTreeMap<Path, Source>,
    start: Source,
}

impl Document {
    /// A document whose content starts at `start`.
    fn new(start: Source) -> Self {
        let values = BTreeMap::from([(Path::default(), start.clone())]);
        Self {
            root: Value::Null,
            values,
            keys: BTreeMap::new(),
            start,
        }
    }

    /// The result of evaluating `file`; `None` when there is no value.
    pub(crate) fn evaluated(file: &str, evaluated: &Evaluated) -> Option<Self> {
        let mut document = Self::new(Source::start_of(file));
        document.root = evaluated.value.clone()?;
        document.values.extend(evaluated.sources.clone());
        Some(document)
    }

    /// The whole.
    pub(crate) fn root(&self) -> Item<'_> {
        Item {
            document: self,
            path: Path::default(),
            value: &self.root,
        }
    }

    /// Where the value at `path` stands, or the nearest value around it.
    pub(crate) fn source(&self, path: &Path) -> Source {
        let mut text = path.0.as_str();
        loop {
            if let Some(source) = self.values.get(&Path(text.to_owned())) {
                return source.clone();
            }
            match text.rfind(['.', '[']) {
                Some(end) => text = text.get(..end).unwrap_or_default(),
                None if text.is_empty() => return self.start.clone(),
                None => text = "",
            }
        }
    }
}

/// A value of a document.
#[derive(Debug, Clone)]
pub(crate) struct Item<'a> {
    document: &'a Document,
    /// Where it is in the document.
    pub(crate) path: Path,
    /// What it is.
    pub(crate) value: &'a Value,
}

impl<'a> Item<'a> {
    /// Where it stands in the file.
    pub(crate) fn source(&self) -> Source {
        self.document.source(&self.path)
    }

    /// Where the key `key` of this record stands, or its value.
    pub(crate) fn key_source(&self, key: &str) -> Source {
        let path = self.path.key(key);
        let source = self.document.keys.get(&path).cloned();
        source.unwrap_or_else(|| self.document.source(&path))
    }

    /// The value of `key`; a null is as good as nothing.
    pub(crate) fn get(&self, key: &str) -> Option<Item<'a>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Item {
            document: self.document,
            path: self.path.key(key),
            value,
        })
    }

    /// The keys and values of a record.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Item<'a>)> + use<'a> {
        let (document, path) = (self.document, self.path.clone());
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(move |(key, value)| {
            (
                key.as_str(),
                Item {
                    document,
                    path: path.key(key),
                    value,
                },
            )
        })
    }

    /// The values of a list.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let (document, path) = (self.document, self.path.clone());
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(move |(index, value)| Item {
            document,
            path: path.index(index),
            value,
        })
    }

    /// The text of `key`, if it is one.
    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.value.as_str()
    }

    /// This value as a type of `core`; `None` when its form is wrong, which [`crate::shape`] says.
    pub(crate) fn typed<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(self.value).ok()
    }
}

/// Line and column of byte `offset` of `text`; for one place. Many places want [`Lines`].
pub(crate) fn place(file: &str, text: &str, offset: usize) -> Source {
    Lines::of(text).place(file, offset)
}
