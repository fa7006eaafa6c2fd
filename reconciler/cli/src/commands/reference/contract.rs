//! The fields of a record contract of ours, with what stands about them in the file itself.
//!
//! This reads the files under `schemas/` and no others: `name | Form | doc "..." | default = x,`.

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// For example `environments.<name>.branch`.
    pub(super) key: String,
    /// The name of its contract.
    pub(super) form: String,
    /// Its default, as it is written.
    pub(super) default: Option<String>,
    /// Whether it may be left out.
    pub(super) optional: bool,
    /// Its documentation.
    pub(super) about: String,
}

/// The keys of the contract `name` in a file: a `let` or a field of the last record.
pub(super) fn entries(file: &str, name: &str) -> Vec<Entry> {
    let file = without_comments(file);
    let mut found = Vec::new();
    if let Some(body) = definition(&file, name) {
        collect(&file, body, "", &mut found);
    }
    found
}

fn collect(file: &str, body: &str, above: &str, found: &mut Vec<Entry>) {
    for field in split(inside(body), ',') {
        let parts = split(field, '|');
        let Some((name, rest)) = parts.split_first() else {
            continue;
        };
        let name = match name.split('=').next().unwrap_or_default().trim() {
            "" => continue,
            "_" => "<name>",
            name => name,
        };
        let key = match above {
            "" => name.to_owned(),
            above => format!("{above}.{name}"),
        };
        let mut entry = Entry {
            key: key.clone(),
            form: String::new(),
            default: None,
            optional: false,
            about: String::new(),
        };
        let mut below = None;
        for part in rest.iter().map(|part| part.trim()) {
            if let Some(about) = part.strip_prefix("doc ") {
                entry.about = about.trim().trim_matches('"').to_owned();
            } else if let Some(default) = part.strip_prefix("default =") {
                entry.default = Some(one_line(default));
            } else if part == "optional" {
                entry.optional = true;
            } else if part.starts_with('{') && !inside(part).trim().starts_with("_ :") {
                below = Some(part);
            } else {
                below = definition(file, part).filter(|body| body.starts_with('{'));
                entry.form = one_line(part);
            }
        }
        let Some(body) = below else {
            found.push(entry);
            continue;
        };
        // A record with fields of its own is its fields; a map is named by its key.
        if !entry.about.is_empty() && !entry.optional && entry.default.is_none() {
            let form = "record".to_owned();
            found.push(Entry { form, ..entry });
        }
        collect(file, body, &key, found);
    }
}

/// What stands behind `name =`, in a `let` or a record: up to the end of the value at least.
fn definition<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let lead = format!("let {name} =");
    if let Some(at) = file.find(&lead) {
        return Some(file.get(at + lead.len()..)?.trim_start());
    }
    let lead = format!("\n  {name}");
    let mut places = file.match_indices(&lead);
    places.find_map(|(at, _)| {
        let rest = file.get(at + lead.len()..)?;
        let field = rest.starts_with([' ', '\n']).then(|| split(rest, ','))?;
        let first = field.first()?;
        let before = split(first, '=').first()?.len();
        Some(first.get(before + 1..)?.trim_start())
    })
}

/// What is between the outermost braces.
fn inside(body: &str) -> &str {
    let Some(rest) = body.strip_prefix('{') else {
        return "";
    };
    let mut depth = 1usize;
    let mut in_text = false;
    let mut before = ' ';
    for (at, c) in rest.char_indices() {
        let escaped = std::mem::replace(&mut before, c) == '\\';
        match c {
            '"' if !escaped => in_text = !in_text,
            '{' if !in_text => depth += 1,
            '}' if !in_text => {
                depth -= 1;
                if depth == 0 {
                    return rest.get(..at).unwrap_or(rest);
                }
            }
            _ => {}
        }
    }
    rest
}

/// The parts between `mark`s that stand in no text, list, record or enum.
fn split(text: &str, mark: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut in_text, mut start) = (0i32, false, 0);
    let bytes = text.as_bytes();
    for (at, c) in text.char_indices() {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        let after = bytes.get(at + 1).copied();
        let of_enum = c == '|' && (before == Some(b'[') || after == Some(b']'));
        match c {
            '"' if before != Some(b'\\') => in_text = !in_text,
            _ if in_text => {}
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            c if c == mark && depth == 0 && !of_enum => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn without_comments(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_all_that_is_said_about_them() {
        let file = "\
let Drift = {
  mode | [| 'a, 'b |] | doc \"What, then.\" | default = 'a,
} in
{
  Settings = {
    # a comment
    name | String | doc \"The name.\",
    drift | Drift | doc \"About it.\" | optional,
    parts | { _ | Drift } | doc \"Many.\",
  },
}
";
        let found = entries(file, "Settings");
        let keys: Vec<&str> = found.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["name", "drift.mode", "parts", "parts.<name>.mode"]);
        assert_eq!(found[0].about, "The name.");
        assert_eq!(found[1].form, "[| 'a, 'b |]");
        assert_eq!(found[1].default.as_deref(), Some("'a"));
        assert_eq!(found[1].about, "What, then.");
    }
}
