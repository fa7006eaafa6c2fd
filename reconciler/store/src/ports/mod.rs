//! The ports of storage, each method as one read or one write; one file for each port.

mod audit;
mod facts;
mod fronts;
mod journals;
mod leases;
mod observations;
mod retention;
mod states;
mod work;
