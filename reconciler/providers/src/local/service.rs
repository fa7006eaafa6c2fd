//! `local_service`: a program that is kept running.
//!
//! - Secrets may stand in `env`, and better in `files`: each variable there names a file that is in
//!   memory only, and that only the program, what it starts, and its user can open.
//! - A change of `command`, `env`, `files`, `dir` or `restart` restarts it; a change of `health` alone only
//!   tries the new check.
//! - A step is done when the health check passed; without one, when the program still runs a
//!   moment after it was started.
//! - A stop is SIGTERM to the program's group, and SIGKILL ten seconds later.
//! - Logs are `.stratum/services/<name>/stdout.log` and `stderr.log` in the environment's root;
//!   one larger than 10 MiB is put aside as `.log.1` when the program is started. They stay when a
//!   start is rolled back, and go with a delete.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::digest::Digest;
use stratum_core::ids::Token;
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, Effect, ImportCall, LocateCall,
    Located, PlanCall, Probe as _, Proposal, ProviderError, ReadCall, Reading, RestoreCall,
    SecretError, TypeSchema, ValueType,
};
use stratum_core::resource::{HealthCheck, Instance, Opaque};
use stratum_core::value::{Path, Record, Value};

use super::attributes::{before, broken, instance, own_folder, refused, working_folder};
use super::opened::{self, ENV, FILES};
use super::supervised::{ServiceError, Supervised};
use crate::probe::{self, HealthProbe};
use crate::process::{Phase, Settings, Status, Supervision};
use crate::schema::{
    attributes, complain_about_command, complain_about_secrets, complaint, computed, defaulting,
    given, optional, required, same, text, text_map, texts, with_defaults,
};
use crate::types::ResourceType;

/// What a program without a health check must survive to count as started.
const SETTLE: Duration = Duration::from_millis(100);

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
                ("restart", defaulting(restart, "always")),
                (
                    "health",
                    optional("When it counts as working.", health_schema()),
                ),
                (
                    "started_at",
                    computed("When stratum started it (UTC).", ValueType::Text),
                ),
            ]),
        };
        Self { schema, program }
    }

    fn supervised(&self, call: Call<'_>) -> Supervised {
        Supervised {
            folder: own_folder(call.site, "services", call.address),
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
        let running = supervised.status();
        let right = running.filter(|status| status.settings == settings(record));
        if right.is_none() {
            let supervision = supervision(call, &supervised, record, token).await;
            let supervision =
                supervision.map_err(|error| refused(error.to_string(), error.retry()))?;
            supervised
                .stop()
                .await
                .map_err(|error| broken(error.to_string()))?;
            std::fs::create_dir_all(&call.site.root).map_err(|error| {
                ApplyError::nothing_happened(format!("could not make the root: {error}"))
            })?;
            supervised
                .start(&supervision)
                .await
                .map_err(|error| broken(error.to_string()))?;
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

/// What makes one service differ from another.
fn settings(record: &Record) -> Settings {
    Settings {
        command: texts(record, "command").unwrap_or_default(),
        dir: text(record, "dir").map(str::to_owned),
        restart: text(record, "restart").unwrap_or("always").to_owned(),
        env: env_digest(record),
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
) -> Result<Supervision, SecretError> {
    let mut given = opened::given(call, record).await?;
    let mut env = std::mem::take(&mut given.env);
    env.insert("STRATUM_ADDRESS".to_owned(), call.address.to_string());
    Ok(Supervision {
        settings: settings(record),
        env,
        files: std::mem::take(&mut given.files),
        dir: working_folder(call.site, text(record, "dir")),
        folder: supervised.folder.clone(),
        token: token.as_str().to_owned(),
        started_at: Timestamp::now().to_string(),
    })
}

fn made(record: &Record, status: &Status) -> Instance {
    let mut record = record.clone();
    let started_at = Value::text(status.started_at.clone());
    record.insert("started_at".to_owned(), started_at);
    instance(record)
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
        Some(check) => wait_for_check(call, supervised, &check).await,
        None => wait_until_settled(supervised).await,
    }
}

async fn wait_for_check(
    call: Call<'_>,
    supervised: &Supervised,
    check: &HealthCheck,
) -> Result<Status, String> {
    let (begun, within) = (Instant::now(), check.within.min(call.timeout));
    loop {
        let why = match alive(supervised)? {
            Some(status) => match HealthProbe.probe(check, &call.site.root).await {
                Ok(()) => return Ok(status),
                Err(error) => error.to_string(),
            },
            None => "its program keeps ending".to_owned(),
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
    match alive(supervised)? {
        Some(status) if status.restarts == 0 => Ok(status),
        Some(_) | None => Err("its program ended as soon as it was started".to_owned()),
    }
}

/// The status while the program runs; `None` while it waits to be started again.
///
/// *Errors*: one clause, when it will not run again by itself.
fn alive(supervised: &Supervised) -> Result<Option<Status>, String> {
    let Some(status) = supervised.status() else {
        return Err(match supervised.last_phase() {
            Some(Phase::Ended(how) | Phase::NeverRan(how)) => format!("its program {how}"),
            Some(Phase::Running(_) | Phase::Waiting(_)) | None => {
                "the process that supervises it is gone".to_owned()
            }
        });
    };
    match &status.phase {
        Phase::Running(_) => Ok(Some(status)),
        Phase::Waiting(_) => Ok(None),
        Phase::Ended(how) | Phase::NeverRan(how) => Err(format!("its program {how}")),
    }
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
            ["command", ENV, FILES, "dir", "restart"]
                .iter()
                .all(|name| same(prior, &planned, name))
        });
        let started_at = kept.and_then(|prior| prior.get("started_at")).cloned();
        planned.insert(
            "started_at".to_owned(),
            started_at.unwrap_or(Value::Unknown),
        );
        Ok(Proposal {
            planned,
            replace: Vec::new(),
            reversibility: Reversibility::Reversible,
            ..Proposal::default()
        })
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        let Some(status) = self.supervised(call.call).status() else {
            return Ok(Reading::Gone);
        };
        let mut record = call.known.attributes.clone();
        let (now, known) = (&status.settings, settings(&record));
        if now.command != known.command {
            let words = now.command.iter().map(Value::text);
            record.insert("command".to_owned(), Value::List(words.collect()));
        }
        if now.restart != known.restart {
            record.insert("restart".to_owned(), Value::text(now.restart.clone()));
        }
        if now.dir != known.dir {
            let dir = now.dir.clone().map_or(Value::Null, Value::Text);
            record.insert("dir".to_owned(), dir);
        }
        if now.env != known.env {
            record.insert(ENV.to_owned(), Value::Null);
        }
        Ok(Reading::There(made(&record, &status)))
    }

    async fn checkpoint(&self, _: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        Ok(Opaque::default())
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        match call.planned {
            Some(planned) => {
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
            Some(before) => {
                let back = self.ensure(call.call, &before.attributes, call.token).await;
                back.map(Some)
            }
            None => {
                let stopped = self.supervised(call.call).stop().await;
                stopped
                    .map(|()| None)
                    .map_err(|error| broken(error.to_string()))
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
            let gone = !supervised.is_supervised() && supervised.leftover().is_none();
            return Ok(if gone {
                Located::Done(None)
            } else {
                Located::NotDone
            });
        };
        let right = status.is_some_and(|status| status.settings == settings(planned));
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
