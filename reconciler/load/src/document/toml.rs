//! TOML with places.

use serde_json::Value;
use stratum_core::bounds::{DEEPEST, too_deep_toml};
use stratum_core::finding::Finding;
use stratum_core::finding::codes::Explained;
use stratum_core::source::Source;
use stratum_core::value::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Document, Lines};

/// Reads TOML.
///
/// *Errors*: one finding with `code` for each line with a syntax error.
pub(crate) fn toml(file: &str, text: &str, code: &Explained) -> Result<Document, Vec<Finding>> {
    if let Some(at) = too_deep_toml(text) {
        let message = format!("it nests deeper than {DEEPEST} levels");
        let finding = Finding::error(code, message).at(Lines::of(text).place(file, at));
        return Err(vec![finding.hint("write tables below one another")]);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(text);
    if !errors.is_empty() {
        let finding = |error: &toml::de::Error| {
            let message = error.message().trim().replace('\n', "; ");
            let at = error.span().map_or(0, |span| span.start);
            Finding::error(code, format!("not TOML: {message}"))
                .at(lines.place(file, at))
                .hint("mend the syntax here; texts stand in quotes, and every key is given once")
        };
        let mut findings: Vec<Finding> = errors.iter().map(finding).collect();
        // One slip often gives two errors in its line; the first says what it is.
        findings.dedup_by_key(|finding| finding.source.as_ref().map(|source| source.line));
        return Err(findings);
    }
    let mut document = Document::new(Source::start_of(file));
    let mut reader = Reader {
        file,
        lines,
        document: &mut document,
    };
    let root = reader.table(table.get_ref(), &Path::default());
    document.root = root;
    Ok(document)
}

struct Reader<'a> {
    file: &'a str,
    lines: Lines<'a>,
    document: &'a mut Document,
}

impl Reader<'_> {
    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &Path) -> Value {
        let source = self.lines.place(self.file, value.span().start);
        self.document.values.insert(path.clone(), source);
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => integer(number.as_str(), number.radix()),
            DeValue::Float(number) => number
                .as_str()
                .replace('_', "")
                .parse::<f64>()
                .map_or(Value::Null, Value::from),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().enumerate();
                Value::Array(
                    items
                        .map(|(n, item)| self.value(item, &path.index(n)))
                        .collect(),
                )
            }
            DeValue::Table(table) => self.table(table, path),
        }
    }

    fn table(&mut self, table: &DeTable<'_>, path: &Path) -> Value {
        let mut record = serde_json::Map::new();
        for (key, value) in table {
            let path = path.key(key.get_ref());
            let source = self.lines.place(self.file, key.span().start);
            self.document.keys.insert(path.clone(), source);
            let value = self.value(value, &path);
            record.insert(key.get_ref().to_string(), value);
        }
        Value::Object(record)
    }
}

fn integer(text: &str, radix: u32) -> Value {
    i64::from_str_radix(&text.replace('_', ""), radix).map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use stratum_core::finding::codes::FORM_SHAPE;

    use super::*;

    #[test]
    fn values_and_keys_know_their_place() {
        let text =
            "title = 'é' # x\nn = 0x1f\n\n[[field]]\n  id = \"a\"\n  seal = { path = \"p\" }\n";
        let document = toml("f.toml", text, &FORM_SHAPE).unwrap();
        let root = document.root();
        let field = root.get("field").unwrap().items().next().unwrap();
        assert_eq!(root.get("n").unwrap().value, &serde_json::json!(31));
        assert_eq!(
            field.get("id").unwrap().source(),
            Source::new("f.toml", 5, 8)
        );
        assert_eq!(field.key_source("id"), Source::new("f.toml", 5, 3));
        assert_eq!(field.source(), Source::new("f.toml", 4, 1));
        let path = field.get("seal").unwrap().get("path").unwrap();
        assert_eq!((path.value.as_str(), path.source().column), (Some("p"), 19));
    }

    #[test]
    fn every_syntax_error_has_its_place() {
        let found = toml("f.toml", "a = 1\nb = \na = 2\n", &FORM_SHAPE).unwrap_err();
        let places: Vec<_> = found
            .iter()
            .map(|f| f.source.clone().unwrap().to_string())
            .collect();
        assert_eq!(places, ["f.toml:2:5", "f.toml:3:1"]);
    }
}
