//! The form of records: keys, types, names from a list. Every finding has its place and a hint.

use serde_json::Value;
use stratum_core::duration;
use stratum_core::finding::Finding;
use stratum_core::finding::codes::Explained;
use stratum_core::source::Source;
use stratum_core::suggest;

use crate::document::Item;

/// Looks at the form of values, and notes what is wrong under one code.
pub(crate) struct Shape<'f> {
    code: &'static Explained,
    findings: &'f mut Vec<Finding>,
    quiet: bool,
}

impl<'f> Shape<'f> {
    /// Notes under `code` in `findings`.
    pub(crate) fn new(code: &'static Explained, findings: &'f mut Vec<Finding>) -> Self {
        Self {
            code,
            findings,
            quiet: false,
        }
    }

    /// The same, but no message holds a value: it may be a secret.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Notes an error.
    pub(crate) fn error(&mut self, source: Source, message: String, hint: Option<String>) {
        let finding = Finding::error(self.code, message).at(source);
        self.findings.push(Finding { hint, ..finding });
    }

    /// Whether `item` is a record; notes keys that are missing and keys that are unknown.
    pub(crate) fn keys(
        &mut self,
        item: &Item<'_>,
        what: &str,
        required: &[&str],
        optional: &[&str],
    ) -> bool {
        if !item.value.is_object() {
            let hint = format!(
                "its keys are: `{}`",
                [required, optional].concat().join("`, `")
            );
            self.error(
                item.source(),
                format!("{what} must be a record, not {}", self.sort(item)),
                Some(hint),
            );
            return false;
        }
        for key in required.iter().filter(|key| item.get(key).is_none()) {
            let hint = format!("every {what} has: `{}`", required.join("`, `"));
            self.error(item.source(), format!("{what} lacks `{key}`"), Some(hint));
        }
        for (key, _) in item.entries() {
            let known = || required.iter().chain(optional).copied();
            if !known().any(|name| name == key) {
                let hint = suggest::suggest(key, known()).map_or_else(
                    || format!("there are: `{}`", known().collect::<Vec<_>>().join("`, `")),
                    |name| format!("did you mean `{name}`?"),
                );
                self.error(
                    item.key_source(key),
                    format!("{what} has no key `{key}`"),
                    Some(hint),
                );
            }
        }
        true
    }

    /// The text of `key`, when it is there; not empty.
    pub(crate) fn text<'a>(&mut self, item: &Item<'a>, key: &str) -> Option<(Item<'a>, &'a str)> {
        let value = item.get(key)?;
        match value.value.as_str() {
            Some(text) if !text.trim().is_empty() => Some((value.clone(), text)),
            Some(_) => {
                let hint = "write something, or take the key out".to_owned();
                self.error(value.source(), format!("`{key}` is empty"), Some(hint));
                None
            }
            None => {
                self.wrong(&value, key, "a text");
                None
            }
        }
    }

    /// The text of `key`, when it is there and one of `names`.
    pub(crate) fn one_of<'a>(
        &mut self,
        item: &Item<'a>,
        key: &str,
        names: &[&str],
    ) -> Option<&'a str> {
        let (value, text) = self.text(item, key)?;
        self.named(&value, key, text, names).then_some(text)
    }

    /// Whether `text` is one of `names`.
    pub(crate) fn named(
        &mut self,
        value: &Item<'_>,
        key: &str,
        text: &str,
        names: &[&str],
    ) -> bool {
        let known = names.contains(&text);
        if !known {
            let hint = suggest::hint(text, names.iter().copied());
            self.error(
                value.source(),
                format!("`{text}` is not a known `{key}`"),
                hint,
            );
        }
        known
    }

    /// The truth of `key`, when it is there.
    pub(crate) fn truth(&mut self, item: &Item<'_>, key: &str) -> Option<bool> {
        let value = item.get(key)?;
        let truth = value.value.as_bool();
        if truth.is_none() {
            self.wrong(&value, key, "true or false");
        }
        truth
    }

    /// The whole number of `key`, when it is there and at least `least`.
    pub(crate) fn whole(&mut self, item: &Item<'_>, key: &str, least: u64) -> Option<u64> {
        let value = item.get(key)?;
        let number = value.value.as_u64().filter(|number| *number >= least);
        if number.is_none() {
            self.wrong(&value, key, &format!("a whole number from {least}"));
        }
        number
    }

    /// The number of `key`, when it is there and not negative.
    pub(crate) fn amount(&mut self, item: &Item<'_>, key: &str) -> Option<f64> {
        let value = item.get(key)?;
        let number = value.value.as_f64().filter(|number| *number >= 0.0);
        if number.is_none() {
            self.wrong(&value, key, "a number that is not negative");
        }
        number
    }

    /// Whether `key`, when it is there, is a duration.
    pub(crate) fn duration(&mut self, item: &Item<'_>, key: &str) -> Option<std::time::Duration> {
        let (value, text) = self.text(item, key)?;
        match duration::parse(text) {
            Ok(duration) => Some(duration),
            Err(message) => {
                let hint = "a number with `ms`, `s`, `m`, `h` or `d`".to_owned();
                self.error(value.source(), message, Some(hint));
                None
            }
        }
    }

    /// The items of the list `key`; none when it is not there.
    pub(crate) fn list<'a>(&mut self, item: &Item<'a>, key: &str) -> Vec<Item<'a>> {
        let Some(value) = item.get(key) else {
            return Vec::new();
        };
        if !value.value.is_array() {
            self.wrong(&value, key, "a list");
        }
        value.items().collect()
    }

    /// The texts of the list `key`; none when it is not there.
    pub(crate) fn texts<'a>(&mut self, item: &Item<'a>, key: &str) -> Vec<(Item<'a>, &'a str)> {
        let items = self.list(item, key);
        let mut texts = Vec::new();
        for item in items {
            match item.value.as_str() {
                Some(text) => texts.push((item, text)),
                None => self.wrong(&item, key, "a list of texts"),
            }
        }
        texts
    }

    /// The record of `key`, when it is there, with its keys looked at.
    pub(crate) fn record<'a>(
        &mut self,
        item: &Item<'a>,
        key: &str,
        required: &[&str],
        optional: &[&str],
    ) -> Option<Item<'a>> {
        let value = item.get(key)?;
        self.keys(&value, &format!("`{key}`"), required, optional)
            .then_some(value)
    }

    /// Notes that `value` is of the wrong type.
    pub(crate) fn wrong(&mut self, value: &Item<'_>, key: &str, wanted: &str) {
        let message = format!("`{key}` must be {wanted}, not {}", self.sort(value));
        self.error(value.source(), message, Some(format!("write {wanted}")));
    }

    /// What a value is, in words.
    fn sort(&self, item: &Item<'_>) -> String {
        match item.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(_) if self.quiet => "true or false".to_owned(),
            Value::Number(_) if self.quiet => "a number".to_owned(),
            Value::Bool(truth) => format!("`{truth}`"),
            Value::Number(number) => format!("the number `{number}`"),
            Value::String(text) if !self.quiet && text.chars().count() <= 40 => {
                format!("the text `{text}`")
            }
            Value::String(_) => "a text".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a record".to_owned(),
        }
    }
}
