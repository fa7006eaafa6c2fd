//! What a check noticed.

use serde::{Deserialize, Serialize};

use crate::source::Source;

/// How bad a Finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth reading; nothing is stopped.
    Warning,
    /// The Revision is not applied.
    Error,
}

/// A stable code of a kind of Finding, for example `STR0101`.
///
/// *Shape*: `STR` and four digits. The table with an explanation of each is
/// [`codes::ALL`]; a code is never used again for something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(pub String);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something a check noticed in a person's file or in a Plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// The stable code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence: lower case, no full stop, values in backticks.
    pub message: String,
    /// Where it stands, when it stands anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none", flatten)]
    pub source: Option<Source>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A finding that stops the Revision.
    pub fn error(code: &codes::Explained, message: impl Into<String>) -> Self {
        Self {
            code: Code(code.code.to_owned()),
            severity: Severity::Error,
            message: message.into(),
            source: None,
            hint: None,
        }
    }

    /// A finding that stops nothing.
    pub fn warning(code: &codes::Explained, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// The same, with its place.
    pub fn at(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// The same, with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it stops the Revision.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Whether any of `findings` stops the Revision.
pub fn any_error(findings: &[Finding]) -> bool {
    findings.iter().any(Finding::is_error)
}

/// The codes and what they mean; one table, printed by `stratum explain` and the documentation.
pub mod codes {
    /// A code with its explanation.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Explained {
        /// The code, for example `STR0101`.
        pub code: &'static str,
        /// A few words.
        pub title: &'static str,
        /// What it means and what to do, for a person who meets it the first time.
        pub explanation: &'static str,
    }

    macro_rules! codes {
        ($($name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
            $(
                #[doc = $title]
                pub const $name: Explained =
                    Explained { code: $code, title: $title, explanation: $explanation };
            )*
            /// Every code, in order.
            pub const ALL: &[Explained] = &[$($name),*];
        };
    }

    codes! {
        // 01: the files of a repository
        SETTINGS_MISSING = "STR0101", "no settings", "The repository has no `stratum.ncl` at its top. `stratum init` writes one.";
        SETTINGS_UNKNOWN = "STR0102", "unknown setting", "`stratum.ncl` has a key that stratum does not know. Look for a misspelt name; every key and its default stands in schemas/README.md.";
        SETTINGS_INVALID = "STR0103", "invalid setting", "A setting has a value of the wrong form, for example a duration that does not parse.";
        STRAY_FILE = "STR0104", "file belongs to no environment", "A file under `infra/` is neither an environment's nor imported by one. It may be a misspelt name.";
        NOT_A_FILE = "STR0105", "not a regular file", "A path that stratum reads is a symlink or a submodule. Only regular files are read.";
        TOO_LARGE = "STR0106", "file too large", "A file is larger than stratum reads. Keep large data out of the repository.";
        NOT_TEXT = "STR0107", "not UTF-8 text", "A file that must be text is not valid UTF-8, or only stands for it: a pointer of git LFS, or a merge that was not resolved.";
        ENVIRONMENT_MISSING = "STR0108", "environment without files", "An environment of `stratum.ncl` has neither `infra/<name>.ncl` nor a folder `infra/<name>/`.";
        NOT_A_FOLDER = "STR0109", "not a folder", "A path that stratum reads files from is a link, a submodule or a file. Nothing is read from it, although people may think that it holds.";
        PROGRAMS_BESIDE = "STR0110", "program beside a protected environment", "An environment that is not protected runs a program as the reconciler's user, and another one of the repository is protected. Such a program reaches whatever that user reaches, the protected environment too. Name a user for it (`user`), take it away, or give the protected environment a reconciler of its own; reconciler/docs/protected.md says more.";
        // 02: Nickel
        SYNTAX = "STR0201", "syntax error", "The file is not Nickel. The place shown is where the reader could not go on.";
        TYPE = "STR0202", "type error", "A statically typed part of the file has another type than it says.";
        CONTRACT = "STR0203", "contract broken", "A value does not fulfil the contract that applies to it.";
        EXTRA_FIELD = "STR0204", "unknown field", "A record has a field that its contract does not know. Look for a misspelt name.";
        MISSING_FIELD = "STR0205", "missing field", "A field without a default has no value.";
        CONFLICT = "STR0206", "conflicting values", "Two layers give different values to one field. Use `priority` or `force` in the layer that should win.";
        RECURSION = "STR0207", "infinite recursion", "A value depends on itself.";
        EVALUATION = "STR0208", "evaluation failed", "Nickel could not compute the value.";
        NOT_DATA = "STR0209", "not data", "A function or another value that cannot be written as data is left in the result.";
        IMPORT = "STR0210", "import refused", "An import names something that is not a regular file inside the repository.";
        LIMIT = "STR0211", "evaluation limit", "Evaluation took more memory or time than allowed and was ended. Look for a loop, or for a list or record that grows without end; only the operator of the machine raises the bounds, with `--bounds`.";
        QUADRATIC = "STR0212", "slow form", "The file uses a form whose cost grows with the square of its size. The hint names the linear one.";
        // 03: resources
        UNKNOWN_TYPE = "STR0301", "unknown resource type", "No provider has this type.";
        UNKNOWN_ATTRIBUTE = "STR0302", "unknown attribute", "The type has no such attribute. Look for a misspelt name.";
        MISSING_ATTRIBUTE = "STR0303", "missing attribute", "A required attribute has no value.";
        WRONG_TYPE = "STR0304", "wrong type", "An attribute has a value of another type.";
        READ_ONLY = "STR0305", "read-only attribute", "The attribute is computed by the provider and cannot be set.";
        DANGLING = "STR0306", "dangling reference", "A reference names a resource or an attribute that is not there.";
        CYCLE = "STR0307", "dependency cycle", "Resources depend on each other in a circle, so none can be first.";
        DUPLICATE = "STR0308", "address defined twice", "Two files define the same address.";
        INVALID = "STR0309", "invalid value", "The provider refuses the value.";
        SAME_PLACE = "STR0310", "two resources in one place", "Two resources would manage the same thing, for example one path.";
        META = "STR0311", "invalid meta", "The `meta` of a resource has an unknown key or a value of the wrong form.";
        // 04: pipelines
        PIPELINE_SHAPE = "STR0401", "pipeline of the wrong form", "The pipeline lacks a key, has an unknown one, or one of the wrong form.";
        PIPELINE_STEP = "STR0402", "pipeline step", "Step ids repeat, or `needs` names an unknown step or forms a circle.";
        PIPELINE_FILE = "STR0403", "file of a pipeline", "A prompt or schema that the pipeline names is not in the repository.";
        PIPELINE_WHEN = "STR0404", "condition", "`when` does not parse, or names something that is not an earlier step.";
        PIPELINE_NAME = "STR0405", "unknown tool, group or role", "A tool, group, role or model is named that nothing defines.";
        PIPELINE_TAINT = "STR0406", "untrusted input", "A step that reads untrusted input may hold no secret, no network and no proposal without approval.";
        AGENTS_SHAPE = "STR0407", "agents of the wrong form", "`agents.ncl` lacks a key, has an unknown one, or one of the wrong form.";
        // 05: forms
        FORM_SHAPE = "STR0501", "form of the wrong form", "The form is not TOML, lacks a key, or has an unknown one.";
        FORM_FIELD = "STR0502", "form field", "A field or page repeats an id, names an unknown page, or lacks what its kind needs.";
        FORM_EXPRESSION = "STR0503", "form expression", "An expression, pattern or template does not parse, or names an unknown field.";
        FORM_TEXT = "STR0504", "missing text", "A fluent id is not in the English bundle.";
        FORM_FILE = "STR0505", "file of a form", "A file that the form names is not in the repository.";
        // 06: knowledge
        FRONTMATTER = "STR0601", "frontmatter", "The frontmatter is missing, is not YAML, or has a key of the wrong form.";
        KNOWLEDGE_ID = "STR0602", "knowledge id", "The id is missing or used twice.";
        KNOWLEDGE_KEY = "STR0603", "knowledge key", "A key that this type needs is missing, or one is unknown.";
        KNOWLEDGE_RELATION = "STR0604", "knowledge relation", "A relation has an unknown type or target, or `supersedes` forms a circle.";
        KNOWLEDGE_STATUS = "STR0605", "knowledge status", "A status is not one of those that decisions have, or the statuses of two decisions do not fit their `supersedes`.";
        KNOWLEDGE_LINK = "STR0606", "broken link", "A link or an anchor leads nowhere.";
        KNOWLEDGE_WIKI = "STR0607", "wiki link", "`[[id]]` is read, but other tools do not follow it: prefer a relative link.";
        KNOWLEDGE_EXECUTION = "STR0608", "execution by hand", "Nodes of type `execution` are written by stratum alone, on the records branch.";
        // 07: sealed files
        PLAINTEXT = "STR0701", "plaintext under a sealed path", "A file under `secrets/` is not sealed. Take it out of the repository and its history, change the secret, and seal the new one.";
        SEALED_SHAPE = "STR0702", "sealed file of the wrong form", "The file is not `sealed/v1`.";
        SEALED_PLACE = "STR0703", "sealed for another place", "The context in the file does not match where it lies.";
        SEALED_SIGNATURE = "STR0704", "signature of a sealed value", "A sealed value is not signed as `secrets.signatures` asks, or a signature does not match: the value, its place or its version was changed after it was sealed. Seal it again, and find out who changed it.";
        SEALED_SEALER = "STR0705", "sealer", "A sealed value was signed by a key that is nobody's in the trust of the applied commit, that had expired, or that may not seal there. A new sealer comes in two pushes: first `trust/`, then what they sealed.";
        SEALED_OLD = "STR0706", "older value", "A sealed value has a lower version than one that was in force, as after a `git revert` or a replay from history. Seal the old content again with `stratum secrets seal`, which makes it the newest version; or sign for going back.";
        SEALED_RECIPIENT = "STR0707", "recipient of a sealed value", "A sealed value can be read by someone who is not a recipient of the environment in `trust/recipients/`. Rewrap it with `stratum secrets rewrap`, and change the secret if someone may have read it.";
        SEALED_CLASSICAL = "STR0708", "classical recipient", "A sealed value is sealed to a recipient that a quantum computer could stand in for. `stratum secrets rewrap` seals it again once `trust/recipients/` has a post-quantum key.";
        CREDENTIAL = "STR0709", "private key or credential", "A file holds what looks like a private key, an identity or a token. Take it out of the commit; if it was ever pushed, change it, because history keeps it. A line with `stratum: not a secret` on it or above it says that it is only a test value.";
        UNSEARCHED = "STR0710", "not searched for keys", "A file is too large or packed, so that the hooks could not look for private keys and credentials in all of it.";
        // 075: trust
        TRUST_SHAPE = "STR0750", "trust of the wrong form", "A file under `trust/` is not TOML, lacks a key, or has an unknown one.";
        TRUST_NAME = "STR0751", "unknown name in trust", "A group names a person, or a recipient an environment, that is not there.";
        TRUST_KEY = "STR0752", "key in trust", "A key under `trust/` is not a public key of its kind, or two people share one. Private keys never belong there.";
        // 08: plans
        PROTECTED = "STR0801", "protected resource", "The plan would delete or replace a resource with `protect = true`. Take the protection away in a commit of its own first.";
        DELETION_BUDGET = "STR0802", "deletion budget", "The plan would delete more than `max_deletes` allows.";
        EMPTIED = "STR0803", "emptied environment", "The environment would lose all its resources. Say so with `empty = true` in its settings.";
        UNPLANNABLE = "STR0804", "provider refuses", "The provider could not plan the change.";
        PLACES = "STR0805", "places in a circle", "Resources would take each other's places in the world in a circle, for example two files that swap their paths. None of them can be freed first, so the steps may fail; move one to a free place first.";
        NOTICED = "STR0806", "provider warns", "The provider noticed something while it planned the change, and goes on.";
        // 09: policies and signatures
        POLICY_SYNTAX = "STR0901", "policy syntax", "A file under `policies/` is not Cedar. The place shown is where the reader could not go on.";
        POLICY_TYPE = "STR0902", "policy does not fit the schema", "A policy names an entity type, an action or an attribute that there is not, or compares values of different types. `policies/schema.cedarschema` of stratum lists what there is.";
        POLICY_ANNOTATION = "STR0903", "policy without id or reason", "Every policy has an `@id`, by which verdicts name it, and a `@reason`, the sentence that people read who are denied.";
        POLICY_DUPLICATE = "STR0904", "policy id used twice", "Two policies of the repository have the same `@id`. One that has the id of a policy that ships takes its place.";
        POLICY_TEST = "STR0905", "policy test fails", "A case of `policies/tests/` has another decision, or is decided by another policy, than it says.";
        POLICY_TEST_SHAPE = "STR0906", "policy test of the wrong form", "A file under `policies/tests/` is not TOML, lacks a key, or has an unknown one.";
        UNVERIFIED = "STR0907", "commit not verified", "A commit is not signed by anyone in `trust/people/`, or its signature is not good. With `signatures = 'required` it would not be applied.";
        STRAY_RULE = "STR0908", "nothing reads this rule", "A file or folder under `policies/` has a name that nothing reads, so that a policy in it would not hold.";
        LOCKOUT = "STR0909", "nobody could change the policies any more", "With these policies nobody in `trust/` may bring a change of the policies, also not with the approvals that can be given. No push would lead out of that.";
    }
}

/// The first error among findings, with its place, its code, what to do about it, and how many more
/// there are.
pub fn first_reason(findings: &[Finding]) -> String {
    let mut errors = findings.iter().filter(|finding| finding.is_error());
    let Some(first) = errors.next() else {
        return "its files could not be read".to_owned();
    };
    let place = first
        .source
        .as_ref()
        .map(|source| format!("{source}: "))
        .unwrap_or_default();
    let more = match errors.count() {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    let remedy = first.hint.as_ref();
    let remedy = remedy.map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{place}{} [{}]{remedy}{more}", first.message, first.code)
}

#[cfg(test)]
mod tests {
    use super::codes::ALL;

    #[test]
    fn codes_are_unique_and_sorted() {
        assert!(ALL.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(
            ALL.iter()
                .all(|c| c.code.len() == 7 && c.explanation.ends_with('.'))
        );
    }
}
