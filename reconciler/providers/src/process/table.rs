//! The table of processes, as the kernel shows it.

/// One process.
///
/// *Source*: proc(5), `stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its id.
    pub(crate) pid: i32,
    /// The id of its parent.
    pub(crate) parent: i32,
    /// Its group.
    pub(crate) group: i32,
    /// Its session.
    pub(crate) session: i32,
    /// When it started, in clock ticks since the machine started.
    pub(crate) start: u64,
    /// Its state, one letter.
    state: u8,
}

impl Seen {
    /// Whether it runs: what only waits to be collected does not.
    pub(crate) fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }
}

/// The process that has this id now.
pub(crate) fn see(pid: i32) -> Option<Seen> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    of_stat(pid, &String::from_utf8_lossy(&stat))
}

fn of_stat(pid: i32, stat: &str) -> Option<Seen> {
    // The name may hold anything, brackets and blanks too.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let mut number = || fields.next()?.parse().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    Some(Seen {
        pid,
        parent,
        group,
        session,
        start: fields.nth(15)?.parse().ok()?,
        state,
    })
}

/// All processes that this one can see.
pub(crate) fn all() -> Vec<Seen> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(see).collect()
}

/// Whether a process was started with the variable `name` set to `value`.
///
/// Of a process that this one may not look into it says no.
pub(crate) fn was_given(pid: i32, name: &str, value: &str) -> bool {
    let Ok(given) = std::fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    let wanted = format!("{name}={value}");
    given
        .split(|byte| *byte == 0)
        .any(|one| one == wanted.as_bytes())
}

/// Whether a process was started with this as its first argument.
pub(crate) fn runs_as(pid: i32, argument: &str) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).nth(1) == Some(argument.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_hides_nothing() {
        let rest = "S 2 3 4 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 1 1";
        let seen = of_stat(9, &format!("9 (a) R 1) (b) {rest}")).unwrap();
        assert_eq!((seen.parent, seen.group, seen.session), (2, 3, 4));
        assert_eq!((seen.start, seen.lives()), (777, true));
        assert_eq!(of_stat(9, "9 (cut"), None);
    }

    #[test]
    fn this_process_is_in_the_table() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(all().iter().any(|seen| seen.pid == own && seen.lives()));
        assert!(!was_given(own, "STRATUM_RUN", "nobody"));
    }
}
