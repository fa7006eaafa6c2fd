//! Modes and owners of files and folders.

use rustix::process::{getegid, geteuid};

/// Reads an octal mode such as `0644`.
pub(crate) fn parse_mode(text: &str) -> Option<u32> {
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    digits.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

/// Writes a mode as `0644`.
pub(crate) fn show_mode(mode: u32) -> String {
    format!("{mode:04o}")
}

/// Who owns something: numeric ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
}

/// Who should own something; what is `None` is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WantedOwner {
    /// The user.
    pub(crate) uid: Option<u32>,
    /// The group.
    pub(crate) gid: Option<u32>,
}

impl WantedOwner {
    /// Reads `user` or `user:group`, by name or number.
    ///
    /// Names are looked up in `/etc/passwd` and `/etc/group` only; where users come from elsewhere,
    /// numbers work.
    ///
    /// *Errors*: one sentence, when there is no such user or group.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let uid = lookup("/etc/passwd", user)
            .ok_or_else(|| format!("there is no user `{user}` in `/etc/passwd`"))?;
        let gid = group
            .map(|group| {
                lookup("/etc/group", group)
                    .ok_or_else(|| format!("there is no group `{group}` in `/etc/group`"))
            })
            .transpose()?;
        Ok(Self {
            uid: Some(uid),
            gid,
        })
    }

    /// Whether `owner` is as wanted.
    pub(crate) fn fits(self, owner: Owner) -> bool {
        self.uid.is_none_or(|uid| uid == owner.uid) && self.gid.is_none_or(|gid| gid == owner.gid)
    }

    /// Whether this process may give files to this owner: as root, or when it is the owner.
    pub(crate) fn may_be_given(self) -> bool {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        uid == 0 || self.fits(Owner { uid, gid })
    }
}

/// Complains about an owner that cannot be read, without looking anybody up.
pub(crate) fn is_owner_text(text: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| !c.is_whitespace() && !c.is_control() && c != '/')
    };
    // The largest number stands for "no change" in chown(2), and no id is larger.
    let id = |part: &str| {
        !part.bytes().all(|byte| byte.is_ascii_digit())
            || part.parse::<u32>().is_ok_and(|id| id != u32::MAX)
    };
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() <= 2 && parts.into_iter().all(|part| good(part) && id(part))
}

fn lookup(file: &str, name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let matches = fields.next() == Some(name);
        matches.then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!(parse_mode("0644"), Some(0o644));
        assert_eq!(parse_mode("755"), Some(0o755));
        for wrong in ["", "644x", "0888", "rw-r--r--", "-644", "00644"] {
            assert_eq!(parse_mode(wrong), None, "{wrong}");
        }
        assert_eq!(show_mode(0o644), "0644");
    }

    #[test]
    fn owners_are_found_by_name_and_number() {
        let root = WantedOwner::parse("root:0").unwrap();
        assert_eq!(
            root,
            WantedOwner {
                uid: Some(0),
                gid: Some(0)
            }
        );
        assert!(WantedOwner::parse("nobody-of-this-name").is_err());
        assert!(!is_owner_text("4294967295") && !is_owner_text("1:99999999999"));
        assert!(is_owner_text("4294967294") && is_owner_text("0:0"));
        assert!(!is_owner_text("a:b:c") && !is_owner_text("") && is_owner_text("www:www"));
    }
}
