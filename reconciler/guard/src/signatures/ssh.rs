//! Signatures by SSH keys. *Source*: OpenSSH's PROTOCOL.sshsig; git's namespace is `git`.

use ssh_key::{HashAlg, PublicKey, SshSig};
use stratum_core::trust::Trust;

use super::Why;

const NAMESPACE: &str = "git";

/// The person whose key it is, and its fingerprint.
pub(super) fn signer<'t>(
    payload: &[u8],
    signature: &str,
    trust: &'t Trust,
) -> Result<(&'t str, String), Why> {
    let signature = SshSig::from_pem(signature.trim_end())
        .map_err(|error| format!("its SSH signature cannot be read ({error})"))?;
    let fingerprint = signature
        .public_key()
        .fingerprint(HashAlg::Sha256)
        .to_string();
    if signature.namespace() != NAMESPACE {
        return Err("its SSH signature was made for something other than git".to_owned());
    }
    let keys = trust
        .people
        .iter()
        .flat_map(|(name, person)| person.ssh.iter().map(move |line| (name, line)));
    for (name, line) in keys {
        let Ok(key) = PublicKey::from_openssh(line.trim()) else {
            continue;
        };
        if key.key_data() == signature.public_key() {
            return key
                .verify(NAMESPACE, payload, &signature)
                .map(|()| (name.as_str(), fingerprint))
                .map_err(|_| format!("the signature by `{name}` does not fit its content"));
        }
    }
    Err(format!(
        "it is signed by the SSH key {fingerprint}, which is nobody's in `trust/`"
    ))
}

/// Whether the line is a public key.
pub(super) fn check(line: &str) -> Result<(), Why> {
    let key = PublicKey::from_openssh(line.trim());
    key.map(drop)
        .map_err(|error| format!("write one line, `ssh-ed25519 AAAA… name` ({error})"))
}
