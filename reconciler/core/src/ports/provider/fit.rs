//! Whether what is wanted of a resource is of the types of its attributes: known only once what it
//! refers to is.

use super::{TypeSchema, ValueType};
use crate::value::{Number, Path, Record, Value};

/// A value of another type than its attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Where.
    pub path: Path,
    /// One sentence, without the place.
    pub message: String,
}

impl TypeSchema {
    /// The first value that is not of the type of its attribute. What is not known yet, or is a
    /// secret, is taken for text that fits.
    pub fn misfit(&self, wanted: &Record) -> Option<Misfit> {
        wanted.iter().find_map(|(name, value)| {
            let attribute = self.attributes.get(name)?;
            attribute.r#type.misfit(&Path::of(name), value)
        })
    }
}

impl ValueType {
    fn misfit(&self, path: &Path, value: &Value) -> Option<Misfit> {
        match (self, value) {
            (_, Value::Typed(typed)) => self.misfit(path, &typed.value),
            (Self::List(inner) | Self::Set(inner), Value::List(items) | Value::Set(items)) => {
                let mut items = items.iter().enumerate();
                items.find_map(|(index, item)| inner.misfit(&path.index(index), item))
            }
            (Self::Map(inner), Value::Record(record)) => record
                .iter()
                .find_map(|(key, value)| inner.misfit(&path.key(key), value)),
            (Self::Object(fields), Value::Record(record)) => {
                record.iter().find_map(|(key, value)| {
                    let field = fields.get(key)?;
                    field.r#type.misfit(&path.key(key), value)
                })
            }
            _ if self.fits(value) => None,
            _ => Some(Misfit {
                path: path.clone(),
                message: format!(
                    "must be {}, and what it refers to is {}",
                    self.with_article(),
                    said(value)
                ),
            }),
        }
    }

    /// Whether a value that holds no others is of this type.
    fn fits(&self, value: &Value) -> bool {
        match value {
            Value::Null | Value::Unknown | Value::Reference(_) => true,
            Value::Text(text) => match self {
                Self::Choice(choices) => choices.contains(text),
                Self::Duration => crate::duration::parse(text).is_ok(),
                _ => matches!(self, Self::Any | Self::Text),
            },
            Value::Join(_) | Value::Secret(_) => {
                matches!(
                    self,
                    Self::Any | Self::Text | Self::Choice(_) | Self::Duration
                )
            }
            Value::Bool(_) => matches!(self, Self::Any | Self::Bool),
            Value::Number(number) => match self {
                Self::Integer => is_whole(number),
                _ => matches!(self, Self::Any | Self::Number),
            },
            Value::List(_) | Value::Set(_) | Value::Record(_) | Value::Typed(_) => {
                matches!(self, Self::Any)
            }
        }
    }

    /// The type with its article, as people name it.
    pub fn with_article(&self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Text => "text",
            Self::Choice(_) => "one of its texts",
            Self::Duration => "a duration such as \"30s\"",
            Self::Number => "a number",
            Self::Integer => "a whole number",
            Self::Bool => "`true` or `false`",
            Self::List(_) | Self::Set(_) => "a list",
            Self::Map(_) | Self::Object(_) => "a record",
        }
    }
}

fn is_whole(number: &Number) -> bool {
    let exact = !number.to_string().contains(['.', 'e', 'E']);
    let float = number.as_json().and_then(serde_json::Number::as_f64);
    exact || float.is_some_and(|float| float.fract() == 0.0)
}

/// What a value is; texts are not shown, because they may be what a program printed.
fn said(value: &Value) -> String {
    match value {
        Value::Text(_) | Value::Join(_) | Value::Secret(_) => "another text".to_owned(),
        Value::Bool(bool) => format!("`{bool}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::List(_) | Value::Set(_) => "a list".to_owned(),
        Value::Record(_) | Value::Typed(_) => "a record".to_owned(),
        Value::Null | Value::Unknown | Value::Reference(_) => "not known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misfit(r#type: ValueType, json: &str) -> Option<String> {
        let value = Value::from_data(serde_json::from_str(json).unwrap());
        r#type
            .misfit(&Path::of("x"), &value)
            .map(|misfit| format!("{} {}", misfit.path, misfit.message))
    }

    #[test]
    fn values_fit_their_types_and_no_others() {
        use ValueType::{Any, Bool, Choice, Duration, Integer, List, Map, Number, Text};
        let texts = || Box::new(Text);
        for (r#type, fits, misfits) in [
            (Any, &["1", "\"a\"", "[1]", "{}", "null"][..], &[][..]),
            (Text, &["\"\"", "null"], &["1", "true", "[]", "{}"]),
            (Number, &["1", "1.5"], &["\"1\"", "[1]"]),
            (Integer, &["1", "-7"], &["1.5", "\"1\""]),
            (Bool, &["true"], &["\"true\"", "0"]),
            (Duration, &["\"30s\""], &["\"soon\"", "30"]),
            (Choice(vec!["a".to_owned()]), &["\"a\""], &["\"b\"", "1"]),
            (
                List(texts()),
                &["[]", "[\"a\"]"],
                &["\"a\"", "[1]", "[\"a\", {}]"],
            ),
            (
                Map(texts()),
                &["{}", "{\"a\": \"b\"}"],
                &["[]", "{\"a\": 17}"],
            ),
        ] {
            for json in fits {
                assert_eq!(misfit(r#type.clone(), json), None, "{type:?} {json}");
            }
            for json in misfits {
                assert!(misfit(r#type.clone(), json).is_some(), "{type:?} {json}");
            }
        }
        let said = misfit(Map(Box::new(Text)), "{\"A\": 17}").unwrap();
        assert_eq!(
            said,
            "x.A must be text, and what it refers to is the number 17"
        );
    }
}
