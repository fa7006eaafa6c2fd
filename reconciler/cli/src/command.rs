//! A command as a value: its name, what it takes, what it does, and how it can end.

use clap::ArgMatches;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// A command, or a group of commands.
///
/// *Guarantees*: the help, the completions, the manual and the reference are made from it, so what it
/// takes is written once: as the doc comments of its arguments.
pub(crate) struct Command {
    name: &'static str,
    is_hidden: bool,
    /// How it can end besides the ways that every command has.
    also: &'static [Exit],
    describe: fn(clap::Command) -> clap::Command,
    does: Does,
}

/// What a command does.
enum Does {
    Work(Work),
    Group(Enter, &'static [Command]),
}

/// Carries out a command with what was given to it.
type Work = fn(&Context, &ArgMatches) -> Result<Exit, CommandError>;

/// What a group does before the command of this name; gives the context of that command.
type Enter = fn(&Context, &str) -> Result<Context, CommandError>;

/// The ways that every command has to end.
const ALWAYS: [Exit; 3] = [Exit::Done, Exit::Wrong, Exit::Internal];

impl Command {
    /// One command; `describe` adds what it takes. [`command!`] writes this down.
    pub(crate) const fn new(
        name: &'static str,
        describe: fn(clap::Command) -> clap::Command,
        work: Work,
    ) -> Self {
        Self {
            name,
            is_hidden: false,
            also: &[],
            describe,
            does: Does::Work(work),
        }
    }

    /// A group of commands.
    pub(crate) const fn group(
        name: &'static str,
        describe: fn(clap::Command) -> clap::Command,
        enter: Enter,
        commands: &'static [Self],
    ) -> Self {
        Self {
            name,
            is_hidden: false,
            also: &[],
            describe,
            does: Does::Group(enter, commands),
        }
    }

    /// The same, for programs: no help lists it.
    pub(crate) const fn hidden(mut self) -> Self {
        self.is_hidden = true;
        self
    }

    /// The same, which can end in these ways too.
    pub(crate) const fn ending(mut self, also: &'static [Exit]) -> Self {
        self.also = also;
        self
    }

    /// The ways in which it can end, in the order of their numbers.
    fn exits(&self) -> Vec<Exit> {
        let mut exits: Vec<Exit> = ALWAYS.iter().chain(self.also).copied().collect();
        exits.sort_unstable();
        exits
    }

    /// The commands below it; none where it does something itself.
    fn below(&self) -> &'static [Self] {
        match self.does {
            Does::Work(_) => &[],
            Does::Group(_, commands) => commands,
        }
    }

    fn describe(&self) -> clap::Command {
        let command = (self.describe)(clap::Command::new(self.name)).hide(self.is_hidden);
        match self.below() {
            [] => command,
            commands => with(command, commands),
        }
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Result<Exit, CommandError> {
        match self.does {
            Does::Work(work) => {
                let exit = work(context, matches);
                let known = |exit: &Exit| self.exits().contains(exit);
                debug_assert!(exit.as_ref().map_or(true, known), "{} {exit:?}", self.name);
                exit
            }
            Does::Group(enter, commands) => {
                let name = matches.subcommand_name().unwrap_or_default();
                run(commands, &enter(context, name)?, matches)
            }
        }
    }
}

/// A command with those below it, of which one must be given.
pub(crate) fn with(above: clap::Command, commands: &[Command]) -> clap::Command {
    above
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands.iter().map(Command::describe))
}

/// How the one of `commands` that `path` names can end; nothing where it is a group.
pub(crate) fn exits(commands: &[Command], path: &str) -> Vec<Exit> {
    let (first, rest) = path.split_once(' ').unwrap_or((path, ""));
    let found = commands.iter().find(|command| command.name == first);
    match (found, rest) {
        (Some(command), "") if command.below().is_empty() => command.exits(),
        (Some(command), rest) => exits(command.below(), rest),
        (None, _) => Vec::new(),
    }
}

/// Carries out the one of `commands` that was given.
pub(crate) fn run(
    commands: &[Command],
    context: &Context,
    matches: &ArgMatches,
) -> Result<Exit, CommandError> {
    let given = matches.subcommand();
    let found = given.and_then(|(name, matches)| {
        let command = commands.iter().find(|command| command.name == name)?;
        Some((command, matches))
    });
    match found {
        Some((command, matches)) => command.run(context, matches),
        None => {
            Err(CommandError::given("no command was given")
                .hint("`stratum --help` lists the commands"))
        }
    }
}

/// For a group that does nothing before its commands.
pub(crate) fn straight(context: &Context, _name: &str) -> Result<Context, CommandError> {
    Ok(context.clone())
}

/// `command!("name", Arguments, run)`: a command that takes `Arguments`, and is carried out by `run`.
macro_rules! command {
    ($name:literal, $arguments:path, $run:path) => {
        $crate::command::Command::new(
            $name,
            <$arguments as clap::Args>::augment_args,
            |context, matches| {
                let given = <$arguments as clap::FromArgMatches>::from_arg_matches(matches)?;
                $run(context, &given)
            },
        )
    };
}

pub(crate) use command;
