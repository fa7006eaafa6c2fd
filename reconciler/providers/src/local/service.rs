//! `local_service`: a program that is kept running.
//!
//! - Secrets may stand in `env`, and better in `files`: each variable there names a file that is in
//!   memory only, and that only the program, what it starts, and its user can open.
//! - A change of `command`, `env`, `files`, `dir`, `user` or `restart` restarts it; a change of `health` alone only
//!   tries the new check.
//! - A step is done when the health check passed; without one, when the program still runs a
//!   moment after it was started.
//! - A stop is SIGTERM to the program's group, and SIGKILL ten seconds later.
//! - It is as it should be while its program runs and its health check passes, which is asked at
//!   every look; one that ended with 0 and is not to be started again is done. A program that just
//!   came back, or that fails again and again, is not.
//! - With `user` it runs as another user of this machine; only root can do that.
//! - Logs are `stdout.log` and `stderr.log` in `services/<name>/` of this provider's own folder
//!   beside the state; at 8 MiB one is put aside as `.log.1`, in place of the one before. They stay
//!   when a start is rolled back, and go with a delete. Secrets that it was given are taken out of
//!   them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::digest::Digest;
use stratum_core::ids::Token;
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, Effect, ImportCall, LocateCall,
    Located, PlanCall, Proposal, ProviderError, ReadCall, Reading, RestoreCall, Retry, TypeSchema,
    ValueType,
};
use stratum_core::resource::{HealthCheck, Instance, Opaque};
use stratum_core::value::{Path, Record, Value};

use super::attributes::{
    before, broken, instance, own_folder, refused, runs_as, user, working_folder,
};
use super::life::Life;
use super::opened::{self, ENV, FILES};
use super::supervised::{ServiceError, Supervised};
use crate::probe;
use crate::process::{Settings, Status, Supervision, User};
use crate::schema::{
    attributes, complain_about_command, complain_about_secrets, complaint, computed, defaulting,
    given, optional, required, same, text, text_map, texts, with_defaults,
};
use crate::sound;
use crate::types::ResourceType;

/// What a program without a health check must survive to count as started.
const SETTLE: Duration = Duration::from_millis(100);

/// The attribute that says when it was started; what does not run has none.
const STARTED_AT: &str = "started_at";

/// The type.
pub(crate) struct Service {
    schema: TypeSchema,
    program: PathBuf,
}

impl Service {
    pub(crate) fn new(program: PathBuf) -> Self {
        let list = || ValueType::List(Box::new(ValueType::Text));
        let policies = ["always", "on-failure", "never"]
            .map(str::to_owned)
            .to_vec();
        let restart = optional("When it is started again.", ValueType::Choice(policies));
        let schema = TypeSchema {
            doc: "A program that is kept running, and survives a restart of stratum.".to_owned(),
            version: 1,
            effect: Effect::World,
            place: None,
            twice: false,
            reads: false,
            timeouts: Default::default(),
            attributes: attributes([
                (
                    "command",
                    required("The program and its arguments.", list()),
                ),
                (
                    "env",
                    optional("Its variables.", ValueType::Map(Box::new(ValueType::Text))),
                ),
                (
                    "files",
                    optional(
                        "Contents that it reads from the file that each variable names.",
                        ValueType::Map(Box::new(ValueType::Text)),
                    ),
                ),
                ("dir", optional("The folder it runs in.", ValueType::Text)),
                (
                    "user",
                    optional("The user it runs as; needs root.", ValueType::Text),
                ),
                ("restart", defaulting(restart, "always")),
                (
                    "health",
                    optional("When it counts as working.", health_schema()),
                ),
                (
                    STARTED_AT,
                    computed("When stratum started it (UTC).", ValueType::Text),
                ),
            ]),
        };
        Self { schema, program }
    }

    fn supervised(&self, call: Call<'_>) -> Supervised {
        Supervised {
            nook: own_folder(call.site, "services", call.address),
            program: self.program.clone(),
        }
    }

    /// Makes the service run as `record` says, unless it does already, and waits until it works.
    async fn ensure(
        &self,
        call: Call<'_>,
        record: &Record,
        token: &Token,
    ) -> Result<Instance, ApplyError> {
        let supervised = self.supervised(call);
        if !is_right(call, &supervised, record) {
            self.begin(call, &supervised, record, token).await?;
        }
        match wait_until_healthy(call, &supervised, record).await {
            Ok(status) => Ok(made(record, &status)),
            Err(why) => {
                let redactor = opened::redactor(call, record).await;
                let words = supervised.last_words(&redactor);
                Err(ApplyError::unknown(redactor.text(&why) + &words))
            }
        }
    }

    /// What ended by itself, badly, and is never to be started again, is left as it is until
    /// something of it changes.
    fn may_start_again(&self, call: &ApplyCall<'_>, planned: &Record) -> Result<(), ApplyError> {
        if call.prior.is_none() {
            return Ok(());
        }
        let life = self.supervised(call.call).life();
        match life {
            Life::Down(Some(status), why)
                if status.is_final() && status.settings == settings(call.call, planned) =>
            {
                let why = format!("{why}; it is never to be started again, as `restart` says");
                Err(refused(why, Retry::NeedsPerson))
            }
            Life::Down(..) | Life::Runs(_) | Life::Done(_) | Life::Gone => Ok(()),
        }
    }

    /// Makes a supervisor watch what runs as `record` says and lost its own, or starts it anew.
    async fn begin(
        &self,
        call: Call<'_>,
        supervised: &Supervised,
        record: &Record,
        token: &Token,
    ) -> Result<(), ApplyError> {
        let supervision = supervision(call, supervised, record, token).await?;
        if supervision.adopt.is_none() {
            let stopped = supervised.stop().await;
            stopped.map_err(|error| broken(error.to_string()))?;
        }
        std::fs::create_dir_all(&call.site.root).map_err(|error| {
            ApplyError::nothing_happened(format!("could not make the root: {error}"))
        })?;
        let started = supervised.start(&supervision).await;
        started.map_err(|error| broken(error.to_string()))
    }
}

/// Whether it is watched, or is done, as `record` says. One that ended a moment ago is started again
/// by its supervisor, with a growing pause.
fn is_right(call: Call<'_>, supervised: &Supervised, record: &Record) -> bool {
    let fits = |status: &Status| status.settings == settings(call, record);
    match supervised.status() {
        Some(status) if status.is_kept() => fits(&status),
        _ => matches!(supervised.life(), Life::Done(status) if fits(&status)),
    }
}

fn health_schema() -> ValueType {
    let list = ValueType::List(Box::new(ValueType::Text));
    ValueType::Object(attributes([
        (
            "http",
            optional("A URL that must answer with 200 to 399.", ValueType::Text),
        ),
        (
            "tcp",
            optional(
                "`host:port` that must accept a connection.",
                ValueType::Text,
            ),
        ),
        (
            "command",
            optional("A program that must exit with 0.", list),
        ),
        (
            "every",
            optional("Time between two tries.", ValueType::Duration),
        ),
        (
            "timeout",
            optional("Time for one try.", ValueType::Duration),
        ),
        (
            "within",
            optional("Time within which a try must pass.", ValueType::Duration),
        ),
    ]))
}

/// A complaint about each variable that is in `env` and in `files`: one of them would be lost.
fn both(desired: &Record) -> Vec<Complaint> {
    let names = |name| desired.get(name).and_then(Value::as_record);
    let env = names(ENV);
    let files = names(FILES).into_iter().flatten();
    let twice = files.filter(|(name, _)| env.is_some_and(|env| env.contains_key(*name)));
    twice
        .map(|(name, _)| {
            let message = format!("the variable `{name}` is in `env` and in `files`");
            complaint(
                Path::of(FILES).key(name),
                message,
                "give one of them another name",
            )
        })
        .collect()
}

/// What makes one service differ from another.
fn settings(call: Call<'_>, record: &Record) -> Settings {
    Settings {
        command: texts(record, "command").unwrap_or_default(),
        dir: text(record, "dir").map(str::to_owned),
        restart: text(record, "restart").unwrap_or("always").to_owned(),
        env: env_digest(record),
        user: runs_as(call, record),
    }
}

/// A digest of what the program is given, with secrets by version: it says nothing about them.
fn env_digest(record: &Record) -> String {
    let secret = |name| record.get(name).is_some_and(Value::holds_secret);
    if given(record, FILES) || secret(ENV) {
        return Digest::of_json(&(record.get(ENV), record.get(FILES))).to_string();
    }
    Digest::of_json(&text_map(record, ENV)).to_string()
}

async fn supervision(
    call: Call<'_>,
    supervised: &Supervised,
    record: &Record,
    token: &Token,
) -> Result<Supervision, ApplyError> {
    let given = opened::given(call, record).await;
    let mut given = given.map_err(|error| refused(error.to_string(), error.retry()))?;
    let user = user(call, record).map_err(|why| refused(why, Retry::NeedsPerson))?;
    let mut env = std::mem::take(&mut given.env);
    env.insert("STRATUM_ADDRESS".to_owned(), call.address.to_string());
    let settings = settings(call, record);
    let adopt = supervised.adoptable(&settings);
    let now = Timestamp::now().to_string();
    Ok(Supervision {
        settings,
        env,
        files: std::mem::take(&mut given.files),
        secrets: std::mem::take(&mut given.secrets),
        dir: working_folder(call.site, text(record, "dir")),
        nook: supervised.nook.clone(),
        token: token.as_str().to_owned(),
        started_at: match &adopt {
            // It goes on, and was started when it was.
            Some(_) => supervised.started_at().unwrap_or(now),
            None => now,
        },
        adopt,
        user,
    })
}

/// The service as it was started, where that differs from what is known.
fn as_it_is(call: Call<'_>, known: &Record, status: &Status) -> Instance {
    let mut record = known.clone();
    let (now, known) = (&status.settings, settings(call, known));
    if now.command != known.command {
        let words = now.command.iter().map(Value::text);
        record.insert("command".to_owned(), Value::list(words.collect()));
    }
    if now.restart != known.restart {
        record.insert("restart".to_owned(), Value::text(now.restart.clone()));
    }
    let texts = [
        ("dir", &now.dir, &known.dir),
        ("user", &now.user, &known.user),
    ];
    for (name, now, known) in texts {
        if now != known {
            let now = now.clone().map_or(Value::Null, Value::Text);
            record.insert(name.to_owned(), now);
        }
    }
    if now.env != known.env {
        record.insert(ENV.to_owned(), Value::Null);
    }
    made(&record, status)
}

fn made(record: &Record, status: &Status) -> Instance {
    let mut record = record.clone();
    let started_at = Value::text(status.started_at.clone());
    record.insert(STARTED_AT.to_owned(), started_at);
    instance(record)
}

/// The same service when nothing of it runs: nobody knows when it will have been started.
fn not_running(mut known: Instance) -> Instance {
    known.attributes.remove(STARTED_AT);
    known
}

/// The health check of a service.
///
/// *Errors*: one sentence, when it is not one.
fn health(record: &Record) -> Result<Option<HealthCheck>, String> {
    if !given(record, "health") {
        return Ok(None);
    }
    let value = record.get("health").cloned().unwrap_or_default();
    let check: HealthCheck = serde_json::from_value(value.to_data().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    probe::validate(&check)?;
    Ok(Some(check))
}

/// Waits until the service works, or says why it does not.
async fn wait_until_healthy(
    call: Call<'_>,
    supervised: &Supervised,
    record: &Record,
) -> Result<Status, String> {
    match health(record)? {
        Some(check) => wait_for_check(call, supervised, &check, user(call, record)?).await,
        None => wait_until_settled(supervised).await,
    }
}

async fn wait_for_check(
    call: Call<'_>,
    supervised: &Supervised,
    check: &HealthCheck,
    user: Option<User>,
) -> Result<Status, String> {
    let (begun, within) = (Instant::now(), check.within.min(call.timeout));
    loop {
        let why = match alive(supervised)? {
            Ok(status) => match probe::probe_as(check, &call.site.root, user.clone()).await {
                Ok(()) => return Ok(status),
                Err(error) => error.to_string(),
            },
            Err(why) => why,
        };
        if begun.elapsed() + check.every > within {
            let within = stratum_core::duration::format(within);
            return Err(format!("it was not healthy within {within}: {why}"));
        }
        tokio::time::sleep(check.every).await;
    }
}

async fn wait_until_settled(supervised: &Supervised) -> Result<Status, String> {
    tokio::time::sleep(SETTLE).await;
    alive(supervised)?
}

/// The status while the program runs, or when it is done; inside, why it does not run now.
///
/// *Errors*: one clause, when it will not run again by itself.
fn alive(supervised: &Supervised) -> Result<Result<Status, String>, String> {
    match supervised.life() {
        Life::Runs(status) | Life::Done(status) => Ok(Ok(status)),
        Life::Down(_, why) if supervised.is_supervised() => Ok(Err(why)),
        Life::Down(_, why) => Err(why),
        Life::Gone => Err("there is nothing of it".to_owned()),
    }
}

/// Whether a service that runs also works: one try of its health check.
///
/// *Errors*: why not, in one clause.
async fn works(call: Call<'_>, record: &Record) -> Result<(), String> {
    let Some(check) = health(record)? else {
        return Ok(());
    };
    let timeout = check.timeout.min(call.timeout);
    let check = HealthCheck { timeout, ..check };
    let probed = probe::probe_as(&check, &call.site.root, user(call, record)?).await;
    probed.map_err(|error| format!("it is not healthy: {error}"))
}

#[async_trait]
impl ResourceType for Service {
    fn schema(&self) -> &TypeSchema {
        &self.schema
    }

    fn runs(&self) -> bool {
        true
    }

    fn validate(&self, desired: &Record) -> Vec<Complaint> {
        let mut complaints: Vec<_> = complain_about_command(desired, "command")
            .into_iter()
            .collect();
        complaints.extend(sound::complain_about_words(desired, "command"));
        complaints.extend(sound::complain_about_path(desired, "dir"));
        for name in [ENV, FILES] {
            complaints.extend(sound::complain_about_variables(desired, name));
        }
        complaints.extend(sound::complain_about_user(desired));
        complaints.extend(both(desired));
        complaints.extend(complain_about_secrets(desired, &[ENV, FILES]));
        let health_is_known = desired.get("health").is_some_and(Value::is_known);
        if let (true, Err(why)) = (health_is_known, health(desired)) {
            let hint =
                "write for example `{ http = \"http://127.0.0.1:8080/\", within = \"30s\" }`";
            complaints.push(complaint(Path::of("health"), why, hint));
        }
        complaints
    }

    fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        let Some(desired) = call.desired else {
            return Ok(Proposal {
                planned: Record::new(),
                replace: Vec::new(),
                // What was stopped is started again from the same words: nothing is lost that a
                // restart would keep.
                reversibility: Reversibility::Reversible,
                ..Proposal::default()
            });
        };
        let mut planned = with_defaults(&self.schema, desired);
        let prior = call.prior.map(|prior| &prior.attributes);
        let kept = prior.filter(|prior| {
            ["command", ENV, FILES, "dir", "user", "restart"]
                .iter()
                .all(|name| same(prior, &planned, name))
        });
        let started_at = kept.and_then(|prior| prior.get(STARTED_AT)).cloned();
        planned.insert(STARTED_AT.to_owned(), started_at.unwrap_or(Value::Unknown));
        Ok(Proposal {
            planned,
            replace: Vec::new(),
            reversibility: Reversibility::Reversible,
            ..Proposal::default()
        })
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        let supervised = self.supervised(call.call);
        let known = &call.known.attributes;
        let (instance, why) = match supervised.life() {
            Life::Gone => return Ok(Reading::Gone),
            Life::Done(status) => {
                return Ok(Reading::There(as_it_is(call.call, known, &status)));
            }
            Life::Runs(status) => {
                let instance = as_it_is(call.call, known, &status);
                match works(call.call, known).await {
                    Ok(()) => return Ok(Reading::There(instance)),
                    Err(why) => (instance, why),
                }
            }
            Life::Down(Some(status), why) => {
                let instance = as_it_is(call.call, known, &status);
                let kept = supervised.is_supervised();
                let goes_on = kept || supervised.adoptable(&status.settings).is_some();
                match goes_on && status.can_be_adopted() {
                    true => (instance, why),
                    false => (not_running(instance), why),
                }
            }
            Life::Down(None, why) => (not_running(call.known.clone()), why),
        };
        let redactor = opened::redactor(call.call, known).await;
        let why = redactor.text(&why) + &supervised.last_words(&redactor);
        Ok(Reading::Stopped { instance, why })
    }

    async fn checkpoint(&self, _: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        Ok(Opaque::default())
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        match call.planned {
            Some(planned) => {
                self.may_start_again(&call, planned)?;
                let made = self.ensure(call.call, planned, call.token).await;
                made.map(Some)
            }
            None => {
                let supervised = self.supervised(call.call);
                supervised
                    .stop()
                    .await
                    .map_err(|error| broken(error.to_string()))?;
                supervised
                    .forget()
                    .map_err(|error| broken(error.to_string()))?;
                Ok(None)
            }
        }
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        match before(call.checkpoint) {
            Some(before) if before.attributes.contains_key(STARTED_AT) => {
                let back = self.ensure(call.call, &before.attributes, call.token).await;
                back.map(Some)
            }
            // It did not run, and was at most waiting to be started again by its supervisor.
            not_running => {
                let not_running = not_running.cloned();
                let supervised = self.supervised(call.call);
                let waits = not_running
                    .as_ref()
                    .is_some_and(|before| is_right(call.call, &supervised, &before.attributes));
                if !waits {
                    let stopped = supervised.stop().await;
                    stopped.map_err(|error| broken(error.to_string()))?;
                }
                Ok(not_running)
            }
        }
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        let supervised = self.supervised(call.call);
        let status = supervised
            .settled()
            .await
            .map_err(|error: ServiceError| ProviderError::person(error.to_string()))?;
        let Some(planned) = call.planned else {
            return Ok(if supervised.is_over() {
                Located::Done(None)
            } else {
                Located::NotDone
            });
        };
        let right = status.is_some_and(|status| status.settings == settings(call.call, planned));
        if !right {
            return Ok(Located::NotDone);
        }
        Ok(
            match wait_until_healthy(call.call, &supervised, planned).await {
                Ok(status) => Located::Done(Some(made(planned, &status))),
                Err(_) => Located::NotDone,
            },
        )
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        Err(ProviderError::input(format!(
            "`{}` cannot be adopted: stratum can only keep running what it started itself",
            call.call.address
        )))
    }
}
