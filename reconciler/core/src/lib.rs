//! The pure heart of stratum: its words, the plan, the journal, the record, and the ports.
//!
//! *Guarantees*: nothing here touches a file, a clock, a network or a thread. The same arguments
//! give the same answers, on every machine. Everything that touches the world stands behind a
//! trait in [`ports`] and is built by `assembly`.

pub mod approve;
pub mod audit;
pub mod beside;
pub mod bounds;
pub mod check;
pub mod condition;
pub mod desired;
pub mod digest;
pub mod duration;
pub mod finding;
pub mod graph;
pub mod ids;
pub mod journal;
pub mod kinds;
pub mod observed;
pub mod place;
pub mod plan;
pub mod planning;
pub mod ports;
pub mod record;
pub mod redact;
pub mod remembered;
pub mod resource;
pub mod retention;
pub mod rules;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod signed;
pub mod source;
pub mod sshsig;
pub mod stand_in;
pub mod suggest;
pub mod text;
pub mod touched;
pub mod trust;
pub mod value;
pub mod verdict;
pub mod waiting;
