//! The one place where subsystems are put together: one line for each.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use stratum_core::secret::Secret;
use stratum_forge::announce::Announcer;
use stratum_forge::github::GitHub;

use crate::engine::{self, Engine};
use crate::forge::{self, ForgeNumbers};
use crate::metrics::Metrics;
use crate::server::{Server, registry};
use crate::webhook::{self, Deliveries, Poke, Webhook};

/// The subsystems of one process.
pub struct Parts {
    /// The loop.
    pub engine: Arc<Engine>,
    /// What deliveries of the forge are held to.
    pub webhook: Arc<Webhook>,
    /// Makes the reconciler look.
    pub poke: Poke,
    /// The forge, where one is named.
    pub forge: Option<(Arc<GitHub>, Arc<Announcer>)>,
}

/// The server of all subsystems. Whoever shows `token` may read what is not said to strangers.
pub fn compose(token: Option<Secret>, parts: Parts) -> Server {
    Server::new(token)
        .with(engine::part(parts.engine))
        .with(webhook::part(parts.webhook, parts.poke))
        .with(forge::part(parts.forge))
}

/// All metrics with one of each label, as `/metrics` gives them: for the reference page.
pub fn sample_of_metrics() -> String {
    let mut registry = registry();
    Metrics::new().sample(&mut registry);
    Deliveries::default().sample(&mut registry);
    ForgeNumbers::default().sample(&mut registry);
    let mut text = String::new();
    let _infallible = encode(&mut text, &registry);
    text
}
