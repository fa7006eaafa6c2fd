//! Values of the world: what programs print, what servers answer, what lies in files.
//!
//! *Guarantees*: whatever the bytes are, the value holds no secret, no reference, no unknown and no
//! text to be joined. An object with the key `$stratum` is a record with that key.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::value::RawValue;
use thiserror::Error;

use super::{Number, Value};

/// Why text from outside is no value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DataError {
    /// It is not JSON, or too deep.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// A number has too many digits.
    #[error("a number has too many digits")]
    Number,
}

/// How deep text from outside may be nested.
const DEPTH: usize = 128;

impl Value {
    /// The value of JSON that came from outside.
    pub fn from_data(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Bool(truth),
            serde_json::Value::Number(number) => Self::Number(number.into()),
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => {
                Self::list(items.into_iter().map(Self::from_data).collect())
            }
            serde_json::Value::Object(map) => {
                let fields = map.into_iter();
                Self::record(
                    fields
                        .map(|(key, value)| (key, Self::from_data(value)))
                        .collect(),
                )
            }
        }
    }

    /// The value of JSON text that came from outside; numbers keep all their digits.
    pub fn from_text(text: &str) -> Result<Self, DataError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(json)?;
        read(raw, DEPTH)
    }

    /// The JSON of it for others: a set is a list, and a number that JSON's own numbers cannot hold
    /// is its digits as text. `None` where it is not data (see [`Value::is_data`]).
    pub fn to_data(&self) -> Option<serde_json::Value> {
        Some(match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(truth) => (*truth).into(),
            Self::Number(number) => match number.written() {
                Some(number) => serde_json::Value::Number(number),
                None => number.to_string().into(),
            },
            Self::Text(text) => text.as_str().into(),
            Self::List(items) | Self::Set(items) => {
                let items: Option<Vec<_>> = items.iter().map(Self::to_data).collect();
                items?.into()
            }
            Self::Record(record) => {
                let fields = record.iter();
                let fields: Option<serde_json::Map<_, _>> = fields
                    .map(|(key, value)| Some((key.clone(), value.to_data()?)))
                    .collect();
                fields?.into()
            }
            Self::Typed(typed) => typed.value.to_data()?,
            Self::Unknown | Self::Reference(_) | Self::Join(_) | Self::Secret(_) => return None,
        })
    }
}

fn json(error: serde_json::Error) -> DataError {
    DataError::Json(error.to_string())
}

fn read(raw: &RawValue, depth: usize) -> Result<Value, DataError> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| DataError::Json("it is nested too deep".to_owned()))?;
    let text = raw.get().trim();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(json)?;
            let fields = fields.into_iter();
            let fields = fields.map(|(key, value)| Ok((key, read(value, depth)?)));
            Value::record(fields.collect::<Result<_, DataError>>()?)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(json)?;
            let items = items.into_iter().map(|item| read(item, depth));
            Value::list(items.collect::<Result<_, _>>()?)
        }
        Some(b'-' | b'0'..=b'9') => Value::Number(Number::parse(text).ok_or(DataError::Number)?),
        _ => {
            let mut reader = serde_json::Deserializer::from_str(text);
            Value::from_data(serde_json::Value::deserialize(&mut reader).map_err(json)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::{Record, stored};

    /// JSON in which the engine's own tag stands wherever it can.
    fn hostile() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::json!("unknown")),
            Just(serde_json::json!(null)),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
            Just(serde_json::json!({"secret": {"path": "db", "key": "password"}})),
            Just(serde_json::json!({"reference": {"resource": "local_data.a", "path": "id"}})),
        ];
        let key = prop_oneof![
            3 => Just("$stratum".to_owned()),
            1 => Just("secret".to_owned()),
            1 => Just("join".to_owned()),
            1 => Just("record".to_owned()),
            2 => "[a-z$]{0,4}",
        ];
        leaf.prop_recursive(5, 48, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map(key.clone(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_from_outside_is_anything_but_data(json in hostile()) {
            let value = Value::from_data(json.clone());
            prop_assert!(value.is_data());
            prop_assert_eq!(Value::from_text(&json.to_string()).unwrap().is_data(), true);
            // Nor does it become anything else on its way through the state.
            let back = stored::read(&stored::text(&value)).unwrap();
            prop_assert_eq!(&back, &value);
            prop_assert_eq!(value.to_data().map(Value::from_data), Some(value));
        }

        #[test]
        fn no_bytes_from_outside_are_anything_but_data(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = String::from_utf8_lossy(&bytes);
            if let Ok(value) = Value::from_text(&text) {
                prop_assert!(value.is_data());
                prop_assert_eq!(stored::read(&stored::text(&value)).unwrap(), value);
            }
        }
    }

    #[test]
    fn what_a_program_prints_names_no_secret() {
        let printed = r#"{"$stratum":{"secret":{"path":"db","key":"password","version":1}},"x":1}"#;
        let value = Value::from_text(printed).unwrap();
        assert!(!value.holds_secret() && value.is_known());
        let Value::Record(record) = &value else {
            panic!("{value:?}");
        };
        assert_eq!(record.keys().collect::<Vec<_>>(), ["$stratum", "x"]);
        let stored = stored::text(&Value::record(Record::from([(
            "output".to_owned(),
            value.clone(),
        )])));
        let back = stored::record(&stored).unwrap();
        assert_eq!(back.get("output"), Some(&value));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = "[123456789012345678901234567890, 1.0, 0.1, -1e2]";
        let value = Value::from_text(text).unwrap();
        let back = stored::read(&stored::text(&value)).unwrap();
        assert_eq!(back, value);
        let Value::List(items) = value else { panic!() };
        assert_eq!(items[0].plain().unwrap(), "123456789012345678901234567890");
        assert_eq!(
            (&items[1], &items[3]),
            (&Value::number(1), &Value::number(-100))
        );
    }

    #[test]
    fn what_is_too_deep_or_no_json_is_refused() {
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        for wrong in [deep.as_str(), "", "{", "nul", "1 2", "\u{0}", "{\"a\":1,}"] {
            assert!(Value::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
