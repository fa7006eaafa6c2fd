//! Another user that programs run as.

use std::path::PathBuf;

use rustix::fs::{Gid, Uid};
use serde::{Deserialize, Serialize};

/// A user of this machine, and its own group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl User {
    /// The user of this name or number, as `/etc/passwd` has it.
    ///
    /// *Errors*: one sentence, when there is none, and when this process may not become it.
    pub(crate) fn find(name: &str) -> Result<Self, String> {
        let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = Self::of(&table, name)
            .ok_or_else(|| format!("there is no user `{name}` in `/etc/passwd`"))?;
        let own = rustix::process::geteuid();
        if !own.is_root() && own.as_raw() != user.uid {
            return Err(format!("only root can run programs as `{name}`"));
        }
        Ok(user)
    }

    /// *Source*: passwd(5).
    fn of(table: &str, name: &str) -> Option<Self> {
        table.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [login, _, uid, gid, _, home, ..] = fields.as_slice() else {
                return None;
            };
            (*login == name || *uid == name).then(|| {
                Some(Self {
                    name: (*login).to_owned(),
                    uid: uid.parse().ok()?,
                    gid: gid.parse().ok()?,
                    home: home.into(),
                })
            })?
        })
    }

    /// Its number.
    pub(crate) fn uid(&self) -> Uid {
        Uid::from_raw(self.uid)
    }

    /// The number of its group.
    pub(crate) fn gid(&self) -> Gid {
        Gid::from_raw(self.gid)
    }

    /// Makes a command run as it: its groups but its own are given up, and the variables that name
    /// a user name this one.
    pub(crate) fn take_on(&self, command: &mut tokio::process::Command) {
        let own = rustix::process::geteuid();
        if own.as_raw() != self.uid {
            // For root the standard library gives up the other groups before it changes the user.
            command.uid(self.uid).gid(self.gid);
        }
        command.env("HOME", &self.home);
        command.env("USER", &self.name).env("LOGNAME", &self.name);
        command.env_remove("SHELL").env_remove("TMPDIR");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_number() {
        let table =
            "root:x:0:0:root:/root:/bin/bash\nshop:x:1000:1001:,,:/home/shop:/bin/sh\n:::\n";
        let shop = User::of(table, "shop").unwrap();
        assert_eq!((shop.uid, shop.gid), (1000, 1001));
        assert_eq!(User::of(table, "1000"), Some(shop));
        for nobody in ["", "x", "sho", "root:x"] {
            assert_eq!(User::of(table, nobody), None, "{nobody}");
        }
        assert!(User::find("nobody-of-this-name").is_err());
    }
}
