//! `stratum explain`

use serde_json::json;
use stratum_core::finding::codes;
use stratum_core::suggest;

use crate::commands::why;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::style::Role;

/// Explains a code of a finding, or why policy denies something and what would allow it
///
/// Given an environment or an address, it plans as a push would now, and says which policies
/// decide, who wrote what is to be applied, and who could approve it. Without anything it lists
/// all codes.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArguments {
    /// A code like `STR0302`, an environment, or an address like `production/local_file.motd`
    #[arg(value_name = "CODE|ENVIRONMENT|ADDRESS")]
    code: Option<String>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &ExplainArguments) -> Result<Exit, CommandError> {
    if let Some(name) = arguments.code.as_ref().filter(|name| !is_code(name)) {
        return why::run(context, name);
    }
    let chosen = match &arguments.code {
        Some(code) => vec![*find(code)?],
        None => codes::ALL.to_vec(),
    };
    if context.global.json {
        let list: Vec<_> = chosen
            .iter()
            .map(|c| json!({ "code": c.code, "title": c.title, "explanation": c.explanation }))
            .collect();
        context
            .ui
            .answer_json(&json!({ "version": 1, "codes": list }))?;
        return Ok(Exit::Done);
    }
    let theme = context.ui.theme();
    for code in chosen {
        let name = theme.paint(Role::Strong, code.code);
        let text = match arguments.code {
            Some(_) => format!("{name}: {}\n\n{}\n", code.title, code.explanation),
            None => format!("{name}  {}\n", code.title),
        };
        context.ui.answer(&text);
    }
    Ok(Exit::Done)
}

/// Whether it looks like a code: `STR` and digits, in any case.
fn is_code(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let digits = upper.strip_prefix("STR");
    digits.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_digit()))
}

fn find(text: &str) -> Result<&'static codes::Explained, CommandError> {
    let wanted = text.to_ascii_uppercase();
    codes::ALL
        .iter()
        .find(|known| known.code == wanted)
        .ok_or_else(|| {
            let near = suggest::suggest(&wanted, codes::ALL.iter().map(|known| known.code));
            let hint = match near {
                Some(code) => format!("`stratum explain {code}`, or `stratum explain` for all"),
                None => "`stratum explain` lists all codes".to_owned(),
            };
            CommandError::given(format!("there is no code `{text}`")).hint(hint)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_any_case() {
        assert_eq!(find("str0302").unwrap().code, "STR0302");
        assert!(find("STR9999").is_err());
    }
}
