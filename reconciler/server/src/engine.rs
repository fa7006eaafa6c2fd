//! The loop, as the server shows it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use stratum_runtime::Progress;
use stratum_store::SqliteStore;

use crate::health::Health;
use crate::metrics::Metrics;
use crate::part::{Check, Numbers, Part, Unread};

/// The loop, as the server shows it: its health, and its numbers.
pub struct Engine {
    health: Health,
    metrics: Metrics,
    store: Arc<SqliteStore>,
    state: PathBuf,
}

impl Engine {
    /// A loop that has not turned yet, over the state in the file `state`.
    pub fn new(store: Arc<SqliteStore>, state: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            health: Health::default(),
            metrics: Metrics::new(),
            store,
            state,
        })
    }

    /// Takes in what the loop says.
    pub fn take(&self, progress: &Progress) {
        self.health.take(progress);
        self.metrics.take(progress);
    }

    /// The reconciler was told to stop.
    pub fn stopping(&self) {
        self.health.stopping();
    }
}

/// What the loop gives the server.
pub(crate) fn part(engine: Arc<Engine>) -> Part {
    Part::default().checked(engine.clone()).counted(engine)
}

impl Check for Engine {
    fn is_alive(&self) -> Result<(), String> {
        self.health.is_alive()
    }

    fn is_ready(&self) -> Result<(), String> {
        self.health.is_ready()
    }
}

#[async_trait]
impl Numbers for Engine {
    fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    async fn look(&self) -> Result<(), Unread> {
        Ok(self.metrics.look(&self.store, &self.state).await?)
    }
}
