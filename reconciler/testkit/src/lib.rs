//! In-memory adapters, repository builder and provider conformance suite for tests.

pub mod script;

pub mod store;

pub mod audit;
pub mod clock;
pub mod cloud;
pub mod conformance;
pub mod gate;
pub mod repository;
pub mod sealing;
pub mod tree;
pub mod world;
