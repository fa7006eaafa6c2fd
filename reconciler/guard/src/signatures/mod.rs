//! Who signed a commit or a tag: in process, by the keys in trust and nothing else.

mod openpgp;
mod ssh;

use jiff::Timestamp;
use stratum_core::finding::Finding;
use stratum_core::finding::codes::TRUST_KEY;
use stratum_core::ports::Signatures;
use stratum_core::signed::{KeyKind, Signed, Signer};
use stratum_core::source::Source;
use stratum_core::trust::{Person, Trust};

/// Verifies in process.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

/// Why a signature proves nothing, in one clause.
type Why = String;

impl Signatures for InProcess {
    fn signer(&self, signed: &Signed, trust: &Trust, made_at: Timestamp, now: Timestamp) -> Signer {
        match careful(|| signer(signed, trust, made_at, now)) {
            Ok(signer) => signer,
            Err(why) => Signer::Nobody { why },
        }
    }
}

/// The largest signature, in bytes: those of RSA with 16,384 bits take 4 KiB.
const LARGEST: usize = 64 << 10;

/// The largest key of a person, in bytes.
const LARGEST_KEY: usize = 256 << 10;

/// What a reader of strangers' bytes says; a panic in it says that it cannot be read.
fn careful<T>(read: impl FnOnce() -> Result<T, Why>) -> Result<T, Why> {
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    read.unwrap_or_else(|_| Err("its reader stopped at a mistake of its own".to_owned()))
}

/// A key that is not too large to be looked at.
fn small(key: &str) -> Result<(), Why> {
    match key.len() > LARGEST_KEY {
        true => Err(format!("it is larger than {} KiB", LARGEST_KEY >> 10)),
        false => Ok(()),
    }
}

fn signer(
    signed: &Signed,
    trust: &Trust,
    made_at: Timestamp,
    now: Timestamp,
) -> Result<Signer, Why> {
    let signature = signed.signature.as_deref().ok_or("it is not signed")?;
    if signature.len() > LARGEST {
        return Err(format!(
            "its signature is larger than {} KiB",
            LARGEST >> 10
        ));
    }
    let text = std::str::from_utf8(signature).map_err(|_| "its signature is no text")?;
    let (kind, (name, key)) = if text.starts_with("-----BEGIN SSH SIGNATURE-----") {
        (KeyKind::Ssh, ssh::signer(&signed.payload, text, trust)?)
    } else if text.starts_with("-----BEGIN PGP ") {
        let found = openpgp::signer(&signed.payload, text, trust, made_at, now)?;
        (KeyKind::Openpgp, found)
    } else {
        return Err("its signature is neither one of SSH nor of OpenPGP".to_owned());
    };
    if let Some(person) = trust.people.get(name) {
        in_time(name, person, made_at, now)?;
    }
    Ok(Signer::Person {
        name: name.to_owned(),
        kind,
        key,
    })
}

/// When something was made is only its signer's word, so the time now counts too.
fn in_time(name: &str, person: &Person, made_at: Timestamp, now: Timestamp) -> Result<(), Why> {
    match person.expires {
        Some(end) if made_at >= end || now >= end => Err(format!(
            "it is signed by `{name}`, whose keys expired on {}",
            end.strftime("%Y-%m-%d")
        )),
        Some(_) | None => Ok(()),
    }
}

/// Reads a key as both kinds; for the fuzzer.
pub(crate) fn read_key(text: &str) {
    drop(ssh::check(text));
    drop(openpgp::check(text));
}

/// A finding for each key of a person that is no public key of its kind.
pub(crate) fn check(trust: &Trust) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, person) in &trust.people {
        let ssh = person
            .ssh
            .iter()
            .map(|key| ("ssh", small(key).and_then(|()| careful(|| ssh::check(key)))));
        let openpgp = person.openpgp.iter().map(|key| {
            let checked = small(key).and_then(|()| careful(|| openpgp::check(key)));
            ("openpgp", checked)
        });
        for (kind, checked) in ssh.chain(openpgp) {
            if let Err(why) = checked {
                let message = format!("a key under `{kind}` of `{name}` cannot be used: {why}");
                let source = Source::start_of(format!("trust/people/{name}.toml"));
                findings.push(Finding::error(&TRUST_KEY, message).at(source));
            }
        }
    }
    findings
}
