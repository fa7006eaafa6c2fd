//! That nobody reconciles, below how the environments were.

use jiff::Timestamp;

use stratum_assembly::attendance::Attendance;

use crate::show::when;
use crate::style::{Mark, Role, Theme};

/// What to do where nobody reconciles.
pub(crate) const REMEDY: &str =
    "`stratum reconcile`; where a service runs it, its log says why it ended";

/// One sentence on who reconciles.
pub(crate) fn sentence(attendance: &Attendance, now: Timestamp) -> String {
    let process = attendance.process.as_deref();
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
    let next = theme.wrapped(4, &format!("next: {REMEDY}"));
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
        };
        let text = trouble(&Theme::PLAIN, &one, at(1_020));
        let expected =
            "\n?? no process reconciles this; the last sign of one: 20 s ago\n    next: ";
        assert!(text.starts_with(expected), "{text}");
        one.alive = Some(true);
        one.process = Some("process 12 on `box`".to_owned());
        let said = sentence(&one, at(1_020));
        assert_eq!(said, "process 12 on `box` reconciles");
    }
}
