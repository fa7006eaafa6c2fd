//! Takes secrets out of what a program says, before it is cut, kept, shown or recorded.
//!
//! Of every secret these are looked for: the whole, every line, every word between blanks of eight
//! characters or more, and the parts that are secrets themselves (texts in JSON, the value in
//! `NAME=value`, the password in a URL, what base64 or percent signs stand for). Each as it is, in
//! base64 (both alphabets, padded or not, at any place of a longer text), in hex, and in the escapes
//! of JSON, shells, URLs and HTML; in upper and lower case; folded over lines, in quotes, with blanks
//! or colours between.
//!
//! *Guarantees*: a stream gives the same as its whole, wherever it is cut into pieces. Memory is
//! bounded by the secrets, not by the stream; the work is linear in the stream. What cannot be
//! looked for, because the secrets are larger than [`LARGEST`], is not shown at all. The beginning
//! of a secret at the end of a stream is taken out too.
//!
//! *Not found*: secrets of less than four characters, encryptions, compressions, hashes, other orders
//! of the characters, and parts of words.

mod escapes;
mod forms;
mod stream;

use std::sync::Arc;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

pub use stream::Redaction;

/// What stands for a secret.
pub const HIDDEN: &str = "(secret)";

/// What stands for everything when the secrets cannot be looked for.
pub const ALL_HIDDEN: &str =
    "(secret: all of it is left out, for the secrets cannot be looked for in it)";

/// The most bytes of all forms of the secrets of one program.
pub const LARGEST: usize = 1 << 20;

/// Knows what to take out. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor(Known);

#[derive(Clone, Default)]
enum Known {
    /// There is nothing to hide.
    #[default]
    Nothing,
    /// What is looked for.
    Forms(Arc<Search>),
    /// All is hidden.
    All,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Known::Nothing => "Redactor(nothing)",
            Known::Forms(_) => "Redactor(secrets)",
            Known::All => "Redactor(all)",
        })
    }
}

impl Redactor {
    /// Takes the texts of secrets.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut forms = forms::Forms::default();
        for secret in secrets {
            forms.add(secret.as_ref());
        }
        if forms.is_empty() {
            return Self(Known::Nothing);
        }
        match forms.within(LARGEST).then(|| Search::new(&forms)) {
            Some(Some(search)) => Self(Known::Forms(Arc::new(search))),
            _ => Self(Known::All),
        }
    }

    /// Hides everything: for secrets that are not known.
    pub fn of_everything() -> Self {
        Self(Known::All)
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Known::Nothing)
    }

    /// Begins a stream.
    pub fn stream(&self) -> Redaction {
        Redaction::new(&self.0)
    }

    /// A whole text without the secrets.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Whole bytes without the secrets.
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut stream = self.stream();
        stream.push(bytes, &mut out);
        stream.finish(&mut out);
        out
    }
}

/// The automata.
struct Search {
    /// Finds the forms in a text that was folded; see [`forms::fold`].
    folded: Option<Table>,
    /// Finds short secrets in a text as it is, in any case.
    exact: Option<Table>,
}

impl Search {
    fn new(forms: &forms::Forms) -> Option<Self> {
        let table = |patterns: Vec<&[u8]>| match patterns.is_empty() {
            true => Some(None),
            false => Table::new(&patterns).map(Some),
        };
        Some(Self {
            folded: table(forms.folded())?,
            exact: table(forms.exact())?,
        })
    }
}

/// One automaton, and how deep into a pattern each of its states is.
struct Table {
    automaton: NFA,
    start: StateID,
    /// By state: how many of the bytes before it may begin a pattern.
    depths: Vec<u32>,
}

impl Table {
    fn new(patterns: &[&[u8]]) -> Option<Self> {
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(patterns)
            .ok()?;
        let start = automaton.start_state(Anchored::No).ok()?;
        let mut depths = Vec::new();
        for pattern in patterns {
            let mut state = start;
            for (depth, byte) in (1..).zip(*pattern) {
                // INVARIANT: the state after a prefix of a pattern is that prefix, so its depth is
                // the length of it.
                state = automaton.next_state(Anchored::No, state, *byte);
                let at = state.as_usize();
                if depths.len() <= at {
                    depths.resize(at + 1, 0);
                }
                if let Some(known) = depths.get_mut(at) {
                    *known = depth;
                }
            }
        }
        Some(Self {
            automaton,
            start,
            depths,
        })
    }

    fn next(&self, state: StateID, byte: u8) -> StateID {
        self.automaton.next_state(Anchored::No, state, byte)
    }

    /// How many of the last bytes may begin a pattern.
    fn depth(&self, state: StateID) -> usize {
        let depth = self.depths.get(state.as_usize()).copied();
        depth.map_or(0, |depth| usize::try_from(depth).unwrap_or(usize::MAX))
    }

    /// The length of the longest pattern that ends here.
    fn found(&self, state: StateID) -> Option<usize> {
        if !self.automaton.is_match(state) {
            return None;
        }
        (0..self.automaton.match_len(state))
            .map(|index| self.automaton.match_pattern(state, index))
            .map(|pattern| self.automaton.pattern_len(pattern))
            .max()
    }
}

#[cfg(test)]
mod tests;
