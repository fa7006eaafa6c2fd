//! `stratum lease`

use jiff::Timestamp;
use serde_json::json;
use stratum_assembly::adapters;
use stratum_core::audit::{Named, Role as Part};
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Break, HeldLease, LeaseError, Leases as _, Life, StoreError, who};
use stratum_store::SqliteStore;

use crate::command::{Command, command, straight};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::table::Table;

/// Shows which process reconciles which environment, and takes that right away from one
///
/// A process that ended loses its leases by itself: at once where this machine can tell that it
/// ended, after a minute where it cannot.
#[derive(Debug, clap::Args)]
pub(crate) struct LeaseArguments {}

/// The commands about leases.
pub(crate) const GROUP: Command = Command::group(
    "lease",
    <LeaseArguments as clap::Args>::augment_args,
    straight,
    &[
        command!("list", ListArguments, list),
        command!("break", BreakArguments, break_one),
    ],
);

/// Shows who holds which lease, and whether that process lives
#[derive(Debug, clap::Args)]
struct ListArguments {}

/// Takes the lease of an environment from its holder, which can write nothing more there
///
/// What the holder has in flight is not stopped: look there first. The next reconciler goes on with
/// what was begun. It is an entry of the audit log, with the reason.
#[derive(Debug, clap::Args)]
struct BreakArguments {
    /// The environment
    environment: EnvironmentName,

    /// Why, in one sentence, for the audit log
    #[arg(long, value_name = "SENTENCE")]
    reason: String,

    /// Also when the holder demonstrably lives on this machine
    #[arg(long)]
    force: bool,
}

fn list(context: &Context, _: &ListArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    let leases = context.block_on(async {
        let store = place.known_state().await?;
        Ok(store.leases().await?)
    })?;
    if context.global.json {
        let leases: Vec<_> = leases.iter().map(lease_json).collect();
        context
            .ui
            .answer_json(&json!({ "version": 1, "leases": leases }))?;
        return Ok(Exit::Done);
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["ENVIRONMENT", "NUMBER", "HOLDER", "LIVES", "RENEWED"]);
    for held in &leases {
        table.row(vec![
            held.lease.environment.to_string().into(),
            held.lease.number.to_string().into(),
            who(&held.lease.holder).into(),
            lives(held.life).into(),
            age(held.renewed_at, now).into(),
        ]);
    }
    context.ui.answer(&match leases.is_empty() {
        true => "nobody holds a lease\n".to_owned(),
        false => table.render(context.ui.theme()),
    });
    Ok(Exit::Done)
}

fn lease_json(held: &HeldLease) -> serde_json::Value {
    json!({
        "environment": held.lease.environment, "number": held.lease.number,
        "holder": held.lease.holder, "life": held.life.as_str(), "renewed_at": held.renewed_at,
    })
}

fn lives(life: Life) -> &'static str {
    match life {
        Life::Alive => "yes",
        Life::Dead => "no",
        Life::Unknown => "cannot be told from here",
    }
}

fn age(renewed_at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(renewed_at).as_secs();
    match seconds {
        ..0 => "in the future: a clock was wrong".to_owned(),
        seconds => format!("{seconds} s ago"),
    }
}

fn break_one(context: &Context, arguments: &BreakArguments) -> Result<Exit, CommandError> {
    let reason = arguments.reason.trim();
    if reason.is_empty() {
        return Err(
            CommandError::given("a lease is not broken without a reason")
                .hint("`--reason \"the machine is gone\"`"),
        );
    }
    let place = context.known_place()?;
    let environment = &arguments.environment;
    let how = Break {
        reason: reason.to_owned(),
        people: vec![Named {
            role: Part::Operator,
            name: format!("user {}", rustix::process::getuid().as_raw()),
        }],
        force: arguments.force,
    };
    if !place.state.exists() {
        // It is not made for this.
        let path = place.state.display().to_string();
        return Err(StoreError::Missing { path }.into());
    }
    let broken = context.block_on(async {
        let store = SqliteStore::open_logged(&place.state, adapters::note_signer()?).await?;
        let broken = store.break_lease(environment, &how).await;
        store.close().await;
        broken.map_err(|error| refusal(environment, error))
    })?;
    if context.global.json {
        context.ui.answer_json(&json!({
            "version": 1, "environment": environment, "number": broken.number,
            "holder": broken.holder,
        }))?;
    } else {
        context.ui.answer(&format!(
            "`{environment}` is free: {} can write nothing more there\n",
            who(&broken.holder)
        ));
    }
    Ok(Exit::Done)
}

fn refusal(environment: &EnvironmentName, error: LeaseError) -> CommandError {
    match error {
        LeaseError::Held { holder, .. } => {
            let message = format!("{} lives, and reconciles `{environment}`", who(&holder));
            CommandError::given(message).hint(
                "stop it, and its leases are free; `--force` takes this one away while it lives",
            )
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_lease_is_told_also_when_a_clock_was_wrong() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(age(at(10), at(52)), "42 s ago");
        assert!(age(at(60), at(52)).contains("future"));
    }
}
