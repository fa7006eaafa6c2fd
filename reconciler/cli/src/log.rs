//! The log: what goes on inside, on stderr, for those who ask.

use tracing_subscriber::EnvFilter;

use crate::ui::{Loudness, Ui};

/// Begins to log: warnings, with `-v` what happens, with `-vv` everything of stratum's own.
/// `STRATUM_LOG` wins; its form is that of `RUST_LOG`.
pub(crate) fn start(ui: &Ui, verbose: u8) {
    let level = match (ui.loudness(), verbose) {
        (Loudness::Quiet, _) => "off",
        (_, 0) => "error",
        (_, 1) => "info,sqlx=warn",
        (_, _) => "debug,sqlx=warn,notify=info",
    };
    let filter = EnvFilter::try_from_env("STRATUM_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let writer = ui.clone();
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ui.side_theme().color)
        .with_target(verbose > 1)
        .with_writer(move || writer.clone())
        .try_init();
    if started.is_err() {
        ui.complain("the log was started before");
    }
}
