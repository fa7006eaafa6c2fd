//! Expressions and templates: do they parse, and what do they name.

mod words;

use std::collections::BTreeSet;

use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use words::{Use, words};

/// What an expression or template names, as `root.field.field`; or why it does not parse.
pub(crate) type Names = Result<BTreeSet<String>, String>;

/// The strict environment in which everything that people write is read.
fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
}

/// The most bytes of an expression or template: its reader goes as deep as the text is nested.
const LONGEST: usize = 2048;

fn short(text: &str) -> Result<(), String> {
    let fits = text.len() <= LONGEST;
    let reason = || format!("it has {} bytes; the most is {LONGEST}", text.len());
    if fits { Ok(()) } else { Err(reason()) }
}

/// Reads an expression, as in `when`.
pub(crate) fn expression(text: &str) -> Names {
    short(text)?;
    let environment = environment();
    let expression = environment
        .compile_expression(text)
        .map_err(|error| reason(&error))?;
    known(&environment, words(text))?;
    Ok(own(&environment, expression.undeclared_variables(true)))
}

/// Reads a template, as in the path that a form writes to.
pub(crate) fn template(text: &str) -> Names {
    short(text)?;
    let environment = environment();
    let template = environment
        .template_from_str(text)
        .map_err(|error| reason(&error))?;
    known(&environment, words::of_template(text))?;
    Ok(own(&environment, template.undeclared_variables(true)))
}

/// Methods of texts, lists and records, as in Python.
const METHODS: [&str; 28] = [
    "capitalize",
    "count",
    "endswith",
    "find",
    "get",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "items",
    "join",
    "keys",
    "lower",
    "lstrip",
    "replace",
    "rfind",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "title",
    "upper",
    "values",
];

/// Whether every filter, test and method is there; the reader itself asks only when it runs.
fn known(environment: &Environment<'_>, uses: Vec<Use<'_>>) -> Result<(), String> {
    let mut state = environment.empty_state();
    for used in uses {
        let (missing, what, name) = match used {
            Use::Filter(name) => {
                let error = state.apply_filter(name, &[]).err();
                (
                    error.is_some_and(|e| e.kind() == ErrorKind::UnknownFilter),
                    "filter",
                    name,
                )
            }
            Use::Test(name) => {
                let error = state.perform_test(name, &[]).err();
                (
                    error.is_some_and(|e| e.kind() == ErrorKind::UnknownTest),
                    "test",
                    name,
                )
            }
            Use::Method(name) => (!METHODS.contains(&name), "method", name),
        };
        if missing {
            return Err(format!("there is no {what} `{name}`"));
        }
    }
    Ok(())
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

    #[test]
    fn filters_tests_and_methods_are_known() {
        for text in [
            "name | lower == 'a | b is c.d()'",
            "name is startingwith('x') and n is not none",
            "name.startswith('x')",
            "n is defined",
        ] {
            assert!(expression(text).is_ok(), "{text}: {:?}", expression(text));
        }
        for (text, reason) in [
            ("name | lowr", "there is no filter `lowr`"),
            (
                "name is not startswith('x')",
                "there is no test `startswith`",
            ),
            ("name.starts_with('x')", "there is no method `starts_with`"),
        ] {
            assert_eq!(expression(text).unwrap_err(), reason);
        }
        assert!(template("a | b is c.d() {{ name | upper }}").is_ok());
        assert!(template("{% if name | uper %}{% endif %}").is_err());
    }
}
