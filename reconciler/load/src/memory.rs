//! A tree in memory, for tests.

use std::collections::BTreeMap;

use stratum_core::digest::Digest;
use stratum_core::ids::ObjectId;
use stratum_core::ports::{Tree, TreeEntry, TreeError, TreeKind};

/// Files by path; a folder is there when a file lies in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryTree {
    files: BTreeMap<String, (TreeKind, Vec<u8>)>,
}

impl MemoryTree {
    /// A tree of regular files.
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let file = |(path, text): (&str, &str)| {
            (path.to_owned(), (TreeKind::File, text.as_bytes().to_vec()))
        };
        Self {
            files: files.into_iter().map(file).collect(),
        }
    }

    /// The same with one more entry.
    pub(crate) fn with(mut self, path: &str, kind: TreeKind, bytes: &[u8]) -> Self {
        self.files.insert(path.to_owned(), (kind, bytes.to_vec()));
        self
    }

    fn below<'a>(
        &'a self,
        folder: &str,
    ) -> impl Iterator<Item = (&'a str, &'a (TreeKind, Vec<u8>))> {
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        self.files
            .iter()
            .filter_map(move |(path, file)| path.strip_prefix(&prefix).map(|rest| (rest, file)))
    }

    fn at(&self, path: &str) -> Option<(TreeKind, ObjectId)> {
        if let Some((kind, bytes)) = self.files.get(path) {
            return Some((*kind, id(&Digest::of_bytes(bytes))));
        }
        let inside: Vec<_> = self
            .below(path)
            .map(|(path, (_, bytes))| (path, bytes))
            .collect();
        (!inside.is_empty()).then(|| (TreeKind::Folder, id(&Digest::of_json(&inside))))
    }
}

fn id(digest: &Digest) -> ObjectId {
    ObjectId::new(digest.to_string()).unwrap()
}

impl Tree for MemoryTree {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, TreeError> {
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        Ok(self.at(path).map(|(kind, id)| TreeEntry { name, kind, id }))
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let mut names: Vec<String> = self
            .below(path)
            .map(|(rest, _)| rest.split('/').next().unwrap_or(rest).to_owned())
            .collect();
        names.dedup();
        let join = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}/{name}")
            }
        };
        Ok(names
            .into_iter()
            .filter_map(|name| {
                let (kind, id) = self.at(&join(&name))?;
                Some(TreeEntry { name, kind, id })
            })
            .collect())
    }

    fn blob(&self, id_: &ObjectId, path: &str) -> Result<Vec<u8>, TreeError> {
        self.files
            .values()
            .find(|(_, bytes)| id(&Digest::of_bytes(bytes)) == *id_)
            .map(|(_, bytes)| bytes.clone())
            .ok_or_else(|| TreeError::Read {
                path: path.to_owned(),
                source: "no such blob".into(),
            })
    }
}

/// A cache that forgets everything.
pub(crate) struct Forgetful;

impl stratum_core::ports::EvaluationCache for Forgetful {
    fn get(&self, _key: &str) -> Option<Vec<u8>> {
        None
    }

    fn put(&self, _key: &str, _value: &[u8]) {}
}

/// A few types like those of the provider `local`.
pub(crate) fn local_schema() -> stratum_core::ports::ProviderSchema {
    use stratum_core::ids::{ProviderName, TypeName};
    use stratum_core::ports::{AttributeSchema, Effect, ProviderSchema, TypeSchema, ValueType};
    let plain = |r#type: ValueType| AttributeSchema {
        doc: "Where.".to_owned(),
        r#type,
        required: false,
        computed: false,
        settable: true,
        sensitive: false,
        sealed: false,
        write_only: false,
        replaces: false,
        default: None,
    };
    let computed = |r#type| AttributeSchema {
        computed: true,
        settable: false,
        ..plain(r#type)
    };
    let needed = |r#type| AttributeSchema {
        required: true,
        ..plain(r#type)
    };
    let mode = AttributeSchema {
        default: Some(stratum_core::value::Value::text("0644")),
        ..plain(ValueType::Text)
    };
    let kind = |place: Option<&str>, attributes: Vec<(&str, AttributeSchema)>| TypeSchema {
        doc: "A thing.".to_owned(),
        version: 1,
        effect: Effect::World,
        place: place.map(str::to_owned),
        twice: false,
        reads: false,
        timeouts: Default::default(),
        attributes: attributes
            .into_iter()
            .map(|(n, a)| (n.to_owned(), a))
            .collect(),
    };
    let file = vec![
        ("path", needed(ValueType::Text)),
        ("content", plain(ValueType::Text)),
        ("mode", mode),
        ("sha256", computed(ValueType::Text)),
        ("bytes", computed(ValueType::Integer)),
    ];
    let data = vec![
        ("input", plain(ValueType::Any)),
        ("id", computed(ValueType::Text)),
    ];
    let types = [
        ("local_file", kind(Some("path"), file)),
        (
            "local_directory",
            kind(Some("path"), vec![("path", needed(ValueType::Text))]),
        ),
        ("local_data", kind(None, data)),
    ];
    ProviderSchema {
        provider: ProviderName::new("local").unwrap(),
        version: "1".to_owned(),
        types: types
            .into_iter()
            .map(|(n, t)| (TypeName::new(n).unwrap(), t))
            .collect(),
    }
}
