//! From lazy Nickel values to nodes, past errors, so that all findings of a file are found.

use nickel_lang_core::cache::CacheHub;
use nickel_lang_core::error::Error;
use nickel_lang_core::eval::cache::CacheImpl;
use nickel_lang_core::eval::value::{Container, EnumVariantData, NickelValue, ValueContentRef};
use nickel_lang_core::eval::{Environment, VirtualMachine, VmContext};
use nickel_lang_core::position::PosIdx;
use nickel_lang_core::term::MergePriority;
use nickel_lang_core::term::record::RecordData;
use stratum_core::finding::{Finding, codes};

use crate::contracts::MARK;

use super::flat::DEEPEST;
use super::node::{Datum, Field, Node, Place};
use super::protocol::{NODE, Request};
use super::report::report;
use super::spots::Spots;

/// The most findings of one file; more would not be read.
const MOST_FINDINGS: usize = 50;

/// Evaluates a value and everything in it.
pub(crate) struct Walk<'a> {
    context: &'a mut VmContext<CacheHub, CacheImpl>,
    standard: Environment,
    spots: &'a Spots,
    request: &'a Request,
    findings: Vec<Finding>,
    stopped: bool,
    size: u64,
}

impl<'a> Walk<'a> {
    /// A walk in the files of `request`.
    pub(crate) fn new(
        context: &'a mut VmContext<CacheHub, CacheImpl>,
        spots: &'a Spots,
        request: &'a Request,
    ) -> Self {
        let standard = context.import_resolver.mk_eval_env(&mut context.cache);
        Self {
            context,
            standard,
            spots,
            request,
            findings: Vec::new(),
            stopped: false,
            size: 0,
        }
    }

    /// The whole of `value`, with holes where evaluation failed. Of what is too large or too deep
    /// nothing is given: of a list of a million values, say, that would be a million holes.
    pub(crate) fn value(&mut self, value: NickelValue) -> Node {
        let whole = self.below(value, None, DEEPEST);
        match self.stopped {
            true => Node(None, Datum::Hole),
            false => whole,
        }
    }

    /// What was noticed, empty when the value has no hole; and what the value counts, in bytes.
    pub(crate) fn findings(self) -> (Vec<Finding>, u64) {
        (self.findings, self.size)
    }

    /// Counts a value with this much text; whether it still fits. Before it is copied: the answer
    /// is refused here, where memory is limited, and not by the parent.
    fn fits(&mut self, text: usize, place: Place) -> bool {
        let more = u64::try_from(text.saturating_add(NODE)).unwrap_or(u64::MAX);
        let size = self.size.saturating_add(more);
        let fits = size <= self.request.most && !self.stopped;
        if fits {
            self.size = size;
        } else if !self.stopped {
            let message = match self.request.most >> 20 {
                0 => "the value is larger than what is left for its environment".to_owned(),
                most => format!("the value is larger than {most} MiB"),
            };
            self.refused(&codes::LIMIT, message, place);
            self.stopped = true;
        }
        fits
    }

    fn below(&mut self, value: NickelValue, name: Place, depth: usize) -> Node {
        if self.stopped || self.findings.len() >= MOST_FINDINGS {
            return Node(name, Datum::Hole);
        }
        let evaluated = VirtualMachine::new_empty_env(self.context)
            .with_initial_env(self.standard.clone())
            .eval(value);
        let value = match evaluated {
            Ok(value) => value,
            Err(error) => {
                self.failed(Error::EvalError(error));
                return Node(name, Datum::Hole);
            }
        };
        let place = self.place(value.pos_idx());
        let Some(depth) = depth.checked_sub(1) else {
            let message = format!("the value is nested deeper than {DEEPEST} levels");
            self.refused(&codes::LIMIT, message, place.or(name));
            self.stopped = true;
            return Node(place, Datum::Hole);
        };
        if !self.fits(0, place.or(name)) {
            return Node(place, Datum::Hole);
        }
        let datum = self.datum(&value, place.or(name), depth);
        Node(place, datum)
    }

    fn datum(&mut self, value: &NickelValue, place: Place, depth: usize) -> Datum {
        match value.content_ref() {
            ValueContentRef::Null => Datum::Null,
            ValueContentRef::Bool(truth) => Datum::Bool(truth),
            ValueContentRef::String(text) => match self.fits(escaped(text), place) {
                true => Datum::Text(text.to_string()),
                false => Datum::Hole,
            },
            ValueContentRef::Number(_) => match serde_json::to_value(value) {
                Ok(serde_json::Value::Number(number)) => Datum::Number(number),
                _ => {
                    self.refused(
                        &codes::NOT_DATA,
                        "the number is too large".to_owned(),
                        place,
                    );
                    Datum::Hole
                }
            },
            ValueContentRef::Array(items) => {
                let items: Vec<NickelValue> =
                    items.iter_with_pending_contracts(value.pos_idx()).collect();
                let nodes = items.into_iter().map(|item| self.below(item, place, depth));
                Datum::List(nodes.collect())
            }
            ValueContentRef::Record(Container::Empty) => Datum::Record(Vec::new()),
            ValueContentRef::Record(Container::Alloc(record)) => {
                Datum::Record(self.record(record, place, depth))
            }
            ValueContentRef::EnumVariant(EnumVariantData { tag, arg: None }) => {
                Datum::Text(tag.label().to_owned())
            }
            ValueContentRef::EnumVariant(EnumVariantData {
                tag,
                arg: Some(arg),
            }) => self.variant(tag.label(), arg.clone(), place, depth),
            ValueContentRef::Thunk(_)
            | ValueContentRef::Term(_)
            | ValueContentRef::Label(_)
            | ValueContentRef::ForeignId(_)
            | ValueContentRef::SealingKey(_)
            | ValueContentRef::CustomContract(_)
            | ValueContentRef::Type(_) => {
                let kind = value.type_of().unwrap_or("expression").to_lowercase();
                let message = format!("a {kind} is left where data must be");
                self.refused(&codes::NOT_DATA, message, place);
                Datum::Hole
            }
        }
    }

    /// The fields; all are evaluated even when one fails.
    fn record(&mut self, record: &RecordData, place: Place, depth: usize) -> Vec<Field> {
        let mut fields = Vec::with_capacity(record.fields.len());
        for (id, field) in &record.fields {
            if is_hidden(field) {
                continue;
            }
            let files = self.context.import_resolver.sources.files();
            let name = self.spots.place(files, id.pos);
            let Some(value) = field.value_with_pending_contracts() else {
                if !field.metadata.opt() {
                    let message = format!("missing definition for `{}`", id.label());
                    self.refused(&codes::MISSING_FIELD, message, place);
                    fields.push(Field(id.label().to_owned(), name, Node(place, Datum::Hole)));
                }
                continue;
            };
            if id.label() == "$stratum" {
                let message = "the name `$stratum` is reserved".to_owned();
                self.refused(&codes::NOT_DATA, message, name.or(place));
            }
            if !self.fits(escaped(id.label()), place) {
                return fields;
            }
            let node = self.below(value, name.or(place), depth);
            fields.push(Field(id.label().to_owned(), name, node));
        }
        fields
    }

    /// The tagged values of the helpers; other variants are not data.
    fn variant(&mut self, tag: &str, argument: NickelValue, place: Place, depth: usize) -> Datum {
        let node = self.below(argument, place, depth);
        let text = |name: &str| match node.field(name) {
            Some(Field(_, _, Node(_, Datum::Text(text)))) => Some(text.clone()),
            _ => None,
        };
        let datum = match (tag, &node.1) {
            _ if is_torn(&node) => Some(Datum::Hole),
            ("Ref", _) => text("path").map(Datum::Reference),
            ("Secret", _) => text("path")
                .zip(text("key"))
                .map(|(path, key)| Datum::Secret(path, key)),
            ("Fmt", Datum::List(parts)) => Some(join(parts.clone())),
            _ => None,
        };
        datum.unwrap_or_else(|| {
            let message = format!("the variant `'{tag}` with a value cannot be written as data");
            self.refused(&codes::NOT_DATA, message, place);
            Datum::Hole
        })
    }

    fn place(&self, pos: PosIdx) -> Place {
        let files = self.context.import_resolver.sources.files();
        self.spots.place(files, self.context.pos_table.get(pos))
    }

    fn failed(&mut self, error: Error) {
        let mut files = self.context.import_resolver.sources.files().clone();
        for finding in report(error, &mut files, self.spots, self.request) {
            self.push(finding);
        }
    }

    fn refused(&mut self, code: &codes::Explained, message: String, place: Place) {
        let mut finding = Finding::error(code, message);
        finding.source = self
            .spots
            .named(place)
            .or_else(|| Some(super::report::start(self.request)));
        self.push(finding);
    }

    fn push(&mut self, finding: Finding) {
        // A circle is met again from each of its members; one finding says enough.
        let circle = codes::RECURSION.code;
        let known = |kept: &Finding| {
            *kept == finding || (kept.code.0 == circle && finding.code.0 == circle)
        };
        if !self.findings.iter().any(known) {
            self.findings.push(finding);
        }
    }
}

/// The bytes that a text takes in JSON, as far as it matters.
fn escaped(text: &str) -> usize {
    let more = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' => 1,
        0..=0x1f => 5,
        _ => 0,
    });
    text.len().saturating_add(more.sum())
}

/// Whether the argument of a variant could not be evaluated.
fn is_torn(node: &Node) -> bool {
    node.1 == Datum::Hole || node.fields().iter().any(|field| field.2.1 == Datum::Hole)
}

/// Whether a field is left out of the result: hidden by a person, or filled in by the engine's
/// contract and not given by a person (then it still has the priority of a default).
fn is_hidden(field: &nickel_lang_core::term::record::Field) -> bool {
    let filled = field.metadata.doc() == Some(MARK);
    let given = *field.metadata.priority() != MergePriority::Bottom;
    field.metadata.not_exported() && !(filled && given)
}

/// Text joined from parts: at once when all are known.
fn join(parts: Vec<Node>) -> Datum {
    let known: Option<String> = parts
        .iter()
        .map(|part| match &part.1 {
            Datum::Text(text) => Some(text.clone()),
            Datum::Number(number) => Some(number.to_string()),
            Datum::Bool(truth) => Some(truth.to_string()),
            Datum::Null
            | Datum::List(_)
            | Datum::Record(_)
            | Datum::Reference(_)
            | Datum::Join(_)
            | Datum::Secret(..)
            | Datum::Hole => None,
        })
        .collect();
    known.map_or(Datum::Join(parts), Datum::Text)
}
