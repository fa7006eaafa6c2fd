//! A stream on its way through.

use std::collections::VecDeque;
use std::sync::Arc;

use aho_corasick::automaton::StateID;

use super::escapes::{self, Escape};
use super::{ALL_HIDDEN, HIDDEN, Known, Search, Table, forms};

/// The most bytes that are held back because they may be the beginning of a secret. What is folded
/// over more than that (blanks, mostly) is let go.
const MOST_HELD: usize = super::LARGEST;

/// The least bytes of the beginning of a secret that are hidden where a stream ends.
const BEGINNING: usize = 6;

/// A stream from which secrets are taken out.
pub struct Redaction(Kind);

enum Kind {
    Nothing,
    Forms(Box<Window>),
    All {
        /// Something came that is not shown.
        told: bool,
    },
}

impl Redaction {
    pub(super) fn new(known: &Known) -> Self {
        Self(match known {
            Known::Nothing => Kind::Nothing,
            Known::Forms(search) => Kind::Forms(Box::new(Window::new(search))),
            Known::All => Kind::All { told: false },
        })
    }

    /// Takes the next bytes; what is safe to show by now is appended to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Nothing => out.extend_from_slice(bytes),
            Kind::Forms(window) => window.push(bytes, out),
            Kind::All { told } => {
                if !*told && !bytes.is_empty() {
                    *told = true;
                    out.extend_from_slice(ALL_HIDDEN.as_bytes());
                }
            }
        }
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        match &self.0 {
            Kind::Forms(window) => window.held.len(),
            Kind::Nothing | Kind::All { .. } => 0,
        }
    }

    /// The stream has ended: the rest is appended to `out`, and a new one may begin.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Kind::Forms(window) = &mut self.0 {
            window.finish(out);
        }
    }
}

/// What is held back, and what of it is to be hidden.
struct Window {
    search: Arc<Search>,
    held: Vec<u8>,
    /// Where in the stream `held` begins.
    base: u64,
    views: Vec<View>,
    /// What is to be hidden, from where to where in the stream; in no order.
    hidden: Vec<(u64, u64)>,
    /// The last that was shown is [`HIDDEN`], which ends here in the stream.
    marked: Option<u64>,
}

impl Window {
    fn new(search: &Arc<Search>) -> Self {
        let views = [
            search
                .folded
                .as_ref()
                .map(|table| View::new(Way::Folded, table)),
            search
                .folded
                .as_ref()
                .map(|table| View::new(Way::Plain, table)),
            search
                .exact
                .as_ref()
                .map(|table| View::new(Way::Exact, table)),
        ];
        Self {
            search: Arc::clone(search),
            held: Vec::new(),
            base: 0,
            views: views.into_iter().flatten().collect(),
            hidden: Vec::new(),
            marked: None,
        }
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let from = self.end();
        self.held.extend_from_slice(bytes);
        for view in &mut self.views {
            if let Some(table) = view.way.table(&self.search) {
                view.take(table, bytes, from, &mut self.hidden);
            }
        }
        let open = |view: &View| {
            let table = view.way.table(&self.search)?;
            Some(view.open(table))
        };
        let safe = self.views.iter().filter_map(open).min().unwrap_or(u64::MAX);
        let floor = self
            .end()
            .saturating_sub(u64::try_from(MOST_HELD).unwrap_or(u64::MAX));
        let safe = safe.max(floor).min(self.end());
        self.show(safe, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let end = self.end();
        for view in &mut self.views {
            if let Some(table) = view.way.table(&self.search) {
                view.close(table, end, &mut self.hidden);
            }
        }
        self.show(end, out);
        self.marked = None;
    }

    fn end(&self) -> u64 {
        self.base + u64::try_from(self.held.len()).unwrap_or(u64::MAX)
    }

    /// Shows what is held up to a place of the stream.
    fn show(&mut self, to: u64, out: &mut Vec<u8>) {
        self.hidden.sort_unstable();
        let mut at = self.base;
        let mut later = Vec::new();
        for (from, until) in std::mem::take(&mut self.hidden) {
            if until > to {
                later.push((from.max(to), until));
            }
            let (from, until) = (from.max(at).min(to), until.min(to));
            if until <= at {
                continue;
            }
            self.plain(at, from, out);
            if self.marked != Some(from) {
                out.extend_from_slice(HIDDEN.as_bytes());
            }
            self.marked = Some(until);
            at = until;
        }
        self.plain(at, to, out);
        self.hidden = later;
        let gone = usize::try_from(to.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.held.drain(..gone.min(self.held.len()));
        self.base = to.max(self.base);
    }

    fn plain(&self, from: u64, to: u64, out: &mut Vec<u8>) {
        let place = |at: u64| usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        out.extend_from_slice(self.held.get(place(from)..place(to)).unwrap_or_default());
    }
}

/// How a stream is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In lower case, without what is passed over.
    Folded,
    /// The same, with escapes read.
    Plain,
    /// In lower case.
    Exact,
}

impl Way {
    fn table(self, search: &Search) -> Option<&Table> {
        match self {
            Self::Folded | Self::Plain => search.folded.as_ref(),
            Self::Exact => search.exact.as_ref(),
        }
    }
}

/// One way to look at a stream, and where it stands.
struct View {
    way: Way,
    state: StateID,
    /// Where the last bytes that may begin a pattern come from in the stream.
    origins: VecDeque<u64>,
    /// The beginning of an escape, and where in the stream it is.
    escape: Vec<u8>,
    escape_from: u64,
}

impl View {
    fn new(way: Way, table: &Table) -> Self {
        Self {
            way,
            state: table.start,
            origins: VecDeque::new(),
            escape: Vec::new(),
            escape_from: 0,
        }
    }

    fn take(&mut self, table: &Table, bytes: &[u8], from: u64, hidden: &mut Vec<(u64, u64)>) {
        for (at, byte) in (from..).zip(bytes) {
            match self.way {
                Way::Exact => self.step(table, *byte, (at, at + 1), hidden),
                Way::Folded if forms::is_passed_over(*byte) => {}
                Way::Folded => self.step(table, *byte, (at, at + 1), hidden),
                Way::Plain => self.read(table, *byte, at, hidden),
            }
        }
        let depth = table.depth(self.state);
        self.origins
            .drain(..self.origins.len().saturating_sub(depth));
    }

    /// A byte that may belong to an escape.
    fn read(&mut self, table: &Table, byte: u8, at: u64, hidden: &mut Vec<(u64, u64)>) {
        if self.escape.is_empty() {
            if !escapes::is_mark(byte) {
                return self.unescaped(table, byte, (at, at + 1), hidden);
            }
            self.escape_from = at;
        }
        self.escape.push(byte);
        match escapes::read(&self.escape) {
            Escape::More => {}
            Escape::Means(means) => {
                let place = (self.escape_from, at + 1);
                self.escape.clear();
                for byte in means.bytes() {
                    if !forms::is_passed_over(*byte) {
                        self.step(table, *byte, place, hidden);
                    }
                }
            }
            Escape::No => self.give_up(table, hidden),
        }
    }

    /// What looked like an escape is none: its mark stands for itself, and the rest is read again.
    fn give_up(&mut self, table: &Table, hidden: &mut Vec<(u64, u64)>) {
        let (from, bytes) = (self.escape_from, std::mem::take(&mut self.escape));
        let mut rest = (from..).zip(bytes);
        if let Some((at, mark)) = rest.next() {
            self.unescaped(table, mark, (at, at + 1), hidden);
        }
        for (at, byte) in rest {
            self.read(table, byte, at, hidden);
        }
    }

    fn unescaped(
        &mut self,
        table: &Table,
        byte: u8,
        place: (u64, u64),
        hidden: &mut Vec<(u64, u64)>,
    ) {
        // In a form of the web `+` is a blank; a `+` itself is written `%2B` there.
        if byte != b'+' && !forms::is_passed_over(byte) {
            self.step(table, byte, place, hidden);
        }
    }

    fn step(
        &mut self,
        table: &Table,
        byte: u8,
        (from, to): (u64, u64),
        hidden: &mut Vec<(u64, u64)>,
    ) {
        self.state = table.next(self.state, byte.to_ascii_lowercase());
        self.origins.push_back(from);
        if let Some(length) = table.found(self.state) {
            let first = self.origins.len().saturating_sub(length);
            if let Some(first) = self.origins.get(first) {
                hide(hidden, *first, to);
            }
        }
    }

    /// From where on the stream may still turn out to be secret.
    fn open(&self, table: &Table) -> u64 {
        let depth = table.depth(self.state);
        let first = self.origins.len().saturating_sub(depth);
        let pattern = self.origins.get(first).copied().filter(|_| depth > 0);
        let escape = (!self.escape.is_empty()).then_some(self.escape_from);
        pattern.into_iter().chain(escape).min().unwrap_or(u64::MAX)
    }

    /// The stream ends at `end`: what has begun and looks like a secret is one that was cut off.
    fn close(&mut self, table: &Table, end: u64, hidden: &mut Vec<(u64, u64)>) {
        while !self.escape.is_empty() {
            self.give_up(table, hidden);
        }
        let depth = table.depth(self.state);
        let first = self.origins.len().saturating_sub(depth);
        if let Some(first) = self.origins.get(first).filter(|_| depth >= BEGINNING) {
            hide(hidden, *first, end);
        }
        self.state = table.start;
        self.origins.clear();
    }
}

/// Notes a place. Places end one after the other, so those at the end that lie within the new one go:
/// each place is added and taken away once.
fn hide(hidden: &mut Vec<(u64, u64)>, from: u64, to: u64) {
    let mut from = from;
    while let Some((start, _)) = hidden.pop_if(|(_, end)| *end >= from && *end <= to) {
        from = from.min(start);
    }
    hidden.push((from, to));
}
