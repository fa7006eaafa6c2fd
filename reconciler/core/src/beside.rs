//! Programs beside protected environments: what a label cannot protect from.

use crate::desired::Desired;
use crate::finding::{Finding, codes};
use crate::ids::EnvironmentName;
use crate::resource::Resource;
use crate::settings::Settings;
use crate::value::{Path, Value};

/// The types whose resources are programs of the reconciler's machine.
pub const PROGRAMS: [&str; 2] = ["local_exec", "local_service"];

/// A warning for each program of an environment that is not protected, and that runs as the
/// reconciler's user while another environment is protected.
pub fn findings(
    settings: &Settings,
    environment: &EnvironmentName,
    desired: &Desired,
) -> Vec<Finding> {
    let own = settings.environments.get(environment);
    let is_apart = own.is_some_and(|own| own.is_protected() || own.user.is_some() || own.isolated);
    if !settings.protects_any() || is_apart {
        return Vec::new();
    }
    let programs = desired.resources.values().filter(|one| is_program(one));
    programs
        .map(|program| finding(environment, program))
        .collect()
}

fn is_program(resource: &Resource) -> bool {
    let user = resource.attributes.get("user");
    PROGRAMS.contains(&resource.address.r#type().as_str())
        && user.is_none_or(|user| *user == Value::Null)
}

fn finding(environment: &EnvironmentName, program: &Resource) -> Finding {
    let message = format!(
        "`{}` runs as the reconciler's user in `{environment}`, which is not protected, and reaches \
         what is",
        program.address.local
    );
    let mut finding = Finding::warning(&codes::PROGRAMS_BESIDE, message)
        .hint("write `user = \"...\"`, or keep protected environments with another reconciler");
    finding.source = program.source(&Path::default()).cloned();
    finding
}
