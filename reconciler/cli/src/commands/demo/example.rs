//! The example that the demo tells its story on.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;

use crate::failure::CommandError;

/// The files of `example-repo/`, by path.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/example.rs"));

/// What listens: the environment, the file below it, and the port that stands there.
const PORTS: [(&str, &str, u16); 4] = [
    ("production", "shop", 8080),
    ("staging", "shop", 8081),
    ("production", "orders", 8082),
    ("staging", "orders", 8083),
];

/// Where production listens.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ports {
    /// Its pages.
    pub(crate) shop: u16,
    /// Its order book.
    pub(crate) orders: u16,
}

/// The file of the shop of an environment.
pub(crate) fn shop(environment: &str) -> String {
    file(environment, "shop")
}

fn file(environment: &str, name: &str) -> String {
    format!("infra/{environment}/{name}.ncl")
}

/// The environments that the first push brings about.
pub(crate) fn environments() -> Vec<&'static str> {
    let registered = ["pipelines/", "forms/", "knowledge/"];
    let is_registered = |path: &str| registered.iter().any(|folder| path.starts_with(folder));
    let mut names = vec!["production", "staging"];
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

/// Moves everything whose port is taken on this machine to a free one.
pub(crate) fn move_to_free_ports(folder: &Path) -> Result<Ports, CommandError> {
    let mut ports = Ports::default();
    // All are held until each has one, so that none is given twice.
    let mut held = Vec::new();
    for (environment, name, usual) in PORTS {
        let (listener, port) = free_port(usual).map_err(|error| {
            CommandError::machine("no port of this machine is free").because(&error)
        })?;
        held.push(listener);
        edit(
            folder,
            &file(environment, name),
            &format!("port = {usual}"),
            &format!("port = {port}"),
        )?;
        match (environment, name) {
            ("production", "shop") => ports.shop = port,
            ("production", "orders") => ports.orders = port,
            _ => {}
        }
    }
    Ok(ports)
}

fn free_port(usual: u16) -> io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(("127.0.0.1", usual))
        .or_else(|_taken| TcpListener::bind(("127.0.0.1", 0)))?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
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
        let ports = move_to_free_ports(folder.path()).unwrap();
        assert!(ports.shop > 0 && ports.orders > 0);
        for chapter in crate::commands::demo::story::EDITS {
            for (old, new) in chapter {
                edit(folder.path(), &shop("production"), old, new).unwrap();
            }
        }
    }
}
