//! The commands, one file each; the doc comment of its arguments is its help.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod drift;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod fmt;
pub(crate) mod get;
pub(crate) mod history;
pub(crate) mod hook;
pub(crate) mod init;
pub(crate) mod install;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod probe;
pub(crate) mod pull_request;
pub(crate) mod reconcile;
pub(crate) mod reference;
pub(crate) mod secrets;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod trace;
pub(crate) mod tree;
pub(crate) mod watch;
