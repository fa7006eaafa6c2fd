//! The dotenv form of a SOPS file.

use super::{METADATA, Node, SopsError};

/// Begins the names that hold what SOPS needs.
const PREFIX: &str = "sops_";

/// A dotenv file as SOPS writes it. *Shape*: `NAME=value` lines, `\n` for a line feed in a value,
/// comments that begin with `#`; `sops_age__list_0__map_enc` and the like become the entry `sops`.
pub fn dotenv(text: &str) -> Result<Node, SopsError> {
    let mut entries = Vec::new();
    let mut metadata = Vec::new();
    let mut age = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .ok_or(SopsError::Line { line: index + 1 })?;
        let value = Node::Text(value.replace("\\n", "\n"));
        match name.strip_prefix(PREFIX) {
            Some(name) if name.starts_with("age__list_") && name.ends_with("__map_enc") => {
                age.push(Node::Map(vec![("enc".to_owned(), value)]));
            }
            Some(name) => metadata.push((name.to_owned(), value)),
            None => entries.push((name.to_owned(), value)),
        }
    }
    if !age.is_empty() {
        metadata.push(("age".to_owned(), Node::List(age)));
    }
    if !metadata.is_empty() {
        entries.push((METADATA.to_owned(), Node::Map(metadata)));
    }
    Ok(Node::Map(entries))
}
