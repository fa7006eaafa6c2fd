//! What is written, one file for each part of the state.
//!
//! Every write first checks whether it may happen and only then changes anything: a refusal
//! ([`Failure::Refused`]) leaves no trace in the transaction it shares with others.

pub(crate) mod announced;
pub(crate) mod append;
pub(crate) mod audit;
pub(crate) mod environment;
pub(crate) mod evaluation;
pub(crate) mod facts;
pub(crate) mod fronts;
pub(crate) mod lease;
pub(crate) mod made;
pub(crate) mod mark;
pub(crate) mod observation;
pub(crate) mod queue;
pub(crate) mod retain;
pub(crate) mod run;
pub(crate) mod secret;

use sqlx::SqliteConnection;
use stratum_core::ports::{Advance, StoreError};

use crate::error::Failure;
use crate::write::audit::Ledger;

/// Everything that can be asked of the writer.
pub(crate) enum Write {
    /// Take a lease.
    Take(lease::Take),
    /// Say that a holder lives.
    Renew(lease::Renew),
    /// Put the time of a lease down to now.
    Clamp(lease::Clamp),
    /// Take a lease away.
    Break(lease::Taken),
    /// Give a lease back.
    Release(lease::Release),
    /// Write what is remembered of an environment.
    Environment(environment::Put),
    /// Start a run.
    Start(Box<run::Start>),
    /// Write a run without a journal.
    Note(run::Note),
    /// Append to a journal.
    Append(append::Append),
    /// Keep observations.
    Observe(observation::Observe),
    /// Put an entry into the queue.
    Push(queue::Push),
    /// Take an entry out of the queue.
    Ack(queue::Ack),
    /// Keep an evaluation.
    Keep(evaluation::Keep),
    /// Keep sealed values.
    Secrets(secret::Secrets),
    /// Say which versions are in force.
    InForce(secret::InForce),
    /// Keep secrets that were made here.
    Made(made::Made),
    /// Forget secrets that were made here.
    Forget(made::Forget),
    /// Put secrets back that were wrapped again.
    Rewrapped(made::Rewrapped),
    /// Write the keys that wrap.
    Keys(secret::Keys),
    /// Put rows back that were wrapped again.
    Again(secret::Again),
    /// All of these, or none.
    Together(Vec<Write>),
    /// Drop what of runs is over.
    Drop(retain::Drop),
    /// Drop observations.
    Unsee(retain::Forget),
    /// Say that upkeep was done.
    Upkept(retain::Done),
    /// Say how much time the state has lived through.
    Lived(retain::Lived),
    /// Append to the audit log.
    Audit(audit::Note),
    /// Say that entries of the audit log are in its tree.
    Integrated(audit::Integrated),
    /// Remember that the forge was told about a run.
    Announce(announced::Announce),
    /// Note what keeps the forge from being told.
    Trouble(announced::Trouble),
    /// Write small facts.
    Facts(facts::Put),
    /// Move the front of a branch.
    Advance(Advance),
}

impl Write {
    /// Whether it adds to the audit log.
    pub(crate) fn is_logged(&self) -> bool {
        match self {
            Self::Take(_) | Self::Start(_) | Self::Append(_) | Self::Audit(_) => true,
            Self::Together(writes) => writes.iter().any(Self::is_logged),
            Self::Renew(_)
            | Self::Clamp(_)
            | Self::Break(_)
            | Self::Release(_)
            | Self::Environment(_)
            | Self::Note(_)
            | Self::Observe(_)
            | Self::Push(_)
            | Self::Ack(_)
            | Self::Keep(_)
            | Self::Secrets(_)
            | Self::InForce(_)
            | Self::Made(_)
            | Self::Forget(_)
            | Self::Rewrapped(_)
            | Self::Keys(_)
            | Self::Again(_)
            | Self::Drop(_)
            | Self::Unsee(_)
            | Self::Upkept(_)
            | Self::Lived(_)
            | Self::Integrated(_)
            | Self::Announce(_)
            | Self::Trouble(_)
            | Self::Facts(_)
            | Self::Advance(_) => false,
        }
    }
}

/// What came of one write: whether it was done, or why not.
pub(crate) type Answer = Result<bool, StoreError>;

/// Does all writes, in order, in the transaction that is open. Appends that follow one another
/// are written together.
///
/// *Errors*: the transaction must be rolled back; refusals are answers, not errors.
pub(crate) async fn all(
    connection: &mut SqliteConnection,
    mut writes: &[&Write],
    ledger: &mut Ledger,
) -> Result<Vec<Answer>, Failure> {
    let mut answers = Vec::with_capacity(writes.len());
    while let Some((first, after)) = writes.split_first() {
        let appends: Vec<_> = writes.iter().map_while(|write| as_append(write)).collect();
        if appends.is_empty() {
            answers.push(answer(one(connection, first, ledger).await)?);
            writes = after;
        } else {
            answers.extend(append::group(connection, &appends, ledger).await?);
            writes = writes.get(appends.len()..).unwrap_or_default();
        }
    }
    if !ledger.is_empty() {
        ledger.write(connection).await?;
    }
    Ok(answers)
}

fn as_append(write: &Write) -> Option<&append::Append> {
    match write {
        Write::Append(append) => Some(append),
        Write::Take(_)
        | Write::Renew(_)
        | Write::Clamp(_)
        | Write::Break(_)
        | Write::Together(_)
        | Write::Release(_)
        | Write::Environment(_)
        | Write::Start(_)
        | Write::Note(_)
        | Write::Observe(_)
        | Write::Push(_)
        | Write::Ack(_)
        | Write::Keep(_)
        | Write::Secrets(_)
        | Write::InForce(_)
        | Write::Made(_)
        | Write::Forget(_)
        | Write::Rewrapped(_)
        | Write::Keys(_)
        | Write::Again(_)
        | Write::Audit(_)
        | Write::Drop(_)
        | Write::Unsee(_)
        | Write::Upkept(_)
        | Write::Lived(_)
        | Write::Integrated(_)
        | Write::Announce(_)
        | Write::Trouble(_)
        | Write::Facts(_)
        | Write::Advance(_) => None,
    }
}

/// Tells a refusal, which is an answer, from a failure.
fn answer(result: Result<bool, Failure>) -> Result<Answer, Failure> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(Failure::Refused(refusal)) => Ok(Err(refusal)),
        Err(failure) => Err(failure),
    }
}

async fn one(
    connection: &mut SqliteConnection,
    write: &Write,
    ledger: &mut Ledger,
) -> Result<bool, Failure> {
    match write {
        Write::Take(take) => lease::take(connection, take, ledger).await,
        Write::Renew(renew) => lease::renew(connection, renew).await,
        Write::Clamp(clamp) => lease::clamp(connection, clamp).await,
        Write::Break(taken) => lease::take_away(connection, taken).await,
        Write::Together(writes) => together(connection, writes, ledger).await,
        Write::Release(release) => lease::release(connection, release).await,
        Write::Environment(put) => environment::put(connection, put).await,
        Write::Start(start) => run::start(connection, start, ledger).await,
        Write::Note(note) => run::note(connection, note).await,
        Write::Append(append) => {
            let answers = append::group(connection, &[append], ledger).await?;
            let answer = answers.into_iter().next().unwrap_or(Ok(false));
            answer.map_err(Failure::Refused)
        }
        Write::Observe(observe) => observation::observe(connection, observe).await,
        Write::Push(push) => queue::push(connection, push).await,
        Write::Ack(ack) => queue::ack(connection, ack).await,
        Write::Keep(keep) => evaluation::keep(connection, keep).await,
        Write::Secrets(secrets) => secret::keep(connection, secrets).await,
        Write::InForce(versions) => secret::in_force(connection, versions).await,
        Write::Made(secrets) => made::keep(connection, secrets).await,
        Write::Forget(forget) => made::forget(connection, forget).await,
        Write::Rewrapped(row) => made::rewrapped(connection, row).await,
        Write::Keys(keys) => secret::keys(connection, keys).await,
        Write::Again(rows) => secret::again(connection, rows).await,
        Write::Audit(note) => {
            ledger.note(note);
            Ok(true)
        }
        Write::Drop(drop) => retain::drop(connection, drop).await,
        Write::Unsee(forget) => retain::forget(connection, forget).await,
        Write::Upkept(done) => retain::done(connection, done).await,
        Write::Lived(lived) => retain::lived(connection, lived).await,
        Write::Integrated(done) => audit::integrated(connection, done).await,
        Write::Announce(announce) => announced::announce(connection, announce).await,
        Write::Trouble(trouble) => announced::trouble(connection, trouble).await,
        Write::Facts(put) => facts::put(connection, put).await,
        Write::Advance(step) => fronts::advance(connection, step).await,
    }
}

/// Does all of it, or nothing: when one of them is refused, or is not done because something came
/// in between, the others leave no trace either.
async fn together(
    connection: &mut SqliteConnection,
    writes: &[Write],
    ledger: &mut Ledger,
) -> Result<bool, Failure> {
    run(connection, "SAVEPOINT together").await?;
    let before = ledger.mark();
    for write in writes {
        let done = match answer(Box::pin(one(connection, write, ledger)).await)? {
            Ok(true) => continue,
            undone => undone,
        };
        run(connection, "ROLLBACK TO together").await?;
        run(connection, "RELEASE together").await?;
        ledger.back_to(before);
        return done.map_err(Failure::Refused);
    }
    run(connection, "RELEASE together").await?;
    Ok(true)
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), Failure> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}

/// What is being done, for errors.
pub(crate) fn doing(write: &Write) -> &'static str {
    match write {
        Write::Take(_) => "taking a lease",
        Write::Renew(_) => "renewing leases",
        Write::Clamp(_) => "putting down the time of a lease",
        Write::Break(_) => "breaking a lease",
        Write::Together(_) => "writing changes that belong together",
        Write::Release(_) => "giving leases back",
        Write::Environment(_) => "writing what is remembered of an environment",
        Write::Start(_) => "starting a run",
        Write::Note(_) => "writing a run",
        Write::Append(_) => "appending to a journal",
        Write::Observe(_) => "keeping observations",
        Write::Push(_) => "writing the queue",
        Write::Ack(_) => "taking an entry out of the queue",
        Write::Keep(_) => "keeping an evaluation",
        Write::Secrets(_) => "keeping sealed values",
        Write::InForce(_) => "writing which sealed values are in force",
        Write::Made(_) => "keeping secrets that were made here",
        Write::Forget(_) => "forgetting secrets that were made here",
        Write::Rewrapped(_) => "wrapping secrets again",
        Write::Keys(_) => "writing the keys of the state",
        Write::Again(_) => "wrapping the state again",
        Write::Audit(_) => "writing the audit log",
        Write::Drop(_) => "dropping what is old",
        Write::Unsee(_) => "dropping old observations",
        Write::Upkept(_) => "writing that upkeep was done",
        Write::Lived(_) => "writing the time that was lived through",
        Write::Integrated(_) => "bringing entries into the audit log",
        Write::Announce(_) => "remembering an announcement",
        Write::Trouble(_) => "noting how the forge is reached",
        Write::Facts(_) => "writing what is remembered of the repository",
        Write::Advance(_) => "moving the front of a branch",
    }
}
