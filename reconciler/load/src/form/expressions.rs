//! Expressions, templates and patterns of a form, and what they name.

use std::collections::{BTreeMap, BTreeSet};

use regex::RegexBuilder;
use stratum_core::finding::{Finding, codes};
use stratum_core::kinds::circles;
use stratum_core::suggest;

use super::Placed;
use crate::document::Item;
use crate::expression::{self, Names, root};
use crate::shape::Shape;

/// Looks at everything in `form` that is an expression, a template or a pattern.
pub(super) fn expressions(form: &Item<'_>, placed: &[Placed<'_>], findings: &mut Vec<Finding>) {
    let kinds = placed
        .iter()
        .filter_map(|p| Some((p.item.text("id")?, p.item.text("kind")?)))
        .collect();
    let mut reader = Reader {
        shape: Shape::new(&codes::FORM_EXPRESSION, findings),
        kinds,
    };
    for page in form.get("page").iter().flat_map(Item::items) {
        reader.expression(&page, "when");
    }
    let mut edges: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for placed in placed {
        let names = reader.field(&placed.item);
        if let Some(id) = placed.item.text("id") {
            edges.entry(id).or_default().extend(names);
        }
    }
    for check in form.get("check").iter().flat_map(Item::items) {
        reader.expression(&check, "when");
        for item in check.get("fields").iter().flat_map(Item::items) {
            if let Some(name) = item.value.as_str() {
                reader.known(&item, name);
            }
        }
    }
    reader.template(form, "answers");
    if let Some(output) = form.get("output") {
        reader.template(&output, "path");
    }
    reader.circles(placed, &edges);
}

struct Reader<'f, 'a> {
    shape: Shape<'f>,
    kinds: BTreeMap<&'a str, &'a str>,
}

impl Reader<'_, '_> {
    /// Looks at one field; the fields that its `when` and `expression` name.
    fn field(&mut self, field: &Item<'_>) -> BTreeSet<String> {
        let mut names = self.expression(field, "when");
        names.extend(self.expression(field, "expression"));
        self.pattern(field);
        self.template(field, "default");
        if let Some(seal) = field.get("seal") {
            self.template(&seal, "path");
            self.template(&seal, "key");
        }
        if let Some((choices, text)) = field
            .get("choices")
            .and_then(|c| Some((c.clone(), c.text("where")?)))
        {
            let item = choices.get("where").unwrap_or(choices);
            let read = expression::expression(text);
            self.names(&item, "where", read, Some("item"));
        }
        names
    }

    fn expression(&mut self, item: &Item<'_>, key: &str) -> BTreeSet<String> {
        let Some((value, text)) = item
            .get(key)
            .and_then(|value| Some((value.clone(), value.value.as_str()?)))
        else {
            return BTreeSet::new();
        };
        self.names(&value, key, expression::expression(text), None)
    }

    fn template(&mut self, item: &Item<'_>, key: &str) {
        if let Some((value, text)) = item
            .get(key)
            .and_then(|value| Some((value.clone(), value.value.as_str()?)))
        {
            self.names(&value, key, expression::template(text), None);
        }
    }

    /// The fields among `names`; what is no field is noted.
    fn names(
        &mut self,
        item: &Item<'_>,
        key: &str,
        names: Names,
        extra: Option<&str>,
    ) -> BTreeSet<String> {
        match names {
            Ok(names) => {
                let roots: BTreeSet<&str> = names.iter().map(|name| root(name)).collect();
                let fields = roots.into_iter().filter(|name| extra != Some(*name));
                fields
                    .filter(|name| self.known(item, name))
                    .map(str::to_owned)
                    .collect()
            }
            Err(reason) => {
                let hint =
                    "for example `env == 'production'`, and `{{ name }}` in a template".to_owned();
                self.shape.error(
                    item.source(),
                    format!("`{key}` does not parse: {reason}"),
                    Some(hint),
                );
                BTreeSet::new()
            }
        }
    }

    /// Whether `name` is a field with an answer that may be shown; notes it if not.
    fn known(&mut self, item: &Item<'_>, name: &str) -> bool {
        let (message, hint) = match self.kinds.get(name) {
            Some(&"secret") => (
                format!("`{name}` is a secret, and would be written in the clear"),
                Some(
                    "name another field; a secret goes where `seal` says and nowhere else"
                        .to_owned(),
                ),
            ),
            Some(&"note") => (
                format!("`{name}` is a note and has no answer"),
                Some("name another field".to_owned()),
            ),
            Some(_) => return true,
            None => (
                format!("there is no field `{name}`"),
                suggest::hint(name, self.kinds.keys().copied())
                    .or_else(|| Some("name a field of the form".to_owned())),
            ),
        };
        // A message may belong to a secret; only its value may not be read.
        if item.path.0.starts_with("check[")
            && item.path.0.contains(".fields[")
            && self.kinds.contains_key(name)
        {
            return true;
        }
        self.shape.error(item.source(), message, hint);
        false
    }

    fn pattern(&mut self, field: &Item<'_>) {
        let Some((item, text)) = field
            .get("pattern")
            .and_then(|value| Some((value.clone(), value.value.as_str()?)))
        else {
            return;
        };
        if let Err(reason) = regular(text) {
            let message = format!("`pattern` is not a regular expression: {reason}");
            let hint = "for example `^[a-z][a-z0-9-]{1,30}$`".to_owned();
            self.shape.error(item.source(), message, Some(hint));
        }
    }

    /// Fields of which each depends on the next.
    fn circles(&mut self, placed: &[Placed<'_>], edges: &BTreeMap<&str, BTreeSet<String>>) {
        let named = edges
            .iter()
            .map(|(id, names)| (*id, names.iter().map(String::as_str).collect()));
        for circle in circles(&named.collect()) {
            let first = placed
                .iter()
                .find(|p| p.item.text("id") == circle.first().copied());
            if let Some(id) = first.and_then(|placed| placed.item.get("id")) {
                let message = format!("fields depend on each other: `{}`", circle.join("` -> `"));
                let hint = "take one of these out of `when`, or out of `expression`".to_owned();
                self.shape.error(id.source(), message, Some(hint));
            }
        }
    }
}

/// The most bytes of a pattern, and of what it is compiled to.
const LONGEST: usize = 1024;
const LARGEST: usize = 1 << 20;

/// Whether `text` is a regular expression, or why not.
fn regular(text: &str) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err(format!(
            "it has {} bytes; the most is {LONGEST}",
            text.len()
        ));
    }
    let built = RegexBuilder::new(text).size_limit(LARGEST).build();
    built.map(|_| ()).map_err(|error| {
        let report = error.to_string();
        let last = report.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    })
}
