//! Numbers of events.

/// Events of one run; more than any plan can need.
const EVENTS_PER_RUN: i64 = 1 << 32;

/// The id of event `number` of the run with this key: events of a run lie side by side, in order,
/// without an index.
pub(crate) fn event_id(run: i64, number: i64) -> i64 {
    run.saturating_mul(EVENTS_PER_RUN).saturating_add(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_do_not_overlap() {
        assert!(event_id(1, EVENTS_PER_RUN - 1) < event_id(2, 0));
    }
}
