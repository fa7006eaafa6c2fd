//! The command line: one file per command, and the terminal.
//!
//! *Guarantees*: stdout is the answer, stderr is everything else, and each failure ends with the
//! next command to try. Nothing here decides anything about the world, and what builds the
//! adapters is `assembly`.

mod arguments;
mod beneath;
mod command;
mod commands;
mod context;
mod dotenv;
mod exit;
mod failure;
mod files;
mod forge;
mod git;
mod leaks;
mod log;
mod objects;
mod show;
mod style;
mod table;
mod troubles;
mod ui;
mod users;
mod words;
mod work_tree;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, FromArgMatches as _};
use stratum_assembly::adapters;

use crate::arguments::GlobalArguments;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{ColorChoice, Loudness, Ui};

/// Reads the arguments of the process, carries out the command, and gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let first = arguments.get(1).and_then(|word| word.to_str());
    if let Some(code) = adapters::helper_process(first) {
        return code;
    }
    if let Some(code) = stratum_providers::init::in_a_child() {
        return code;
    }
    let given = table::grammar().try_get_matches_from(arguments);
    let read = given.and_then(|given| Ok((GlobalArguments::from_arg_matches(&given)?, given)));
    match read {
        Ok((global, given)) => dispatch(global, &given).into(),
        Err(error) => refuse(&error).into(),
    }
}

fn dispatch(global: GlobalArguments, given: &ArgMatches) -> Exit {
    let ui = Ui::new(global.color, global.loudness());
    adapters::take_bounds(global.bounds.as_ref());
    let context = Context {
        ui: ui.clone(),
        global,
        grammar: table::grammar,
        exits: table::exits,
    };
    match command::run(table::COMMANDS, &context, given) {
        Ok(exit) => exit,
        Err(error) => {
            ui.complain(&error.render(ui.side_theme()));
            for hint in error.hints() {
                ui.hint(&hint);
            }
            error.exit()
        }
    }
}

/// Help and version are answers; everything else is a mistake of the person.
fn refuse(error: &clap::Error) -> Exit {
    let ui = Ui::new(ColorChoice::Auto, Loudness::Normal);
    let colored = |color: bool| match color {
        true => error.render().ansi().to_string(),
        false => error.render().to_string(),
    };
    if error.use_stderr() {
        ui.complain(&colored(ui.side_theme().color));
        if let Some(tip) = commands::secrets::tip(error) {
            ui.hint(&tip);
        }
        Exit::Wrong
    } else {
        ui.answer(&colored(ui.theme().color));
        Exit::Done
    }
}
