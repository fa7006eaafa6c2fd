//! The program that the tests of this crate re-execute.
//!
//! `helper drive ROOT COUNT` plays the reconciler: it applies COUNT `local_exec` steps, eight at a
//! time, and is there to be killed. `helper attempt` says whether programs can be isolated here.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use stratum_core::ids::{Address, RunId, StepId, Token};
use stratum_core::ports::{ApplyCall, Call, NoSecrets, Provider, Site};
use stratum_core::resource::{Checkpoint, Opaque};
use stratum_core::value::Record;
use stratum_providers::{TypedProvider, local};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = stratum_providers::reexec::run(words.first().map(String::as_str)) {
        return code;
    }
    match words.as_slice() {
        [verb, root, count] if verb == "drive" => match drive(root, count) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        [verb] if verb == "attempt" => {
            let nobody = rustix::process::geteuid().is_root().then_some("nobody");
            match stratum_providers::reexec::attempt_isolation(nobody) {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => {
                    use std::io::Write as _;
                    let _nobody_reads = writeln!(std::io::stderr(), "{why}");
                    ExitCode::FAILURE
                }
            }
        }
        _ => ExitCode::FAILURE,
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn drive(root: &str, count: &str) -> Result<(), Failure> {
    let count: u32 = count.parse()?;
    let site = Arc::new(Site {
        root: root.into(),
        roots: Vec::new(),
        own: std::path::Path::new(root).with_file_name("own").join("t"),
        user: None,
        isolation: None,
    });
    let provider = Arc::new(local::provider(std::env::current_exe()?)?);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let places = Arc::new(tokio::sync::Semaphore::new(8));
        let mut steps = tokio::task::JoinSet::new();
        for step in 0..count {
            let place = Arc::clone(&places).acquire_owned().await?;
            let (provider, site) = (Arc::clone(&provider), Arc::clone(&site));
            steps.spawn(async move {
                let applied = apply(&provider, &site, step).await;
                drop(place);
                applied
            });
        }
        while let Some(done) = steps.join_next().await {
            done??;
        }
        Ok(())
    })
}

async fn apply(provider: &TypedProvider, site: &Site, step: u32) -> Result<(), Failure> {
    let address: Address = format!("test/local_exec.s{step}").parse()?;
    let planned: Record = stratum_core::value::stored::record(
        r#"{"create": ["sh", "-c", "sleep 0.02; echo x >> ran/${STRATUM_ADDRESS##*.}; sleep 0.02"],
            "timeout": "10m", "output": null}"#,
    )?;
    let call = ApplyCall {
        call: Call {
            address: &address,
            site,
            timeout: Duration::from_secs(60),
            secrets: &NoSecrets,
            stop: None,
            notes: None,
        },
        token: &Token::of(&RunId::new("drive")?, StepId(step)),
        prior: None,
        planned: Some(&planned),
        config: Some(&planned),
        private: &Opaque::default(),
        checkpoint: &Checkpoint {
            before: None,
            kept: Opaque::default(),
        },
    };
    provider.apply(call).await?;
    Ok(())
}
