//! The body of a node: its links and what they can lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use stratum_core::source::Source;

use crate::document::Lines;

/// What the body of a markdown file has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    /// Links and images: where each stands, and where it leads.
    pub(crate) links: Vec<(Spot, String)>,
    /// `[[id]]`, outside of code.
    pub(crate) wiki: Vec<(Spot, String)>,
    /// The names that an anchor can have, as GitHub makes them; in lower case.
    pub(crate) anchors: BTreeSet<String>,
}

/// A line and a column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    line: u32,
    column: u32,
}

impl Spot {
    /// The place in `file`.
    pub(crate) fn in_file(self, file: &str) -> Source {
        Source::new(file, self.line, self.column)
    }
}

/// Reads a body that starts after `skipped` lines.
pub(crate) fn read(text: &str, skipped: u32) -> Body {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM;
    let mut reader = Reader {
        text,
        lines: Lines::of(text),
        skipped,
        body: Body::default(),
        used: BTreeMap::new(),
        heading: None,
        literal: Vec::new(),
    };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        reader.event(event, range);
    }
    reader.wiki();
    reader.body
}

struct Reader<'a> {
    text: &'a str,
    lines: Lines<'a>,
    skipped: u32,
    body: Body,
    used: BTreeMap<String, u32>,
    heading: Option<String>,
    /// Code and HTML, in which nothing is a wiki link.
    literal: Vec<Range<usize>>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let spot = self.spot(range.start);
                self.literal.push(range);
                self.body.links.push((spot, dest_url.into_string()));
            }
            Event::Start(Tag::Heading { .. }) => self.heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                if let Some(heading) = self.heading.take() {
                    self.anchor(&heading);
                }
            }
            Event::Start(Tag::CodeBlock(_)) => self.literal.push(range),
            Event::Code(text) => {
                self.literal.push(range);
                self.words(&text);
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                self.literal.push(range);
                self.html(&html);
            }
            Event::Text(text) => self.words(&text),
            _ => {}
        }
    }

    fn words(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.push_str(text);
        }
    }

    /// The anchor of a heading; a repeated one gets a number.
    fn anchor(&mut self, heading: &str) {
        let slug = slug(heading);
        let count = self.used.entry(slug.clone()).or_insert(0);
        let name = if *count == 0 {
            slug
        } else {
            format!("{slug}-{count}")
        };
        *count += 1;
        self.body.anchors.insert(name);
    }

    /// Anchors set by hand: `<a id="x">`, `<a name="x">`.
    fn html(&mut self, html: &str) {
        for attribute in [" id=", " name="] {
            for (at, _) in html.match_indices(attribute) {
                let rest = html.get(at + attribute.len()..).unwrap_or_default();
                let mut chars = rest.chars();
                if let Some(quote @ ('"' | '\'')) = chars.next() {
                    let name = chars.as_str().split(quote).next().unwrap_or_default();
                    self.body.anchors.insert(name.to_lowercase());
                }
            }
        }
    }

    fn wiki(&mut self) {
        self.literal.sort_unstable_by_key(|range| range.start);
        let mut literal = std::mem::take(&mut self.literal).into_iter().peekable();
        let mut end = 0;
        for (start, _) in self.text.match_indices("[[") {
            while let Some(range) = literal.next_if(|range| range.start <= start) {
                end = end.max(range.end);
            }
            if let Some(id) = self.id(start + 2).filter(|_| start >= end) {
                let spot = self.spot(start);
                self.body.wiki.push((spot, id));
            }
        }
    }

    /// The id in `[[id]]`, `[[id|words]]` or `[[id#heading]]`, whose inside begins at `start`.
    fn id(&self, start: usize) -> Option<String> {
        let within = self.text.as_bytes().get(start..)?.iter().take(LONGEST_ID);
        let length = within
            .take_while(|byte| !matches!(byte, b']' | b'[' | b'\n'))
            .count();
        let inner = self.text.get(start..start + length)?;
        let closed = self.text.get(start + length..)?.starts_with("]]");
        let id = inner.split(['|', '#']).next().unwrap_or_default().trim();
        (closed && !id.is_empty()).then(|| id.to_owned())
    }

    fn spot(&self, offset: usize) -> Spot {
        let source = self.lines.place("", offset);
        Spot {
            line: source.line.saturating_add(self.skipped),
            column: source.column,
        }
    }
}

/// The most bytes between `[[` and `]]`.
const LONGEST_ID: usize = 256;

/// The anchor that GitHub makes of a heading: lower case, letters, digits, `-` and `_`; spaces
/// become `-`.
pub(super) fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let lower = heading.trim().to_lowercase();
    lower
        .chars()
        .filter(kept)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_as_on_github() {
        let body = read(
            "# What & why?\n## `a_b` C\n## A\n## A\n<a id=\"by-hand\"></a>\n\nÜber\n====\n",
            0,
        );
        let anchors: Vec<&str> = body.anchors.iter().map(String::as_str).collect();
        assert_eq!(
            anchors,
            ["a", "a-1", "a_b-c", "by-hand", "what--why", "über"]
        );
    }

    #[test]
    fn links_and_wiki_links_have_places_and_code_has_none() {
        let text = "x [a](b.md) ![i](c.png)\n`[[no]]`\n\n```\n[[no]] [a](no.md)\n```\nsee [[adr-1|the one]] and <https://x.org>\n";
        let body = read(text, 10);
        let links: Vec<String> = body
            .links
            .iter()
            .map(|(spot, to)| format!("{}:{} {to}", spot.line, spot.column))
            .collect();
        assert_eq!(links, ["11:3 b.md", "11:13 c.png", "17:27 https://x.org"]);
        assert_eq!(
            body.wiki,
            [(
                Spot {
                    line: 17,
                    column: 5
                },
                "adr-1".to_owned()
            )]
        );
    }
}
