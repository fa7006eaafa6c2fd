//! The store on real files, with real processes.

mod cache;
mod conformance;
mod crash;
mod damage;
mod full;
mod group;
mod reading;
mod support;
