//! The loop. `reconciler/README.md` has the walk of one commit through these files.
//!
//! It knows core's ports only. The first run and recovery are the same code: whatever
//! [`Journals::unfinished`](stratum_core::ports::Journals::unfinished) names is driven by the same
//! [`Journal::next`](stratum_core::journal::Journal::next) as a new plan.

mod admission;
mod admit;
mod aim;
mod apply;
mod audit;
mod calls;
mod charter;
mod discreet;
mod drift;
mod driver;
mod error;
mod execute;
mod foreign_lease;
mod front;
mod granted;
pub mod guard;
mod head;
mod health;
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
mod recovery;
mod refs;
mod refuse;
mod sayings;
mod sealing;
mod settle;
mod site;
mod step;
mod stop;
mod tags;
mod task;
mod tries;
mod turns;
mod upkeep;
mod visit;

pub use admit::admit;
pub use error::RuntimeError;
pub use ports::{Ports, Providers};
pub use preview::{Preview, PreviewBase, PreviewRequest, preview};
pub use progress::{EnvironmentReport, Progress, ProgressSink, StepProgress};
pub use reconcile::{Options, Reconciler};
pub use sealing::{Verification, verify_sealed};
pub use site::{Roots, site_of};
pub use stop::Stop;
