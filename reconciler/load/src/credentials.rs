//! Private keys and credentials in files of any kind: what no commit may hold.
//!
//! *Guarantees*: no finding holds a part of what was found. The patterns are those of formats that
//! name themselves, so that ordinary text is not refused; a line with [`ALLOWED`] on it or above it
//! is left alone, for test values.

use regex::bytes::{Regex, RegexBuilder};
use stratum_core::finding::{Finding, codes};
use stratum_core::source::Source;

/// What a person writes on the line, or on the one above it, to say that it is no credential.
pub const ALLOWED: &str = "stratum: not a secret";

/// The most findings of one file.
const MOST: usize = 20;

/// What a pattern finds, and the pattern.
///
/// *Source*: RFC 7468 (PEM), RFC 9580 (OpenPGP armour), age 1.3 (identities), the key formats of
/// PuTTY, AWS and GitHub as their makers document them.
const PATTERNS: &[(&str, &str)] = &[
    (
        "a private key",
        r#"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\\[rn]|[\s"'+>|#*]|[A-Za-z-]+: [^\n]*\n){1,40}[A-Za-z0-9+/=]{24}"#,
    ),
    ("a private key of PuTTY", r"(?m)^Private-Lines: [0-9]+\r?$"),
    (
        "an age identity",
        r"(?i)\bAGE-SECRET-KEY-(?:PQ-)?1[02-9AC-HJ-NP-Z]{50}",
    ),
    (
        "a key of stratum",
        r"(?i)\bSTRATUM-(?:SEALER|SHARE|SECRET)[A-Z-]*1[02-9AC-HJ-NP-Z]{30}",
    ),
    (
        "a secret access key of AWS",
        r#"(?i)secret_?(?:access_?)?key["']?\s*(?:=>|[:=])\s*["']?(?P<value>[a-z0-9/+]{40})(?:["'\s,;]|$)"#,
    ),
    (
        "a token of GitHub",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})",
    ),
];

/// Looks for private keys and credentials.
#[derive(Debug)]
pub struct Credentials(Vec<(&'static str, Regex)>);

impl Credentials {
    /// Makes the patterns ready; some milliseconds.
    ///
    /// *Errors*: only when a pattern here is wrong, which a test would have seen.
    pub fn new() -> Result<Self, regex::Error> {
        let compile = |(what, pattern): &(&'static str, &str)| {
            let regex = RegexBuilder::new(pattern).unicode(false).build()?;
            Ok((*what, regex))
        };
        PATTERNS
            .iter()
            .map(compile)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What the file at `path` holds that no commit may hold. Linear in its bytes.
    pub fn find(&self, path: &str, bytes: &[u8]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (what, regex) in &self.0 {
            for found in regex.captures_iter(bytes) {
                let Some(whole) = found.get(0) else { continue };
                let likely = found.name("value").is_none_or(|v| is_random(v.as_bytes()));
                if likely && !is_allowed(bytes, whole.start()) {
                    findings.push(finding(what, path, bytes, whole.start()));
                }
                if findings.len() >= MOST {
                    return findings;
                }
            }
        }
        findings
    }
}

/// Whether it looks drawn at random: digits and letters of both kinds, and no word of a manual.
fn is_random(value: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| value.iter().any(kind);
    let documented = value.windows(7).any(|word| word == b"EXAMPLE");
    has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && !documented
}

/// Whether the line that holds `at`, or the one above it, says that it is no secret.
fn is_allowed(bytes: &[u8], at: usize) -> bool {
    let end = bytes
        .iter()
        .skip(at)
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |length| at + length);
    let mut starts = bytes
        .get(..at)
        .unwrap_or_default()
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(index, _)| index);
    let start = starts.nth(1).unwrap_or(0);
    let lines = bytes.get(start..end).unwrap_or_default();
    lines
        .windows(ALLOWED.len())
        .any(|window| window == ALLOWED.as_bytes())
}

fn finding(what: &str, path: &str, bytes: &[u8], at: usize) -> Finding {
    let before = bytes.get(..at).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default())
        .chars()
        .count()
        + 1;
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Finding::error(&codes::CREDENTIAL, format!("this looks like {what}"))
        .at(Source::new(path, number(line), number(column)))
        .hint(format!(
            "take it out of the commit, and change it if it was ever pushed; a line with `{ALLOWED}` \
             on it or above it says that it is only a test value"
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let findings = Credentials::new().unwrap().find("f", text.as_bytes());
        let line = |finding: &Finding| finding.source.as_ref().unwrap().line;
        let all = findings
            .iter()
            .map(|f| format!("{}: {}", line(f), f.message));
        all.collect()
    }

    /// Written in pieces, so that this file itself is not refused.
    fn key(kind: &str) -> String {
        format!(
            "-----BEGIN {kind}PRIVATE {}-----\n{}\n",
            "KEY", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
        )
    }

    #[test]
    fn private_keys_of_every_kind_are_found() {
        for kind in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
            let text = format!("# a file\n{}", key(kind));
            assert_eq!(found(&text), ["2: this looks like a private key"], "{kind}");
        }
        let json = format!(
            "{{ \"private_key\": \"{}\" }}",
            key("").replace('\n', "\\n")
        );
        assert_eq!(found(&json).len(), 1);
        let indented = key("RSA ").replace('\n', "\n    ");
        assert_eq!(found(&format!("key: |\n    {indented}")).len(), 1);
        let armoured = format!(
            "-----BEGIN PGP PRIVATE {} BLOCK-----\nVersion: 1\n\n{}\n",
            "KEY", "lQOYBGPhz0QBCADK5v3p1bQv8c0m8x"
        );
        assert_eq!(found(&armoured).len(), 1);
        let putty = "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\nAAAA\n";
        assert_eq!(found(putty), ["2: this looks like a private key of PuTTY"]);
    }

    #[test]
    fn identities_and_tokens_are_found() {
        let long = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE";
        for text in [
            format!("AGE-SECRET-{}-1{long}", "KEY"),
            format!("AGE-SECRET-{}-PQ-1{long}", "KEY"),
            format!("STRATUM-{}-1{long}", "SEALER"),
            format!(
                "aws_secret_access_key = {}",
                "wJa1rXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY"
            ),
            format!(
                "secretAccessKey: '{}'",
                "wJa1rXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY"
            ),
            format!("token: ghp_{}", "a1B2".repeat(9)),
        ] {
            assert_eq!(found(&text).len(), 1, "{text}");
        }
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in [
            "a key begins with `-----BEGIN PRIVATE KEY-----` and ends with another line",
            "-----BEGIN PUBLIC KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n",
            "age1pq1qpzry9x8gf2tvdw0s3jn54khce6mua7lqpzry9x8gf2tvdw0s3jn54khce6mua7l",
            "AGE-SECRET-KEY-1...",
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "secret_key = da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "secret_key: stratum.secret \"production/db#password\"",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_person_may_say_that_it_is_no_secret() {
        let text = format!("# {ALLOWED}\n{}", key(""));
        assert!(found(&text).is_empty());
        let far = format!("# {ALLOWED}\n\n\n{}", key(""));
        assert_eq!(found(&far).len(), 1);
    }

    #[test]
    fn what_was_found_is_in_no_finding() {
        let secret = "wJa1rXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY";
        let text = format!("aws_secret_access_key = {secret}");
        let findings = Credentials::new().unwrap().find("f", text.as_bytes());
        assert!(!format!("{findings:?}").contains("K7MDENG"));
    }
}
