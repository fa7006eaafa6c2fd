//! The engine's own form of values, in state, plans and journals.
//!
//! *Shape*: the JSON of the data; what JSON cannot say is an object with the key `$stratum`, and a
//! record of the world that has this key is written inside such an object too, so that what is data
//! stays data: every value has one form, and every form is one value.
//!
//! Only what this engine wrote itself is read here. What comes from outside is read by
//! [`Value::from_data`] and [`Value::from_text`].

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Number, Record, Reference, SecretReference, Typed, Value};

/// The one key of an object that is not data.
const TAG: &str = "$stratum";

/// A value as it is written under [`TAG`].
#[derive(serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum TaggedRef<'a> {
    Unknown,
    Reference(&'a Reference),
    Join(&'a [Value]),
    Secret(&'a SecretReference),
    Set(&'a [Value]),
    Number(String),
    Typed(&'a str, &'a Value),
    Record(Plain<'a>),
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tagged {
    Unknown,
    Reference(Reference),
    Join(Vec<Stored>),
    Secret(SecretReference),
    Set(Vec<Stored>),
    Number(String),
    Typed(String, Stored),
    Record(Fields),
}

/// The fields of a record as they are, whatever their names.
struct Plain<'a>(&'a Record);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => match number.as_json() {
                Some(number) => number.serialize(serializer),
                None => tagged(serializer, &TaggedRef::Number(number.to_string())),
            },
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items.iter()),
            Self::Set(items) => tagged(serializer, &TaggedRef::Set(items)),
            Self::Record(record) if record.contains_key(TAG) => {
                tagged(serializer, &TaggedRef::Record(Plain(record)))
            }
            Self::Record(record) => serializer.collect_map(record.iter()),
            Self::Typed(typed) => {
                let Typed { r#type, value } = typed.as_ref();
                tagged(serializer, &TaggedRef::Typed(r#type, value))
            }
            Self::Unknown => tagged(serializer, &TaggedRef::Unknown),
            Self::Reference(reference) => tagged(serializer, &TaggedRef::Reference(reference)),
            Self::Join(parts) => tagged(serializer, &TaggedRef::Join(parts)),
            Self::Secret(secret) => tagged(serializer, &TaggedRef::Secret(secret)),
        }
    }
}

fn tagged<S: Serializer>(serializer: S, value: &TaggedRef<'_>) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(TAG, value)?;
    map.end()
}

/// A value that is read from the engine's own form.
struct Stored(Value);

/// The fields of a record, whatever their names.
struct Fields(Record);

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading).map(Self)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = std::collections::BTreeMap::<String, Stored>::deserialize(deserializer)?;
        let fields = fields.into_iter();
        Ok(Self(
            fields.map(|(key, Stored(value))| (key, value)).collect(),
        ))
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::number(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::number(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        let number = serde_json::Number::from_f64(number);
        Ok(number.map_or(Value::Null, Value::number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Stored(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::list(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut record = Record::new();
        let mut tagged = None;
        while let Some(key) = map.next_key::<String>()? {
            match key == TAG {
                true => tagged = Some(map.next_value::<Tagged>()?),
                false => {
                    record.insert(key, map.next_value::<Stored>()?.0);
                }
            }
        }
        match tagged {
            None => Ok(Value::record(record)),
            Some(_) if !record.is_empty() => Err(A::Error::custom(format!(
                "keys beside `{TAG}`, which stands alone"
            ))),
            Some(tagged) => tagged
                .value()
                .ok_or_else(|| A::Error::custom("not a number")),
        }
    }
}

impl Tagged {
    /// The value; `None` where the digits of a number are none.
    fn value(self) -> Option<Value> {
        let all = |items: Vec<Stored>| items.into_iter().map(|item| item.0).collect();
        Some(match self {
            Self::Unknown => Value::Unknown,
            Self::Reference(reference) => Value::reference(reference),
            Self::Join(parts) => Value::joined(all(parts)),
            Self::Secret(secret) => Value::secret(secret),
            Self::Set(items) => Value::set(all(items)),
            Self::Number(digits) => Value::Number(Number::parse(&digits)?),
            Self::Typed(r#type, Stored(value)) => Value::typed(r#type, value),
            Self::Record(Fields(record)) => Value::record(record),
        })
    }
}

/// What can be read from the engine's own form.
pub trait FromStored: Sized {
    /// Reads it.
    fn from_stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl FromStored for Value {
    fn from_stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stored::deserialize(deserializer).map(|stored| stored.0)
    }
}

impl FromStored for Record {
    fn from_stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer).map(|fields| fields.0)
    }
}

impl<K: serde::de::DeserializeOwned + Ord> FromStored for std::collections::BTreeMap<K, Record> {
    fn from_stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = std::collections::BTreeMap::<K, Fields>::deserialize(deserializer)?;
        let stored = stored.into_iter();
        Ok(stored.map(|(key, fields)| (key, fields.0)).collect())
    }
}

impl FromStored for Option<Value> {
    fn from_stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Option::<Stored>::deserialize(deserializer)?;
        Ok(stored.map(|stored| stored.0))
    }
}

impl FromStored for Option<Record> {
    fn from_stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Option::<Fields>::deserialize(deserializer)?;
        Ok(stored.map(|fields| fields.0))
    }
}

/// For `#[serde(deserialize_with)]` on a field of what the engine keeps.
pub fn deserialize<'de, D: Deserializer<'de>, T: FromStored>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::from_stored(deserializer)
}

/// The engine's own form of a value, as text.
pub fn text(value: &Value) -> String {
    // Writing to memory does not fail, and every key is text.
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads a value from the text that the engine wrote.
pub fn read(text: &str) -> Result<Value, serde_json::Error> {
    Value::from_stored(&mut serde_json::Deserializer::from_str(text))
}

/// Reads a value from JSON that the engine wrote.
pub fn value(json: serde_json::Value) -> Result<Value, serde_json::Error> {
    Value::from_stored(json)
}

/// Reads a record from the text that the engine wrote.
pub fn record(text: &str) -> Result<Record, serde_json::Error> {
    Record::from_stored(&mut serde_json::Deserializer::from_str(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests depend on it: what was written before is written so still.
    #[test]
    fn the_form_stays_the_same() {
        let text = r#"{"a":[null,true,-3,7,1.5,"x\n"],"b":{"$stratum":"unknown"},"c":{"$stratum":{"reference":{"resource":"local_data.a","path":"id"}}},"d":{"$stratum":{"join":["p-",{"$stratum":"unknown"}]}},"e":{"$stratum":{"secret":{"path":"db","key":"password","version":3}}},"f":{"g":{"h":2}},"z":18446744073709551615}"#;
        let value = read(text).unwrap();
        assert_eq!(super::text(&value), text);
    }

    #[test]
    fn what_json_cannot_say_comes_back() {
        let all = Value::list(vec![
            Value::set(vec![Value::text("b"), Value::Null, Value::text("a")]),
            Value::typed("\"number\"", Value::Unknown),
            Value::typed("\"string\"", Value::Null),
            Value::Number(Number::parse("1e40").unwrap()),
            Value::Number(Number::parse("0.1234567890123456789012345").unwrap()),
            Value::record([(TAG.to_owned(), Value::text("unknown"))].into()),
            Value::record([(TAG.to_owned(), Value::Unknown)].into()),
        ]);
        let written = text(&all);
        assert_eq!(read(&written).unwrap(), all);
        assert_eq!(value(serde_json::from_str(&written).unwrap()).unwrap(), all);
    }

    #[test]
    fn what_is_not_its_form_is_refused() {
        for wrong in [
            r#"{"$stratum":"else"}"#,
            r#"{"$stratum":"unknown","beside":1}"#,
            r#"{"$stratum":{"number":"one"}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
