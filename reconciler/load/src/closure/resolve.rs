//! From the text of an import to a path in the tree.

/// The path that `text`, imported by the file at `importer`, leads to.
///
/// *Errors*: the reason, when it leads out of the tree or is not a relative path.
pub(crate) fn resolve(importer: &str, text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Err(format!("`{text}` is an absolute path"));
    }
    if text.is_empty() || text.contains(['\\', '\0', ':']) {
        return Err(format!("`{text}` is not a path of this repository"));
    }
    let mut parts: Vec<&str> = importer.split('/').collect();
    parts.pop();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(format!("`{text}` leads out of the repository"));
                }
            }
            name => parts.push(name),
        }
    }
    if parts.is_empty() {
        Err(format!("`{text}` is not a file"))
    } else {
        Ok(parts.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(
            resolve("infra/a/b.ncl", "../c.ncl").as_deref(),
            Ok("infra/c.ncl")
        );
        assert_eq!(resolve("x.ncl", "./d/e.json").as_deref(), Ok("d/e.json"));
        for out in [
            "/etc/passwd",
            "../../x",
            "..",
            "a/../../../x",
            "",
            "%inmem_src%:x",
        ] {
            assert!(resolve("infra/a.ncl", out).is_err(), "{out}");
        }
    }
}
