//! The components of a reconciler: which of them each is given, and nothing else.

use std::sync::Arc;

use crate::admission::Admissions;
use crate::along::Along;
use crate::audit::AuditLog;
use crate::blocking::Blocking;
use crate::bring::Bringing;
use crate::charter::Heads;
use crate::drift::Correcting;
use crate::execute::Execution;
use crate::front::KnownFronts;
use crate::hearing::Hearing;
use crate::judge::Judging;
use crate::lease::OwnLeases;
use crate::options::Options;
use crate::outset::Outsets;
use crate::policy::Policy;
use crate::ports::Ports;
use crate::progress::ProgressSink;
use crate::proposals::Proposals;
use crate::publish::Records;
use crate::read::Reading;
use crate::recovery::Recovery;
use crate::refuse::Refusals;
use crate::rows::Rows;
use crate::runs::Runs;
use crate::sealing::Verifying;
use crate::settle::Settling;
use crate::stop::Stop;
use crate::walk::Walk;
use crate::words::Words;
use crate::world::World;

/// What the stages stand on: what is remembered, said, held and written down.
pub(crate) struct Ground {
    pub(crate) blocking: Blocking,
    pub(crate) leases: Arc<OwnLeases>,
    pub(crate) fronts: Arc<KnownFronts>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) words: Arc<Words>,
    pub(crate) log: Arc<AuditLog>,
    pub(crate) heads: Arc<Heads>,
    pub(crate) records: Arc<Records>,
    pub(crate) admissions: Arc<Admissions>,
    policy: Arc<Policy>,
    progress: ProgressSink,
    stop: Stop,
}

impl Ground {
    pub(crate) fn new(
        ports: &Ports,
        options: &Options,
        progress: &ProgressSink,
        stop: &Stop,
    ) -> Self {
        let blocking = Blocking {
            inline: options.inline,
        };
        let leases = Arc::new(OwnLeases::new(ports, options.lease_ttl));
        let fronts = Arc::new(KnownFronts::default());
        let rows = Arc::new(Rows::new(ports, &leases, &fronts));
        let words = Arc::new(Words::default());
        let log = Arc::new(AuditLog::new(ports, blocking, &words));
        let policy = Arc::new(Policy::new(ports));
        let how = (blocking, !options.without_policies.is_empty());
        let heads = Heads::new(ports, how, (&policy, &words), progress);
        let heads = Arc::new(heads);
        let records = Records::new(ports, blocking, progress, (&leases, &heads));
        let judging = (&policy, &words, &log);
        let admissions = Admissions::new(ports, blocking, judging, &options.without_policies);
        Self {
            blocking,
            leases,
            fronts,
            rows,
            words,
            log,
            heads,
            records: Arc::new(records),
            admissions: Arc::new(admissions),
            policy,
            progress: Arc::clone(progress),
            stop: stop.clone(),
        }
    }

    fn execution(
        &self,
        ports: &Ports,
        options: &Options,
        (runs, outsets, settling): (&Arc<Runs>, &Arc<Outsets>, &Arc<Settling>),
    ) -> Arc<Execution> {
        Arc::new(Execution {
            ports: ports.clone(),
            roots: options.roots.clone(),
            stop: self.stop.clone(),
            progress: Arc::clone(&self.progress),
            heads: Arc::clone(&self.heads),
            leases: Arc::clone(&self.leases),
            rows: Arc::clone(&self.rows),
            runs: Arc::clone(runs),
            outsets: Arc::clone(outsets),
            settling: Arc::clone(settling),
            log: Arc::clone(&self.log),
            records: Arc::clone(&self.records),
        })
    }

    fn recovery(
        &self,
        ports: &Ports,
        runs: &Arc<Runs>,
        execution: &Arc<Execution>,
    ) -> Arc<Recovery> {
        Arc::new(Recovery {
            journals: ports.store.clone(),
            progress: Arc::clone(&self.progress),
            leases: Arc::clone(&self.leases),
            rows: Arc::clone(&self.rows),
            runs: Arc::clone(runs),
            execution: Arc::clone(execution),
        })
    }

    pub(crate) fn along(&self, ports: &Ports) -> Along {
        Along {
            store: Arc::clone(&ports.store),
            repository: Arc::clone(&ports.repository),
            blocking: self.blocking,
            fronts: Arc::clone(&self.fronts),
            admissions: Arc::clone(&self.admissions),
            records: Arc::clone(&self.records),
        }
    }
}

/// What reads revisions, and what carries runs out.
pub(crate) struct Acting {
    pub(crate) runs: Arc<Runs>,
    pub(crate) reading: Arc<Reading>,
    pub(crate) recovery: Arc<Recovery>,
    hearing: Arc<Hearing>,
    world: Arc<World>,
    outsets: Arc<Outsets>,
    settling: Arc<Settling>,
    execution: Arc<Execution>,
}

impl Acting {
    pub(crate) fn new(ports: &Ports, options: &Options, on: &Ground) -> Self {
        let world = Arc::new(World::new(ports, &on.stop, &on.leases));
        let hearing = Arc::new(Hearing {
            policy: Arc::clone(&on.policy),
            blocking: on.blocking,
            log: Arc::clone(&on.log),
        });
        let verifying = Verifying::new(ports, on.blocking, (&on.policy, &on.log));
        let reading = Reading::new(
            (ports, &options.roots),
            on.blocking,
            (&on.policy, &hearing),
            verifying,
            (&world, &on.rows),
        );
        let runs = Arc::new(Runs::new(ports, &on.records));
        let outsets = Arc::new(Outsets::new(ports, on.blocking, &on.leases));
        let settling = Arc::new(Settling::new(ports, &on.leases, &on.rows));
        let parts = (&runs, &outsets, &settling);
        let execution = on.execution(ports, options, parts);
        Self {
            recovery: on.recovery(ports, &runs, &execution),
            runs,
            reading: Arc::new(reading),
            hearing,
            world,
            outsets,
            settling,
            execution,
        }
    }

    pub(crate) fn walk(&self, ports: &Ports, on: &Ground) -> Walk {
        let judging = Judging::new(ports, &on.progress, &self.world, &on.admissions, &on.log);
        let judging = Arc::new(judging);
        let refusals = Arc::new(Refusals {
            journals: ports.store.clone(),
            outsets: Arc::clone(&self.outsets),
            log: Arc::clone(&on.log),
            rows: Arc::clone(&on.rows),
            records: Arc::clone(&on.records),
        });
        let bringing = Arc::new(Bringing {
            vault: Arc::clone(&ports.vault),
            clock: Arc::clone(&ports.clock),
            judging: Arc::clone(&judging),
            refusals: Arc::clone(&refusals),
            proposals: Proposals::new(ports, on.blocking, &on.progress),
            execution: Arc::clone(&self.execution),
            settling: Arc::clone(&self.settling),
            log: Arc::clone(&on.log),
            rows: Arc::clone(&on.rows),
        });
        let seeing = (&self.world, &judging);
        Walk {
            clock: Arc::clone(&ports.clock),
            progress: Arc::clone(&on.progress),
            log: Arc::clone(&on.log),
            rows: Arc::clone(&on.rows),
            admissions: Arc::clone(&on.admissions),
            refusals,
            hearing: Arc::clone(&self.hearing),
            recovery: Arc::clone(&self.recovery),
            reading: Arc::clone(&self.reading),
            correcting: Correcting::new(ports, &on.stop, seeing, &bringing),
            bringing,
        }
    }
}
