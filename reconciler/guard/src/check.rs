//! What is wrong with the policies of a tree, its keys, and its tests of policies.

use std::sync::Arc;

use stratum_core::finding::{Finding, any_error};
use stratum_core::ports::{Tree, TreeError};
use stratum_core::rules::{policies, policy_tests};
use stratum_core::settings::Settings;
use stratum_core::trust::Trust;

use crate::cases::some_time;
use crate::law::{Parsed, duplicates};
use crate::{Court, cases, lockout, signatures};

/// Checks `policies/` and the keys of `trust/`; the tests are run when the policies can be used.
pub(crate) fn check(
    court: &Court,
    tree: &dyn Tree,
    trust: &Trust,
    settings: &Settings,
) -> Result<Vec<Finding>, TreeError> {
    let mut findings = signatures::check(trust);
    let files = policies(tree)?;
    findings.extend(files.findings);
    findings.extend(files.strays);
    let parsed: Vec<Arc<Parsed>> = files
        .files
        .iter()
        .map(|file| court.laws.parsed(file))
        .collect();
    findings.extend(parsed.iter().flat_map(|parsed| parsed.findings.clone()));
    findings.extend(duplicates(&parsed));
    let tests = policy_tests(tree)?;
    findings.extend(tests.findings);
    findings.extend(tests.strays);
    if any_error(&findings) {
        return Ok(findings);
    }
    if let Ok(law) = court.laws.law(&files.files) {
        if (!files.files.is_empty() || settings.protects_any())
            && let Ok(shipped) = court.laws.law(&[])
        {
            let (schema, now) = (&court.schema, some_time());
            let (law, shipped) = (&law, &shipped);
            let case = lockout::Case {
                schema,
                law,
                shipped,
                trust,
                settings,
                now,
            };
            findings.extend(lockout::findings(&case));
        }
        for file in &tests.files {
            findings.extend(cases::run(&court.schema, &law, &file.path, &file.text));
        }
    }
    Ok(findings)
}
