//! Places that paths name: one place has one name, however it is written.

use std::fmt;

/// The place of a path, as far as its text says it: links and mounts are asked on the machine.
///
/// *Guarantees*: empty and `.` parts, doubled and trailing slashes make no difference; `..` leads
/// out of the part before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    absolute: bool,
    names: Vec<String>,
}

impl Place {
    /// The place of a path.
    pub fn of(path: &str) -> Self {
        let absolute = path.starts_with('/');
        let mut names: Vec<String> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." if names.last().is_some_and(|name| name != "..") => {
                    names.pop();
                }
                ".." if absolute => {}
                part => names.push(part.to_owned()),
            }
        }
        Self { absolute, names }
    }

    /// The place as it is called in `root`: without the root where it lies below that.
    #[must_use]
    pub fn seen_from(self, root: &Self) -> Self {
        let both = self.absolute && root.absolute;
        match self.names.strip_prefix(root.names.as_slice()) {
            Some(below) if both => Self {
                absolute: false,
                names: below.to_vec(),
            },
            _ => self,
        }
    }

    /// Whether the path began at the top of the file system.
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }

    /// The places around this one, innermost first, without the root itself.
    pub fn around(&self) -> impl Iterator<Item = Self> {
        let lengths = (1..self.names.len()).rev();
        lengths.map(|length| Self {
            absolute: self.absolute,
            names: self.names.iter().take(length).cloned().collect(),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = if self.absolute { "/" } else { "" };
        write!(f, "{start}{}", self.names.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str, root: &str) -> String {
        Place::of(path).seen_from(&Place::of(root)).to_string()
    }

    #[test]
    fn one_place_has_one_name() {
        for path in [
            "a/b",
            "./a//b/",
            "a/x/../b",
            "/srv/shop/a/b",
            "//srv/./shop/a/b/",
            "/srv/../srv/shop/a/b",
        ] {
            assert_eq!(name(path, "/srv/shop/"), "a/b", "{path}");
        }
        assert_eq!(name("/srv/shopping/a", "/srv/shop"), "/srv/shopping/a");
        // Where the root lies is not known here, so nothing is said.
        assert_eq!(name("/srv/a", "srv"), "/srv/a");
        assert_eq!(name("../a", "/srv"), "../a");
    }

    #[test]
    fn what_lies_around_is_known() {
        let around = |path: &str| -> Vec<String> {
            let place = Place::of(path);
            place.around().map(|one| one.to_string()).collect()
        };
        assert_eq!(around("a/b/c"), ["a/b", "a"]);
        assert_eq!(around("/a/b"), ["/a"]);
    }
}
