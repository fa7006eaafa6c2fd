//! HTTP: one composition of each room's routes, health checks, metrics and background tasks.
//!
//! What lives here: the door with every limit of what comes from a network, `/healthz`, `/readyz`
//! and `/metrics`, and [`compose`], where each subsystem is one line. What may not: a decision about
//! the world, an argument of the command line, a secret in an answer.
//!
//! *Guarantees*: the worst that a request can do is to make the reconciler look at its repository
//! once more; the loop does not wait for any of it.

mod compose;
mod connection;
mod door;
mod engine;
mod error;
mod forge;
mod guests;
mod health;
mod limits;
mod metrics;
mod part;
mod server;
mod tls;
mod webhook;

pub use compose::{Parts, compose, sample_of_metrics};
pub use door::Peer;
pub use engine::Engine;
pub use error::ServerError;
pub use part::{Check, Numbers, Part, Task, Unread};
pub use server::{Answering, Server, bind, token};
pub use tls::Tls;
pub use webhook::{Poke, Webhook};
