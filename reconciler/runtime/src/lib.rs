//! The loop: wake, lease, load, observe, plan, judge, apply, record.
//!
//! It knows core's ports only. The first run and recovery are the same code: whatever
//! [`Store::unfinished`](stratum_core::ports::Store::unfinished) names is driven by the same
//! [`Journal::next`](stratum_core::journal::Journal::next) as a new plan.

mod apply;
mod audit;
mod calls;
mod carry;
mod drift;
mod elsewhere;
mod error;
mod grounds;
pub mod guard;
mod head;
mod judge;
mod lease;
mod look;
mod observe;
mod ports;
mod preview;
mod progress;
mod proposals;
mod publish;
mod read;
mod reconcile;
mod refuse;
mod retry;
mod sealing;
mod site;
mod step;
mod stop;
mod task;
mod upkeep;
mod work;

pub use error::RuntimeError;
pub use ports::{Ports, Providers};
pub use preview::{Preview, PreviewBase, PreviewRequest, preview};
pub use progress::{EnvironmentReport, Progress, ProgressSink, StepProgress};
pub use reconcile::{Options, Reconciler};
pub use sealing::{Verification, verify_sealed};
pub use site::{Roots, site_of};
pub use stop::Stop;
