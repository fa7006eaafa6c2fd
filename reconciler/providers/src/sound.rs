//! What the system or a program would refuse or misread, said before anything is done.
//!
//! Only what is so on every machine: whether a user or a folder is there is asked where it is applied.

use stratum_core::ports::Complaint;
use stratum_core::value::{Path, Record, Value};

use crate::schema::{complaint, text};

/// The most bytes of one name. *Source*: Linux, `limits.h`, `NAME_MAX`.
const NAME: usize = 255;

/// The most bytes of a path. *Source*: Linux, `limits.h`, `PATH_MAX`, its end counted.
const PATH: usize = 4095;

/// The most bytes of one argument or variable. *Source*: execve(2), `MAX_ARG_STRLEN`, its end counted.
const ARGUMENT: usize = 128 * 1024 - 1;

/// The most bytes of all of them. *Source*: execve(2): a quarter of a stack of 8 MiB, less its page.
const ARGUMENTS: usize = 2 * 1024 * 1024 - 4096;

/// The variables that say something of stratum's own to a program.
const OWN: [&str; 2] = ["STRATUM_ADDRESS", "STRATUM_TOKEN"];

/// What is wrong with a path, as a clause.
pub(crate) fn path(text: &str) -> Option<String> {
    if text.contains('\0') {
        return Some("has a NUL byte in it, which no path can have".to_owned());
    }
    if text.len() > PATH {
        return Some(format!("has {} bytes; the most is {PATH}", text.len()));
    }
    let name = text.split('/').find(|name| name.len() > NAME)?;
    Some(format!(
        "has a name of {} bytes; the most that file systems take is {NAME}",
        name.len()
    ))
}

/// A complaint about an attribute that is a path.
pub(crate) fn complain_about_path(record: &Record, name: &str) -> Option<Complaint> {
    let why = match text(record, name)? {
        "" => "is empty".to_owned(),
        written => path(written)?,
    };
    let hint = "shorten it, or leave the attribute away";
    Some(complaint(Path::of(name), format!("`{name}` {why}"), hint))
}

/// A complaint about a `user` that no system could have.
pub(crate) fn complain_about_user(record: &Record) -> Option<Complaint> {
    let name = text(record, "user")?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/' | ',');
    (name.is_empty() || name.contains(odd)).then(|| {
        let message = format!("`{}` is no name of a user", shown(name));
        complaint(
            Path::of("user"),
            message,
            "write the name or the number of one user",
        )
    })
}

/// Complaints about the words of a program: what it cannot be given.
pub(crate) fn complain_about_words(record: &Record, name: &str) -> Vec<Complaint> {
    let Some(Value::List(items)) = record.get(name) else {
        return Vec::new();
    };
    let words = || items.iter().filter_map(Value::as_text);
    let mut found: Vec<Complaint> = words()
        .enumerate()
        .filter_map(|(index, word)| Some((index, argument(word)?)))
        .map(|(index, why)| {
            let message = format!("word {} of `{name}` {why}", index + 1);
            complaint(
                Path::of(name),
                message,
                "give it in a file, or on standard input",
            )
        })
        .collect();
    let total: usize = words().map(|word| word.len() + 1).sum();
    if found.is_empty() && total > ARGUMENTS {
        let message = format!("`{name}` has {total} bytes; the most is {ARGUMENTS}");
        found.push(complaint(Path::of(name), message, "give them in a file"));
    }
    found
}

fn argument(text: &str) -> Option<String> {
    if text.contains('\0') {
        return Some("has a NUL byte in it, which no argument can have".to_owned());
    }
    (text.len() > ARGUMENT).then(|| format!("has {} bytes; the most is {ARGUMENT}", text.len()))
}

/// Complaints about variables: names that no environment can have, values that none can hold.
pub(crate) fn complain_about_variables(record: &Record, name: &str) -> Vec<Complaint> {
    let entries = record.get(name).and_then(Value::as_record);
    let wrong = |(variable, value): (&String, &Value)| {
        let why = variable_name(variable).or_else(|| match value.as_text() {
            Some(text) => argument(&format!("{variable}={text}")),
            None => shape(value),
        })?;
        let message = format!("the variable `{}` {why}", shown(variable));
        Some(complaint(Path::of(name).key(variable), message, ""))
    };
    entries.into_iter().flatten().filter_map(wrong).collect()
}

fn variable_name(name: &str) -> Option<String> {
    let odd = name.contains(|c: char| c == '=' || c.is_control());
    let why = match name {
        "" => "has no name",
        _ if odd => "has a name with `=` or a control character, which it would be misread by",
        _ if name.contains(char::is_whitespace) => {
            "has a blank in its name, which no shell can read"
        }
        _ if OWN.contains(&name) => "is set by stratum, and would be overwritten",
        _ => return None,
    };
    Some(why.to_owned())
}

fn shape(value: &Value) -> Option<String> {
    match value {
        Value::List(_) | Value::Record(_) => {
            Some("is a list or a record, and a variable can only hold text".to_owned())
        }
        _ => None,
    }
}

fn shown(name: &str) -> String {
    name.chars()
        .flat_map(char::escape_default)
        .take(60)
        .collect()
}

/// Complains about a duration that may not be nothing.
pub(crate) fn complain_about_no_time(record: &Record, name: &str) -> Option<Complaint> {
    let duration = stratum_core::duration::parse(text(record, name)?).ok()?;
    duration.is_zero().then(|| {
        let message =
            format!("`{name}` is no time at all, so nothing could ever be done within it");
        complaint(
            Path::of(name),
            message,
            "write for example \"30s\", or leave it away",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: serde_json::Value) -> Record {
        let entries = json.as_object().unwrap().clone();
        let value = Value::from_data;
        entries
            .into_iter()
            .map(|(name, json)| (name, value(json)))
            .collect()
    }

    #[test]
    fn names_and_paths_have_their_limits() {
        let long = "x".repeat(NAME);
        assert_eq!(path(&format!("a/{long}/b")), None);
        assert!(path(&format!("a/{long}x/b")).unwrap().contains("256"));
        // Bytes count, and not characters.
        assert!(path(&"ü".repeat(128)).is_some());
        assert!(path(&"x/".repeat(2048)).is_some() && path("a\0b").is_some());
        let of = |text: &str| complain_about_path(&record(serde_json::json!({"dir": text})), "dir");
        assert!(of("").is_some() && of("a").is_none());
    }

    #[test]
    fn arguments_have_their_limits() {
        let of = |words: &[&str]| {
            complain_about_words(&record(serde_json::json!({"create": words})), "create").len()
        };
        assert_eq!(of(&["sh", "-c", "date"]), 0);
        assert_eq!(of(&["a\0b", "c\0d"]), 2);
        let long = "x".repeat(ARGUMENT);
        assert_eq!((of(&[&long]), of(&[&format!("{long}x")])), (0, 1));
        assert_eq!(of(&[long.as_str(); 17]), 1);
    }

    #[test]
    fn variables_have_names_that_can_be_read() {
        let of = |name: &str, value: serde_json::Value| {
            complain_about_variables(&record(serde_json::json!({"env": {name: value}})), "env")
                .len()
        };
        for name in ["", "A=B", "A\nB", "A B", "STRATUM_TOKEN", "a\0"] {
            assert_eq!(of(name, "x".into()), 1, "{name:?}");
        }
        for name in ["A", "a_b", "A.B", "Ü"] {
            assert_eq!(of(name, "x".into()), 0, "{name:?}");
        }
        assert_eq!(of("A", "x\0y".into()), 1);
        assert_eq!(of("A", serde_json::json!(["x"])), 1);
        assert_eq!((of("A", 1.into()), of("A", true.into())), (0, 0));
    }

    #[test]
    fn no_time_is_a_complaint() {
        let of = |text: &str| {
            complain_about_no_time(&record(serde_json::json!({"timeout": text})), "timeout")
                .is_some()
        };
        assert!(of("0s") && of("0h") && !of("1s") && !of("nonsense"));
    }
}
