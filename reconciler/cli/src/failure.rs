//! Errors at the edge: what went wrong, why, and the next command to try.

use std::error::Error;

use stratum_assembly::AssemblyError;
use stratum_core::ports::{
    AuditError, LeaseError, LoadError, RepositoryError, StoreError, TreeError,
};
use stratum_runtime::RuntimeError;
use stratum_seal::keeper::UnsealError;
use stratum_server::ServerError;

use crate::exit::Exit;
use crate::style::{Role, Theme, one_line};

/// Whose fault a failure is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Of what the person gave.
    Given,
    /// Of the machine or of stratum.
    Machine,
}

/// A failure of a command, as people see it.
///
/// *Guarantees*: it is shown as one sentence, the reasons behind it, and at least one hint.
#[derive(Debug)]
pub(crate) struct CommandError {
    fault: Fault,
    message: String,
    reasons: Vec<String>,
    hints: Vec<String>,
}

impl CommandError {
    /// Something is wrong with what was given.
    pub(crate) fn given(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Given,
            message: message.into(),
            reasons: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Something is wrong with the machine or with stratum.
    pub(crate) fn machine(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Machine,
            ..Self::given(message)
        }
    }

    /// The same, because of `source` and all that is behind it.
    pub(crate) fn because(mut self, source: &(dyn Error + 'static)) -> Self {
        let mut next = Some(source);
        while let Some(error) = next {
            let reason = error.to_string();
            if self.reasons.last() != Some(&reason) && self.message != reason {
                self.reasons.push(reason);
            }
            next = error.source();
        }
        self
    }

    /// The same, with the next command to try.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same, with the next command to try where there is one.
    pub(crate) fn hint_if(mut self, hint: Option<String>) -> Self {
        self.hints.extend(hint);
        self
    }

    fn of(fault: Fault, error: &(dyn Error + 'static)) -> Self {
        let bare = Self {
            fault,
            ..Self::given(error.to_string())
        };
        match error.source() {
            Some(source) => bare.because(source),
            None => bare,
        }
    }

    /// What went wrong, without the reasons behind it.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self.fault {
            Fault::Given => Exit::Wrong,
            Fault::Machine => Exit::Internal,
        }
    }

    /// The hint lines; never none.
    pub(crate) fn hints(&self) -> Vec<String> {
        if self.hints.is_empty() {
            return vec!["`stratum doctor` looks at what may be missing here".to_owned()];
        }
        self.hints.clone()
    }

    /// The failure without its hints.
    pub(crate) fn render(&self, theme: &Theme) -> String {
        let mut text = format!(
            "{}: {}\n",
            theme.paint(Role::Bad, "error"),
            one_line(&self.message)
        );
        for reason in &self.reasons {
            text.push_str(&format!("  because: {}\n", one_line(reason)));
        }
        text
    }
}

impl From<RepositoryError> for CommandError {
    fn from(error: RepositoryError) -> Self {
        if let Some(hint) = denied(&error) {
            return Self::of(Fault::Given, &error).hint(hint);
        }
        let (fault, hint) = match &error {
            RepositoryError::Missing { .. } => (
                Fault::Given,
                "go to a repository, or name one with `--repo PATH`; \
                 `git init && stratum init` makes one",
            ),
            RepositoryError::Unsupported { .. } => {
                (Fault::Given, "`stratum doctor` says what can be read")
            }
            RepositoryError::Empty { .. } => (
                Fault::Given,
                "push a first commit to it; `stratum init` in a clone writes the first files",
            ),
            RepositoryError::NoSuchRevision { .. } => (
                Fault::Given,
                "`git log --oneline --all` lists what there is",
            ),
            RepositoryError::Unborn { branches, .. } => {
                // One that stratum writes is never one that it reads.
                let mut named = branches.iter().map(|branch| branch.as_str());
                let Some(name) = named.find(|name| !name.starts_with("stratum/")) else {
                    return Self::of(Fault::Given, &error).hint("push the branch that HEAD names");
                };
                let hint = format!(
                    "in that repository: `git symbolic-ref HEAD refs/heads/{name}`, or push the \
                     branch that HEAD names"
                );
                return Self::of(Fault::Given, &error).hint(hint);
            }
            RepositoryError::Shallow { .. } => (
                Fault::Given,
                "`git fetch --unshallow` brings the whole history (in CI: `fetch-depth: 0`)",
            ),
            RepositoryError::Remote { .. } => (
                Fault::Machine,
                "try `git ls-remote` with the same address: it needs the same network and keys",
            ),
            RepositoryError::TooLarge { .. } => (
                Fault::Given,
                "take it out of the history: `git log` shows where it came in",
            ),
            RepositoryError::Race { .. } => (Fault::Machine, "run the command again"),
            RepositoryError::Git { .. } => (
                Fault::Machine,
                "`git fsck` in the repository says whether it is whole",
            ),
        };
        Self::of(fault, &error).hint(hint)
    }
}

/// What to do where the system refused a file, whatever was being done with it.
fn denied(error: &RepositoryError) -> Option<&'static str> {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        match error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind)
        {
            Some(PermissionDenied) => {
                return Some("this user may not touch it: `ls -l` says who may; run this as them");
            }
            Some(ReadOnlyFilesystem) => {
                return Some(
                    "it lies on a file system that is mounted read-only: name another place with `--state PATH`",
                );
            }
            Some(StorageFull) => return Some("`df -h` shows which disk is full; make room on it"),
            Some(_) | None => source = error.source(),
        }
    }
    None
}

/// Whose fault it is that a tree cannot be read, and what to do.
fn of_tree(error: &TreeError) -> (Fault, &'static str) {
    match error {
        TreeError::Name { .. } => (
            Fault::Given,
            "`git mv` gives the file another name; `git ls-files -z` shows the bytes of this one",
        ),
        TreeError::TooLarge { .. } => (
            Fault::Given,
            "make it smaller, or keep it elsewhere, in a commit that replaces this one",
        ),
        TreeError::Malformed { .. } => (
            Fault::Given,
            "write the commit again with git: it makes no such folder",
        ),
        TreeError::Read { .. } => (
            Fault::Machine,
            "`git fsck` in the repository says whether it is whole",
        ),
    }
}

/// Whether an error, or one behind it, says this.
fn says(error: &dyn std::error::Error, text: &str) -> bool {
    error.to_string().contains(text) || error.source().is_some_and(|source| says(source, text))
}

/// Whether the state could not be opened because this user may not.
fn may_not(error: &StoreError) -> bool {
    let words = ["unable to open database file", "Permission denied"];
    words.iter().any(|words| says(error, words))
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let hint = match &error {
            StoreError::Missing { .. } => {
                "nothing was reconciled here yet: `stratum reconcile --once` does it, and \
                 `--state PATH` names a state elsewhere"
            }
            StoreError::Newer { .. } => "use the newer stratum that wrote it",
            StoreError::Unsafe { .. } => {
                "the state belongs to the user who reconciles: `chown` and `chmod` make it so, or \
                 `--state PATH` names a place of your own"
            }
            StoreError::Damaged { .. } => {
                "it was not touched; `stratum doctor` says how to make the state again"
            }
            StoreError::Sealed { .. } => {
                "unseal the reconciler with `stratum secrets unseal`, or give `--identity FILE`"
            }
            StoreError::Full { .. } => "`df -h` shows which disk is full; make room on it",
            StoreError::Fenced { .. } | StoreError::Moved { .. } => "run the command again",
            StoreError::Audit { .. } => "`stratum audit verify` says what is wrong with the log",
            StoreError::Database { .. } if may_not(&error) => {
                "this user may not open the state, or its folder is not there: `ls -l` where \
                 `--state` says; run this as the user of the reconciler"
            }
            StoreError::Database { .. } => "`stratum doctor` looks at the state",
        };
        let fault = match &error {
            StoreError::Missing { .. }
            | StoreError::Newer { .. }
            | StoreError::Unsafe { .. }
            | StoreError::Sealed { .. } => Fault::Given,
            StoreError::Database { .. } if may_not(&error) => Fault::Given,
            StoreError::Damaged { .. }
            | StoreError::Full { .. }
            | StoreError::Fenced { .. }
            | StoreError::Moved { .. }
            | StoreError::Audit { .. }
            | StoreError::Database { .. } => Fault::Machine,
        };
        Self::of(fault, &error).hint(hint)
    }
}

impl From<LeaseError> for CommandError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Store(error) => error.into(),
            LeaseError::Held { .. } => Self::of(Fault::Given, &error)
                .hint("`stratum status` shows what it does; it picks up new commits by itself"),
            LeaseError::Free { .. } => {
                Self::of(Fault::Given, &error).hint("`stratum lease list` shows who holds which")
            }
        }
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> Self {
        let (fault, hint) = match &error {
            LoadError::Tree(error) => of_tree(error),
            LoadError::Evaluator { .. } => (Fault::Machine, "`stratum doctor` tries the evaluator"),
        };
        Self::of(fault, &error).hint(hint)
    }
}

impl From<RuntimeError> for CommandError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Repository(error) => error.into(),
            RuntimeError::Store(error) => error.into(),
            RuntimeError::Audit(error) => error.into(),
            RuntimeError::Lease(error) => error.into(),
            RuntimeError::Load(error) => error.into(),
            RuntimeError::Stopped => Self::of(Fault::Machine, &error)
                .hint("`stratum reconcile` goes on where it was stopped"),
            RuntimeError::Gate(_)
            | RuntimeError::Journal(_)
            | RuntimeError::NoProvider { .. }
            | RuntimeError::TaskEnded => {
                Self::of(Fault::Machine, &error).hint("`stratum status` shows where things stand")
            }
        }
    }
}

impl From<AuditError> for CommandError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => error.into(),
            AuditError::TooLarge { .. } | AuditError::Veil(_) => {
                Self::machine("the audit log cannot be written").because(&error)
            }
        }
    }
}

impl From<AssemblyError> for CommandError {
    fn from(error: AssemblyError) -> Self {
        use AssemblyError as E;
        match error {
            E::Store(error) => error.into(),
            E::Repository(error) => error.into(),
            E::Runtime(error) => error.into(),
            E::Program(_) | E::Provider(_) | E::Listener(_) | E::Request(_) | E::LogKeys(_) => {
                Self::of(Fault::Machine, &error)
            }
            E::Path { .. } | E::Roots { .. } | E::RelativeRoot { .. } => {
                Self::of(Fault::Given, &error)
            }
            E::Harden(_) => Self::of(Fault::Machine, &error)
                .hint("`stratum doctor` says what the system refuses"),
            E::NoAnswer => {
                Self::of(Fault::Machine, &error).hint("it hears its own user and root only")
            }
            E::Crypto(_)
            | E::NoSealer
            | E::SealerFile { .. }
            | E::NoIdentity
            | E::IdentityFile { .. }
            | E::KeyFile { .. }
            | E::Unseal(_)
            | E::SealedFile { .. }
            | E::Stranger { .. }
            | E::NobodyListens { .. } => {
                let hint = of_secrets(&error);
                Self::of(Fault::Given, &error).hint_if(hint)
            }
        }
    }
}

/// What to do where a key, an identity or what they open is not what is needed.
fn of_secrets(error: &AssemblyError) -> Option<String> {
    use AssemblyError as E;
    let hint = match error {
        E::Crypto(_) => {
            "`STRATUM_CRYPTO` names backends, for example `openssl`; unset it for the default"
        }
        E::NoSealer => {
            "name one with `--sealer FILE` or `STRATUM_SEALER`; `stratum secrets keygen sealer \
             --name YOU --out YOU.sealer --trust` makes one"
        }
        E::SealerFile { .. } => "`stratum secrets keygen sealer` makes one",
        E::NoIdentity => {
            "name one with `--identity FILE` or `STRATUM_IDENTITY`; `stratum secrets keygen \
             identity --out FILE` makes one"
        }
        E::IdentityFile { .. } => {
            "`stratum secrets keygen identity` makes one; those of age can be read too"
        }
        E::KeyFile { path, .. } => {
            return Some(format!("`ls -l {}` shows who may read it", path.display()));
        }
        E::Unseal(UnsealError::OpensNothing) => {
            "start it with the identity that the values are sealed to; a new one is named first: \
             `stratum secrets keygen identity --trust`"
        }
        E::Unseal(_) => {
            "start it with the identity that it had; to change it, give both: `--identity NEW \
             --identity OLD`; if it is lost, `reconciler/docs/lost-identity.md` says what can \
             still be done"
        }
        E::SealedFile { .. } => "`stratum check` shows what is wrong",
        E::Stranger { folder, .. } => {
            return Some(format!(
                "run this as the user of the reconciler; `ls -ld {}` says who may write there",
                folder.display()
            ));
        }
        E::NobodyListens { .. } => {
            "start it with `stratum reconcile`; `--state PATH` names a state elsewhere"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

impl From<ServerError> for CommandError {
    fn from(error: ServerError) -> Self {
        let bare = Self::of(Fault::Given, &error);
        match error {
            ServerError::Address { .. } => {
                bare.hint("`ss -ltnp` shows who listens where; another port may be free")
            }
            ServerError::Token { .. } => bare,
            ServerError::Pem { .. } => bare.hint(
                "`--tls-cert` names certificates in PEM, that of the server first, and `--tls-key` \
                 its key",
            ),
            ServerError::Pair { .. } => bare.hint(
                "`openssl x509 -noout -pubkey -in CERT` and `openssl pkey -pubout -in KEY` must \
                 say the same",
            ),
            ServerError::ShortToken { .. } => bare.hint("`openssl rand -hex 32` makes a good one"),
            ServerError::Secret { .. } | ServerError::UnfitSecret { .. } => bare.hint(
                "`openssl rand -hex 32` makes a good one; the same text goes into the settings of \
                 the webhook",
            ),
        }
    }
}

impl From<clap::Error> for CommandError {
    fn from(error: clap::Error) -> Self {
        Self::machine("what was given could not be read").because(&error)
    }
}

impl From<serde_json::Error> for CommandError {
    fn from(error: serde_json::Error) -> Self {
        Self::machine("the answer could not be written as JSON").because(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_sentence_its_reasons_and_a_hint() {
        let io = std::io::Error::other("no such device");
        let error = CommandError::from(RepositoryError::Git {
            doing: "read `HEAD`".to_owned(),
            source: Box::new(io),
        });
        let expected = "error: could not read `HEAD`\n  because: no such device\n";
        assert_eq!(error.render(&Theme::PLAIN), expected);
        assert_eq!(error.exit(), Exit::Internal);
        assert_eq!(
            error.hints(),
            ["`git fsck` in the repository says whether it is whole"]
        );
    }

    #[test]
    fn what_the_system_refuses_is_said_as_that() {
        let of = |kind: std::io::ErrorKind| {
            CommandError::from(RepositoryError::Git {
                doing: "make the mirror".to_owned(),
                source: Box::new(std::io::Error::from(kind)),
            })
        };
        let error = of(std::io::ErrorKind::PermissionDenied);
        assert_eq!(error.exit(), Exit::Wrong);
        assert!(error.hints()[0].contains("may not touch"));
        assert!(of(std::io::ErrorKind::ReadOnlyFilesystem).hints()[0].contains("read-only"));
        assert!(of(std::io::ErrorKind::InvalidData).hints()[0].contains("git fsck"));
    }

    #[test]
    fn hints_lead_out_of_the_state_of_a_clone() {
        let branch = |name: &str| stratum_core::ids::BranchName::new(name).unwrap();
        let error = CommandError::from(RepositoryError::Unborn {
            branch: branch("master"),
            branches: vec![branch("main")],
        });
        let said = error.render(&Theme::PLAIN);
        assert!(
            said.contains("HEAD names the branch `master`") && said.contains("there is `main`")
        );
        assert!(error.hints()[0].contains("git symbolic-ref HEAD refs/heads/main"));
        let error = CommandError::from(RepositoryError::Unborn {
            branch: branch("main"),
            branches: vec![branch("stratum/records")],
        });
        assert_eq!(error.hints()[0], "push the branch that HEAD names");
        let error = CommandError::from(RepositoryError::Shallow {
            name: "HEAD~1".to_owned(),
        });
        assert!(error.hints()[0].contains("--unshallow"));
    }

    #[test]
    fn a_missing_repository_is_the_persons_to_mend() {
        let error = CommandError::from(RepositoryError::Missing {
            path: "x".to_owned(),
        });
        assert_eq!(error.exit(), Exit::Wrong);
    }

    #[test]
    fn every_failure_has_a_hint() {
        assert_eq!(CommandError::machine("x").hints().len(), 1);
    }
}
