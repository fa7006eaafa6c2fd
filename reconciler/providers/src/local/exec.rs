//! `local_exec`: a thing that programs make, read, change and take away.
//!
//! - A change of `inputs`, `env`, `dir` or `create` runs `update`, or replaces when there is none.
//!   A change of the other attributes runs nothing.
//! - Without `delete`, a delete only forgets, and a create cannot be put back.
//! - `read` prints JSON, which becomes `output`; when it is a record with the key `inputs`, that
//!   is what is there, and a difference is drift. It exits with 3 when the thing is gone.
//! - Standard output is `output`: as JSON if it parses, else as text without the last line end; at
//!   most 1 MiB.
//! - Commands get `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL`, `LANG`, `LC_ALL`, `TZ`, `TMPDIR` of
//!   the reconciler, what `env` says, `STRATUM_ADDRESS`, `STRATUM_TOKEN` and `STRATUM_RUN` (a mark that
//!   finds what came of them), and nothing else.
//! - With `user` they run as another user of this machine, with its `HOME`, `USER` and `LOGNAME`; only
//!   root can do that.
//! - Secrets may stand in `env` and `inputs`; what a command prints of them is taken out before it
//!   is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, Effect, ImportCall, LocateCall,
    Located, PlanCall, Proposal, ProviderError, ReadCall, Reading, RestoreCall, TypeSchema,
    ValueType,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::{Path, Record, Value};

use super::attributes::{
    before, broken, closed, instance, own_folder, refused, user, working_folder,
};
use super::lanes::Lanes;
use super::opened::{self, ENV, INPUTS};
use super::steps::{Outcome, StepError, Steps};
use crate::process::{Command, Ended, run};
use crate::schema::{
    attributes, complain_about_command, complain_about_duration, complain_about_secrets, computed,
    defaulting, given, optional, required, same, text, texts, unusable, with_defaults,
};
use crate::sound;
use crate::types::ResourceType;

/// The attributes that are programs.
const VERBS: [&str; 4] = ["create", "read", "update", "delete"];

/// The exit code of `read` that says "gone".
const GONE: i32 = 3;

/// The type.
pub(crate) struct Exec {
    schema: TypeSchema,
    program: PathBuf,
    lanes: Arc<Lanes>,
}

impl Exec {
    pub(crate) fn new(program: PathBuf, lanes: &Arc<Lanes>) -> Self {
        let list = || ValueType::List(Box::new(ValueType::Text));
        let timeout = optional("After this a command is ended.", ValueType::Duration);
        let schema = TypeSchema {
            doc: "A thing that programs make, read, change and take away.".to_owned(),
            version: 1,
            effect: Effect::World,
            place: None,
            twice: false,
            reads: false,
            timeouts: Default::default(),
            attributes: attributes([
                ("create", required("Makes it.", list())),
                (
                    "read",
                    optional("Prints it as JSON, or exits with 3.", list()),
                ),
                ("update", optional("Changes it.", list())),
                ("delete", optional("Takes it away.", list())),
                (
                    "inputs",
                    optional("What the programs read, as JSON.", ValueType::Any),
                ),
                (
                    "env",
                    optional(
                        "Their variables.",
                        ValueType::Map(Box::new(ValueType::Text)),
                    ),
                ),
                ("dir", optional("The folder they run in.", ValueType::Text)),
                (
                    "user",
                    optional("The user they run as; needs root.", ValueType::Text),
                ),
                ("timeout", defaulting(timeout, "10m")),
                (
                    "output",
                    computed("What the last one printed.", ValueType::Any),
                ),
            ]),
        };
        let lanes = Arc::clone(lanes);
        Self {
            schema,
            program,
            lanes,
        }
    }

    fn steps(&self, call: Call<'_>) -> Steps {
        Steps {
            nook: own_folder(call.site, "steps", call.address),
            program: self.program.clone(),
            address: call.address.clone(),
            lanes: Arc::clone(&self.lanes),
        }
    }
}

/// Whether a change from one to the other must run something.
fn differs(prior: &Record, planned: &Record) -> bool {
    ["inputs", "env", "dir", "user", "create"]
        .iter()
        .any(|name| !same(prior, planned, name))
}

/// The command in the attribute `name`, ready to run; `None` when it is not given.
async fn command(
    call: Call<'_>,
    record: &Record,
    name: &str,
    token: &str,
) -> Result<Option<Command>, ProviderError> {
    let Some(words) = texts(record, name) else {
        return Ok(None);
    };
    let mut given = opened::given(call, record).await.map_err(closed)?;
    let user = user(call, record).map_err(ProviderError::person)?;
    let mut env = std::mem::take(&mut given.env);
    env.insert("STRATUM_ADDRESS".to_owned(), call.address.to_string());
    env.insert("STRATUM_TOKEN".to_owned(), token.to_owned());
    let own = text(record, "timeout").and_then(|text| stratum_core::duration::parse(text).ok());
    Ok(Some(Command {
        words,
        env,
        dir: working_folder(call.site, text(record, "dir")),
        input: given.inputs.to_string(),
        secrets: std::mem::take(&mut given.secrets),
        timeout: Some(own.unwrap_or(call.timeout).min(call.timeout)),
        user,
    }))
}

/// Which command a step runs, by the name of its attribute.
fn verb(prior: Option<&Record>, planned: Option<&Record>) -> Option<&'static str> {
    match (prior, planned) {
        (None, Some(_)) => Some("create"),
        (Some(prior), Some(planned)) => differs(prior, planned).then_some("update"),
        (Some(_), None) => Some("delete"),
        (None, None) => None,
    }
}

fn output(ended: &Ended) -> Value {
    // What a program prints is data: it can name no secret and no resource.
    let parsed = Value::from_text(&ended.output).ok();
    parsed.unwrap_or_else(|| {
        let text = ended.output.strip_suffix('\n').unwrap_or(&ended.output);
        Value::text(text)
    })
}

/// What `read` answered.
enum Seen {
    /// There is no `read`.
    Blind,
    /// It is there, and this was printed.
    Present(Value),
    /// It is gone.
    Gone,
}

async fn see(call: Call<'_>, record: &Record, token: &str) -> Result<Seen, ProviderError> {
    let Some(command) = command(call, record, "read", token).await? else {
        return Ok(Seen::Blind);
    };
    make_root(call).map_err(ProviderError::later)?;
    let shown = command.shown();
    let ended = run(&command, std::future::pending()).await;
    if ended.code == Some(GONE) {
        return Ok(Seen::Gone);
    }
    match ended.failure() {
        None => Ok(Seen::Present(output(&ended))),
        Some(failure) => Err(ProviderError::later(format!("`read` ({shown}) {failure}"))),
    }
}

fn make_root(call: Call<'_>) -> Result<(), String> {
    let root = &call.site.root;
    std::fs::create_dir_all(root)
        .map_err(|error| format!("could not make the root `{}`: {error}", root.display()))
}

/// The attributes as `read` saw them.
fn seen(known: &Record, printed: Value) -> Record {
    let mut record = known.clone();
    let inputs = printed
        .as_record()
        .and_then(|printed| printed.get("inputs"));
    // What `read` prints of a secret is taken out, so it cannot be compared.
    let secret = known.get(INPUTS).is_some_and(Value::holds_secret);
    if let Some(inputs) = inputs.filter(|_| !secret) {
        record.insert("inputs".to_owned(), inputs.clone());
    }
    record.insert("output".to_owned(), printed);
    record
}

/// What a step leaves when its command printed `printed` (`None`: it ran none).
async fn result(
    call: Call<'_>,
    planned: &Record,
    prior: Option<&Record>,
    printed: Option<Value>,
    token: &str,
) -> Result<Instance, ProviderError> {
    let kept = || {
        prior
            .and_then(|prior| prior.get("output"))
            .cloned()
            .unwrap_or_default()
    };
    let output = match see(call, planned, token).await? {
        Seen::Present(value) => value,
        Seen::Blind => printed.unwrap_or_else(kept),
        Seen::Gone => {
            let message = "`read` says that it is gone, right after it was made";
            return Err(ProviderError::later(message));
        }
    };
    let mut record = planned.clone();
    record.insert("output".to_owned(), output);
    Ok(instance(record))
}

fn failed(error: StepError, verb: &str) -> ApplyError {
    let message = format!("`{verb}`: {error}");
    match error {
        StepError::Before { .. } => refused(message, ProviderError::later("").retry),
        StepError::Running { .. } | StepError::Killed { .. } => broken(message),
    }
}

/// Runs the command of a step, or answers what it answered before.
async fn carry_out(
    steps: &Steps,
    key: &str,
    verb: &str,
    command: Command,
) -> Result<Value, ApplyError> {
    let shown = command.shown();
    let ended = steps
        .run(key, command)
        .await
        .map_err(|error| failed(error, verb))?;
    match ended.failure() {
        None => Ok(output(&ended)),
        Some(failure) => {
            let message = format!("`{verb}` ({shown}) {failure}");
            Err(if ended.never_ran {
                refused(message, ProviderError::input("").retry)
            } else {
                ApplyError::unknown(message)
            })
        }
    }
}

#[async_trait]
impl ResourceType for Exec {
    fn schema(&self) -> &TypeSchema {
        &self.schema
    }

    fn validate(&self, desired: &Record) -> Vec<Complaint> {
        VERBS
            .iter()
            .filter_map(|name| complain_about_command(desired, name))
            .chain(complain_about_duration(desired, "timeout"))
            .chain(sound::complain_about_no_time(desired, "timeout"))
            .chain(
                VERBS
                    .iter()
                    .flat_map(|name| sound::complain_about_words(desired, name)),
            )
            .chain(sound::complain_about_variables(desired, ENV))
            .chain(sound::complain_about_path(desired, "dir"))
            .chain(complain_about_secrets(desired, &[ENV, INPUTS]))
            .collect()
    }

    fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        let prior = call.prior.map(|prior| &prior.attributes);
        let Some(desired) = call.desired else {
            let can = prior.is_some_and(|prior| given(prior, "delete"));
            let reversibility = if can {
                Reversibility::Recreated
            } else {
                Reversibility::Reversible
            };
            return Ok(Proposal {
                planned: Record::new(),
                replace: Vec::new(),
                reversibility,
                ..Proposal::default()
            });
        };
        let mut planned = with_defaults(&self.schema, desired);
        let runs = prior.is_none_or(|prior| differs(prior, &planned));
        let kept = prior.and_then(|prior| prior.get("output")).cloned();
        // What another `read` will print is known when it has.
        let reads = prior.is_some_and(|prior| !same(prior, &planned, "read"));
        let output = kept.filter(|_| !runs && !reads).unwrap_or(Value::Unknown);
        planned.insert("output".to_owned(), output);
        let mut replace = Vec::new();
        if let Some(prior) = prior.filter(|_| runs && !given(&planned, "update")) {
            let changed = ["create", "dir", "env", "inputs", "user"]
                .into_iter()
                .filter(|name| !same(prior, &planned, name));
            replace.extend(changed.map(Path::of));
        }
        let reversible = match prior {
            None => given(&planned, "delete"),
            Some(prior) => !runs || given(prior, "update") || given(&planned, "update"),
        };
        let reversibility = if reversible {
            Reversibility::Reversible
        } else {
            Reversibility::Irreversible
        };
        Ok(Proposal {
            planned,
            replace,
            reversibility,
            ..Proposal::default()
        })
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        let known = &call.known.attributes;
        match see(call.call, known, "").await? {
            Seen::Blind => Ok(Reading::There(call.known.clone())),
            Seen::Gone => Ok(Reading::Gone),
            Seen::Present(printed) => Ok(Reading::There(instance(seen(known, printed)))),
        }
    }

    async fn checkpoint(&self, _: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        Ok(Opaque::default())
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let prior = call.prior.map(|prior| &prior.attributes);
        let token = call.token.as_str();
        let record = call.planned.or(prior);
        let verb = verb(prior, call.planned);
        let mut printed = None;
        if let (Some(verb), Some(record)) = (verb, record) {
            let command = command(call.call, record, verb, token).await;
            match command.map_err(|error| refused(error.message, error.retry))? {
                Some(command) => {
                    make_root(call.call).map_err(ApplyError::nothing_happened)?;
                    let steps = self.steps(call.call);
                    printed = Some(carry_out(&steps, token, verb, command).await?);
                }
                None if verb == "delete" => {}
                None => {
                    return Err(ApplyError::nothing_happened(format!(
                        "there is no `{verb}`"
                    )));
                }
            }
        }
        match call.planned {
            None => Ok(None),
            Some(planned) => result(call.call, planned, prior, printed, token)
                .await
                .map(Some)
                .map_err(|error| ApplyError::unknown(error.message)),
        }
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let before = before(call.checkpoint);
        let steps = self.steps(call.call);
        let ran = match steps.settled(call.token.as_str(), call.call.timeout).await {
            Outcome::Never => false,
            Outcome::Ended(ended) => !ended.never_ran,
            Outcome::Lost => true,
            Outcome::Running => return Err(broken("its command is still running")),
        };
        if ran {
            undo(&steps, call, before.map(|before| &before.attributes)).await?;
        }
        Ok(before.cloned())
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        let prior = call.prior.map(|prior| &prior.attributes);
        let token = call.token.as_str();
        let record = call.planned.or(prior);
        let runs = verb(prior, call.planned)
            .zip(record)
            .filter(|(verb, record)| given(record, verb));
        let Some((_, record)) = runs else {
            return located(call, None).await;
        };
        match self
            .steps(call.call)
            .settled(token, call.call.timeout)
            .await
        {
            Outcome::Never => Ok(Located::NotDone),
            Outcome::Running => Ok(Located::CannotTell(
                "its command is still running".to_owned(),
            )),
            Outcome::Ended(ended) if ended.failure().is_none() => {
                located(call, Some(output(&ended))).await
            }
            // Doing it again gives the same answer, without running anything.
            Outcome::Ended(_) => Ok(Located::NotDone),
            Outcome::Lost => judge(call, record).await,
        }
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        let known = with_defaults(&self.schema, call.desired);
        if let Some(why) = unusable(&self.schema, &known) {
            return Err(ProviderError::input(why));
        }
        match see(call.call, &known, call.id).await? {
            Seen::Present(printed) => Ok(instance(seen(&known, printed))),
            Seen::Gone => Err(ProviderError::input("`read` says that it is not there")),
            Seen::Blind => Err(ProviderError::input(
                "without `read` nothing can be adopted",
            )),
        }
    }
}

/// The step is done: what is there now.
async fn located(call: LocateCall<'_>, printed: Option<Value>) -> Result<Located, ProviderError> {
    let prior = call.prior.map(|prior| &prior.attributes);
    match call.planned {
        None => Ok(Located::Done(None)),
        Some(planned) => {
            let made = result(call.call, planned, prior, printed, call.token.as_str()).await?;
            Ok(Located::Done(Some(made)))
        }
    }
}

/// The command was started and its end is not known: asks `read`.
async fn judge(call: LocateCall<'_>, record: &Record) -> Result<Located, ProviderError> {
    let seen_now = see(call.call, record, call.token.as_str()).await?;
    Ok(match (seen_now, call.planned) {
        (Seen::Blind, _) => Located::CannotTell(
            "the process that ran its command was killed, and there is no `read` to ask".to_owned(),
        ),
        (Seen::Gone, None) => Located::Done(None),
        (Seen::Gone, Some(_)) | (Seen::Present(_), None) => Located::NotDone,
        (Seen::Present(printed), Some(planned)) => {
            let now = seen(planned, printed);
            if same(&now, planned, "inputs") {
                Located::Done(Some(instance(now)))
            } else {
                Located::NotDone
            }
        }
    })
}

/// Runs what puts the resource back: `delete` after a create, `update` after an update, `create`
/// after a delete.
async fn undo(
    steps: &Steps,
    call: RestoreCall<'_>,
    before: Option<&Record>,
) -> Result<(), ApplyError> {
    let (mut verb, mut record) = match (before, call.planned) {
        (None, Some(planned)) => ("delete", planned.clone()),
        (Some(before), Some(_)) => ("update", before.clone()),
        (Some(before), None) => ("create", before.clone()),
        (None, None) => return Ok(()),
    };
    if let (false, Some(planned)) = (given(&record, verb), call.planned) {
        record.extend(
            planned
                .get(verb)
                .map(|words| (verb.to_owned(), words.clone())),
        );
    }
    let token = call.token.as_str();
    // A `read` that fails says nothing; the command that puts it back will then speak for itself.
    match (
        see(call.call, &record, token).await.unwrap_or(Seen::Blind),
        verb,
    ) {
        (Seen::Gone, "delete") | (Seen::Present(_), "create") => return Ok(()),
        (Seen::Gone, "update") => verb = "create",
        _ => {}
    }
    let command = command(call.call, &record, verb, token).await;
    let command = command
        .map_err(|error| broken(error.to_string()))?
        .ok_or_else(|| broken(format!("there is no `{verb}` to put it back with")))?;
    let key = format!("{token}.restore");
    if let Outcome::Ended(ended) = steps.settled(&key, Duration::ZERO).await
        && ended.failure().is_some()
    {
        steps
            .forget(&key)
            .map_err(|error| refused(error.to_string(), ProviderError::later("").retry))?;
    }
    carry_out(steps, &key, verb, command)
        .await
        .map(|_| ())
        .map_err(|error| ApplyError {
            message: format!("{} while putting it back", error.message),
            ..error
        })
}
