//! Nickel contracts made from the schemas of providers.
//!
//! They stay light: they fill in what a provider computes, so that plain field access is a
//! reference, and nothing else. The check of types, names and required attributes is done in Rust
//! on the result, where it costs little and every value still knows its line.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use stratum_core::ports::{AttributeSchema, ProviderSchema, TypeSchema, ValueType};
use stratum_core::value::Value;

/// The documentation that marks a field as filled in by the engine.
pub(crate) const MARK: &str = "filled in by stratum";

/// Fills every resource of one type; shared by all contracts.
const FILL: &str = r#"let fill = fun type make =>
  std.contract.custom (fun _label value =>
    'Ok (
      if std.is_record value then
        std.record.map
          (fun name resource =>
            if std.is_record resource then
              make (fun attribute => 'Ref { path = "%{type}.%{name}.%{attribute}" }) resource
            else
              resource
          )
          value
      else
        value
    )
  )
in
"#;

/// Lets a value that is not known yet, or a secret, stand where `Contract` is asked for.
const LATE: &str = r#"let late = fun Contract =>
  std.contract.custom (fun label value =>
    value
    |> match {
      'Ref _ => 'Ok value,
      'Fmt _ => 'Ok value,
      'Secret _ => 'Ok value,
      _ => std.contract.check Contract label value,
    }
  )
in
"#;

/// The contract that the engine adds to a file that names `words`; `None` when it names no type.
pub(crate) fn for_file(schemas: &[ProviderSchema], words: &BTreeSet<String>) -> Option<String> {
    let mut text = FILL.to_owned();
    text.push_str("{\n");
    let mut any = false;
    for schema in schemas {
        for (name, r#type) in schema
            .types
            .iter()
            .filter(|(name, _)| words.contains(name.as_str()))
        {
            let make = filled(r#type);
            if !make.is_empty() {
                any = true;
                let _infallible =
                    writeln!(text, "  {name} | optional | (fill \"{name}\" ({make})),");
            }
        }
    }
    text.push_str("  ..\n}\n");
    any.then_some(text)
}

/// The file `provider/<name>.ncl`: one contract for each type, and `Stack` for a whole file.
///
/// *Guarantees*: the same schema gives the same text, so that a copy in a repository or in
/// `schemas/` can be compared with it.
pub fn provider_file(schema: &ProviderSchema) -> String {
    let mut text = format!(
        "# Contracts of the provider `{}` {}. Made from its schema; do not edit.\n",
        schema.provider, schema.version
    );
    text.push_str("# For editors and annotations; the engine applies them without being asked.\n");
    text.push_str(FILL);
    text.push_str(LATE);
    text.push_str("{\n");
    for (name, r#type) in &schema.types {
        let _infallible = writeln!(text, "  {name} | doc {} = {{", literal_text(&r#type.doc));
        attributes(&mut text, &r#type.attributes, 4);
        text.push_str("    meta | optional,\n  },\n\n");
    }
    text.push_str(
        "  Stack\n    | doc \"The contract of a file with resources of this provider.\"\n    = {\n",
    );
    for (name, r#type) in &schema.types {
        let make = filled(r#type);
        let contract = if make.is_empty() {
            String::new()
        } else {
            format!(" | (fill \"{name}\" ({make}))")
        };
        let _infallible = writeln!(text, "      {name} | {{ _ : Dyn }}{contract} | optional,");
    }
    text.push_str("      ..\n    },\n}\n");
    text
}

/// The function that adds what is there without being written: computed attributes and defaults.
///
/// What a person may give is added only where it is not given, so that it never meets a `default`
/// of theirs; in the usual case, none given, that is one merge.
fn filled(r#type: &TypeSchema) -> String {
    let mut given = Vec::new();
    let mut optional = Vec::new();
    let mut computed = Vec::new();
    for (name, attribute) in &r#type.attributes {
        let value = match &attribute.default {
            Some(value) => literal(value),
            None if attribute.computed => Some(format!("ref {}", literal_text(name))),
            None => None,
        };
        let Some(value) = value else {
            continue;
        };
        let name = field_name(name);
        let field = format!("{name} | not_exported | doc \"{MARK}\" | default = {value}");
        if attribute.settable {
            let has = format!("%record/has_field% {name} resource");
            optional.push(format!("(if {has} then {{}} else {{ {field} }})"));
            given.push(has);
            computed.push((true, field));
        } else {
            computed.push((false, field));
        }
    }
    let join = |all: bool| -> String {
        let fields = computed.iter().filter(|(settable, _)| all || !settable);
        fields
            .map(|(_, field)| field.clone())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let every = format!("{{ {} }} & resource", join(true));
    let body = match (given.is_empty(), computed.is_empty()) {
        (_, true) => return String::new(),
        (true, false) => every,
        (false, false) => {
            let mut parts = vec![format!("{{ {} }}", join(false))];
            if given.len() > 1 {
                parts.append(&mut optional);
            }
            let (given, parts) = (given.join(" || "), parts.join(" & "));
            format!("if {given} then {parts} & resource else {every}")
        }
    };
    format!("fun ref resource => {body}")
}

fn attributes(
    text: &mut String,
    attributes: &std::collections::BTreeMap<String, AttributeSchema>,
    indent: usize,
) {
    for (name, attribute) in attributes
        .iter()
        .filter(|(_, attribute)| attribute.settable)
    {
        let contract = contract(&attribute.r#type);
        let optional = if attribute.required {
            ""
        } else {
            " | optional"
        };
        let _infallible = writeln!(
            text,
            "{:indent$}{} | {contract} | doc {}{optional},",
            "",
            field_name(name),
            literal_text(&attribute.doc)
        );
    }
}

/// The contract of a type, for people and editors; the engine's own check is in Rust.
fn contract(r#type: &ValueType) -> String {
    match r#type {
        ValueType::Any | ValueType::Object(_) => "Dyn".to_owned(),
        ValueType::Text | ValueType::Duration => "(late String)".to_owned(),
        ValueType::Choice(texts) => {
            let tags: Vec<String> = texts
                .iter()
                .map(|text| format!("'{}", field_name(text)))
                .collect();
            format!("(late [| {} |])", tags.join(", "))
        }
        ValueType::Number | ValueType::Integer => "(late Number)".to_owned(),
        ValueType::Bool => "(late Bool)".to_owned(),
        ValueType::List(items) | ValueType::Set(items) => {
            format!("(late (Array {}))", contract(items))
        }
        ValueType::Map(values) => format!("(late {{ _ | {} }})", contract(values)),
    }
}

/// A value as Nickel; `None` for what is not data.
fn literal(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => literal_text(text),
        Value::Typed(typed) => literal(&typed.value)?,
        Value::List(items) | Value::Set(items) => {
            let items: Option<Vec<String>> = items.iter().map(literal).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Record(record) => {
            let fields: Option<Vec<String>> = record
                .iter()
                .map(|(key, value)| Some(format!("{} = {}", field_name(key), literal(value)?)))
                .collect();
            format!("{{ {} }}", fields?.join(", "))
        }
        Value::Unknown | Value::Reference(_) | Value::Join(_) | Value::Secret(_) => return None,
    })
}

fn literal_text(text: &str) -> String {
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            '%' => literal.push_str("\\%"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            other => literal.push(other),
        }
    }
    literal.push('"');
    literal
}

/// A name as it stands in a record: quoted, since it may be a word of the language.
fn field_name(name: &str) -> String {
    literal_text(name)
}

#[cfg(test)]
mod tests {
    use crate::evaluate::in_process;
    use crate::memory::MemoryTree;

    /// The copy in `schemas/` is what `stratum-load` makes of the schema of the provider `local`;
    /// here it is read, and a test of the program compares it with the provider.
    #[test]
    fn the_contracts_of_local_are_sound() {
        let local = include_str!("../../../schemas/local.ncl");
        let good = "let l = import \"local.ncl\" in {\n\
            local_service | { _ | l.local_service } = { web = { command = [\"a\"], restart = 'always,\n\
            env = { X = 'Ref { path = \"local_data.d.id\" } } } },\n\
            local_data.d = { input = local_service.web.started_at } } | l.Stack";
        let bad =
            "let l = import \"local.ncl\" in {\n x | l.local_file = { path = 5, content = \"\" } }";
        let found = |text: &str| {
            let tree = MemoryTree::new([("a.ncl", text), ("local.ncl", local)]);
            let findings = in_process(&tree).file("a.ncl").unwrap().findings;
            findings
                .into_iter()
                .map(|f| (f.code.0, f.source.unwrap().line))
                .collect::<Vec<_>>()
        };
        assert_eq!(found(good), vec![]);
        assert_eq!(found(bad), vec![("STR0203".to_owned(), 2)]);
    }
}
