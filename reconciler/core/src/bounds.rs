//! The bounds of reading: what a repository can cost the machine that reads it.
//!
//! A repository may ask for less (`limits` in `stratum.ncl`), never for more: only the operator
//! raises a bound, on the command line.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::duration;
use crate::settings::Limits;

/// The deepest folder of a tree that is looked into, counted from where a walk begins.
pub const DEEPEST_FOLDER: usize = 32;

/// The most entries of one walk through a tree.
pub const MOST_ENTRIES: usize = 100_000;

/// What reading may cost.
///
/// *Units*: MiB, and wall-clock time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Memory of one evaluation.
    pub memory: u64,
    /// Time of one evaluation, of one confined reading, and of the policies of a tree together.
    pub time: Duration,
    /// The size of what one file evaluates to.
    pub answer: u64,
    /// The size of what all files of an environment evaluate to.
    pub environment: u64,
    /// The files of an environment that are evaluated.
    pub files: usize,
    /// The time that the evaluation of one environment may take, once.
    pub environment_time: Duration,
    /// The time that evaluating all environments of one commit may take, once.
    pub pass: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            memory: 1024,
            time: Duration::from_secs(10),
            answer: 16,
            environment: 64,
            files: 5_000,
            environment_time: Duration::from_secs(15),
            pass: Duration::from_secs(15 * 60),
        }
    }
}

/// Why a text is no bounds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BoundsError {
    /// There is no such bound.
    #[error("there is no bound `{0}`: {NAMES}")]
    Name(String),
    /// The value has the wrong form.
    #[error("`{name}` cannot be `{value}`: {reason}")]
    Value {
        /// The bound.
        name: String,
        /// What was given.
        value: String,
        /// Why not.
        reason: String,
    },
}

/// The names, for messages.
pub const NAMES: &str = "memory, time, answer, environment, files, environment-time and pass, as in `time=30s,memory=2048`";

impl FromStr for Bounds {
    type Err = BoundsError;

    /// Reads `name=value,name=value` on top of the defaults.
    fn from_str(text: &str) -> Result<Self, BoundsError> {
        let mut bounds = Self::default();
        for pair in text
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = |reason: String| BoundsError::Value {
                name: name.to_owned(),
                value: value.to_owned(),
                reason,
            };
            let number = || match value.parse::<u64>() {
                Ok(number) if number > 0 => Ok(number),
                Ok(_) | Err(_) => Err(wrong("write a whole number from 1".to_owned())),
            };
            let time = || duration::parse(value).map_err(wrong);
            match name {
                "memory" => bounds.memory = number()?.max(64),
                "time" => bounds.time = time()?,
                "answer" => bounds.answer = number()?.min(1024),
                "environment" => bounds.environment = number()?.min(1 << 20),
                "files" => bounds.files = usize::try_from(number()?).unwrap_or(usize::MAX),
                "environment-time" => bounds.environment_time = time()?,
                "pass" => bounds.pass = time()?,
                _ => return Err(BoundsError::Name(name.to_owned())),
            }
        }
        Ok(bounds)
    }
}

impl Bounds {
    /// The limits that hold: those of a repository, never above these.
    pub fn within(&self, limits: &Limits) -> Limits {
        Limits {
            memory: limits.memory.min(self.memory),
            time: limits.time.min(self.time),
            call: limits.call,
        }
    }
}

/// The deepest nesting of a file that is no code.
pub const DEEPEST: usize = 50;

/// The byte where a TOML text nests deeper than [`DEEPEST`], by brackets or by the dots of a key.
///
/// One pass, no recursion: for readers that call themselves for each level.
pub fn too_deep_toml(text: &str) -> Option<usize> {
    let (mut brackets, mut dots, mut at) = (0_usize, 0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or_default();
        let mut length = first.len_utf8();
        match first {
            '[' | '{' => (brackets, dots) = (brackets + 1, 0),
            ']' | '}' => (brackets, dots) = (brackets.saturating_sub(1), 0),
            '.' => dots += 1,
            '=' | ',' | '\n' => dots = 0,
            '#' => length = rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' => length = quoted(rest, first),
            _ => {}
        }
        if brackets + dots > DEEPEST {
            return Some(at);
        }
        at += length;
    }
    None
}

/// The length of the text in quotes at the beginning of `rest`. *Source*: TOML 1.0, "String".
fn quoted(rest: &str, quote: char) -> usize {
    let long: String = [quote; 3].iter().collect();
    let end = match rest.starts_with(&long) {
        true => long.as_str(),
        false => long.get(..1).unwrap_or_default(),
    };
    let mut at = end.len();
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with(end) {
            return at + end.len();
        }
        let first = tail.chars().next().unwrap_or_default();
        match first {
            // A text of one line that does not end there is no TOML: what follows is looked at.
            '\n' if end.len() == 1 => return at,
            '\\' if quote == '"' => {
                let escaped = tail.chars().nth(1).map_or(0, char::len_utf8);
                at += 1 + escaped;
            }
            _ => at += first.len_utf8(),
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_only_lowers_them_and_the_operator_raises_them() {
        let bounds = Bounds::default();
        let asked = |memory, seconds| Limits {
            memory,
            time: Duration::from_secs(seconds),
            ..Limits::default()
        };
        let held = bounds.within(&asked(1_000_000, 360_000));
        assert_eq!((held.memory, held.time.as_secs()), (1024, 10));
        let held = bounds.within(&asked(256, 2));
        assert_eq!((held.memory, held.time.as_secs()), (256, 2));
        let raised: Bounds = "memory=4096, time=1m".parse().unwrap();
        let held = raised.within(&asked(1_000_000, 360_000));
        assert_eq!((held.memory, held.time.as_secs()), (4096, 60));
        for wrong in [
            "memory",
            "=",
            "memory=0",
            "memory=-1",
            "time=x",
            "depth=1",
            "memory=1e9",
        ] {
            assert!(wrong.parse::<Bounds>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn toml_that_nests_is_known_before_it_is_read() {
        let many = |piece: &str| piece.repeat(200_000);
        for deep in [
            "[", "a=[", "a.", "{a=", "a = [[", "'a'.", "\"a\".", "[a.", "\"\n[",
        ] {
            let text = format!("x = {}", many(deep));
            let key = many(deep);
            assert!(
                too_deep_toml(&text).or(too_deep_toml(&key)).is_some(),
                "{deep:?}"
            );
        }
        let flat = [
            format!("a = \"{}\"\n", "[".repeat(100)),
            format!("a = '{}'\n", "[".repeat(100)),
            format!("a = \"\"\"\n{}\n\"\"\"\n", "[a.\\\"".repeat(100)),
            format!("# {}\n", "[".repeat(100)),
            "a.b.c = 1.5\n[a.b.d]\ne = [1.5, 2.5]\n".repeat(1000),
            format!("a = [{}]\n", "{ x = 1.5 },".repeat(1000)),
        ];
        for text in flat {
            assert_eq!(
                too_deep_toml(&text),
                None,
                "{}",
                text.chars().take(60).collect::<String>()
            );
        }
    }
}
