//! Numbers of any size.

use std::fmt;

/// A number.
///
/// *Shape*: one number has one form, so that equal numbers are equal values. What JSON's own numbers
/// hold exactly is held as one of them, whole numbers as integers; every other number is held as its
/// decimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Json(serde_json::Number),
    /// A sign, digits without leading zeros, a fraction without trailing zeros.
    Decimal(Box<str>),
}

/// The most digits that a number may have.
const DIGITS: usize = 1024;

impl Number {
    /// A number as it is written in decimal, perhaps with an exponent; `None` when it is none, or
    /// has more than 1024 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let decimal = canonical(text)?;
        if let Ok(whole) = decimal.parse::<u64>() {
            return Some(whole.into());
        }
        if let Ok(whole) = decimal.parse::<i64>() {
            return Some(whole.into());
        }
        let float = exact(&decimal).and_then(kept_by_json);
        Some(Self(match float {
            Some(number) => Form::Json(number),
            None => Form::Decimal(decimal.into_boxed_str()),
        }))
    }

    /// The number that JSON's own numbers can hold; `None` for one that they cannot.
    pub fn as_json(&self) -> Option<&serde_json::Number> {
        match &self.0 {
            Form::Json(number) => Some(number),
            Form::Decimal(_) => None,
        }
    }

    /// The number as JSON that is only written: also one that JSON's reader would not give back.
    pub(super) fn written(&self) -> Option<serde_json::Number> {
        match &self.0 {
            Form::Json(number) => Some(number.clone()),
            Form::Decimal(digits) => serde_json::Number::from_f64(exact(digits)?),
        }
    }

    /// The number, where it is whole and fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_json()?.as_u64()
    }

    /// The number, where it is whole and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_json()?.as_i64()
    }
}

/// The floating number that has exactly these digits.
fn exact(decimal: &str) -> Option<f64> {
    let float = decimal.parse::<f64>().ok().filter(|f| f.is_finite())?;
    (float.to_string() == decimal).then_some(float)
}

/// A floating number as JSON, if JSON's reader gives it back: it may be off in the last digit.
fn kept_by_json(float: f64) -> Option<serde_json::Number> {
    let number = serde_json::Number::from_f64(float)?;
    let back = serde_json::from_str::<f64>(&number.to_string()).ok()?;
    (back.to_bits() == float.to_bits()).then_some(number)
}

/// The one decimal form of a number.
fn canonical(text: &str) -> Option<String> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, exponent) = match rest.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let both = format!("{whole}{fraction}");
    if whole.is_empty() || both.len() > DIGITS || !both.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if both.bytes().all(|digit| digit == b'0') {
        return Some("0".to_owned());
    }
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let (whole, fraction) = split(&both, point)?;
    let (whole, fraction) = (
        whole.trim_start_matches('0'),
        fraction.trim_end_matches('0'),
    );
    let sign = if negative { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match fraction {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    })
}

/// Digits with the decimal point after the first `point`, which may lie outside of them.
fn split(digits: &str, point: i64) -> Option<(String, String)> {
    if point.unsigned_abs() > DIGITS as u64 {
        return None;
    }
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
    let length = i64::try_from(digits.len()).ok()?;
    if point <= 0 {
        return Some((String::new(), format!("{}{digits}", zeros(-point))));
    }
    if point >= length {
        return Some((format!("{digits}{}", zeros(point - length)), String::new()));
    }
    let (whole, fraction) = digits.split_at_checked(usize::try_from(point).ok()?)?;
    Some((whole.to_owned(), fraction.to_owned()))
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Json(number) => number.fmt(f),
            Form::Decimal(digits) => f.write_str(digits),
        }
    }
}

/// Holds `1.0` as `1`, so that equal numbers are equal values.
impl From<serde_json::Number> for Number {
    fn from(number: serde_json::Number) -> Self {
        let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
            return Self(Form::Json(number));
        };
        if float.fract() == 0.0 && float.abs() < 9e15 {
            return Self(Form::Json(serde_json::Number::from(float as i64)));
        }
        match kept_by_json(float) {
            Some(number) => Self(Form::Json(number)),
            None => Self(Form::Decimal(float.to_string().into_boxed_str())),
        }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(Form::Json(number.into()))
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(Form::Json(number.into()))
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        u64::from(number).into()
    }
}

impl From<i32> for Number {
    fn from(number: i32) -> Self {
        i64::from(number).into()
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self(Form::Json(number.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(text: &str) -> String {
        Number::parse(text).unwrap().to_string()
    }

    #[test]
    fn one_number_has_one_form() {
        for same in ["1", "1.0", "0001", "10e-1", "0.1e1", "1E0"] {
            assert_eq!(Number::parse(same), Some(1.into()), "{same}");
        }
        assert_eq!(form("-0"), "0");
        assert_eq!(form("1.50"), "1.5");
        assert_eq!(
            Number::parse("1.5"),
            Some(serde_json::Number::from_f64(1.5).unwrap().into())
        );
        assert_eq!(form("-12e-3"), "-0.012");
    }

    #[test]
    fn digits_are_never_lost() {
        let long = "123456789012345678901234567890.000000000000000000001";
        assert_eq!(form(long), long);
        assert_eq!(Number::parse(long).unwrap().as_json(), None);
        assert_eq!(
            form("340282366920938463463374607431768211456"),
            "340282366920938463463374607431768211456"
        );
    }

    #[test]
    fn what_is_no_number_is_none() {
        for wrong in [
            "", "-", ".5", "1.2.3", "1e", "0x1", "1e99999", "NaN", "inf", "１", "+1",
        ] {
            assert_eq!(Number::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_float_is_what_json_makes_of_it(float in proptest::num::f64::NORMAL) {
            prop_assume!(float.abs() < 1e300 && float.abs() > 1e-300);
            let json = serde_json::Number::from_f64(float).unwrap();
            prop_assert_eq!(Number::parse(&float.to_string()).unwrap().to_string().parse::<f64>().unwrap(), float);
            prop_assert_eq!(Number::from(json).to_string().parse::<f64>().unwrap(), float);
        }

        #[test]
        fn reading_what_was_written_gives_it_back(text in "-?[0-9]{1,60}(\\.[0-9]{1,60})?") {
            let number = Number::parse(&text).unwrap();
            prop_assert_eq!(Number::parse(&number.to_string()), Some(number));
        }
    }
}
