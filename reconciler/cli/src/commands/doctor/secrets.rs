//! What secrets need of this machine: the algorithms, and memory that nobody else looks into.

use stratum_assembly::crypto;
use stratum_seal::memory::{Hardening, harden};

use super::Check;
use crate::failure::CommandError;
use crate::style::one_line;

/// Every algorithm of the chosen backends, held to its known answers.
pub(super) fn check_crypto() -> Check {
    const NAME: &str = "crypto";
    let remedy = "choose with `STRATUM_CRYPTO`: a list such as `oqs,openssl` lets the next one do \
                  what the one before may not";
    let crypto = match crypto() {
        Ok(crypto) => crypto,
        Err(error) => {
            let sentence = one_line(&CommandError::from(error).render(&crate::style::Theme::PLAIN));
            return Check::bad(NAME, sentence, remedy);
        }
    };
    let refusals: Vec<String> = crypto.refusals().map(ToString::to_string).collect();
    if !refusals.is_empty() {
        return Check::bad(NAME, refusals.join("; "), remedy);
    }
    let mut names: Vec<&str> = crypto.table().filter_map(|(_, name)| name).collect();
    names.sort_unstable();
    names.dedup();
    let count = crypto.table().count();
    let by = names.join(", ");
    Check::good(
        NAME,
        format!("{count} algorithms give their known answers ({by})"),
    )
}

/// Whether this machine lets a process keep secrets to itself. Afterwards this process does.
pub(super) fn check_memory() -> Check {
    const NAME: &str = "memory";
    match harden() {
        Err(error) => Check::bad(
            NAME,
            format!("the system refuses what keeps secrets in a process: {error}"),
            "allow `prctl(PR_SET_DUMPABLE)` and `setrlimit(RLIMIT_CORE)`: look at the seccomp \
             profile of the container",
        ),
        Ok(hardening) => of(hardening),
    }
}

fn of(hardening: Hardening) -> Check {
    const NAME: &str = "memory";
    let dumps = match (hardening.no_core, hardening.not_dumpable) {
        (true, true) => "no core dumps, nobody else may look in",
        (true, false) | (false, true) | (false, false) => {
            return Check::bad(
                NAME,
                "processes with secrets could be dumped",
                "look at the seccomp profile of the container",
            );
        }
    };
    match hardening.keys_locked {
        true => Check::good(NAME, format!("{dumps}, keys are locked into memory")),
        false => Check::weak(
            NAME,
            format!("{dumps}; keys cannot be locked into memory"),
            "raise RLIMIT_MEMLOCK to 256 KiB or more (`LimitMEMLOCK=` of systemd), or encrypt the \
             swap",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Health;

    #[test]
    fn each_weakness_is_named() {
        let good = Hardening {
            no_core: true,
            not_dumpable: true,
            keys_locked: true,
        };
        let unlocked = Hardening {
            keys_locked: false,
            ..good
        };
        let dumped = Hardening {
            no_core: false,
            ..good
        };
        let health = [good, unlocked, dumped].map(|one| of(one).health);
        assert_eq!(health, [Health::Good, Health::Weak, Health::Bad]);
        assert!(of(unlocked).remedy.unwrap().contains("RLIMIT_MEMLOCK"));
    }
}
