//! Findings as SARIF, so that forges show them on the line.
//!
//! *Source*: SARIF 2.1.0, OASIS Standard, sections 3.13 to 3.30.

use serde_json::{Value, json};
use stratum_core::finding::{Finding, Severity, codes};
use stratum_core::source::Source;

/// The log of one run of `check`.
pub(crate) fn log(findings: &[Finding]) -> Value {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "stratum",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes::ALL.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn rule(code: &codes::Explained) -> Value {
    json!({
        "id": code.code,
        "shortDescription": { "text": code.title },
        "fullDescription": { "text": code.explanation },
    })
}

fn result(finding: &Finding) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let text = match &finding.hint {
        Some(hint) => format!("{} ({hint})", finding.message),
        None => finding.message.clone(),
    };
    // A forge refuses the whole file for one result without a place. What is about the repository
    // as a whole is decided in its settings.
    let whole = Source::start_of(SETTINGS);
    let source = finding.source.as_ref().unwrap_or(&whole);
    json!({
        "ruleId": finding.code,
        "level": level,
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(&source.file), "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": source.line.max(1), "startColumn": source.column.max(1) },
        }}],
    })
}

/// The file of the settings.
const SETTINGS: &str = "stratum.ncl";

/// A path as a relative URI reference (RFC 3986): everything but the plainest is percent-encoded.
fn uri(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_stands_on_its_line() {
        let finding = Finding::error(&codes::SYNTAX, "unexpected `}`")
            .at(Source::new("infra/a b.ncl", 7, 3))
            .hint("close the record");
        let log = log(&[finding]);
        let result = log.pointer("/runs/0/results/0").unwrap();
        assert_eq!(result["ruleId"], "STR0201");
        assert_eq!(
            result["message"]["text"],
            "unexpected `}` (close the record)"
        );
        let place = result.pointer("/locations/0/physicalLocation").unwrap();
        assert_eq!(place["artifactLocation"]["uri"], "infra/a%20b.ncl");
        assert_eq!(place["region"]["startLine"], 7);
    }

    #[test]
    fn every_result_has_a_place() {
        let all = codes::ALL.iter().map(|code| Finding::warning(code, "x"));
        let mut findings: Vec<Finding> = all.collect();
        findings.push(Finding::warning(&codes::SYNTAX, "x").at(Source::new("a", 0, 0)));
        let log = log(&findings);
        let results = log.pointer("/runs/0/results").unwrap().as_array().unwrap();
        for result in results {
            let place = result.pointer("/locations/0/physicalLocation").unwrap();
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            let line = place["region"]["startLine"].as_u64().unwrap();
            assert!(line >= 1 && ["stratum.ncl", "a"].contains(&uri), "{place}");
        }
        let rules = log.pointer("/runs/0/tool/driver/rules").unwrap();
        assert_eq!(rules.as_array().unwrap().len(), codes::ALL.len());
    }
}
