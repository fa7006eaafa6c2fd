//! From Nickel's errors to findings with stable codes, a place in people's files, and a hint.

use nickel_lang_core::error::{
    Diagnostic, Error, EvalErrorKind, ImportErrorKind, IntoDiagnostics, LabelStyle, ParseErrors,
    TypecheckErrorKind,
};
use nickel_lang_core::eval::value::NickelValue;
use nickel_lang_core::files::{FileId, Files};
use stratum_core::finding::{Finding, codes};
use stratum_core::source::Source;
use stratum_core::suggest;

use super::protocol::Request;
use super::spots::Spots;

/// The longest message, in characters; Nickel prints whole values into some.
const LONGEST: usize = 300;

/// The findings of one error; several for a file with several syntax errors.
pub(crate) fn report(
    error: Error,
    files: &mut Files,
    spots: &Spots,
    request: &Request,
) -> Vec<Finding> {
    let code = code(&error);
    let hint = hint(&error);
    let errors = match error {
        Error::ParseErrors(ParseErrors { errors }) => errors
            .into_iter()
            .map(|error| {
                Error::ParseErrors(ParseErrors {
                    errors: vec![error],
                })
            })
            .collect(),
        other => vec![other],
    };
    errors
        .into_iter()
        .map(|error| {
            let diagnostics = error.into_diagnostics(files);
            let mut finding = finding(code, &diagnostics, files, spots, request);
            finding.hint = hint.clone().or(finding.hint);
            finding
        })
        .collect()
}

/// The first character of the file that is evaluated.
pub(crate) fn start(request: &Request) -> Source {
    Source::start_of(request.main.clone())
}

fn code(error: &Error) -> &'static codes::Explained {
    match error {
        Error::EvalError(data) => evaluation_code(&data.error),
        Error::TypecheckError(data) => match data.borrow_error() {
            TypecheckErrorKind::ImportError(error) => import_code(error),
            TypecheckErrorKind::UnboundIdentifier(_) => &codes::EVALUATION,
            _ => &codes::TYPE,
        },
        Error::ParseErrors(_) => &codes::SYNTAX,
        Error::ImportError(error) => import_code(error),
        Error::ExportError(_) => &codes::NOT_DATA,
        Error::IOError(_) | Error::ReplError(_) => &codes::EVALUATION,
    }
}

fn import_code(error: &ImportErrorKind) -> &'static codes::Explained {
    match error {
        ImportErrorKind::ParseErrors(..) => &codes::SYNTAX,
        ImportErrorKind::IOError(..)
        | ImportErrorKind::MissingDependency { .. }
        | ImportErrorKind::NoPackageMap { .. } => &codes::IMPORT,
    }
}

fn evaluation_code(error: &EvalErrorKind) -> &'static codes::Explained {
    match error {
        EvalErrorKind::BlameError { label, .. } => {
            let extra = label.diagnostics.iter().any(|diagnostic| {
                diagnostic
                    .message
                    .as_deref()
                    .is_some_and(|text| text.starts_with("extra field"))
            });
            if extra {
                &codes::EXTRA_FIELD
            } else {
                &codes::CONTRACT
            }
        }
        EvalErrorKind::MissingFieldDef { .. } => &codes::MISSING_FIELD,
        EvalErrorKind::FieldMissing { .. } => &codes::DANGLING,
        EvalErrorKind::MergeIncompatibleArgs { .. } => &codes::CONFLICT,
        EvalErrorKind::InfiniteRecursion(..) => &codes::RECURSION,
        EvalErrorKind::ParseError(_) => &codes::SYNTAX,
        EvalErrorKind::SerializationError(_) => &codes::NOT_DATA,
        _ => &codes::EVALUATION,
    }
}

/// A hint of our own where we know better than Nickel.
fn hint(error: &Error) -> Option<String> {
    let Error::EvalError(data) = error else {
        return None;
    };
    match &data.error {
        EvalErrorKind::FieldMissing {
            id, field_names, ..
        } => suggest::hint(id.label(), field_names.iter().map(|name| name.label())),
        EvalErrorKind::TypeError { term, .. } => unknown(term),
        EvalErrorKind::UnaryPrimopTypeError { arg_evaluated, .. }
        | EvalErrorKind::NAryPrimopTypeError { arg_evaluated, .. } => unknown(arg_evaluated),
        EvalErrorKind::MergeIncompatibleArgs { .. } => Some(
            "give the value that should win `priority` or `force`, or take one away".to_owned(),
        ),
        _ => None,
    }
}

fn unknown(value: &NickelValue) -> Option<String> {
    let variant = value.as_enum_variant()?;
    matches!(variant.tag.label(), "Ref" | "Fmt" | "Secret").then(|| {
        "the value is not known before an apply; join text with `stratum.fmt [\"...\", x.id]` \
         from `import \"stratum.ncl\"`"
            .to_owned()
    })
}

fn finding(
    code: &codes::Explained,
    diagnostics: &[Diagnostic<FileId>],
    files: &Files,
    spots: &Spots,
    request: &Request,
) -> Finding {
    let message = diagnostics
        .first()
        .map_or_else(String::new, |first| message(code, first, spots));
    let mut finding = Finding::error(code, clean(&message, request));
    finding.source = place(code, diagnostics, files, spots).or_else(|| Some(start(request)));
    let notes: Vec<String> = diagnostics
        .iter()
        .flat_map(|d| d.notes.iter().cloned())
        .collect();
    if !notes.is_empty() {
        finding.hint = Some(clean(&notes.join("; "), request));
    }
    finding
}

/// The first label in a file of the tree: primary ones, then others. A broken contract has its
/// own place as the first label, which is where nobody made a mistake: that one comes last.
fn place(
    code: &codes::Explained,
    diagnostics: &[Diagnostic<FileId>],
    files: &Files,
    spots: &Spots,
) -> Option<Source> {
    let labels = || {
        diagnostics
            .iter()
            .flat_map(|diagnostic| diagnostic.labels.iter())
    };
    let contract = code == &codes::CONTRACT || code == &codes::EXTRA_FIELD;
    labels()
        .filter(|label| label.style == LabelStyle::Primary)
        .chain(labels().skip(usize::from(contract)))
        .chain(labels())
        .find(|label| spots.knows(label.file_id))
        .and_then(|label| spots.source(files, label.file_id, label.range.start))
}

/// The message, with what the first label adds where the message alone says little.
fn message(code: &codes::Explained, diagnostic: &Diagnostic<FileId>, spots: &Spots) -> String {
    let mut message = diagnostic.message.clone();
    let telling = code == &codes::EVALUATION || code == &codes::TYPE;
    let label = diagnostic
        .labels
        .iter()
        .find(|label| spots.knows(label.file_id));
    if let Some(label) = label.filter(|label| telling && !label.message.is_empty()) {
        message.push_str(": ");
        message.push_str(&label.message);
    }
    message
}

/// One line, lower case at the start, no full stop, without the virtual root.
fn clean(text: &str, request: &Request) -> String {
    let text = text.replace(&format!("{}/", request.root), "");
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let line = lines.join(": ");
    let line = line.trim_end_matches('.');
    let mut chars = line.chars();
    let first = chars
        .next()
        .map(|c| c.to_lowercase().to_string())
        .unwrap_or_default();
    let whole: String = first.chars().chain(chars).take(LONGEST).collect();
    whole
}
