//! "Did you mean ...?"

/// The candidate that `text` is most probably a misspelling of, if one is near enough.
pub fn suggest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let reach = (text.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= reach)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The hint that names the suggestion, or else all candidates when they are few.
pub fn hint<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(candidate) = suggest(text, candidates.iter().copied()) {
        return Some(format!("did you mean `{candidate}`?"));
    }
    let few = !candidates.is_empty() && candidates.len() <= 16;
    few.then(|| format!("there are: `{}`", candidates.join("`, `")))
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
}
