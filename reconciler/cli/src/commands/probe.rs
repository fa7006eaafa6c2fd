//! `stratum probe`

use std::path::Path;
use std::time::Duration;

use stratum_core::ports::Probe as _;
use stratum_core::resource::HealthCheck;
use stratum_providers::probe::{HealthProbe, validate};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Time for the answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Ends with 0 when a URL answers with a status from 200 to 399, for health checks of containers
#[derive(Debug, clap::Args)]
pub(crate) struct ProbeArguments {
    /// For example `http://127.0.0.1:8080/healthz`
    url: String,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &ProbeArguments) -> Result<Exit, CommandError> {
    let check = HealthCheck {
        http: Some(arguments.url.clone()),
        tcp: None,
        command: None,
        every: PATIENCE,
        timeout: PATIENCE,
        within: PATIENCE,
    };
    let hint = "give it the address of `stratum reconcile --listen`";
    validate(&check).map_err(|reason| CommandError::given(reason).hint(hint))?;
    let answer = async { Ok(HealthProbe.probe(&check, Path::new("/")).await) };
    match context.block_on(answer)? {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            let message = format!("`{}` is not well", arguments.url);
            Err(CommandError::given(message).because(&error).hint(hint))
        }
    }
}
