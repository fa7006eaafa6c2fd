//! `stratum reconcile`

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stratum_assembly::identity::{Guarded, NOT_LOCKED};
use stratum_assembly::telling::{self, TELLING, Telling};
use stratum_assembly::{absolute, engine, keys};
use stratum_core::condition::Condition;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Leases as _, Loader, RunOutcome};
use stratum_forge::announce::Announcer;
use stratum_forge::github::GitHub;
use stratum_repo::{GitRepository, RefWatcher};
use stratum_runtime::{
    EnvironmentReport, Options, Progress, ProgressSink, Reconciler, Roots, Stop,
};
use stratum_server::{Engine, Parts, Tls, Webhook};
use stratum_store::SqliteStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::commands::status;
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::forge::ForgeArguments;
use crate::git;
use crate::log;
use crate::show;
use crate::show::live::Board;
use crate::style::{Theme, one_line};
use crate::ui::{Loudness, Ui};

/// Refs are looked at this often even when nothing woke the reconciler.
const POLL: Duration = Duration::from_secs(30);

/// A lease whose holder cannot be told to live is free after this long.
const LEASE: Duration = Duration::from_secs(60);

/// Watches the repository: plans, judges, applies and records what is pushed
///
/// It runs until it is told to stop. SIGTERM or Ctrl-C let it finish what is in flight; whatever
/// way it ends, it goes on from there when it is started again.
#[derive(Debug, clap::Args)]
pub(crate) struct ReconcileArguments {
    /// Look at every environment once, and end
    #[arg(long)]
    once: bool,

    /// The identity that opens secrets; the first of several is the one in use [default:
    /// $STRATUM_IDENTITY, then the configuration folder]
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,

    /// The key that seals what the reconciler makes for the repository [default: $STRATUM_SEALER,
    /// then the configuration folder]
    #[arg(long, value_name = "FILE")]
    sealer: Option<PathBuf>,

    /// Put the local resources of each environment under DIR, for a trial
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Give DIR, and what lies in it, to environments whose settings name a place there; more can
    /// be named in the file `<state>.roots`, one a line
    #[arg(long, value_name = "DIR", env = "STRATUM_ROOTS", value_delimiter = ':')]
    roots: Vec<PathBuf>,

    /// Answer at ADDRESS:PORT: /webhook, /healthz, /readyz, /metrics
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "STRATUM_LISTEN",
        conflicts_with = "once"
    )]
    listen: Option<SocketAddr>,

    /// Encrypt what is answered: the certificates in PEM, that of the server first; SIGHUP reads
    /// them again
    #[arg(
        long,
        value_name = "PATH",
        env = "STRATUM_TLS_CERT",
        requires_all = ["listen", "tls_key"]
    )]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate, in PEM
    #[arg(
        long,
        value_name = "PATH",
        env = "STRATUM_TLS_KEY",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,

    /// The file with the secret of the webhook; two lines while it is changed
    #[arg(
        long,
        value_name = "PATH",
        env = "STRATUM_WEBHOOK_SECRET_FILE",
        requires = "listen"
    )]
    webhook_secret_file: Option<PathBuf>,

    /// Judge this environment without the policies of the repository, by those that ship alone:
    /// the way back where policies let nobody change them any more; it is written into the audit log
    #[arg(long, value_name = "ENVIRONMENT")]
    without_policies: Vec<EnvironmentName>,

    /// The file with the token that shows `/metrics` and the reasons of `/readyz` to others than
    /// this machine, as `Authorization: Bearer`
    #[arg(
        long,
        value_name = "PATH",
        env = "STRATUM_METRICS_TOKEN_FILE",
        requires = "listen"
    )]
    metrics_token_file: Option<PathBuf>,

    /// The form of the log on stderr
    #[arg(
        long,
        value_name = "FORM",
        default_value = "text",
        env = "STRATUM_LOG_FORM"
    )]
    log: log::Form,

    /// The forge that is told.
    #[command(flatten)]
    forge: ForgeArguments,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &ReconcileArguments) -> Result<Exit, CommandError> {
    stratum_seal::memory::stay_small();
    let voice = Voice::new(context, arguments.log);
    let done = begin(context, arguments, &voice);
    match done {
        // In the log of a service even the last words are an object.
        Err(error) if arguments.log == log::Form::Json => {
            let text = error.render(&Theme::PLAIN);
            tracing::error!(hints = ?error.hints(), "{}", one_line(&text));
            Ok(error.exit())
        }
        done => done,
    }
}

fn begin(
    context: &Context,
    arguments: &ReconcileArguments,
    voice: &Voice,
) -> Result<Exit, CommandError> {
    let place = context.place_to_work_on()?;
    warn_of_a_clone(voice, &place);
    if arguments.once {
        // Whoever watches waits for the first commit; who looks once would see nothing.
        place.repository.require_commit()?;
    }
    let work = work(context, arguments, voice, &place);
    let done = match arguments.once {
        true => context.block_on(work),
        false => context.block_on_many(work),
    };
    place.repository.end();
    done
}

/// Who reconciles a clone for the first time may have meant what it was cloned from.
fn warn_of_a_clone(voice: &Voice, place: &Place) {
    let repository = &place.repository;
    if repository.is_bare() || repository.is_mirror() || place.state.exists() {
        return;
    }
    let origin = git::text(
        repository.git_dir(),
        &["config", "--get", "remote.origin.url"],
    );
    // Its address may hold a password, and is not shown.
    if origin.is_ok() {
        voice.say(
            "this is a clone, and gets a state and a world of its own; to reconcile its `origin`, \
             end this, and say `--repo`, or `export STRATUM_REPO=...` here too",
        );
    }
}

/// Opens the state, and what opens secrets.
async fn open(
    arguments: &ReconcileArguments,
    voice: &Voice,
    place: &Place,
) -> Result<Guarded, CommandError> {
    let guarded = engine::open(place, &arguments.identity).await?;
    if !guarded.hardening.keys_locked {
        voice.say(NOT_LOCKED);
    }
    Ok(guarded)
}

async fn work(
    context: &Context,
    arguments: &ReconcileArguments,
    voice: &Voice,
    place: &Place,
) -> Result<Exit, CommandError> {
    let patience = arguments.once.then_some(TELLING / 4);
    let forge = arguments.forge.client(patience)?;
    let webhook = Arc::new(Webhook::new(
        arguments.webhook_secret_file.clone(),
        arguments.forge.repository().map(str::to_owned),
    )?);
    let tls = tls(arguments)?;
    let listener = match arguments.listen {
        Some(address) => Some(stratum_server::bind(address).await?),
        None => None,
    };
    let guarded = open(arguments, voice, place).await?;
    let store = Arc::clone(&guarded.store);
    let stop = Stop::default();
    let wake = Arc::new(match arguments.once {
        true => RefWatcher::idle(),
        false => RefWatcher::new(&place.repository),
    });
    let announcer = telling::announcer(forge.as_ref(), &store).await?;
    let token = stratum_server::token(arguments.metrics_token_file.as_deref())?;
    let engine = Engine::new(Arc::clone(&store), place.state.clone());
    let told = announcer.clone().map(telling::telling);
    let sink = sink(voice, Arc::clone(&engine), told);
    let options = options(arguments, place)?;
    let ports = engine::ports(place, &guarded, arguments.sealer.clone(), Arc::clone(&wake))?;
    let loader = Arc::clone(&ports.loader);
    let reconciler = Reconciler::new(ports, options, sink, stop.clone());
    let parts = parts(engine, webhook, &wake, forge.zip(announcer.clone()));
    let ending = Ending {
        stop: stop.clone(),
        loader,
        repository: Arc::clone(&place.repository),
    };
    listen(voice, &parts, tls.clone(), wake, ending)?;
    if arguments.once {
        let reports = reconciler.run_once().await?;
        telling::tell_once(announcer.as_deref()).await;
        return finish_once(context, place, &store, &reports).await;
    }
    if let Some(Ok(address)) = listener.as_ref().map(TcpListener::local_addr) {
        let scheme = if tls.is_some() { "https" } else { "http" };
        voice.say(&format!("answering at {scheme}://{address}"));
    }
    let server = stratum_server::compose(token, parts).encrypted(tls);
    let answering = server.start(listener, stop.clone());
    if let Err(error) = guarded.listen(place) {
        voice.say(&format!(
            "`stratum secrets unseal` will not be heard: {error}"
        ));
    }
    // It is known to live even while it holds no lease, as where all were at rest.
    store.holder().await?;
    let where_from = place.repository.location();
    voice.say(&format!("watching `{where_from}`; Ctrl-C ends it"));
    let ended = reconciler.run().await;
    stop.stop();
    context.ui.redraw(Vec::new());
    answering.ended().await;
    store.close().await;
    ended?;
    voice.say("stopped; nothing is left in flight");
    Ok(Exit::Done)
}

/// What is answered is encrypted with, where that was asked for.
fn tls(arguments: &ReconcileArguments) -> Result<Option<Arc<Tls>>, CommandError> {
    let files = arguments.tls_cert.clone().zip(arguments.tls_key.clone());
    let tls = files.map(|(certificates, key)| Tls::read(certificates, key));
    Ok(tls.transpose()?.map(Arc::new))
}

/// The subsystems of this process, for its server.
fn parts(
    engine: Arc<Engine>,
    webhook: Arc<Webhook>,
    wake: &Arc<RefWatcher>,
    forge: Option<(Arc<GitHub>, Arc<Announcer>)>,
) -> Parts {
    let wake = Arc::clone(wake);
    Parts {
        engine,
        webhook,
        poke: Arc::new(move || wake.poke()),
        forge,
    }
}

async fn finish_once(
    context: &Context,
    place: &Place,
    store: &SqliteStore,
    reports: &[EnvironmentReport],
) -> Result<Exit, CommandError> {
    context.ui.redraw(Vec::new());
    answer(context, place, store, reports).await?;
    store.close().await;
    Ok(exit_of(reports))
}

fn options(arguments: &ReconcileArguments, place: &Place) -> Result<Options, CommandError> {
    let trial = arguments.root.as_deref().map(absolute).transpose()?;
    Ok(Options {
        roots: Roots {
            state_folder: place.state_folder().to_owned(),
            own: place.own_folder(),
            trial,
            named: place.named_roots(&arguments.roots)?,
            hidden: hidden(arguments, place)?,
            file: place.roots_file(),
        },
        poll: POLL,
        lease_ttl: LEASE,
        inline: false,
        without_policies: arguments.without_policies.iter().cloned().collect(),
    })
}

/// What isolated programs see nothing of: the state, every key that this process was given or would
/// find by itself, and the home of its user.
fn hidden(arguments: &ReconcileArguments, place: &Place) -> Result<Vec<PathBuf>, CommandError> {
    let named = [
        &arguments.sealer,
        &arguments.webhook_secret_file,
        &arguments.metrics_token_file,
        &arguments.tls_key,
    ];
    let named = arguments.identity.iter().chain(named.into_iter().flatten());
    let named: Vec<PathBuf> = named.map(|path| absolute(path)).collect::<Result<_, _>>()?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.filter(|home| home.parent().is_some());
    let mut hidden = vec![place.state_folder().to_owned()];
    hidden.extend(home);
    hidden.extend(keys::private_places());
    hidden.extend(named);
    Ok(hidden)
}

/// Shows what happens: lines that stay, and on a terminal a tree that is redrawn.
fn sink(voice: &Voice, engine: Arc<Engine>, told: Option<mpsc::Sender<Telling>>) -> ProgressSink {
    let voice = voice.clone();
    let board = Mutex::new(Board::new(voice.every_step));
    let planned = Mutex::new(BTreeMap::new());
    Arc::new(move |progress: &Progress| {
        engine.take(progress);
        if let Some(told) = &told {
            telling::tell(told, &planned, progress);
        }
        let Some(ui) = &voice.terminal else {
            return log::progress(progress);
        };
        let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = board.take(ui.side_theme(), progress);
        if ui.is_live() {
            ui.redraw(board.tree(ui.side_theme()));
        }
        for line in lines {
            ui.say(&line);
        }
    })
}

/// Says things to a person, or logs them.
#[derive(Clone)]
struct Voice {
    /// `None`: everything is an object in the log.
    terminal: Option<Ui>,
    every_step: bool,
}

impl Voice {
    fn new(context: &Context, form: log::Form) -> Self {
        let (ui, verbose) = (context.ui.clone(), context.global.verbose);
        let terminal = match form {
            log::Form::Text => {
                log::start(&ui, verbose);
                Some(ui)
            }
            log::Form::Json => {
                log::start_json(&ui, verbose);
                None
            }
        };
        Self {
            terminal,
            every_step: verbose > 0,
        }
    }

    fn say(&self, text: &str) {
        match &self.terminal {
            Some(ui) => ui.say(text),
            None => tracing::info!("{text}"),
        }
    }
}

/// What is told that the process is to end.
struct Ending {
    stop: Stop,
    loader: Arc<dyn Loader>,
    repository: Arc<GitRepository>,
}

impl Ending {
    fn begin(&self) {
        self.stop.stop();
        self.loader.stop();
        self.repository.hurry();
    }
}

/// The first signal lets what is in flight end; the second ends the process, which is safe too.
/// SIGHUP reads secrets again, and the repository at once.
fn listen(
    voice: &Voice,
    parts: &Parts,
    tls: Option<Arc<Tls>>,
    wake: Arc<RefWatcher>,
    ending: Ending,
) -> Result<(), CommandError> {
    let take = |kind: SignalKind| {
        signal(kind)
            .map_err(|error| CommandError::machine("signals cannot be listened to").because(&error))
    };
    let mut terminate = take(SignalKind::terminate())?;
    let mut interrupt = take(SignalKind::interrupt())?;
    let mut hangup = take(SignalKind::hangup())?;
    let (own, stopped) = (voice.clone(), Arc::clone(&parts.engine));
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        own.say("stopping: what is in flight ends first (again to end at once)");
        stopped.stopping();
        ending.begin();
        either(&mut terminate, &mut interrupt).await;
        own.say("ended at once; the next start goes on where this one was");
        ending.repository.end();
        std::process::exit(i32::from(Exit::Internal.code()));
    });
    let (own, webhook) = (voice.clone(), Arc::clone(&parts.webhook));
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let read = webhook.reload();
            match read.and_then(|()| tls.as_ref().map_or(Ok(()), |tls| tls.reload())) {
                Ok(()) => own.say("secrets are read again, and the repository is looked at"),
                Err(error) => {
                    let text = one_line(&CommandError::from(error).render(&Theme::PLAIN));
                    own.say(&format!("{text}; the secrets from before stay"));
                }
            }
            wake.poke();
        }
    });
    Ok(())
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
    }
}

/// How things stand after one look.
async fn answer(
    context: &Context,
    place: &Place,
    store: &SqliteStore,
    reports: &[EnvironmentReport],
) -> Result<(), CommandError> {
    let ui = &context.ui;
    if ui.loudness() > Loudness::Quiet {
        for report in reports.iter().filter(|report| !report.findings.is_empty()) {
            let text = |path: &str| report_text(place, report, path);
            let findings = show::finding::findings(ui.side_theme(), &report.findings, &text);
            ui.say(&findings);
        }
    }
    let view = status::view(place, Some(store)).await?;
    status::answer(context, &view)
}

fn report_text(place: &Place, report: &EnvironmentReport, path: &str) -> Option<String> {
    use stratum_core::ports::Repository as _;
    let tree = place.repository.tree(report.commit.as_ref()?).ok()?;
    crate::commands::check::text(tree.as_ref(), path)
}

/// 0 when all are Ready, 1 when one is not, 4 when it is policy that keeps one from it.
fn exit_of(reports: &[EnvironmentReport]) -> Exit {
    let exit = |report: &EnvironmentReport| match (report.outcome, report.condition) {
        (Some(RunOutcome::Denied), _) => Exit::Denied,
        (Some(RunOutcome::RolledBack | RunOutcome::Stuck), _) => Exit::Wrong,
        (
            Some(RunOutcome::Applied | RunOutcome::Nothing) | None,
            Condition::Stalled | Condition::Unknown | Condition::Reconciling,
        ) => Exit::Wrong,
        (
            Some(RunOutcome::Applied | RunOutcome::Nothing) | None,
            Condition::Ready | Condition::Suspended,
        ) => Exit::Done,
    };
    reports.iter().map(exit).max().unwrap_or(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(condition: Condition, outcome: Option<RunOutcome>) -> EnvironmentReport {
        EnvironmentReport {
            environment: EnvironmentName::new("e").unwrap(),
            condition,
            reason: String::new(),
            commit: None,
            run: None,
            outcome,
            findings: Vec::new(),
            failed: None,
        }
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let ready = report(Condition::Ready, Some(RunOutcome::Applied));
        let back = report(Condition::Stalled, Some(RunOutcome::RolledBack));
        let denied = report(Condition::Stalled, Some(RunOutcome::Denied));
        let held = report(Condition::Stalled, None);
        assert_eq!(exit_of(std::slice::from_ref(&ready)), Exit::Done);
        assert_eq!(exit_of(&[ready.clone(), back]), Exit::Wrong);
        assert_eq!(exit_of(&[ready.clone(), held]), Exit::Wrong);
        assert_eq!(exit_of(&[ready, denied]), Exit::Denied);
    }
}
