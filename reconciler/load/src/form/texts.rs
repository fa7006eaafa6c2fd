//! Texts for people: the bundles in `forms/locales/<language>/*.ftl`.

use std::collections::{BTreeMap, BTreeSet};

use fluent_syntax::ast::{Entry, Pattern, PatternElement};
use fluent_syntax::parser::ParserError;
use stratum_core::finding::{Finding, codes};
use stratum_core::ports::TreeError;
use stratum_core::source::Source;
use stratum_core::suggest;

use crate::document::{Item, Lines, place};
use crate::reading::Reading;
use crate::shape::Shape;

/// The folder of the bundles.
const FOLDER: &str = "forms/locales";

/// The language that every message must be there in.
const FALLBACK: &str = "forms/locales/en/";

/// The messages of the English bundles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    messages: BTreeMap<String, String>,
    /// The bundles.
    pub(crate) files: BTreeSet<String>,
}

/// The deepest nesting of braces: the parser of fluent goes as deep as the text is nested.
const DEEPEST: usize = 64;

/// Where braces, or parentheses within braces, are nested too deep.
fn too_deep(text: &str) -> Option<usize> {
    let (mut braces, mut parentheses) = (0_usize, 0_usize);
    for (offset, c) in text.char_indices() {
        match c {
            '{' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            '(' if braces > 0 => parentheses += 1,
            ')' => parentheses = parentheses.saturating_sub(1),
            _ => {}
        }
        if braces == 0 {
            parentheses = 0;
        }
        if braces + parentheses > DEEPEST {
            return Some(offset);
        }
    }
    None
}

/// Reads the bundles of all languages. What is not fluent is a finding.
pub(crate) fn texts(reading: &mut Reading<'_>) -> Result<Texts, TreeError> {
    let mut texts = Texts::default();
    for file in reading.below(FOLDER, &|path| path.ends_with(".ftl"))? {
        let Some(text) = reading.text(&file)? else {
            continue;
        };
        if let Some(offset) = too_deep(&text) {
            let message = format!("braces are nested deeper than {DEEPEST}, or not closed");
            let finding =
                Finding::error(&codes::FORM_TEXT, message).at(place(&file, &text, offset));
            reading.note(finding.hint("close every `{` with `}`"));
            continue;
        }
        let (resource, errors) = match fluent_syntax::parser::parse(text.as_str()) {
            Ok(resource) => (resource, Vec::new()),
            Err((resource, errors)) => (resource, errors),
        };
        // The lines are counted once: a file of mistakes must not cost the square of them.
        let lines = Lines::of(&text);
        for error in errors.iter().take(MOST_FAULTS) {
            let at = lines.place(&file, error.pos.start);
            reading.note(fault(at, error));
        }
        if file.starts_with(FALLBACK) {
            for entry in &resource.body {
                texts.add(entry);
            }
            texts.files.insert(file);
        }
    }
    Ok(texts)
}

/// The most mistakes of one bundle that are named; more would not be read.
const MOST_FAULTS: usize = 50;

fn fault(at: Source, error: &ParserError) -> Finding {
    let reason = error
        .to_string()
        .to_lowercase()
        .trim_end_matches('.')
        .to_owned();
    let finding = Finding::error(&codes::FORM_TEXT, format!("not fluent: {reason}"));
    let hint = "write `id = text`, one message in a line; longer ones are indented";
    finding.at(at).hint(hint)
}

impl Texts {
    fn add(&mut self, entry: &Entry<&str>) {
        if let Entry::Message(message) = entry {
            let id = message.id.name;
            if let Some(value) = &message.value {
                self.messages.insert(id.to_owned(), plain(value));
            }
            for attribute in &message.attributes {
                let id = format!("{id}.{}", attribute.id.name);
                self.messages.insert(id, plain(&attribute.value));
            }
        }
    }

    /// Notes every fluent id of `form` that is not in the English bundles.
    pub(super) fn check(&self, form: &Item<'_>, findings: &mut Vec<Finding>) {
        let mut shape = Shape::new(&codes::FORM_TEXT, findings);
        for item in named(form) {
            let Some(id) = item
                .value
                .as_str()
                .filter(|id| !self.messages.contains_key(*id))
            else {
                continue;
            };
            let near = suggest::suggest(id, self.messages.keys().map(String::as_str));
            let hint = near.map_or_else(
                || format!("add `{id} = …` to a file in `{FALLBACK}`"),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("there is no English text `{id}`");
            shape.error(item.source(), message, Some(hint));
        }
    }

    /// The English text of `id`; what is filled in later is shown as `…`.
    pub(super) fn english(&self, id: &str) -> Option<&str> {
        self.messages.get(id).map(String::as_str)
    }

    /// Whether `form` names any message.
    pub(super) fn used_by(&self, form: &Item<'_>) -> bool {
        !named(form).is_empty()
    }
}

fn plain(pattern: &Pattern<&str>) -> String {
    let text = |element: &PatternElement<&str>| match element {
        PatternElement::TextElement { value } => (*value).to_owned(),
        PatternElement::Placeable { .. } => "…".to_owned(),
    };
    pattern.elements.iter().map(text).collect()
}

/// Every fluent id in `form`, in order.
fn named<'a>(form: &Item<'a>) -> Vec<Item<'a>> {
    const TEXTS: [&str; 6] = [
        "title",
        "description",
        "label",
        "help",
        "placeholder",
        "message",
    ];
    let mut found = Vec::new();
    let mut open = vec![form.clone()];
    while let Some(item) = open.pop() {
        let inner = item.entries().map(|(_, inner)| inner).chain(item.items());
        open.extend(inner.filter(|inner| inner.value.is_array() || inner.value.is_object()));
        found.extend(TEXTS.iter().filter_map(|key| item.get(key)?.get("fluent")));
    }
    found.sort_by_key(Item::source);
    found
}
