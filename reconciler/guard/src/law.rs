//! The policies that hold: those that ship, and a repository's own on top.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{Policy, PolicyId, PolicySet, Schema};
use stratum_core::finding::codes::{POLICY_ANNOTATION, POLICY_DUPLICATE, POLICY_SYNTAX};
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::ObjectId;
use stratum_core::ports::{Confined, ConfinedError};
use stratum_core::rules::PolicyFile;
use stratum_core::source::Source;

use crate::bounds::refused;
use crate::place::{invalid, place, syntax};
use crate::roomy::roomy;
use crate::screen::screen;
use crate::{DEFAULTS, POLICIES_TASK, validate};

/// So many files, and so many sets, are kept parsed.
const KEPT: usize = 256;

/// The name of the file that ships.
const SHIPPED: &str = "the policies that ship";

/// One policy with what it must say about itself.
#[derive(Debug, Clone)]
pub(crate) struct Article {
    pub(crate) id: String,
    pub(crate) reason: String,
    pub(crate) source: Source,
    policy: Policy,
    /// Whether it looks at which resource it is, so that no two questions are the same to it.
    personal: bool,
}

/// One file, parsed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parsed {
    pub(crate) articles: Vec<Article>,
    pub(crate) findings: Vec<Finding>,
}

/// The policies that hold together.
#[derive(Debug)]
pub(crate) struct Law {
    pub(crate) set: PolicySet,
    /// The same, put together; see [`screen`].
    pub(crate) screen: Option<PolicySet>,
    pub(crate) reasons: BTreeMap<String, String>,
    /// Whether any policy looks at which resource it is.
    pub(crate) personal: bool,
}

/// A policy that ships, for lists of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// Its id.
    pub id: String,
    /// Its reason.
    pub reason: String,
}

/// The policies that ship, in order.
pub fn shipped() -> Vec<Shipped> {
    let Ok(set) = PolicySet::from_str(DEFAULTS) else {
        return Vec::new();
    };
    let shipped = in_order(&set).into_iter().map(|policy| Shipped {
        id: policy.annotation("id").unwrap_or_default().to_owned(),
        reason: policy.annotation("reason").unwrap_or_default().to_owned(),
    });
    shipped.collect()
}

type SetKey = Vec<(String, ObjectId)>;

/// Every law that was met, each made once.
pub(crate) struct Laws {
    schema: Arc<Schema>,
    confined: Option<Arc<dyn Confined>>,
    shipped: Vec<Article>,
    files: Mutex<HashMap<(String, ObjectId), Arc<Parsed>>>,
    sets: Mutex<HashMap<SetKey, Arc<Law>>>,
}

impl Laws {
    pub(crate) fn new(
        schema: Arc<Schema>,
        confined: Option<Arc<dyn Confined>>,
    ) -> Result<Self, String> {
        let parsed = parse(&schema, SHIPPED, DEFAULTS);
        if let Some(first) = parsed.findings.first() {
            return Err(first.message.clone());
        }
        Ok(Self {
            schema,
            confined,
            shipped: parsed.articles,
            files: Mutex::default(),
            sets: Mutex::default(),
        })
    }

    /// One file, parsed and validated; once for each blob.
    pub(crate) fn parsed(&self, file: &PolicyFile) -> Arc<Parsed> {
        let key = (file.path.clone(), file.id.clone());
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parsed) = files.get(&key) {
            return Arc::clone(parsed);
        }
        drop(files);
        let parsed = Arc::new(self.read(&file.path, &file.text));
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= KEPT {
            files.clear();
        }
        files.insert(key, Arc::clone(&parsed));
        parsed
    }

    /// Reads one file: its words are counted, a confined child reads it, and only then does this
    /// process, with a large stack.
    ///
    /// *Guarantees*: whatever the text is, the answer is findings or policies.
    fn read(&self, path: &str, text: &str) -> Parsed {
        let only = |finding: Finding| Parsed {
            articles: Vec::new(),
            findings: vec![finding],
        };
        if let Some(finding) = refused(path, text) {
            return only(finding);
        }
        let ended = |why: &str| {
            let message = format!("reading the policies was ended: {why}");
            let finding = Finding::error(&POLICY_SYNTAX, message).at(Source::start_of(path));
            only(finding.hint("write them more simply, or in several files"))
        };
        let confined = self.confined.as_ref();
        match confined.map(|confined| confined.read(POLICIES_TASK, text)) {
            Some(Err(ConfinedError::Ended(why))) => return ended(&why),
            Some(Err(ConfinedError::NotRun(why))) => {
                tracing::warn!(%why, "policies are read without a confined child");
            }
            Some(Ok(_)) | None => {}
        }
        let parsed = roomy(|| parse(&self.schema, path, text));
        parsed.unwrap_or_else(|why| ended(&why))
    }

    /// The law of these files on top of what ships.
    ///
    /// *Errors*: a sentence with the place, when one of them cannot be used: a policy that is left
    /// out could be the one that forbids.
    pub(crate) fn law(&self, files: &[PolicyFile]) -> Result<Arc<Law>, String> {
        let key: SetKey = files
            .iter()
            .map(|file| (file.path.clone(), file.id.clone()))
            .collect();
        let known = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(law) = known.get(&key) {
            return Ok(Arc::clone(law));
        }
        drop(known);
        let parsed: Vec<Arc<Parsed>> = files.iter().map(|file| self.parsed(file)).collect();
        let mut findings: Vec<&Finding> =
            parsed.iter().flat_map(|parsed| &parsed.findings).collect();
        let twice = duplicates(&parsed);
        findings.extend(&twice);
        if let Some(finding) = findings.iter().find(|finding| finding.is_error()) {
            let place = finding.source.as_ref().map(ToString::to_string);
            return Err(format!(
                "{}: {}",
                place.unwrap_or_default(),
                finding.message
            ));
        }
        let law = Arc::new(roomy(|| self.combine(&parsed))??);
        let mut known = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, Arc::clone(&law));
        Ok(law)
    }

    fn combine(&self, parsed: &[Arc<Parsed>]) -> Result<Law, String> {
        let mut all: BTreeMap<&str, &Article> = BTreeMap::new();
        let own = parsed.iter().flat_map(|parsed| &parsed.articles);
        for article in self.shipped.iter().chain(own) {
            all.insert(&article.id, article);
        }
        let policies = all
            .values()
            .map(|article| article.policy.new_id(PolicyId::new(&article.id)));
        let policies: Vec<Policy> = policies.collect();
        let screen = screen(policies.iter());
        let set = PolicySet::from_policies(policies).map_err(|error| error.to_string())?;
        let reasons = all.values().map(|one| (one.id.clone(), one.reason.clone()));
        Ok(Law {
            set,
            screen,
            reasons: reasons.collect(),
            personal: all.values().any(|article| article.personal),
        })
    }
}

/// Reads a text as a repository's policies are read; what is wrong with it does not matter.
pub(crate) fn read_in_vain(schema: &Schema, text: &str) -> String {
    let parsed = parse(schema, SHIPPED, text);
    let screened = screen(parsed.articles.iter().map(|article| &article.policy));
    screened.map_or_else(String::new, |set| set.policies().count().to_string())
}

/// A finding for each id that the repository uses twice.
pub(crate) fn duplicates(parsed: &[Arc<Parsed>]) -> Vec<Finding> {
    let mut first: BTreeMap<&str, &Source> = BTreeMap::new();
    let mut findings = Vec::new();
    for article in parsed.iter().flat_map(|parsed| &parsed.articles) {
        if let Some(before) = first.get(article.id.as_str()) {
            let message = format!("the policy `{}` is there already, at {before}", article.id);
            findings.push(Finding::error(&POLICY_DUPLICATE, message).at(article.source.clone()));
        } else {
            first.insert(&article.id, &article.source);
        }
    }
    findings
}

fn parse(schema: &Schema, file: &str, text: &str) -> Parsed {
    let set = match PolicySet::from_str(text) {
        Ok(set) => set,
        Err(errors) => {
            return Parsed {
                articles: Vec::new(),
                findings: syntax(file, text, &errors),
            };
        }
    };
    let mut parsed = Parsed::default();
    if let Some(template) = set.templates().next() {
        let message = "templates (`?principal`, `?resource`) are not used here: write a policy";
        let offset = text.find(&template.to_cedar()).unwrap_or(0);
        let finding = Finding::error(&POLICY_SYNTAX, message).at(place(file, text, offset));
        parsed.findings.push(finding);
    }
    let checked = validate(schema, &set);
    let errors = checked.validation_errors();
    parsed
        .findings
        .extend(errors.map(|error| invalid(file, text, error)));
    let mut cursor = 0;
    for policy in in_order(&set) {
        let source = policy.to_cedar().unwrap_or_default();
        let offset = text
            .get(cursor..)
            .and_then(|rest| rest.find(&source))
            .map_or(cursor, |found| cursor + found);
        cursor = offset + source.len();
        match article(policy, place(file, text, offset)) {
            Ok(article) => parsed.articles.push(article),
            Err(finding) => parsed.findings.push(*finding),
        }
    }
    if any_error(&parsed.findings) {
        parsed.articles.clear();
    }
    parsed
}

/// The policies as they stand in their file: Cedar numbers them.
fn in_order(set: &PolicySet) -> Vec<&Policy> {
    let mut policies: Vec<&Policy> = set.policies().collect();
    let number = |policy: &Policy| {
        let id = policy.id().to_string();
        id.trim_start_matches("policy").parse::<u64>().unwrap_or(0)
    };
    policies.sort_by_key(|policy| number(policy));
    policies
}

fn article(policy: &Policy, source: Source) -> Result<Article, Box<Finding>> {
    let said = |key| policy.annotation(key).map(str::trim).unwrap_or_default();
    let (id, reason) = (said("id").to_owned(), said("reason").to_owned());
    let wrong = |message: &str, hint: &str| {
        let finding = Finding::error(&POLICY_ANNOTATION, message).at(source.clone());
        Box::new(finding.hint(hint))
    };
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if id.is_empty() || !id.chars().all(letters) {
        let hint = "write `@id(\"some-name\")` before it: letters, digits, `-`, `_`, `.` and `/`";
        return Err(wrong("the policy has no id", hint));
    }
    if reason.is_empty() {
        let hint = "write `@reason(\"…\")` before it: the sentence that people read who are denied";
        return Err(wrong(&format!("the policy `{id}` has no reason"), hint));
    }
    let personal = policy.to_json().map_or(true, |json| is_personal(&json));
    Ok(Article {
        id,
        reason,
        source,
        policy: policy.clone(),
        personal,
    })
}

/// Whether a policy names a resource, or looks at its name or address.
fn is_personal(json: &serde_json::Value) -> bool {
    use serde_json::Value;
    match json {
        Value::Object(map) => {
            let names =
                map.get("type").is_some_and(|kind| kind == "Resource") && map.contains_key("id");
            let looks = |name: &str| map.get("attr").is_some_and(|attr| attr == name);
            names || looks("name") || looks("address") || map.values().any(is_personal)
        }
        Value::Array(list) => list.iter().any(is_personal),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CedarGate;

    fn file(path: &str, text: &str) -> PolicyFile {
        let digest = stratum_core::digest::Digest::of_bytes(text.as_bytes());
        PolicyFile {
            path: path.to_owned(),
            id: ObjectId::new(digest.to_string()).unwrap(),
            text: text.into(),
        }
    }

    fn findings(text: &str) -> Vec<String> {
        let gate = CedarGate::default();
        let court = gate.court().unwrap();
        let parsed = court.laws.parsed(&file("policies/a.cedar", text));
        let line =
            |finding: &Finding| format!("{} {}", finding.code, finding.source.as_ref().unwrap());
        parsed.findings.iter().map(line).collect()
    }

    const HEAD: &str = "@id(\"a\")\n@reason(\"b\")\n";

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let good = format!("{HEAD}forbid (principal, action, resource is Resource);\n");
        assert_eq!(findings(&good), Vec::<String>::new());
        assert_eq!(
            findings(&format!("{good}\npermit (principal, action resource);\n")),
            ["STR0901 policies/a.cedar:5:27"]
        );
        assert_eq!(
            findings(&format!(
                "{HEAD}forbid (principal, action == Action::\"delete\", resource)\n\
                 when {{ resource.colour == \"red\" }};\n"
            )),
            ["STR0902 policies/a.cedar:4:8"]
        );
        assert_eq!(
            findings("// first\npermit (principal, action, resource);\n"),
            ["STR0903 policies/a.cedar:2:1"]
        );
        assert_eq!(
            findings("@id(\"a\") permit (principal, action, resource);\n"),
            ["STR0903 policies/a.cedar:1:1"]
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_leaves_no_law() {
        let gate = CedarGate::default();
        let court = gate.court().unwrap();
        let error = court
            .laws
            .law(&[file("policies/a.cedar", "permit")])
            .unwrap_err();
        assert!(error.starts_with("policies/a.cedar:1:"), "{error}");
        let one = format!("{HEAD}forbid (principal, action, resource is Resource);\n");
        let twice = [
            file("policies/a.cedar", &one),
            file("policies/b.cedar", &one),
        ];
        let error = court.laws.law(&twice).unwrap_err();
        assert!(
            error.contains("is there already, at policies/a.cedar:1:1"),
            "{error}"
        );
    }

    #[test]
    fn a_policy_with_the_id_of_a_shipped_one_takes_its_place() {
        let gate = CedarGate::default();
        let court = gate.court().unwrap();
        let count = court.laws.law(&[]).unwrap().set.policies().count();
        let own = "@id(\"no-own-approval\")\n@reason(\"a team of one\")\n\
                   forbid (principal is Author, action == Action::\"approve\", resource is Plan)\n\
                   when { false };\n";
        let law = court.laws.law(&[file("policies/a.cedar", own)]).unwrap();
        assert_eq!(law.set.policies().count(), count);
        assert_eq!(law.reasons["no-own-approval"], "a team of one");
        assert!(!law.personal);
    }

    #[test]
    fn policies_that_look_at_one_resource_are_known() {
        let personal = |text: &str| {
            let gate = CedarGate::default();
            let court = gate.court().unwrap();
            let text = format!("{HEAD}forbid (principal, action in Action::\"apply\", {text};\n");
            court
                .laws
                .law(&[file("policies/a.cedar", &text)])
                .unwrap()
                .personal
        };
        assert!(personal("resource == Resource::\"e/a.b\")"));
        assert!(personal(
            "resource is Resource) when { resource.name like \"db-*\" }"
        ));
        assert!(personal(
            "resource is Resource) when { resource[\"na\\u{6d}e\"] == \"x\" }"
        ));
        assert!(!personal(
            "resource is Resource) when { resource.type == \"local_exec\" }"
        ));
    }
}
