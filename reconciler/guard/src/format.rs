//! Cedar policies in their one form.

use cedar_policy_formatter::{Config, policies_str_to_pretty};

/// The policies of one file in the form of Cedar's own formatter.
///
/// *Guarantees*: comments and policies stay as they are said; only spaces and line ends differ.
///
/// *Errors*: what the formatter says about text that it cannot read or would not keep.
pub fn cedar(text: &str) -> Result<String, String> {
    policies_str_to_pretty(text, &Config::default()).map_err(|report| {
        let mut reason = report.to_string();
        for cause in report.chain().skip(1) {
            reason.push_str(&format!(": {cause}"));
        }
        reason
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_have_one_form() {
        let once = cedar("// why\npermit(principal,action,\nresource) ;").unwrap();
        assert_eq!(once, "// why\npermit (principal, action, resource);\n");
        assert_eq!(cedar(&once).unwrap(), once);
        assert!(cedar("permit(").is_err());
    }
}
