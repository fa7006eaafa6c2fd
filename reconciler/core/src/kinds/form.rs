//! Forms: one definition, six front ends; and what can be checked of them without a parser.

mod fields;

pub use fields::{PlacedField, fields};

use serde::{Deserialize, Serialize};

/// A form: collects answers, checks them, and writes Nickel.
///
/// *Source*: design page kinds.md, "Forms".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Form {
    /// The version of the format: 1.
    pub schema: u64,
    /// Its id, unique in the repository.
    pub id: String,
    /// Its title.
    pub title: Text,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// What it writes.
    pub output: Output,
    /// Where the answers are kept, as a template.
    pub answers: String,
    /// The pages, in order.
    #[serde(rename = "page")]
    pub pages: Vec<Page>,
    /// The fields, in order.
    #[serde(rename = "field")]
    pub fields: Vec<Field>,
    /// Checks over several fields.
    #[serde(rename = "check", default)]
    pub checks: Vec<Check>,
}

/// Text for people: plain, or the id of a message of the bundles in `forms/locales/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// The text itself.
    Plain(String),
    /// The id of a message.
    Fluent {
        /// The id.
        fluent: String,
    },
}

/// What a form writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The file, as a template.
    pub path: String,
    /// The Nickel module that is applied to the answers.
    pub module: String,
}

/// A page of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: Text,
    /// The page is left out when this is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// What sort of answer a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// One line.
    Text,
    /// Several lines.
    Multiline,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Yes or no.
    Bool,
    /// One of the choices.
    Select,
    /// Some of the choices.
    Multiselect,
    /// A day: `2026-11-24`.
    Date,
    /// A path in the repository.
    Path,
    /// A network: `10.0.1.0/24`.
    Cidr,
    /// A secret: sealed when submitted.
    Secret,
    /// Several lines of text, one answer each.
    List,
    /// Fields that belong together.
    Group,
    /// Words without an answer.
    Note,
    /// An answer computed from others.
    Computed,
}

impl FieldKind {
    /// The names of all kinds, in the order of the design.
    pub const NAMES: [&'static str; 15] = [
        "text",
        "multiline",
        "int",
        "float",
        "bool",
        "select",
        "multiselect",
        "date",
        "path",
        "cidr",
        "secret",
        "list",
        "group",
        "note",
        "computed",
    ];

    /// The key that a field of this kind must have.
    pub fn needs(self) -> Option<&'static str> {
        match self {
            Self::Select | Self::Multiselect => Some("choices"),
            Self::Secret => Some("seal"),
            Self::Group => Some("fields"),
            Self::Computed => Some("expression"),
            Self::Text
            | Self::Multiline
            | Self::Int
            | Self::Float
            | Self::Bool
            | Self::Date
            | Self::Path
            | Self::Cidr
            | Self::List
            | Self::Note => None,
        }
    }

    /// Whether the answer is text that a pattern can judge.
    pub fn is_text(self) -> bool {
        match self {
            Self::Text | Self::Multiline | Self::Path | Self::Cidr | Self::Secret | Self::List => {
                true
            }
            Self::Int
            | Self::Float
            | Self::Bool
            | Self::Select
            | Self::Multiselect
            | Self::Date
            | Self::Group
            | Self::Note
            | Self::Computed => false,
        }
    }

    /// Whether the answer is a number, or a length is counted.
    pub fn has_size(self) -> bool {
        self.is_text() || matches!(self, Self::Int | Self::Float | Self::Multiselect)
    }
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Its id: the name of its answer in expressions, templates and the module.
    pub id: String,
    /// The page it stands on; fields of a group stand with their group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// What sort of answer it takes.
    pub kind: FieldKind,
    /// What people read.
    pub label: Text,
    /// A sentence that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<Text>,
    /// An example, shown while there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<Text>,
    /// Whether there must be an answer.
    #[serde(default)]
    pub required: bool,
    /// Whether the answer stays when the form is filled in again.
    #[serde(default)]
    pub immutable: bool,
    /// The answer to begin with; a text is a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// The regular expression that the whole answer must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The least number, length or count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest number, length or count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The field is left out, with its answer, when this is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What can be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// Where a secret goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
    /// Whether a secret is asked for twice.
    #[serde(default)]
    pub confirm: bool,
    /// The fields of a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// What a computed answer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Choices {
    /// The choices themselves.
    Inline(Vec<Choice>),
    /// From elsewhere.
    From {
        /// `environments`, `nickel:FILE`, `glob:PATTERN`, `knowledge:TYPE`.
        from: String,
        /// Only those `item`s for which this is true.
        #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
    },
}

/// One choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// A value that is its own label.
    Plain(serde_json::Value),
    /// A value with a label.
    Labelled {
        /// The value.
        value: serde_json::Value,
        /// What people read.
        label: Text,
    },
}

/// Where a secret goes when the form is submitted; both are templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The path below `secrets/<environment>/`.
    pub path: String,
    /// The key within the file.
    pub key: String,
}

/// A check over several fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The answers are refused when this is true.
    pub when: String,
    /// What people are told.
    pub message: Text,
    /// The fields the message belongs to.
    #[serde(default)]
    pub fields: Vec<String>,
}
