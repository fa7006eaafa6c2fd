//! Who holds a lease: this process, named so that others can tell whether it lives.

use std::fs;

/// `host boot pid start`: the machine, its boot, the process, and when the process began.
///
/// *Source*: proc(5): `/proc/sys/kernel/random/boot_id`, field 22 of `/proc/PID/stat`.
pub(crate) fn this_process() -> String {
    let pid = std::process::id();
    let start = start_of(pid).unwrap_or_else(|| "?".to_owned());
    format!("{} {} {pid} {start}", host(), boot())
}

/// Whether the process that a holder names still lives; `None` when it is on another machine or
/// cannot be told.
pub(crate) fn is_alive(holder: &str) -> Option<bool> {
    let mut parts = holder.split(' ');
    let (their_host, their_boot) = (parts.next()?, parts.next()?);
    let pid: u32 = parts.next()?.parse().ok()?;
    let start = parts.next()?;
    if their_host != host() || their_boot == "?" || start == "?" {
        return None;
    }
    if their_boot != boot() {
        return Some(false);
    }
    Some(start_of(pid).as_deref() == Some(start))
}

fn host() -> String {
    first_word("/proc/sys/kernel/hostname")
}

fn boot() -> String {
    first_word("/proc/sys/kernel/random/boot_id")
}

fn first_word(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

/// When a process began, in clock ticks since boot. The name of the program may hold anything, so
/// fields are counted from the last bracket.
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let is_dead = fields.split_whitespace().next() == Some("Z");
    let start = fields.split_whitespace().nth(19)?;
    (!is_dead).then(|| start.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives() {
        assert_eq!(is_alive(&this_process()), Some(true));
    }

    #[test]
    fn a_process_that_ended_is_dead_and_one_elsewhere_cannot_be_told() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let start = start_of(child.id());
        child.wait().unwrap();
        let start = start.unwrap_or_else(|| "1".to_owned());
        let gone = format!("{} {} {} {start}", host(), boot(), child.id());
        assert_eq!(is_alive(&gone), Some(false));
        assert_eq!(is_alive("elsewhere b 1 1"), None);
        assert_eq!(is_alive("nonsense"), None);
    }

    #[test]
    fn another_boot_is_dead() {
        let holder = format!("{} another-boot 1 1", host());
        assert_eq!(is_alive(&holder), Some(false));
    }
}
