//! Another user that programs run as.

use std::path::PathBuf;

use rustix::fs::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::isolation::Cell;

/// A user of this machine, and its own group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
    /// What is left of the machine for its programs, where that is not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cell: Option<Cell>,
}

/// Whether this machine has a user of this name or number, in `/etc/passwd`.
pub fn is_known(name: &str) -> bool {
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    User::of(&table, name).is_some()
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
                    cell: None,
                })
            })?
        })
    }

    /// The user whose programs run in a cell: the one that was named, or that of this process.
    ///
    /// *Errors*: one sentence, when it would be root: who may do everything leaves every cell.
    pub(crate) fn in_cell(named: Option<Self>, cell: Cell) -> Result<Self, String> {
        let own = || Self {
            name: rustix::process::geteuid().as_raw().to_string(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            home: "/".into(),
            cell: None,
        };
        let user = named.unwrap_or_else(own);
        if user.uid().is_root() {
            return Err("isolated programs cannot run as root: name a `user`".to_owned());
        }
        Ok(Self {
            cell: Some(cell),
            ..user
        })
    }

    /// What is left of the machine for its programs, where that is not all.
    pub(super) fn cell(&self) -> Option<&Cell> {
        self.cell.as_ref()
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
        if own.as_raw() != self.uid && self.cell.is_none() {
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
