//! Sealed files as text: one value is put or taken out, and no other is touched.

use std::io;

use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_core::kinds::secret::{Context, FORMAT, SealedDocument, SealedFile, SealedValue};

use crate::error::AssemblyError;

/// The text of a sealed file, read.
pub fn parsed(file: &str, text: &str) -> Result<SealedDocument, AssemblyError> {
    stratum_load::read_sealed(file, text).map_err(|findings| {
        let first = findings.into_iter().next();
        AssemblyError::SealedFile {
            file: file.to_owned(),
            source: first.map(|finding| io::Error::other(finding.message)),
        }
    })
}

/// The text of a new sealed file without values.
fn head(context: &Context) -> String {
    let Context {
        repo,
        environment,
        path,
    } = context;
    format!(
        "stratum: {FORMAT}\ncontext: {{ repo: {}, environment: {}, path: {} }}\nvalues:\n",
        plain(repo),
        plain(environment),
        plain(path)
    )
}

/// A text as YAML: bare where nothing can be misread, else as JSON, which is YAML too.
pub fn plain(text: &str) -> String {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.');
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(letters)
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    match bare {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

fn block(key: &str, value: &SealedValue) -> String {
    format!(
        "  {}:\n    v: {}\n    age: {}\n    sig: {}\n",
        plain(key),
        value.v,
        value.age,
        value.sig
    )
}

/// A whole file.
pub fn whole(file: &SealedFile) -> String {
    let values = file.values.iter().map(|(key, value)| block(key, value));
    head(&file.context) + &values.collect::<String>()
}

/// The context of a place.
pub fn context(repo: &str, place: &SealedPlace) -> Context {
    Context {
        repo: repo.to_owned(),
        environment: place.environment.to_string(),
        path: place.path.clone(),
    }
}

/// The text of a file with one value put in, in place of an older one, or taken out. Every other
/// line stays as it was where that can be done, and every other value always.
pub fn with(
    file: &str,
    text: Option<&str>,
    context: &Context,
    key: &str,
    value: Option<&SealedValue>,
) -> Result<String, AssemblyError> {
    let before = match text {
        Some(text) => parsed(file, text)?.file,
        None => SealedFile {
            stratum: FORMAT.to_owned(),
            context: context.clone(),
            values: Default::default(),
        },
    };
    let mut after = before;
    after.context = context.clone();
    match value {
        Some(value) => after.values.insert(key.to_owned(), value.clone()),
        None => after.values.remove(key),
    };
    let edited = text.and_then(|text| edited(text, key, value));
    let same =
        |text: &String| stratum_load::read_sealed(file, text).is_ok_and(|read| read.file == after);
    Ok(edited.filter(same).unwrap_or_else(|| whole(&after)))
}

/// The text with the lines of one value replaced; `None` when it is not written as stratum does.
fn edited(text: &str, key: &str, value: Option<&SealedValue>) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let values = lines.iter().position(|line| line.trim_end() == "values:")?;
    let name = |line: &str| -> Option<String> {
        let rest = line.trim_end().strip_prefix("  ")?.strip_suffix(':')?;
        (!rest.starts_with([' ', '#'])).then(|| rest.trim_matches('"').to_owned())
    };
    let mut end = lines.len();
    let (mut from, mut until, mut found) = (None, None, false);
    for (index, line) in lines.iter().enumerate().skip(values + 1) {
        if !line.starts_with(' ') && !line.trim().is_empty() && !line.starts_with('#') {
            end = index;
            break;
        }
        if let Some(other) = name(line) {
            if from.is_some() && until.is_none() {
                until = Some(index);
            }
            if other == key {
                (from, until, found) = (Some(index), None, true);
            } else if other.as_str() > key && from.is_none() {
                (from, until) = (Some(index), Some(index));
            }
        }
    }
    let from = from.unwrap_or(end);
    let until = until.unwrap_or(end).max(from);
    if !found && value.is_none() {
        return Some(text.to_owned());
    }
    let mut out: String = lines.get(..from)?.concat();
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.extend(value.map(|value| block(key, value)));
    out.push_str(&lines.get(until..)?.concat());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "secrets/production/db.sealed.yaml";

    fn value(version: u64) -> SealedValue {
        SealedValue {
            v: version,
            age: "YWdl".to_owned(),
            sig: format!("c2ln{version}AAA"),
        }
    }

    fn place() -> Context {
        context("a shop", &"production/db".parse().unwrap())
    }

    #[test]
    fn values_are_put_in_order_and_others_stay_line_by_line() {
        let one = with(FILE, None, &place(), "m", Some(&value(1))).unwrap();
        assert!(one.starts_with("stratum: sealed/v1\ncontext: { repo: \"a shop\", environment:"));
        let noted = one.replace("values:\n", "values:\n  # the main one\n");
        let two = with(FILE, Some(&noted), &place(), "a", Some(&value(2))).unwrap();
        let three = with(FILE, Some(&two), &place(), "z.z", Some(&value(3))).unwrap();
        let four = with(FILE, Some(&three), &place(), "m", Some(&value(4))).unwrap();
        assert!(four.contains("# the main one"), "{four}");
        let read = parsed(FILE, &four).unwrap().file;
        let versions: Vec<_> = read.values.iter().map(|(k, v)| (k.as_str(), v.v)).collect();
        assert_eq!(versions, [("a", 2), ("m", 4), ("z.z", 3)]);
        let order: Vec<usize> = ["  a:", "  m:", "  z.z:"]
            .map(|key| four.find(key).unwrap())
            .to_vec();
        assert!(order.is_sorted(), "{four}");
        let five = with(FILE, Some(&four), &place(), "a", None).unwrap();
        assert_eq!(parsed(FILE, &five).unwrap().file.values.len(), 2);
    }

    #[test]
    fn a_file_that_is_written_otherwise_is_written_anew() {
        let odd = "{ stratum: sealed/v1, context: { repo: a shop, environment: production, path: db },\
                   values: { m: { v: 1, age: YWdl, sig: c2ln } } }";
        let two = with(FILE, Some(odd), &place(), "a", Some(&value(2))).unwrap();
        assert_eq!(parsed(FILE, &two).unwrap().file.values.len(), 2);
    }
}
