//! The loop. `reconciler/README.md` has the walk of one commit through these files.
//!
//! It knows core's ports only. The first run and recovery are the same code: whatever
//! [`Journals::unfinished`](stratum_core::ports::Journals::unfinished) names is driven by the same
//! [`Journal::next`](stratum_core::journal::Journal::next) as a new plan.

mod admission;
mod admit;
mod aim;
mod along;
mod apply;
mod audit;
mod blocking;
mod bring;
mod calls;
mod charter;
mod compose;
mod discover;
mod discreet;
mod drift;
mod driver;
mod error;
mod execute;
mod foreign_lease;
mod front;
mod granted;
pub mod guard;
mod handed;
mod head;
mod health;
mod hearing;
mod judge;
mod lease;
mod look;
mod observe;
mod options;
mod outset;
mod places;
mod policy;
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
mod rows;
mod runs;
mod sayings;
mod sealing;
mod settle;
mod site;
mod step;
mod stop;
mod task;
mod tries;
mod turns;
mod upkeep;
mod visit;
mod walk;
mod words;
mod world;

pub use admit::admit;
pub use discover::discover;
pub use error::RuntimeError;
pub use options::Options;
pub use ports::{Ports, Providers};
pub use preview::{Preview, PreviewBase, PreviewRequest, preview};
pub use progress::{EnvironmentReport, Progress, ProgressSink, StepProgress};
pub use reconcile::Reconciler;
pub use sealing::{Verification, verify_sealed};
pub use site::{Roots, site_of};
pub use stop::Stop;
