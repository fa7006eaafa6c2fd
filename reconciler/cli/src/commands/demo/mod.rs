//! `stratum demo`

mod example;
mod guarded;
mod page;
mod sealed;
mod stage;
mod story;

use std::process::{Command, Stdio};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

use stage::Stage;

/// Tells the whole story on an example, in a temporary folder
///
/// It makes a bare repository, starts the reconciler on it, and pushes with git: a first commit, a
/// change, a change that breaks in the middle and is rolled back, a revert, a secret that changes, and
/// a change that waits until it is approved. It needs no network, and takes away what it made, the
/// services included.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArguments {
    /// At the end, wait for Enter before everything is taken away
    #[arg(long)]
    wait: bool,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &DemoArguments) -> Result<Exit, CommandError> {
    look_for_python()?;
    let mut stage = Stage::set()?;
    let told = context.block_on(async {
        tokio::select! {
            told = tell(context, arguments, &mut stage) => told,
            () = told_to_stop() => {
                context.ui.say("\nstopping");
                Ok(Exit::Wrong)
            }
        }
    });
    let cleared = clear(context, stage);
    told.and_then(|exit| cleared.map(|()| exit))
}

/// The shops of the example are served by Python. Without it every chapter would tell of a failure.
fn look_for_python() -> Result<(), CommandError> {
    let mut python = Command::new("python3");
    python.args(["-c", ""]).stdin(Stdio::null());
    let hint = "`apt-get install python3`; images of stratum have none, so tell it on a machine";
    match python.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let message =
                format!("`python3`, which serves the page of the story, ends with {status}");
            Err(CommandError::given(message).hint(hint))
        }
        Err(error) => {
            let message = "`python3`, which serves the page of the story, cannot be run";
            Err(CommandError::given(message).because(&error).hint(hint))
        }
    }
}

async fn tell(
    context: &Context,
    arguments: &DemoArguments,
    stage: &mut Stage,
) -> Result<Exit, CommandError> {
    story::tell(&context.ui, stage).await?;
    if arguments.wait {
        context.ui.say("\nPress Enter to take everything away.");
        enter().await;
    }
    Ok(Exit::Done)
}

/// Returns on Ctrl-C and SIGTERM.
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // Without signals the story is told to its end.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Returns when Enter was pressed, or when nothing can be typed. A thread of its own waits for it,
/// since it cannot be told to stop waiting.
async fn enter() {
    let (pressed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // A closed input is as good as Enter, and nobody may be waiting any more.
        let _enter_or_closed = std::io::stdin().read_line(&mut line);
        let _nobody_waits = pressed.send(());
    });
    let _pressed_or_gone = wait.await;
}

/// Takes everything away: the reconciler, the services, which would outlive it, and the folder.
fn clear(context: &Context, stage: Stage) -> Result<(), CommandError> {
    stage.strike()?;
    context
        .ui
        .say("\nBoth shops and their order books are closed, and the folder is removed.");
    Ok(())
}
