//! Short ways to write down the schema of a type, and to read attributes.

use std::collections::BTreeMap;

use stratum_core::ports::{AttributeSchema, Diagnostic, Severity, TypeSchema, ValueType};
use stratum_core::value::{Path, Record, Value};

/// An attribute that a person may give.
pub(crate) fn optional(doc: &str, r#type: ValueType) -> AttributeSchema {
    AttributeSchema {
        doc: doc.to_owned(),
        r#type,
        required: false,
        computed: false,
        settable: true,
        sensitive: false,
        sealed: false,
        write_only: false,
        replaces: false,
        default: None,
    }
}

/// An attribute that a person must give.
pub(crate) fn required(doc: &str, r#type: ValueType) -> AttributeSchema {
    AttributeSchema {
        required: true,
        ..optional(doc, r#type)
    }
}

/// An attribute that only the provider sets.
pub(crate) fn computed(doc: &str, r#type: ValueType) -> AttributeSchema {
    AttributeSchema {
        computed: true,
        settable: false,
        ..optional(doc, r#type)
    }
}

/// The same attribute, whose change replaces the resource.
pub(crate) fn replacing(attribute: AttributeSchema) -> AttributeSchema {
    AttributeSchema {
        replaces: true,
        ..attribute
    }
}

/// The same attribute, with the value that holds when it is not given.
pub(crate) fn defaulting(attribute: AttributeSchema, value: &str) -> AttributeSchema {
    AttributeSchema {
        default: Some(Value::text(value)),
        ..attribute
    }
}

/// Names the attributes.
pub(crate) fn attributes<const N: usize>(
    list: [(&str, AttributeSchema); N],
) -> BTreeMap<String, AttributeSchema> {
    list.into_iter()
        .map(|(name, attribute)| (name.to_owned(), attribute))
        .collect()
}

/// `desired` with the default of every attribute that is not given.
pub(crate) fn with_defaults(schema: &TypeSchema, desired: &Record) -> Record {
    let mut record = desired.clone();
    for (name, attribute) in &schema.attributes {
        if let (None, Some(default)) = (record.get(name), &attribute.default) {
            record.insert(name.clone(), default.clone());
        }
    }
    record
}

/// The text of an attribute; `None` when it is absent, null or not text.
pub(crate) fn text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.get(name).and_then(Value::as_text)
}

/// The texts of a list; `None` when it is absent, or something in it is not text.
pub(crate) fn texts(record: &Record, name: &str) -> Option<Vec<String>> {
    match record.get(name) {
        Some(Value::List(items)) => items
            .iter()
            .map(|item| item.as_text().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// The texts of a record by key; empty when it is absent. Numbers and truths are written out.
pub(crate) fn text_map(record: &Record, name: &str) -> BTreeMap<String, String> {
    let entries = record.get(name).and_then(Value::as_record);
    entries
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.plain()?)))
        .collect()
}

/// Whether an attribute is given, and not null.
pub(crate) fn given(record: &Record, name: &str) -> bool {
    !matches!(record.get(name), None | Some(Value::Null))
}

/// Whether an attribute has the same value in both records; absent is null.
pub(crate) fn same(a: &Record, b: &Record, name: &str) -> bool {
    a.get(name).unwrap_or(&Value::Null) == b.get(name).unwrap_or(&Value::Null)
}

/// The first attribute that a person gave and that is not known, with a sentence why it cannot be
/// used.
pub(crate) fn unusable(schema: &TypeSchema, record: &Record) -> Option<String> {
    let computed = |name| schema.attributes.get(name).is_some_and(|a| !a.settable);
    let mut given = record.iter().filter(|(name, _)| !computed(*name));
    let (name, _) = given.find(|(_, value)| !value.is_known())?;
    Some(format!("`{name}` is not known"))
}

/// A complaint about each attribute that names a secret and is not one of `allowed`.
pub(crate) fn complain_about_secrets(record: &Record, allowed: &[&str]) -> Vec<Diagnostic> {
    let wrong = record
        .iter()
        .filter(|(name, value)| value.holds_secret() && !allowed.contains(&name.as_str()));
    let hint = match allowed {
        [] => "this type takes none".to_owned(),
        names => format!("secrets may stand in `{}`", names.join("`, `")),
    };
    wrong
        .map(|(name, _)| {
            let message = format!("`{name}` names a secret, and would show it");
            complaint(Path::of(name), message, &hint)
        })
        .collect()
}

/// A complaint about one attribute.
pub(crate) fn complaint(path: Path, message: impl Into<String>, hint: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        path,
        message: message.into(),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    }
}

/// Complains about a list that is given but names no program.
pub(crate) fn complain_about_command(record: &Record, name: &str) -> Option<Diagnostic> {
    let Some(Value::List(items)) = record.get(name) else {
        return None;
    };
    let empty = match items.first() {
        None => true,
        Some(Value::Text(program)) => program.is_empty(),
        Some(_) => false,
    };
    empty.then(|| {
        complaint(
            Path::of(name),
            format!("`{name}` names no program"),
            "write the program and its arguments, for example `[\"sh\", \"-c\", \"date\"]`",
        )
    })
}

/// Complains about a duration that does not parse.
pub(crate) fn complain_about_duration(record: &Record, name: &str) -> Option<Diagnostic> {
    let error = stratum_core::duration::parse(text(record, name)?).err()?;
    Some(complaint(Path::of(name), error, ""))
}
