//! The `local` provider: this machine.
//!
//! | type | file |
//! | --- | --- |
//! | `local_data` | `data.rs` |
//! | `local_file`, `local_directory`, `local_symlink` | `file.rs`, `directory.rs`, `symlink.rs`, over `placed.rs`, with `deeds.rs` and `kept.rs` |
//! | `local_exec` | `exec.rs`, over `steps.rs` |
//! | `local_service` | `service.rs` |
//!
//! # Where things lie
//!
//! Relative paths lie in the root of the environment; absolute paths must lie in one of its
//! declared roots. No path goes through a symlink: every folder below the root is opened by itself
//! without following links, so a link that is put in the way between two calls is refused too.
//!
//! What this provider must remember lies in a private folder beside the state
//! (`state.db.local/<environment>/`, 0700, files 0600; see `private.rs`), and never in a root:
//!
//! - `folders/`: a mark for each folder that was made because something in it was wanted. Whoever
//!   removes the last thing from such a folder removes the folder.
//! - `steps/<name>/<token>`: what became of each command of a `local_exec`.
//! - `services/<name>/`: lock, status, pipes and logs of each `local_service`.
//!
//! # `local_exec` runs each command once
//!
//! A command is not run by the reconciler but by its program executed again (`stratum __exec`),
//! in a process that outlives a killed reconciler, lets the command end, and writes down how it
//! ended. The step file is durable and locked before that process starts, and locked as long as
//! it lives. So whoever comes after a `kill -9` knows exactly: no file or no `started` line, it
//! never ran; locked, it is still running, and is waited for; an `ended` line, this is its answer,
//! and it is not run again. Only when that process itself is killed, or the machine goes down,
//! nobody can tell; then `read` decides, and without `read` the step is Unknown.
//!
//! # `local_service` survives the reconciler
//!
//! Each service is supervised by the same program executed again (`stratum __supervise`), in a
//! session of its own. That is so on machines with systemd too: a unit would need rights that the
//! reconciler often lacks, and would make one service behave in two ways. Where the reconciler
//! itself runs as a systemd unit, that unit needs `KillMode=process`, or its services end with it.

mod attributes;
mod change;
mod data;
mod deeds;
mod directory;
mod entry;
mod exec;
mod file;
mod folder;
mod kept;
mod lanes;
mod life;
mod more;
mod opened;
mod owner;
mod place;
mod placed;
mod search;
mod service;
mod steps;
mod supervised;
mod symlink;
mod thing;

use std::path::PathBuf;
use std::sync::Arc;

use stratum_core::ids::IdError;

use lanes::Lanes;
use placed::Placed;

use crate::types::{ResourceType, TypedProvider};

/// Makes the provider of this machine's resources. `program` is executed again to run commands and
/// services; its `main` must call [`crate::reexec::run`].
pub fn provider(program: PathBuf) -> Result<TypedProvider, IdError> {
    let lanes = Arc::new(Lanes::default());
    let list: Vec<(&str, Box<dyn ResourceType>)> = vec![
        ("local_data", Box::new(data::Data::new())),
        ("local_file", Box::new(Placed::new(file::File, &lanes))),
        (
            "local_directory",
            Box::new(Placed::new(directory::Directory, &lanes)),
        ),
        (
            "local_symlink",
            Box::new(Placed::new(symlink::Symlink, &lanes)),
        ),
        (
            "local_exec",
            Box::new(exec::Exec::new(program.clone(), &lanes)),
        ),
        ("local_service", Box::new(service::Service::new(program))),
    ];
    TypedProvider::new("local", list)
}
