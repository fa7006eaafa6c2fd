//! The chapters about secrets: keys of one's own, a secret that changes, and one in a wrong place.

use std::fs;

use stratum_core::ports::Unfinished;
use stratum_core::record;
use zeroize::Zeroizing;

use super::page;
use super::stage::{git, stratum};
use super::story::Teller;
use crate::failure::CommandError;
use crate::style::{harmless, one_line};

/// The identity that opens the secrets of the demo, in its folder.
pub(super) const IDENTITY: &str = "shop.identity";

/// The key of the person who seals, in the folder of the demo.
const SEALER: &str = "ada.sealer";

/// The recipient that the example names, and whose identity nobody has.
const NOBODY: &str = "trust/recipients/bakery.toml";

/// The sealed value that the story is about.
const TOKEN: [&str; 2] = ["production/orders", "token"];

impl Teller<'_> {
    /// Makes a sealer's key and an identity, and seals new tokens, as somebody would who copies the
    /// example.
    pub(super) fn own_keys(&self) -> Result<(), CommandError> {
        let (sealer, identity) = (beside(SEALER), beside(IDENTITY));
        self.stratum(&[
            "secrets", "keygen", "sealer", "--name", "ada", "--out", &sealer, "--trust",
        ])?;
        self.stratum(&[
            "secrets",
            "keygen",
            "identity",
            "--name",
            "shop",
            "--out",
            &identity,
            "--trust",
            "--environment",
            "staging",
            "--environment",
            "production",
        ])?;
        self.command(&format!("rm {NOBODY}"));
        fs::remove_file(self.stage.clone_folder().join(NOBODY)).map_err(|error| {
            CommandError::machine(format!("`{NOBODY}` of the example could not be removed"))
                .because(&error)
        })?;
        self.seal("staging/orders")?;
        self.seal("production/orders")
    }

    fn seal(&self, place: &str) -> Result<(), CommandError> {
        let sealer = beside(SEALER);
        let [_, key] = TOKEN;
        self.stratum(&[
            "secrets",
            "seal",
            place,
            key,
            "--generate",
            "--sealer",
            &sealer,
        ])
    }

    /// Shows a command of this program, and carries it out in the clone.
    fn stratum(&self, arguments: &[&str]) -> Result<(), CommandError> {
        self.command(&format!("stratum {}", arguments.join(" ")));
        stratum(&self.stage.clone_folder(), arguments).map(|_| ())
    }

    /// The token of production, for whoever has the identity.
    fn token(&self) -> Result<Zeroizing<String>, CommandError> {
        let identity = beside(IDENTITY);
        let [place, key] = TOKEN;
        let arguments = ["secrets", "open", place, key, "--identity", &identity];
        stratum(&self.stage.clone_folder(), &arguments).map(Zeroizing::new)
    }

    /// A new version of a secret, and then one that was put in a wrong place.
    pub(super) async fn changed_secret(&mut self) -> Result<(), CommandError> {
        self.chapter("5", "A secret changes");
        self.say(
            "Somebody leaves, so the token of the order book is to be another one. It is made and",
        );
        self.say("sealed in one go, and nobody sees it:");
        let old = self.token()?;
        let [place, _] = TOKEN;
        self.seal(place)?;
        let new = self.token()?;
        let message = "A new token for the order book";
        self.command(&format!("git commit -am \"{message}\""));
        self.stage.commit(message)?;
        let commit = self.push()?;
        let runs = self.stage.outcome(&commit, &["production"]).await?;
        self.planned(&runs, true);
        self.happened(&runs);
        let orders = self.ports.orders;
        self.heading(&format!("asked at http://127.0.0.1:{orders}/"));
        self.asked("without a token", page::visit(orders));
        self.asked("with the old one", page::visit_with(orders, &old));
        self.asked("with the new one", page::visit_with(orders, &new));
        if let Some((_, run)) = runs.first() {
            self.noted(run)?;
        }
        self.wrong_place(&new).await
    }

    fn asked(&self, how: &str, answer: std::io::Result<Vec<String>>) {
        let words = match answer {
            Ok(lines) => lines.join(" / "),
            Err(error) => format!("nothing: {error}"),
        };
        self.indented(&format!("{how}: {}\n", harmless(&words)));
    }

    /// What the record says of the secret.
    fn noted(&self, run: &Unfinished) -> Result<(), CommandError> {
        let path = record::path(&run.run);
        let place = format!("stratum/records:{path}");
        let text = git(&self.stage.bare(), &["show", &place])?;
        self.heading("recorded in git: versions and digests, never a value");
        let change = text.lines().skip_while(|line| *line != "## Change");
        let change = change.skip(1).take_while(|line| !line.starts_with("## "));
        for line in change.filter(|line| !line.is_empty() && *line != "```") {
            self.indented(&harmless(line));
        }
        Ok(())
    }

    /// A sealed value is good where it was sealed for, and nowhere else.
    async fn wrong_place(&mut self, token: &str) -> Result<(), CommandError> {
        let clone = self.stage.clone_folder();
        let from = "secrets/staging/orders.sealed.yaml";
        let to = "secrets/production/orders.sealed.yaml";
        self.say("\nA sealed value is bound to its place. Somebody puts the token of staging, which more");
        self.say("people know, into production:");
        self.command(&format!("cp {from} {to}"));
        fs::copy(clone.join(from), clone.join(to)).map_err(|error| {
            CommandError::machine("the sealed file could not be copied").because(&error)
        })?;
        self.command("git commit -am \"The same token everywhere\"");
        self.stage.commit("The same token everywhere")?;
        let commit = self.push()?;
        let reason = self.stage.refused(&commit, "production").await?;
        self.heading("refused in production");
        self.indented(&one_line(&reason));
        let still = page::visit_with(self.ports.orders, token);
        self.asked("asked with the good one", still);
        self.command("git revert --no-edit HEAD");
        git(&clone, &["revert", "--no-edit", "HEAD"])?;
        let commit = self.push()?;
        self.stage.arrived(&commit, "production").await
    }
}

/// A file beside the clone.
fn beside(name: &str) -> String {
    format!("../{name}")
}
