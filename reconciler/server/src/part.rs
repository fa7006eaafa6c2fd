//! What one subsystem gives the server.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use prometheus_client::registry::Registry;

/// Work that goes on beside the answers, until the process ends.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why numbers cannot be read.
pub type Unread = Box<dyn Error + Send + Sync>;

/// Whether a subsystem lives, and whether it can do its work. The reasons are for people, and are
/// shown to those alone who may know them.
pub trait Check: Send + Sync {
    /// For a supervisor that would start the process again. *Errors*: it hangs.
    fn is_alive(&self) -> Result<(), String> {
        Ok(())
    }

    /// For whoever waits for it. *Errors*: what keeps it from its work.
    fn is_ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The metrics of a subsystem.
#[async_trait]
pub trait Numbers: Send + Sync {
    /// Names them; called once, before the first look. Labels must be bounded.
    fn register(&self, registry: &mut Registry);

    /// Brings them up to date, before each answer.
    async fn look(&self) -> Result<(), Unread>;
}

/// What one subsystem gives the server; each thing may be missing.
#[derive(Default)]
pub struct Part {
    pub(crate) routes: Router,
    pub(crate) checks: Vec<Arc<dyn Check>>,
    pub(crate) numbers: Vec<Arc<dyn Numbers>>,
    pub(crate) tasks: Vec<Task>,
}

impl Part {
    /// The same, with routes; the paths must be nobody else's.
    pub fn answering(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// The same, with a check that `/healthz` and `/readyz` ask.
    pub fn checked(mut self, check: Arc<dyn Check>) -> Self {
        self.checks.push(check);
        self
    }

    /// The same, with numbers that `/metrics` shows.
    pub fn counted(mut self, numbers: Arc<dyn Numbers>) -> Self {
        self.numbers.push(numbers);
        self
    }

    /// The same, with work that begins when the server starts, whether or not it listens.
    pub fn working(mut self, task: impl Future<Output = ()> + Send + 'static) -> Self {
        self.tasks.push(Box::pin(task));
        self
    }
}
