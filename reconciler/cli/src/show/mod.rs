//! How the engine's types are written for people and for programs; nothing here does I/O.

pub(crate) mod attendance;
pub(crate) mod audit;
pub(crate) mod finding;
pub(crate) mod forge;
pub(crate) mod json;
pub(crate) mod live;
pub(crate) mod next;
pub(crate) mod plan;
pub(crate) mod records;
pub(crate) mod request;
pub(crate) mod run;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod sarif;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod timeline;
pub(crate) mod tree;
pub(crate) mod value;
pub(crate) mod when;
