//! Trouble with the forge, below how the environments are.

use jiff::Timestamp;
use stratum_core::ports::ForgeTrouble;

use crate::forge::remedy;
use crate::show::when;
use crate::style::{Mark, Role, Theme, one_line};

/// What keeps the forge from being told, since when, and that everything else goes on.
pub(crate) fn trouble(theme: &Theme, trouble: &ForgeTrouble, now: Timestamp) -> String {
    let mark = theme.mark(Mark::Unknown);
    let (since, ago) = (
        trouble.since.strftime("%Y-%m-%d %H:%MZ"),
        when::ago(now, trouble.since),
    );
    let waiting = match trouble.waiting {
        0 => String::new(),
        1 => "; one outcome waits to be told".to_owned(),
        many => format!("; {many} outcomes wait to be told"),
    };
    let said = format!(
        "{mark} the forge is not told how commits fare, since {since} ({ago}): {}. Reconciling goes \
         on{waiting}.",
        one_line(&trouble.reason)
    );
    let said = theme.wrapped(0, &said);
    let mut text = format!("\n{}\n", theme.paint(Role::Warning, said.trim_end()));
    if let Some(remedy) = remedy(&trouble.kind) {
        text.push_str(&theme.wrapped(4, &format!("next: {remedy}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_since_when_why_what_waits_and_what_next() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let told = ForgeTrouble {
            since: Timestamp::from_second(1_800_000_000 - 7_200).unwrap(),
            kind: "unreachable".to_owned(),
            reason: "the forge could not be reached to set a commit status: refused".to_owned(),
            waiting: 2,
        };
        let text = trouble(&Theme::PLAIN, &told, now);
        let expected = "
?? the forge is not told how commits fare, since 2027-01-15 06:00Z (2 h ago): the forge could not be reached to set a commit status: refused. Reconciling goes on; 2 outcomes wait to be told.
    next: try `curl -sSI` with the address of the API: it needs the same network
";
        assert_eq!(text, expected);
    }
}
