//! That nobody reconciles, below how the environments were.

use jiff::Timestamp;

use stratum_assembly::attendance::Attendance;

use crate::show::when;
use crate::style::{Mark, Role, Theme};

/// What to do where nobody reconciles.
const REMEDY: &str = "`stratum reconcile`; where a service runs it, its log says why it ended";

/// What to do where the one that reconciles says nothing.
const REMEDY_SILENT: &str = "see what keeps it (`ps`, its log), then end it; where that does not help, \
     `stratum lease break ENVIRONMENT --force` lets another one go on";

/// What to do about it.
pub(crate) fn remedy(attendance: &Attendance) -> &'static str {
    match attendance.is_nobody() {
        true => REMEDY,
        false => REMEDY_SILENT,
    }
}

/// One sentence on who reconciles.
pub(crate) fn sentence(attendance: &Attendance, now: Timestamp) -> String {
    let process = attendance.process.as_deref();
    if let Some(since) = attendance.silent_since {
        return format!(
            "{} has what it takes to reconcile, and hangs or is stopped: its last word was {}",
            process.unwrap_or("a process"),
            when::ago(now, since)
        );
    }
    match attendance.alive {
        Some(true) => format!("{} reconciles", process.unwrap_or("a process")),
        None => format!(
            "{} said within two minutes that it reconciles",
            process.unwrap_or("a process elsewhere")
        ),
        Some(false) => {
            let seen = attendance.seen_at.map(|at| when::ago(now, at));
            let seen = seen.map(|ago| format!("; the last sign of one: {ago}"));
            format!("no process reconciles this{}", seen.unwrap_or_default())
        }
    }
}

/// The lines below the environments, where nobody reconciles.
pub(crate) fn trouble(theme: &Theme, attendance: &Attendance, now: Timestamp) -> String {
    let mark = theme.mark(Mark::Unknown);
    let said = theme.wrapped(0, &format!("{mark} {}", sentence(attendance, now)));
    let said = theme.paint(Role::Warning, said.trim_end());
    let next = theme.wrapped(4, &format!("next: {}", remedy(attendance)));
    format!("\n{said}\n{next}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_or_that_nobody_does() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut one = Attendance {
            alive: Some(false),
            process: None,
            seen_at: Some(at(1_000)),
            silent_since: None,
        };
        let text = trouble(&Theme::PLAIN, &one, at(1_020));
        let expected =
            "\n?? no process reconciles this; the last sign of one: 20 s ago\n    next: ";
        assert!(text.starts_with(expected), "{text}");
        one.alive = Some(true);
        one.process = Some("process 12 on `box`".to_owned());
        let said = sentence(&one, at(1_020));
        assert_eq!(said, "process 12 on `box` reconciles");
        one.silent_since = Some(at(860));
        let said = sentence(&one, at(1_020));
        assert!(
            said.starts_with("process 12 on `box` has what it takes"),
            "{said}"
        );
        assert!(trouble(&Theme::PLAIN, &one, at(1_020)).contains("lease break"));
    }
}
