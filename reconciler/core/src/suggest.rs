//! "Did you mean ...?"

/// The most characters of a name that is compared with others: the cost is its square.
const LONGEST: usize = 256;

/// The candidate that `text` is most probably a misspelling of, if one is near enough.
pub fn suggest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = text.chars().count();
    let reach = (length / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| length <= LONGEST && candidate.len().abs_diff(text.len()) <= 4 * reach)
        .map(|candidate| (strsim::damerau_levenshtein(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= reach)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The hint that names the suggestion, or else the candidates: all when they are few, the first
/// ones otherwise. `None` when there are none.
pub fn hint<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(candidate) = suggest(text, candidates.iter().copied()) {
        return Some(format!("did you mean `{candidate}`?"));
    }
    match candidates.get(..8) {
        Some(first) if candidates.len() > 16 => {
            let (count, first) = (candidates.len(), first.join("`, `"));
            Some(format!("there are {count}, for example: `{first}`"))
        }
        _ if candidates.is_empty() => None,
        _ => Some(format!("there are: `{}`", candidates.join("`, `"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest_and_leaves_strangers_alone() {
        assert_eq!(suggest("contnet", ["content", "mode"]), Some("content"));
        assert_eq!(suggest("idd", ["id", "path"]), Some("id"));
        assert_eq!(suggest("zebra", ["content", "mode"]), None);
    }

    #[test]
    fn a_hint_lists_what_there_is() {
        assert_eq!(
            hint("zebra", ["a", "b"]).as_deref(),
            Some("there are: `a`, `b`")
        );
        assert!(hint("zebra", ["a"; 17]).is_some_and(|hint| hint.starts_with("there are 17, for")));
        assert_eq!(hint("zebra", []), None);
    }
}
