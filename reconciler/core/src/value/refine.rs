//! Whether a later value says what an earlier one said, with unknowns filled in.

use super::{Record, Value};

impl Value {
    /// Whether `later` says what this says, with unknowns filled in and nothing else changed.
    pub fn refined_by(&self, later: &Value) -> bool {
        match (self, later) {
            (Self::Unknown, _) => true,
            (Self::Secret(a), Self::Secret(b)) => a.refined_by(b),
            (Self::List(a), Self::List(b)) | (Self::Join(a), Self::Join(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.refined_by(b))
            }
            (Self::Set(a), Self::Set(b)) => set_refined(a, b),
            (Self::Record(a), Self::Record(b)) => record_refined(a, b),
            (Self::Typed(a), Self::Typed(b)) => {
                a.r#type == b.r#type && a.value.refined_by(&b.value)
            }
            (a, b) => a == b,
        }
    }
}

fn record_refined(a: &Record, b: &Record) -> bool {
    a.len() == b.len()
        && a.iter()
            .all(|(key, a)| b.get(key).is_some_and(|b| a.refined_by(b)))
}

/// What is known stays in the set; what is not becomes an element of it, and two of these may become
/// the same one.
fn set_refined(planned: &[Value], later: &[Value]) -> bool {
    let (known, open): (Vec<&Value>, Vec<&Value>) = planned.iter().partition(|v| v.is_known());
    let all_stay = known.iter().all(|value| later.contains(value));
    let explained = |value: &&Value| {
        known.contains(value) || open.iter().any(|planned| planned.refined_by(value))
    };
    let filled = |planned: &&Value| later.iter().any(|value| planned.refined_by(value));
    let new = later.iter().filter(|value| !known.contains(value)).count();
    all_stay
        && new <= open.len()
        && later.iter().all(|value| explained(&value))
        && open.iter().all(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(items: &[&str]) -> Value {
        Value::set(
            items
                .iter()
                .map(|item| match *item {
                    "?" => Value::Unknown,
                    text => Value::text(text),
                })
                .collect(),
        )
    }

    #[test]
    fn a_set_keeps_what_is_known() {
        assert_eq!(set(&["b", "a", "b"]), set(&["a", "b"]));
        assert!(set(&["a", "?"]).refined_by(&set(&["b", "a"])));
        assert!(
            set(&["a", "?"]).refined_by(&set(&["a"])),
            "the unknown one was `a`"
        );
        assert!(!set(&["a", "?"]).refined_by(&set(&["b", "c"])));
        assert!(!set(&["a", "?"]).refined_by(&set(&["a", "b", "c"])));
        assert!(!set(&["a"]).refined_by(&set(&["a", "b"])));
        assert!(!set(&["?"]).refined_by(&set(&[])));
    }

    #[test]
    fn a_typed_unknown_keeps_its_type() {
        let unknown = Value::typed("\"number\"", Value::Unknown);
        assert!(unknown.refined_by(&Value::typed("\"number\"", Value::number(3))));
        assert!(!unknown.refined_by(&Value::typed("\"string\"", Value::text("3"))));
        assert!(!unknown.refined_by(&Value::number(3)));
        assert!(!unknown.is_known() && Value::typed("\"number\"", Value::Null).is_known());
    }
}
