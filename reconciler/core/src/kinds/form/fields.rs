//! Fields of a form: ids, pages, and what each kind needs.

use crate::finding::codes;
use crate::kinds::Problem;
use crate::kinds::form::{Field, FieldKind};
use crate::kinds::problem::repeated;
use crate::suggest;
use crate::value::Path;

/// A field, with where it stands.
#[derive(Debug, Clone)]
pub struct PlacedField {
    /// `field[0]`, `field[2].fields[1]` and so on.
    pub path: Path,
    /// The field.
    pub field: Field,
    /// Whether it is part of a group.
    pub grouped: bool,
}

/// Fields that repeat an id, name an unknown page, or lack what their kind needs.
///
/// *Shape*: `ids` has the id and place of every field, also of those that could not be read; ids
/// are unique in the whole form, groups included. `pages` has the ids of the pages.
pub fn fields(fields: &[PlacedField], ids: &[(String, Path)], pages: &[String]) -> Vec<Problem> {
    let mut problems = repeated("field", &codes::FORM_FIELD, ids);
    for placed in fields {
        problems.extend(page(placed, pages));
        problems.extend(needed(placed));
        problems.extend(foreign(placed));
    }
    problems
}

fn page(placed: &PlacedField, pages: &[String]) -> Option<Problem> {
    let id = &placed.field.id;
    let names = pages.iter().map(String::as_str);
    match &placed.field.page {
        Some(page) if !pages.contains(page) => {
            let message = format!("field `{id}` stands on page `{page}`, which is not there");
            let mut problem = Problem::new(&codes::FORM_FIELD, placed.path.key("page"), message);
            problem.hint = suggest::hint(page, names).or_else(no_page);
            Some(problem)
        }
        None if !placed.grouped => {
            let message = format!("field `{id}` has no page");
            let mut problem = Problem::new(&codes::FORM_FIELD, placed.path.clone(), message);
            problem.hint = suggest::hint("", names).or_else(no_page);
            Some(problem)
        }
        Some(_) | None => None,
    }
}

fn no_page() -> Option<String> {
    Some("write a `[[page]]` with `id` and `title`".to_owned())
}

fn needed(placed: &PlacedField) -> Option<Problem> {
    let field = &placed.field;
    let key = field.kind.needs()?;
    let missing = match key {
        "choices" => field.choices.is_none(),
        "seal" => field.seal.is_none(),
        "fields" => field.fields.is_empty(),
        _ => field.expression.is_none(),
    };
    let example = match field.kind {
        FieldKind::Select | FieldKind::Multiselect => "choices = { from = \"environments\" }",
        FieldKind::Secret => "seal = { path = \"{{ name }}/admin\", key = \"password\" }",
        FieldKind::Group => "[[field.fields]]",
        _ => "expression = \"name ~ '-db'\"",
    };
    missing.then(|| {
        let message = format!("field `{}` needs `{key}`", field.id);
        let problem = Problem::new(&codes::FORM_FIELD, placed.path.clone(), message);
        problem.hint(format!("for example `{example}`"))
    })
}

/// Keys that mean nothing for the kind of the field.
fn foreign(placed: &PlacedField) -> Vec<Problem> {
    let field = &placed.field;
    let kind = field.kind;
    let needs = kind.needs();
    let answers = !matches!(
        kind,
        FieldKind::Note | FieldKind::Computed | FieldKind::Group
    );
    let wrong = [
        (
            "choices",
            field.choices.is_some() && needs != Some("choices"),
        ),
        ("seal", field.seal.is_some() && needs != Some("seal")),
        ("confirm", field.confirm && needs != Some("seal")),
        (
            "fields",
            !field.fields.is_empty() && needs != Some("fields"),
        ),
        (
            "expression",
            field.expression.is_some() && needs != Some("expression"),
        ),
        ("pattern", field.pattern.is_some() && !kind.is_text()),
        ("min", field.min.is_some() && !kind.has_size()),
        ("max", field.max.is_some() && !kind.has_size()),
        (
            "default",
            field.default.is_some() && (!answers || kind == FieldKind::Secret),
        ),
        ("required", field.required && !answers),
        ("immutable", field.immutable && !answers),
    ];
    let problem = |(key, _): &(&str, bool)| {
        let name = serde_json::to_value(kind).unwrap_or_default();
        let name = name.as_str().unwrap_or_default();
        let message = format!("field `{}` of kind `{name}` cannot have `{key}`", field.id);
        Problem::new(&codes::FORM_FIELD, placed.path.key(key), message).hint("take the key out")
    };
    wrong
        .iter()
        .filter(|(_, is_wrong)| *is_wrong)
        .map(problem)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(field: serde_json::Value) -> Vec<String> {
        let placed = PlacedField {
            path: Path::of("field").index(0),
            field: serde_json::from_value(field).unwrap(),
            grouped: false,
        };
        let problems = fields(&[placed], &[], &["basics".to_owned()]);
        problems
            .into_iter()
            .map(|problem| format!("{} {}", problem.path, problem.message))
            .collect()
    }

    #[test]
    fn every_kind_has_what_it_needs() {
        for (kind, key) in [
            ("select", "choices"),
            ("secret", "seal"),
            ("group", "fields"),
            ("computed", "expression"),
        ] {
            let messages =
                found(json!({ "id": "a", "page": "basics", "kind": kind, "label": "A" }));
            assert_eq!(messages, [format!("field[0] field `a` needs `{key}`")]);
        }
        assert!(
            found(json!({ "id": "a", "page": "basics", "kind": "text", "label": "A" })).is_empty()
        );
    }

    #[test]
    fn keys_of_another_kind_are_refused() {
        let field = json!({ "id": "a", "page": "basics", "kind": "bool", "label": "A", "pattern": "x", "choices": ["y"] });
        assert_eq!(
            found(field),
            [
                "field[0].choices field `a` of kind `bool` cannot have `choices`",
                "field[0].pattern field `a` of kind `bool` cannot have `pattern`"
            ]
        );
    }

    #[test]
    fn pages_are_known() {
        let field = json!({ "id": "a", "page": "basic", "kind": "text", "label": "A" });
        assert_eq!(
            found(field),
            ["field[0].page field `a` stands on page `basic`, which is not there"]
        );
    }
}
