//! The example that the demo tells its story on.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;

use crate::failure::CommandError;

/// The files of `example-repo/`, by path.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/example.rs"));

/// The environments whose shop listens, with the port that stands in their file.
const SHOPS: [(&str, u16); 2] = [("production", 8080), ("staging", 8081)];

/// The file of the shop of an environment.
pub(crate) fn shop(environment: &str) -> String {
    format!("infra/{environment}/shop.ncl")
}

/// The environments that the first push brings about.
pub(crate) fn environments() -> Vec<&'static str> {
    let registered = ["pipelines/", "forms/", "knowledge/"];
    let is_registered = |path: &str| registered.iter().any(|folder| path.starts_with(folder));
    let mut names: Vec<&str> = SHOPS.iter().map(|(name, _)| *name).collect();
    if FILES.iter().any(|(path, _)| is_registered(path)) {
        names.push("repository");
    }
    names
}

/// Writes the example into `folder`.
pub(crate) fn write(folder: &Path) -> Result<(), CommandError> {
    for (path, bytes) in FILES {
        let path = folder.join(path);
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, bytes));
        written.map_err(|error| {
            CommandError::machine("the example could not be written").because(&error)
        })?;
    }
    Ok(())
}

/// Moves every shop whose port is taken on this machine to a free one, and gives the port of
/// production.
pub(crate) fn move_to_free_ports(folder: &Path) -> Result<u16, CommandError> {
    let mut production = 0;
    for (environment, usual) in SHOPS {
        let port = free_port(usual).map_err(|error| {
            CommandError::machine("no port of this machine is free").because(&error)
        })?;
        edit(
            folder,
            &shop(environment),
            &format!("port = {usual}"),
            &format!("port = {port}"),
        )?;
        if environment == "production" {
            production = port;
        }
    }
    Ok(production)
}

fn free_port(usual: u16) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", usual))
        .or_else(|_taken| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}

/// Replaces one text by another in a file.
///
/// *Errors*: also when the text is not in it, since then the story would not be told.
pub(crate) fn edit(folder: &Path, path: &str, old: &str, new: &str) -> Result<(), CommandError> {
    let full = folder.join(path);
    let failed = |error: io::Error| {
        CommandError::machine(format!("`{path}` of the example could not be changed"))
            .because(&error)
    };
    let text = fs::read_to_string(&full).map_err(failed)?;
    if !text.contains(old) {
        let message = format!("`{path}` of the example no longer says `{old}`");
        return Err(CommandError::machine(message));
    }
    fs::write(&full, text.replace(old, new)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_says_what_the_story_changes() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let port = move_to_free_ports(folder.path()).unwrap();
        assert!(port > 0);
        for chapter in crate::commands::demo::story::EDITS {
            for (old, new) in chapter {
                edit(folder.path(), &shop("production"), old, new).unwrap();
            }
        }
    }
}
