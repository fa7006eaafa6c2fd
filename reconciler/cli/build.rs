//! Puts the files of `example-repo/` into the program, for `stratum demo`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let variable = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let example = variable("CARGO_MANIFEST_DIR").join("../../example-repo");
    // A folder tells when anything below it changes.
    println!("cargo::rerun-if-changed={}", example.display());
    let mut paths = Vec::new();
    walk(&example, &mut paths)?;
    paths.sort();
    let mut code = String::from("&[\n");
    for path in &paths {
        let name = path.strip_prefix(&example).map_err(io::Error::other)?;
        let (name, path) = (name.display().to_string(), path.display().to_string());
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),").map_err(io::Error::other)?;
    }
    code.push(']');
    fs::write(variable("OUT_DIR").join("example.rs"), code)
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
