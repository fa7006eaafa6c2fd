//! `stratum secrets split`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use stratum_assembly::{crypto, keys};
use stratum_core::secret::Secret;
use stratum_seal::{keys as files, share};

use super::keygen::{failed, unwritten};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Splits an identity into shares, of which some open a reconciler
///
/// Each share is written to a file of its own, `<prefix>-<number>.share`, for its owner only. The
/// identity itself stays where it is: remove it once the shares are handed out and tried.
#[derive(Debug, Args)]
pub(crate) struct SplitArguments {
    /// How many shares there are
    #[arg(long, value_name = "N")]
    shares: u8,

    /// How many of them open it
    #[arg(long, value_name = "K")]
    threshold: u8,

    /// The identity [default: $STRATUM_IDENTITY, then the configuration folder]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,

    /// What the names of the files begin with [default: the name of the identity]
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &SplitArguments) -> Result<Exit, CommandError> {
    let crypto = crypto()?;
    let identities = keys::identities(&crypto, arguments.identity.as_ref())?;
    let [identity] = identities.as_slice() else {
        return Err(CommandError::given("the file holds more than one identity")
            .hint("put the one that shall be split into a file of its own"));
    };
    let shares = share::split(&crypto, identity, arguments.threshold, arguments.shares);
    let shares = shares.map_err(|error| {
        CommandError::given("the identity cannot be split")
            .because(&error)
            .hint("for example `--shares 5 --threshold 3`")
    })?;
    let prefix = match &arguments.out {
        Some(prefix) => prefix.clone(),
        None => keys::identity_path(arguments.identity.as_ref())
            .unwrap_or_default()
            .with_extension(""),
    };
    let mut written = Vec::new();
    for share in &shares {
        let mut name = prefix.clone().into_os_string();
        name.push(format!("-{}.share", share.index()));
        let path = PathBuf::from(name);
        let text: Secret = share.to_text(&crypto).map_err(|error| failed(&error))?;
        files::write_private(&path, &text).map_err(unwritten)?;
        written.push(path);
    }
    if context.global.json {
        let answer = json!({
            "version": 1, "shares": arguments.shares, "threshold": arguments.threshold,
            "files": written,
        });
        context.ui.answer_json(&answer)?;
    } else {
        for path in &written {
            context.ui.answer(&format!("{}\n", path.display()));
        }
    }
    context.ui.hint(&format!(
        "give each to another person; any {} of them: `stratum secrets unseal --share FILE`",
        arguments.threshold
    ));
    Ok(Exit::Done)
}
