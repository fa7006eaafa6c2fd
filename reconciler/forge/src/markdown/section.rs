//! One environment within a comment: what is lost first, the rest folded.

use std::collections::BTreeMap;

use stratum_core::plan::{Action, Plan};

use crate::markdown::escape::{code, cut, plain, prose};
use crate::markdown::fit::{Budget, Share};
use crate::markdown::marker::Standing;
use crate::markdown::report::{Links, Section, counts, standing};
use crate::markdown::step::{Item, item};

/// Drifted and blocked resources that are listed before the rest is only counted.
const ASIDES: usize = 10;

/// Types in the sentence about what is left out.
const TYPES: usize = 5;

/// Bytes kept for the sentence about what is left out of one group.
const OMITTED: usize = 400;

/// Bytes around one folded block.
const FOLD: usize = 80;

/// The groups, in the order in which they stand, with the words of their heads.
const FOLDED: [(Action, &str); 3] = [
    (Action::Update, "to change"),
    (Action::Create, "to create"),
    (Action::Adopt, "to adopt"),
];

/// An environment, as much of it as fits.
pub(crate) struct Drawn {
    head: String,
    lost: Group,
    folded: Vec<(&'static str, Group)>,
    asides: String,
    /// Whether there was room for even the head.
    is_shown: bool,
}

/// Steps of a kind, and how much of them is shown.
#[derive(Default)]
struct Group {
    items: Vec<Item>,
    /// How many lines are shown.
    lines: usize,
    /// Which bodies are shown.
    bodies: Vec<bool>,
}

impl Drawn {
    /// Whether an environment has anything to say.
    pub(crate) fn is_worth_it(plan: &Plan) -> bool {
        !plan.is_empty() || !plan.drifted.is_empty() || !plan.blocked.is_empty()
    }

    pub(crate) fn new(section: &Section<'_>, links: &Links) -> Option<Self> {
        let plan = section.plan?;
        let mut lost = Group::default();
        let mut folded: Vec<(&'static str, Group)> = FOLDED
            .iter()
            .map(|(_, words)| (*words, Group::default()))
            .collect();
        for step in plan.shown() {
            let item = item(plan, step, section.verdict, links);
            let place = FOLDED.iter().position(|(action, _)| *action == step.action);
            match place.and_then(|place| folded.get_mut(place)) {
                Some((_, group)) => group.items.push(item),
                None => lost.items.push(item),
            }
        }
        folded.retain(|(_, group)| !group.items.is_empty());
        Some(Self {
            head: head(section, plan),
            lost,
            folded,
            asides: asides(plan),
            is_shown: false,
        })
    }

    /// Decides what is shown: first what is lost, then its changes, then the rest.
    pub(crate) fn fit(all: &mut [Self], budget: &mut Budget) {
        for drawn in all.iter_mut() {
            let groups = 1 + drawn.folded.len();
            let bytes = drawn.head.len() + drawn.asides.len() + groups * (OMITTED + FOLD);
            drawn.is_shown = budget.take_bytes(bytes, Share::All);
        }
        let shown = |drawn: &&mut Self| drawn.is_shown;
        for drawn in all.iter_mut().filter(shown) {
            drawn.lost.fit_lines(budget, Share::Half);
        }
        for drawn in all.iter_mut().filter(shown) {
            drawn.lost.fit_bodies(budget, Share::Half);
        }
        for drawn in all.iter_mut().filter(shown) {
            for (_, group) in &mut drawn.folded {
                group.fit_lines(budget, Share::Most);
            }
        }
        for drawn in all.iter_mut().filter(shown) {
            for (_, group) in &mut drawn.folded {
                group.fit_bodies(budget, Share::All);
            }
        }
    }

    pub(crate) fn markdown(&self) -> String {
        if !self.is_shown {
            return String::new();
        }
        let mut text = self.head.clone();
        if !self.lost.items.is_empty() {
            text.push_str(&self.lost.open());
        }
        for (words, group) in &self.folded {
            let head = format!("{} {words}", group.items.len());
            text.push_str(&fold(&head, &group.inside()));
        }
        text.push_str(&self.asides);
        text
    }
}

impl Group {
    fn fit_lines(&mut self, budget: &mut Budget, share: Share) {
        let fitting = self
            .items
            .iter()
            .take_while(|item| budget.take(&item.line, share));
        self.lines = fitting.count();
    }

    fn fit_bodies(&mut self, budget: &mut Budget, share: Share) {
        let shown = self.items.iter().take(self.lines);
        self.bodies = shown
            .map(|item| {
                let bytes = |body: &String| body.len() + item.title.len() + FOLD;
                item.body
                    .as_ref()
                    .is_some_and(|body| budget.take_bytes(bytes(body), share))
            })
            .collect();
    }

    /// Lines that everybody sees, with what changes folded under each.
    fn open(&self) -> String {
        let mut text = String::new();
        for (item, body) in self.shown() {
            text.push_str(&item.line);
            if let Some(body) = body {
                let head = format!("what changes in <code>{}</code>", item.title);
                text.push_str(&format!("\n{}", fold(&head, body)));
            }
        }
        text.push_str(&self.omitted());
        text.push('\n');
        text
    }

    /// Lines within a fold, each with what changes.
    fn inside(&self) -> String {
        let mut text = String::new();
        for (item, body) in self.shown() {
            text.push_str(&item.line);
            if let Some(body) = body {
                text.push_str(&format!("\n{body}\n"));
            }
        }
        text.push_str(&self.omitted());
        text
    }

    fn shown(&self) -> impl Iterator<Item = (&Item, Option<&String>)> {
        let bodies = self.bodies.iter().copied().chain(std::iter::repeat(false));
        let lines = self.items.iter().take(self.lines).zip(bodies);
        lines.map(|(item, is_shown)| (item, item.body.as_ref().filter(|_| is_shown)))
    }

    /// How much is not shown, by type, so that nothing goes unsaid.
    fn omitted(&self) -> String {
        let rest = self.items.get(self.lines..).unwrap_or_default();
        let missing = self
            .shown()
            .filter(|(item, body)| item.body.is_some() && body.is_none())
            .count();
        let mut text = String::new();
        if !rest.is_empty() {
            let mut types: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
            for item in rest {
                *types
                    .entry((item.action.as_str(), &item.type_name))
                    .or_default() += 1;
            }
            let mut types: Vec<_> = types.into_iter().collect();
            types.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
            let named: Vec<String> = types
                .iter()
                .take(TYPES)
                .map(|((action, name), count)| format!("{action} {count} {}", code(&cut(name, 40))))
                .collect();
            let dots = if types.len() > TYPES {
                ", and others"
            } else {
                ""
            };
            text.push_str(&format!(
                "- and {} more that do not fit here: {}{dots}\n",
                rest.len(),
                named.join(", ")
            ));
        }
        if missing > 0 {
            text.push_str(&format!(
                "- the changes of {missing} of these do not fit here\n"
            ));
        }
        text
    }
}

fn fold(head: &str, inside: &str) -> String {
    format!("<details><summary>{head}</summary>\n\n{inside}\n</details>\n\n")
}

fn head(section: &Section<'_>, plan: &Plan) -> String {
    let name = plain(section.environment.as_str());
    let said = match standing(section) {
        Standing::Allowed => "Policy allows it".to_owned(),
        Standing::NeedsApproval => "**It needs approval**".to_owned(),
        Standing::Denied => "**Policy denies it**".to_owned(),
        Standing::Errors => "**It has errors**".to_owned(),
    };
    format!(
        "### {name}: {}\n\n{said}. Plan {}.\n\n",
        counts(&plan.summary()),
        code(&plan.digest.to_string())
    )
}

/// What is left as it is: drifted and blocked resources.
fn asides(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for drifted in &plan.drifted {
        let paths = drifted.changes.iter().take(5);
        let paths: Vec<String> = paths.map(|change| code(&cut(&change.path.0, 80))).collect();
        let address = code(&drifted.address.local.to_string());
        let paths = paths.join(", ");
        lines.push(format!(
            "- **drifted** {address} differs in {paths} and is left so\n"
        ));
    }
    for blocked in &plan.blocked {
        let address = code(&blocked.address.local.to_string());
        let reason = prose(&cut(&blocked.reason, 300));
        lines.push(format!("- **blocked** {address}: {reason}\n"));
    }
    if lines.is_empty() {
        return String::new();
    }
    let more = lines.len().saturating_sub(ASIDES);
    lines.truncate(ASIDES);
    if more > 0 {
        lines.push(format!("- and {more} more that drifted or are blocked\n"));
    }
    format!("{}\n", lines.concat())
}
