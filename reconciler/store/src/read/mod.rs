//! What is read, one file for each part of the state.

pub(crate) mod announced;
pub(crate) mod audit;
pub(crate) mod environment;
pub(crate) mod evaluation;
pub(crate) mod facts;
pub(crate) mod made;
pub(crate) mod observation;
pub(crate) mod queue;
pub(crate) mod retain;
pub(crate) mod run;
pub(crate) mod secret;
