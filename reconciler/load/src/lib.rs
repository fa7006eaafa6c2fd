//! Bytes of a tree become Desired: Nickel, pipelines, forms, knowledge, sealed files.
//!
//! *Guarantees*: everything is read from git objects through [`stratum_core::ports::Tree`], and
//! code from a repository runs in a confined child process only.

mod agents;
mod closure;
mod contracts;
mod credentials;
mod document;
pub mod evaluate;
mod expression;
mod form;
pub mod format;
#[doc(hidden)]
pub mod fuzzing;
mod generated;
#[cfg(test)]
mod hostile;
mod infrastructure;
mod knowledge;
mod loader;
#[cfg(test)]
mod memory;
mod oddities;
mod outline;
mod paths;
mod pipeline;
mod reading;
mod records;
mod registry;
mod roots;
mod sealed;
mod secrets;
mod settings;
mod shape;
mod shipped;
mod tokens;
mod trust;

pub use contracts::provider_file;
pub use credentials::{ALLOWED, Credentials};
pub use evaluate::{
    Confinement, EVALUATE_ARGUMENT, Enforcement, Evaluators, Readers, Task, evaluate_main,
};
pub use infrastructure::Validate;
pub use loader::NickelLoader;
pub use reading::LARGEST as LARGEST_FILE;
pub use sealed::{read_sealed, yaml_as};
