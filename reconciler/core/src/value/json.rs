//! The JSON form of values, read and written without a detour: every state, plan and digest is
//! made of them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Record, TAG, Tagged, Value, whole};

/// A value that JSON cannot say, as it is written under [`TAG`].
#[derive(serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum TaggedRef<'a> {
    Unknown,
    Reference(&'a super::Reference),
    Join(&'a [Value]),
    Secret(&'a super::SecretReference),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Record(record) => serializer.collect_map(record),
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

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
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
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        let number = serde_json::Number::from_f64(number);
        Ok(number.map_or(Value::Null, |number| Value::Number(whole(number))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut record = Record::new();
        let mut tagged = None;
        while let Some(key) = map.next_key::<String>()? {
            match key == TAG {
                true => tagged = Some(map.next_value::<Tagged>()?),
                false => {
                    record.insert(key, map.next_value()?);
                }
            }
        }
        Ok(tagged.map_or(Value::Record(record), Value::from))
    }
}

impl From<Tagged> for Value {
    fn from(tagged: Tagged) -> Self {
        match tagged {
            Tagged::Unknown => Self::Unknown,
            Tagged::Reference(reference) => Self::Reference(reference),
            Tagged::Join(parts) => Self::Join(parts),
            Tagged::Secret(secret) => Self::Secret(secret),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form that goes through JSON's own values must stay the same: digests depend on it.
    #[test]
    fn both_ways_to_json_agree() {
        let text = r#"{"a":[null,true,-3,7,1.5,"x\n"],"b":{"$stratum":"unknown"},
            "c":{"$stratum":{"reference":{"resource":"local_data.a","path":"id"}}},
            "d":{"$stratum":{"join":["p-",{"$stratum":"unknown"}]}},
            "e":{"$stratum":{"secret":{"path":"db","key":"password","version":3}}},
            "f":{"g":{"h":2.0}},"z":18446744073709551615}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::try_from(json).unwrap(), value);
        let detour: serde_json::Value = value.clone().into();
        assert_eq!(serde_json::to_value(&value).unwrap(), detour);
        let written = serde_json::to_string(&value).unwrap();
        assert_eq!(written, serde_json::to_string(&detour).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
    }

    #[test]
    fn an_unknown_tag_is_refused() {
        assert!(serde_json::from_str::<Value>(r#"{"$stratum":"else"}"#).is_err());
    }
}
