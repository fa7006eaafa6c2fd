//! Real files, real processes, real kills.
#![cfg(test)]

mod before;
mod conformance;
mod exec;
mod generated;
mod isolated;
mod kept;
mod lasting;
mod lost;
mod placed;
mod probe;
mod service;
