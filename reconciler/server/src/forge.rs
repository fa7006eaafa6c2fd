//! The forge, as the server shows it: what was asked of it, and who tells it what became of runs.

use std::sync::Arc;

use async_trait::async_trait;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stratum_forge::announce::Announcer;
use stratum_forge::github::GitHub;

use crate::part::{Numbers, Part, Unread};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

/// What was asked of the forge.
#[derive(Default)]
pub(crate) struct ForgeNumbers {
    forge: Option<(Arc<GitHub>, Arc<Announcer>)>,
    forge_requests: Gauge,
    forge_failures: Family<OfKind, Gauge>,
    forge_remaining: Gauge,
    waiting: Gauge,
}

/// What the forge gives the server: its numbers, and the work of telling it.
pub(crate) fn part(forge: Option<(Arc<GitHub>, Arc<Announcer>)>) -> Part {
    let announcer = forge.as_ref().map(|(_, announcer)| Arc::clone(announcer));
    let part = Part::default().counted(Arc::new(ForgeNumbers {
        forge,
        ..ForgeNumbers::default()
    }));
    match announcer {
        Some(announcer) => part.working(async move { announcer.run().await }),
        None => part,
    }
}

impl ForgeNumbers {
    /// Names them, with one of each label.
    pub(crate) fn sample(&self, registry: &mut Registry) {
        self.register(registry);
        drop(
            self.forge_failures
                .get_or_create(&OfKind { kind: "server" }),
        );
    }
}

#[async_trait]
impl Numbers for ForgeNumbers {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "forge_requests",
            "Requests to the forge since the start, tries included",
            self.forge_requests.clone(),
        );
        registry.register(
            "forge_failures",
            "Requests to the forge that failed since the start, by kind",
            self.forge_failures.clone(),
        );
        registry.register(
            "forge_limit_remaining",
            "Requests that the forge still allows; -1 until it said",
            self.forge_remaining.clone(),
        );
        registry.register(
            "forge_waiting_runs",
            "Runs whose outcome the forge was not told yet",
            self.waiting.clone(),
        );
        self.forge_remaining.set(-1);
    }

    async fn look(&self) -> Result<(), Unread> {
        let Some((forge, announcer)) = &self.forge else {
            return Ok(());
        };
        let counts = forge.counts();
        self.forge_requests.set(counts.requests as i64);
        for (kind, count) in counts.failures {
            let of = OfKind { kind };
            self.forge_failures.get_or_create(&of).set(count as i64);
        }
        let remaining = counts.remaining.map_or(-1, |left| left as i64);
        self.forge_remaining.set(remaining);
        self.waiting.set(announcer.waiting() as i64);
        Ok(())
    }
}
