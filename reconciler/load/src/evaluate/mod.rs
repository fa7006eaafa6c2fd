//! One Nickel file of a tree becomes JSON, with the place of every value.

mod balance;
pub(crate) mod budget;
mod child;
mod confine;
mod death;
mod flat;
pub(crate) mod node;
mod pool;
mod program;
pub(crate) mod protocol;
mod report;
mod spots;
mod walk;
mod worker;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use stratum_core::desired::Closure;
use stratum_core::finding::{Finding, any_error, codes};
use stratum_core::ports::{EvaluationCache, LoadError, Tree};
use stratum_core::settings::Limits;
use stratum_core::source::Source;
use stratum_core::value::Path;

use crate::closure::{self, Closed};
use crate::contracts;
use crate::shipped::Library;

pub use child::{EVALUATE_ARGUMENT, Task, evaluate_main};
pub use confine::{Confinement, Enforcement};
pub use pool::{Evaluators, Readers};

use budget::{Budget, Spent};
use node::{Datum, Node, Places};
use protocol::{Answer, Request};

/// What one file evaluates to.
#[derive(Debug, Clone, Default)]
pub struct Evaluated {
    /// The value; enum tags are texts, references and secrets are objects with the one key
    /// `$stratum`, so that `stratum_core::value::stored` reads it. `None` when a finding
    /// is an error.
    pub value: Option<serde_json::Value>,
    /// Where the values stand: `""` is the whole, then `steps[0].id` and so on, records included.
    pub sources: BTreeMap<Path, Source>,
    /// The file and everything it imports.
    pub closure: Closure,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

impl Evaluated {
    /// Where the value at `path` stands, or the nearest enclosing value.
    pub fn source(&self, path: &Path) -> Option<&Source> {
        let mut text = path.0.as_str();
        loop {
            if let Some(source) = self.sources.get(&Path(text.to_owned())) {
                return Some(source);
            }
            let end = text.rfind(['.', '[']).unwrap_or(0);
            if text.is_empty() {
                return None;
            }
            text = text.get(..end).unwrap_or_default();
        }
    }
}

/// Evaluates the Nickel files of one tree.
pub struct Evaluator<'a> {
    tree: &'a dyn Tree,
    shipped: &'a Library,
    evaluators: &'a Evaluators,
    cache: &'a dyn EvaluationCache,
    limits: Limits,
    budget: Budget,
    version: &'a str,
}

/// The version of the language; part of every cache key.
pub(crate) const NICKEL: &str = "0.19.0";

impl<'a> Evaluator<'a> {
    /// An evaluator of `tree`, for one environment: `limits` are what its settings ask for, and
    /// `budget` is what there is.
    pub(crate) fn new(
        tree: &'a dyn Tree,
        shipped: &'a Library,
        evaluators: &'a Evaluators,
        cache: &'a dyn EvaluationCache,
        (limits, budget): (&Limits, Budget),
        version: &'a str,
    ) -> Self {
        Self {
            tree,
            shipped,
            evaluators,
            cache,
            limits: budget.bounds().within(limits),
            budget,
            version,
        }
    }

    /// What it may cost.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The tree.
    pub(crate) fn tree(&self) -> &'a dyn Tree {
        self.tree
    }

    /// How many files are evaluated at the same time.
    pub(crate) fn width(&self) -> usize {
        self.evaluators.width()
    }

    /// Whether there is anything at `path`.
    pub(crate) fn has(&self, path: &str) -> Result<bool, LoadError> {
        Ok(self.tree.entry(path)?.is_some())
    }

    /// Evaluates the file at `path` to data.
    ///
    /// *Errors*: what is wrong with the file is a finding; an error means that the tree could not
    /// be read or the child could not be run.
    pub fn file(&self, path: &str) -> Result<Evaluated, LoadError> {
        let Output {
            value,
            files,
            closure,
            findings,
            ..
        } = self.output(path, false)?;
        let mut sources = BTreeMap::new();
        if let Some(node) = &value {
            Places(&files).collect(node, None, &Path::default(), &mut sources);
        }
        let whole = !any_error(&findings);
        let value = value.filter(|_| whole).map(|node| node.to_json());
        Ok(Evaluated {
            value,
            sources,
            closure,
            findings,
        })
    }

    /// The file at `path` with everything it imports, not evaluated.
    pub(crate) fn close(&self, path: &str) -> Result<Closed, LoadError> {
        Ok(closure::close(self.tree, path, self.shipped)?)
    }

    /// Evaluates the file at `path`; with the contracts of providers when `resources`.
    ///
    /// Where the budget is spent, the value is not there; one finding of all files says so.
    pub(crate) fn output(&self, path: &str, resources: bool) -> Result<Output, LoadError> {
        if !self.budget.file() {
            return Ok(self.over(Spent::Files, path));
        }
        let closed = self.close(path)?;
        let contract = resources
            .then(|| contracts::for_file(self.shipped.schemas(), &closed.words))
            .flatten();
        let Closed {
            blobs,
            objects,
            pieces,
            mut findings,
            ..
        } = closed;
        let mut output = Output {
            closure: objects,
            pieces,
            ..Output::default()
        };
        if findings.iter().any(Finding::is_error) {
            output.findings = findings;
            return Ok(output);
        }
        let key = output
            .closure
            .digest(&format!("{} {path} {resources}", self.version));
        let balance = output
            .pieces
            .values()
            .any(|(count, _)| *count >= balance::FEW);
        let root = virtual_root();
        let request = Request {
            root,
            main: path.to_owned(),
            blobs,
            balance,
            contract,
            most: self.budget.most(),
        };
        let answer = match self.answer(&key.to_string(), &request)? {
            Ok(answer) => answer,
            Err(spent) => {
                let over = self.over(spent, path);
                findings.extend(over.findings);
                return Ok(Output { findings, ..output });
            }
        };
        findings.extend(answer.findings);
        let value = flat::gather(&mut answer.value.into_iter());
        if value.is_none() && !any_error(&findings) {
            let nothing = std::io::Error::other("it answered neither a value nor a reason");
            return Err(death::failed("reading its answer", nothing));
        }
        output.value = value.filter(|node| node.1 != Datum::Hole);
        output.files = answer.files;
        output.findings = findings;
        Ok(output)
    }

    fn over(&self, spent: Spent, path: &str) -> Output {
        Output {
            findings: self.budget.finding(spent, path).into_iter().collect(),
            ..Output::default()
        }
    }

    fn answer(&self, key: &str, request: &Request) -> Result<Result<Answer, Spent>, LoadError> {
        let kept = self
            .cache
            .get(key)
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let answer = match kept {
            Some(answer) => answer,
            None => match self.evaluated(key, request)? {
                Ok(answer) => answer,
                Err(spent) => return Ok(Err(spent)),
            },
        };
        Ok(match self.budget.takes(answer.size) {
            true => Ok(answer),
            false => Err(Spent::Answers),
        })
    }

    fn evaluated(&self, key: &str, request: &Request) -> Result<Result<Answer, Spent>, LoadError> {
        let Limits { memory, time, .. } = &self.limits;
        let end = format!("{key} {memory} {time:?}");
        if let Some(answer) = self.evaluators.end(&end) {
            return Ok(Ok(answer));
        }
        let left = self.budget.time(*time);
        if left.is_zero() {
            return Ok(Err(Spent::Time));
        }
        let (answer, spent) = self.evaluators.evaluate(request, &self.limits, left)?;
        self.budget.spend(spent);
        let limited = |finding: &Finding| finding.code.0 == codes::LIMIT.code;
        // A value that only found too little room left of its environment's is none of these.
        let own = request.most == self.budget.bounds().answer << 20 && left == *time;
        match answer.findings.iter().any(limited) {
            true if own => self.evaluators.remember(&end, &answer),
            true if left < *time => return Ok(Err(Spent::Time)),
            true => {}
            false => {
                if let Ok(bytes) = serde_json::to_vec(&answer) {
                    self.cache.put(key, &bytes);
                }
            }
        }
        Ok(Ok(answer))
    }
}

/// What one file evaluates to, before it becomes resources or settings.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// The value, with holes where evaluation failed; `None` where all of it did.
    pub(crate) value: Option<Node>,
    /// The files that places refer to.
    pub(crate) files: Vec<String>,
    /// The file and everything it imports.
    pub(crate) closure: Closure,
    /// The records that the file writes piece by piece.
    pub(crate) pieces: BTreeMap<String, (usize, (u32, u32))>,
    /// What was noticed.
    pub(crate) findings: Vec<Finding>,
}

/// A folder that does not exist and that nobody can guess.
fn virtual_root() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("/stratum-{:016x}{:016x}", random(), random())
}

/// For tests: evaluates files of `tree` in this process, without confinement.
#[cfg(test)]
pub(crate) fn in_process(tree: &dyn Tree) -> Evaluator<'_> {
    in_process_with(tree, Vec::new())
}

/// The same, with the types of `schemas`.
#[cfg(test)]
pub(crate) fn in_process_with(
    tree: &dyn Tree,
    schemas: Vec<stratum_core::ports::ProviderSchema>,
) -> Evaluator<'_> {
    Evaluator {
        tree,
        shipped: Box::leak(Box::new(Library::new(schemas))),
        evaluators: Box::leak(Box::new(Evaluators::here())),
        cache: &crate::memory::Forgetful,
        limits: Limits::default(),
        budget: Budget::new(stratum_core::bounds::Bounds::default(), None),
        version: "test",
    }
}

#[cfg(test)]
mod tests;
