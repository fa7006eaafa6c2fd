//! Expressions, templates and patterns: do they parse, and what do they name.

use std::collections::BTreeSet;

use minijinja::{Environment, UndefinedBehavior};

/// What an expression or template names, as `root.field.field`; or why it does not parse.
pub(crate) type Names = Result<BTreeSet<String>, String>;

/// The strict environment in which everything that people write is read.
fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
}

/// Reads an expression, as in `when`.
pub(crate) fn expression(text: &str) -> Names {
    let environment = environment();
    let expression = environment
        .compile_expression(text)
        .map_err(|error| reason(&error))?;
    Ok(own(&environment, expression.undeclared_variables(true)))
}

/// Reads a template, as in the path that a form writes to.
pub(crate) fn template(text: &str) -> Names {
    let environment = environment();
    let template = environment
        .template_from_str(text)
        .map_err(|error| reason(&error))?;
    Ok(own(&environment, template.undeclared_variables(true)))
}

/// Leaves out the functions that are always there, such as `range`.
fn own(
    environment: &Environment<'_>,
    names: std::collections::HashSet<String>,
) -> BTreeSet<String> {
    let globals: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
    names
        .into_iter()
        .filter(|name| !globals.contains(root(name)))
        .collect()
}

/// The first part of a dotted name.
pub(crate) fn root(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Whether expressions can name `text`: letters, digits and `_`, not beginning with a digit.
pub(crate) fn is_name(text: &str) -> bool {
    const RESERVED: [&str; 8] = ["true", "false", "none", "and", "or", "not", "in", "is"];
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&text)
        && text.len() <= 64
}

fn reason(error: &minijinja::Error) -> String {
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    detail.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        expression(text).unwrap().into_iter().collect()
    }

    #[test]
    fn names_are_found_with_their_fields() {
        assert_eq!(
            names("steps.a.output.level != 'low' and trigger"),
            ["steps.a.output.level", "trigger"]
        );
        assert_eq!(
            names("name.startswith('tmp') or n in range(3)"),
            ["n", "name.startswith"]
        );
        assert_eq!(
            template("infra/{{ env }}/{{ name | lower }}.ncl")
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn what_does_not_parse_says_why() {
        assert!(
            expression("a ==").unwrap_err().contains("unexpected end"),
            "{:?}",
            expression("a ==")
        );
        assert!(template("{{ a").is_err() && template("{% if a %}").is_err());
        assert!(expression("a b").is_err());
    }
}
