//! The chapter about who may do what: a change that waits, and an approval by a signed tag.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stratum_core::approve::command;

use super::example;
use super::stage::git;
use super::story::Teller;
use crate::failure::CommandError;
use crate::style::one_line;

const PEOPLE: [&str; 2] = ["ada", "ben"];

impl Teller<'_> {
    /// Ada changes a protected environment, and Ben approves it. Without `ssh-keygen`, which makes
    /// keys and signs for git, it is only told.
    pub(super) async fn guarded_change(&mut self) -> Result<(), CommandError> {
        self.chapter("6", "Who may do that");
        let keys = self.stage.folder().join("keys");
        if !make_keys(&keys)? {
            self.say(
                "With `ssh-keygen` on this machine you would see a change that is denied, and",
            );
            self.say("an approval by a signed tag. It is not installed, so this chapter is short.");
            return Ok(());
        }
        self.say("Ada and Ben put their keys into trust/, and label production as protected.");
        let clone = self.stage.clone_folder();
        write_trust(&clone, &keys)?;
        let (old, new) = (
            "audience = \"customers\"",
            "audience = \"customers\", protected = \"true\"",
        );
        example::edit(&clone, "stratum.ncl", old, new)?;
        example::edit(&clone, "stratum.ncl", "  signatures = 'off,\n", "")?;
        self.command("git commit -m \"Only together\" && git push");
        self.stage.commit("Only together")?;
        let commit = self.stage.push()?;
        self.stage.arrived(&commit, "production").await?;

        self.say("\nFrom now on commits must be signed, and production needs two people. Ada:");
        let page = "Fresh bread every morning";
        example::edit(
            &clone,
            &example::shop("production"),
            page,
            "Fresh bread, and croissants",
        )?;
        self.command("git commit -S -am \"Announce the croissants\" && git push");
        sign(
            &clone,
            &keys,
            "ada",
            &["commit", "-q", "-S", "-am", "Announce the croissants"],
        )?;
        let commit = self.stage.push()?;
        let denied = self.stage.denied(&commit, "production").await?;
        self.heading("denied in production");
        self.indented(&one_line(&denied.reason));
        self.served();

        // As Ben would copy it from what was said.
        let mut words = denied.reason.split_whitespace();
        let tag = words.find(|word| word.starts_with("stratum/approve/"));
        let Some(tag) = tag.map(str::to_owned) else {
            return Err(CommandError::machine(
                "the denial does not say how to approve it",
            ));
        };
        self.say("\nBen looks at that plan, and says so with a signed tag:");
        self.say(&command(&tag));
        sign(
            &clone,
            &keys,
            "ben",
            &["tag", "-s", &tag, "-m", "looks tasty"],
        )?;
        git(&clone, &["push", "-q", "origin", &tag])?;
        let runs = self.stage.outcome(&commit, &["production"]).await?;
        self.happened(&runs);
        self.served();
        Ok(())
    }
}

/// Makes a key for each person; `false` where there is no `ssh-keygen`.
fn make_keys(folder: &Path) -> Result<bool, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::machine("the keys of the demo could not be made").because(&error)
    };
    fs::create_dir_all(folder).map_err(failed)?;
    for name in PEOPLE {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]);
        command.arg(folder.join(name)).stdin(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => return Err(CommandError::machine("`ssh-keygen` made no key")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(true)
}

fn write_trust(clone: &Path, keys: &Path) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::machine("the trust of the demo could not be written").because(&error)
    };
    let folder = clone.join("trust/people");
    fs::create_dir_all(&folder).map_err(failed)?;
    for name in PEOPLE {
        let public = fs::read_to_string(public(keys, name)).map_err(failed)?;
        let file = folder.join(format!("{name}.toml"));
        // Ada is there already, with the key that she seals with.
        let there = fs::read_to_string(&file).unwrap_or_default();
        let text = format!("ssh = [\"{}\"]\n{there}", public.trim());
        fs::write(file, text).map_err(failed)?;
    }
    Ok(())
}

fn public(keys: &Path, name: &str) -> PathBuf {
    keys.join(format!("{name}.pub"))
}

/// Runs git with somebody's key.
fn sign(clone: &Path, keys: &Path, who: &str, arguments: &[&str]) -> Result<String, CommandError> {
    let key = format!("user.signingkey={}", keys.join(who).display());
    let mut all = vec!["-c", "gpg.format=ssh", "-c", &key];
    all.extend(arguments);
    git(clone, &all)
}
