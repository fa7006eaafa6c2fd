//! The form of a form: keys, types, names from lists.

use stratum_core::finding::{Finding, codes};
use stratum_core::kinds::form::FieldKind;
use stratum_core::source::Source;

use crate::document::Item;
use crate::expression::is_name;
use crate::shape::Shape;

const REQUIRED: [&str; 7] = [
    "schema", "id", "title", "output", "answers", "page", "field",
];
const FIELD: [&str; 17] = [
    "page",
    "help",
    "placeholder",
    "required",
    "immutable",
    "default",
    "pattern",
    "min",
    "max",
    "when",
    "choices",
    "seal",
    "confirm",
    "fields",
    "expression",
    "kind",
    "label",
];

/// Looks at the whole form.
pub(super) fn form(root: &Item<'_>, findings: &mut Vec<Finding>) {
    let mut shape = Shape::new(&codes::FORM_SHAPE, findings);
    shape.keys(root, "form", &REQUIRED, &["description", "check"]);
    if let Some(version) = shape
        .whole(root, "schema", 1)
        .filter(|version| *version != 1)
    {
        let message = format!("forms of schema {version} are not known");
        shape.error(
            source(root, "schema"),
            message,
            Some("write `schema = 1`".to_owned()),
        );
    }
    if let Some((id, text)) = shape.text(root, "id") {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !text.chars().all(letters) || text.len() > 128 {
            shape.wrong(&id, "id", "letters, digits, `-` and `_`");
        }
    }
    for key in ["title", "description"] {
        words(&mut shape, root, key);
    }
    place(&mut shape, root, "answers");
    if let Some(output) = shape.record(root, "output", &["path", "module"], &[]) {
        place(&mut shape, &output, "path");
        shape.text(&output, "module");
    }
    for page in shape.list(root, "page") {
        if shape.keys(&page, "page", &["id", "title"], &["when"]) {
            shape.text(&page, "id");
            words(&mut shape, &page, "title");
            shape.text(&page, "when");
        }
    }
    for item in shape.list(root, "field") {
        field(&mut shape, &item, 0);
    }
    for check in shape.list(root, "check") {
        if shape.keys(&check, "check", &["when", "message"], &["fields"]) {
            shape.text(&check, "when");
            words(&mut shape, &check, "message");
            shape.texts(&check, "fields");
        }
    }
}

fn source(item: &Item<'_>, key: &str) -> Source {
    item.get(key)
        .map_or_else(|| item.source(), |value| value.source())
}

/// Text for people: plain, or `{ fluent = "id" }`.
fn words(shape: &mut Shape<'_>, item: &Item<'_>, key: &str) {
    let Some(value) = item.get(key) else {
        return;
    };
    if value.value.is_object() {
        shape.keys(&value, &format!("`{key}`"), &["fluent"], &[]);
        shape.text(&value, "fluent");
    } else {
        shape.text(item, key);
    }
}

/// A path in the repository, which may be a template.
fn place(shape: &mut Shape<'_>, item: &Item<'_>, key: &str) {
    if let Some((value, text)) = shape.text(item, key)
        && (text.starts_with('/') || text.split('/').any(|part| part == ".."))
    {
        let message = format!("`{key}` leads out of the repository");
        let hint = "a path from the top of the repository, without `..`".to_owned();
        shape.error(value.source(), message, Some(hint));
    }
}

fn field(shape: &mut Shape<'_>, field: &Item<'_>, depth: u8) {
    if !shape.keys(field, "field", &["id", "kind", "label"], &FIELD) {
        return;
    }
    if let Some((id, text)) = shape.text(field, "id")
        && !is_name(text)
    {
        let message = format!("`{text}` cannot be a field id: expressions name it");
        let hint = format!(
            "letters, digits and `_`: `{}`",
            text.replace(['-', ' ', '.'], "_")
        );
        shape.error(id.source(), message, Some(hint));
    }
    let kind = shape
        .one_of(field, "kind", &FieldKind::NAMES)
        .unwrap_or_default();
    for key in ["label", "help", "placeholder"] {
        words(shape, field, key);
    }
    for key in ["required", "immutable", "confirm"] {
        shape.truth(field, key);
    }
    for key in ["page", "pattern", "when", "expression"] {
        shape.text(field, key);
    }
    if let Some(seal) = shape.record(field, "seal", &["path", "key"], &[]) {
        place(shape, &seal, "path");
        shape.text(&seal, "key");
    }
    default(shape, field, kind);
    bounds(shape, field);
    choices(shape, field);
    for inner in shape.list(field, "fields") {
        if depth < 8 {
            self::field(shape, &inner, depth + 1);
        }
    }
}

/// Whether the default is an answer that the kind takes, or a template.
fn default(shape: &mut Shape<'_>, field: &Item<'_>, kind: &str) {
    let Some(default) = field.get("default") else {
        return;
    };
    let value = default.value;
    let template = value.as_str().is_some_and(|text| text.contains("{{"));
    let (fits, wanted) = match kind {
        "bool" => (value.is_boolean(), "true or false"),
        "int" => (value.is_i64(), "a whole number"),
        "float" => (value.is_number(), "a number"),
        "multiselect" | "list" => (value.is_array(), "a list"),
        "select" => (!value.is_array() && !value.is_object(), "one choice"),
        _ => (value.is_string(), "a text"),
    };
    if !fits && !template {
        shape.wrong(&default, "default", wanted);
    }
}

fn bounds(shape: &mut Shape<'_>, field: &Item<'_>) {
    for key in ["min", "max"] {
        if let Some(value) = field.get(key).filter(|value| !value.value.is_number()) {
            shape.wrong(&value, key, "a number");
        }
    }
    let number = |key: &str| field.get(key)?.value.as_f64();
    if let (Some(min), Some(max)) = (number("min"), number("max"))
        && min > max
    {
        let hint = "exchange `min` and `max`".to_owned();
        shape.error(
            source(field, "min"),
            "`min` is greater than `max`".to_owned(),
            Some(hint),
        );
    }
}

/// The form of `choices`: a list, or where they come from.
fn choices(shape: &mut Shape<'_>, field: &Item<'_>) {
    let Some(choices) = field.get("choices") else {
        return;
    };
    if choices.value.is_object() {
        if shape.keys(&choices, "`choices`", &["from"], &["where"]) {
            shape.text(&choices, "from");
            shape.text(&choices, "where");
        }
        return;
    }
    let items = shape.list(field, "choices");
    if items.is_empty() && choices.value.is_array() {
        let hint = "write at least one choice".to_owned();
        shape.error(
            choices.source(),
            "`choices` is empty".to_owned(),
            Some(hint),
        );
    }
    for item in items {
        if item.value.is_object() {
            shape.keys(&item, "choice", &["value", "label"], &[]);
            words(shape, &item, "label");
        } else if item.value.is_array() {
            shape.wrong(
                &item,
                "choices",
                "texts, numbers, or records with `value` and `label`",
            );
        }
    }
}
