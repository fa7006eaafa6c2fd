//! Secrets that stratum makes itself: passwords, private keys, and certificates for them.
//!
//! Random bytes, keys and signatures are OpenSSL's, whatever backend is chosen for sealed values:
//! what is made here is for other programs, and in their formats.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, BigNumContext, MsbOption};
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use stratum_core::secret::Secret;
use zeroize::Zeroizing;

/// The letters of passwords, by the name of the set.
///
/// *Shape*: `printable` leaves out what shells, URLs and quotes trip over.
pub const ALPHABETS: [(&str, &str); 4] = [
    (
        "alphanumeric",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    ),
    ("digits", "0123456789"),
    ("hex", "0123456789abcdef"),
    (
        "printable",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~!*+=,:@%^",
    ),
];

/// The algorithms of private keys.
pub const ALGORITHMS: [&str; 4] = ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-3072"];

/// Why nothing was made.
///
/// *Guarantees*: holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// There is no such set of letters, or no such algorithm.
    #[error("`{0}` is not known here")]
    Unknown(String),
    /// The private key is not one.
    #[error("the private key is not one in PEM that can be used here")]
    Key,
    /// OpenSSL failed.
    #[error("OpenSSL could not {doing}")]
    Crypto {
        /// What was being done, as an infinitive.
        doing: &'static str,
        /// What it said.
        #[source]
        source: ErrorStack,
    },
}

fn failed(doing: &'static str) -> impl FnOnce(ErrorStack) -> GenerateError {
    move |source| GenerateError::Crypto { doing, source }
}

/// A random password of `length` letters of a set, each as likely as any other.
pub fn password(length: usize, letters: &str) -> Result<Secret, GenerateError> {
    let set = ALPHABETS.iter().find(|(name, _)| *name == letters);
    let (_, set) = set.ok_or_else(|| GenerateError::Unknown(letters.to_owned()))?;
    let set = set.as_bytes();
    // Bytes above the last whole multiple would make the first letters more likely.
    let fair = 256 - 256 % set.len();
    // Room for all of it, so that no copy is left behind by growing.
    let mut made = Zeroizing::new(Vec::with_capacity(length));
    let mut random = Zeroizing::new([0_u8; 64]);
    while made.len() < length {
        openssl::rand::rand_bytes(&mut *random).map_err(failed("give random bytes"))?;
        let fair = random
            .iter()
            .map(|byte| usize::from(*byte))
            .filter(|byte| *byte < fair);
        let letters = fair.filter_map(|byte| set.get(byte % set.len()));
        let missing = length - made.len();
        made.extend(letters.take(missing).copied());
    }
    Ok(Secret::new(std::mem::take(&mut *made)))
}

/// A new private key, as PKCS #8 in PEM.
pub fn private_key(algorithm: &str) -> Result<Secret, GenerateError> {
    let making = || failed("make a private key");
    let ec = |curve| {
        let mut group = EcGroup::from_curve_name(curve)?;
        group.set_asn1_flag(openssl::ec::Asn1Flag::NAMED_CURVE);
        PKey::from_ec_key(EcKey::generate(&group)?)
    };
    let key = match algorithm {
        "ecdsa-p256" => ec(Nid::X9_62_PRIME256V1),
        "ecdsa-p384" => ec(Nid::SECP384R1),
        "ed25519" => PKey::generate_ed25519(),
        "rsa-3072" => Rsa::generate(3072).and_then(PKey::from_rsa),
        other => return Err(GenerateError::Unknown(other.to_owned())),
    };
    let pem = key.and_then(|key| key.private_key_to_pem_pkcs8());
    pem.map(Secret::new).map_err(making())
}

/// The public half of a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// SubjectPublicKeyInfo in PEM.
    pub pem: String,
    /// One line as in `authorized_keys`.
    pub openssh: String,
}

fn read(private: &Secret) -> Result<PKey<Private>, GenerateError> {
    PKey::private_key_from_pem(private.expose()).map_err(|_| GenerateError::Key)
}

/// The public half of a private key in PEM.
pub fn public_key(private: &Secret) -> Result<PublicKey, GenerateError> {
    let key = read(private)?;
    let pem = key
        .public_key_to_pem()
        .map_err(failed("write a public key"))?;
    let (name, blob) = ssh_blob(&key)?;
    Ok(PublicKey {
        pem: String::from_utf8_lossy(&pem).into_owned(),
        openssh: format!("{name} {}", STANDARD.encode(blob)),
    })
}

/// The public key as SSH has it, with its name.
///
/// *Source*: RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4.
fn ssh_blob(key: &PKey<Private>) -> Result<(String, Vec<u8>), GenerateError> {
    let writing = || failed("write a public key");
    let mut blob = Vec::new();
    let name = match key.id() {
        Id::ED25519 => {
            let name = "ssh-ed25519".to_owned();
            put(&mut blob, name.as_bytes());
            put(&mut blob, &key.raw_public_key().map_err(writing())?);
            name
        }
        Id::RSA => {
            let rsa = key.rsa().map_err(writing())?;
            let name = "ssh-rsa".to_owned();
            put(&mut blob, name.as_bytes());
            put(&mut blob, &positive(rsa.e().to_vec()));
            put(&mut blob, &positive(rsa.n().to_vec()));
            name
        }
        _ => {
            let ec = key.ec_key().map_err(|_| GenerateError::Key)?;
            let curve = match ec.group().curve_name() {
                Some(Nid::X9_62_PRIME256V1) => "nistp256",
                Some(Nid::SECP384R1) => "nistp384",
                _ => return Err(GenerateError::Key),
            };
            let mut context = BigNumContext::new().map_err(writing())?;
            let form = PointConversionForm::UNCOMPRESSED;
            let point = ec.public_key().to_bytes(ec.group(), form, &mut context);
            let name = format!("ecdsa-sha2-{curve}");
            put(&mut blob, name.as_bytes());
            put(&mut blob, curve.as_bytes());
            put(&mut blob, &point.map_err(writing())?);
            name
        }
    };
    Ok((name, blob))
}

fn put(blob: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    blob.extend_from_slice(&length.to_be_bytes());
    blob.extend_from_slice(bytes);
}

/// A number with a zero before it where it would be read as a negative one.
fn positive(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
        bytes.insert(0, 0);
    }
    bytes
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The common name of its subject.
    pub common_name: String,
    /// The organisation of its subject.
    pub organization: Option<String>,
    /// The host names it is good for.
    pub dns_names: Vec<String>,
    /// The addresses it is good for.
    pub ip_addresses: Vec<IpAddr>,
    /// It may sign others.
    pub is_authority: bool,
    /// From when it is good (UTC).
    pub not_before: Timestamp,
    /// Until when it is good (UTC).
    pub not_after: Timestamp,
}

/// A certificate for a private key, signed with it, in PEM.
///
/// *Source*: RFC 5280; a serial of 159 random bits, as the CA/Browser Forum has it.
pub fn certificate(
    private: &Secret,
    request: &CertificateRequest,
) -> Result<String, GenerateError> {
    let key = read(private)?;
    let pem = build(&key, request).and_then(|certificate| certificate.to_pem());
    let pem = pem.map_err(failed("make a certificate"))?;
    Ok(String::from_utf8_lossy(&pem).into_owned())
}

fn build(key: &PKey<Private>, request: &CertificateRequest) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", &request.common_name)?;
    if let Some(organization) = &request.organization {
        name.append_entry_by_text("O", organization)?;
    }
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(159, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let serial: Asn1Integer = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    let not_before = Asn1Time::from_unix(request.not_before.as_second())?;
    let not_after = Asn1Time::from_unix(request.not_after.as_second())?;
    builder.set_not_before(&not_before)?;
    builder.set_not_after(&not_after)?;
    builder.set_pubkey(key)?;
    extend(&mut builder, request)?;
    // Ed25519 hashes by itself.
    let digest = match key.id() {
        Id::ED25519 => MessageDigest::null(),
        _ => MessageDigest::sha256(),
    };
    builder.sign(key, digest)?;
    Ok(builder.build())
}

fn extend(builder: &mut X509Builder, request: &CertificateRequest) -> Result<(), ErrorStack> {
    let mut constraints = BasicConstraints::new();
    constraints.critical();
    let mut usage = KeyUsage::new();
    usage.critical().digital_signature();
    if request.is_authority {
        constraints.ca();
        usage.key_cert_sign().crl_sign();
    }
    builder.append_extension(constraints.build()?)?;
    builder.append_extension(usage.build()?)?;
    let extended = ExtendedKeyUsage::new()
        .server_auth()
        .client_auth()
        .build()?;
    builder.append_extension(extended)?;
    let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(identifier)?;
    if request.dns_names.is_empty() && request.ip_addresses.is_empty() {
        return Ok(());
    }
    let mut names = SubjectAlternativeName::new();
    for name in &request.dns_names {
        names.dns(name);
    }
    for address in &request.ip_addresses {
        names.ip(&address.to_string());
    }
    let names = names.build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_the_length_and_every_letter_of_their_set() {
        for (name, set) in ALPHABETS {
            let made = password(4000, name).unwrap();
            let text = made.expose_text().unwrap();
            assert_eq!(text.len(), 4000, "{name}");
            assert!(text.chars().all(|letter| set.contains(letter)), "{name}");
            assert!(set.chars().all(|letter| text.contains(letter)), "{name}");
        }
        let twice = [0, 1].map(|_| password(32, "hex").unwrap());
        assert_ne!(twice[0].expose(), twice[1].expose());
        assert!(password(8, "runes").is_err());
    }

    #[test]
    fn letters_are_equally_likely() {
        let made = password(75_000, "printable").unwrap();
        let mut counts = [0_u32; 256];
        made.expose()
            .iter()
            .for_each(|byte| counts[usize::from(*byte)] += 1);
        // 1,000 of each are expected; six standard deviations are 190.
        let wrong = counts
            .iter()
            .filter(|count| **count > 0 && count.abs_diff(1000) > 190);
        assert_eq!(wrong.count(), 0, "{counts:?}");
    }

    fn request() -> CertificateRequest {
        CertificateRequest {
            common_name: "shop".to_owned(),
            organization: Some("Bakery".to_owned()),
            dns_names: vec!["shop.example.org".to_owned()],
            ip_addresses: vec!["127.0.0.1".parse().unwrap()],
            is_authority: false,
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn every_algorithm_gives_keys_and_certificates_that_hold() {
        for algorithm in ALGORITHMS {
            let private = private_key(algorithm).unwrap();
            let public = public_key(&private).unwrap();
            assert_eq!(public, public_key(&private).unwrap(), "{algorithm}");
            assert!(public.pem.starts_with("-----BEGIN PUBLIC KEY-----"));
            let made = certificate(&private, &request()).unwrap();
            let made = X509::from_pem(made.as_bytes()).unwrap();
            let key = made.public_key().unwrap();
            assert_eq!(key.public_key_to_pem().unwrap(), public.pem.as_bytes());
            assert!(made.verify(&key).unwrap(), "{algorithm}");
            let names = made.subject_alt_names().unwrap();
            assert_eq!(names.len(), 2);
            let other = certificate(&private, &request()).unwrap();
            let other = X509::from_pem(other.as_bytes()).unwrap();
            assert_ne!(
                made.serial_number().to_bn().unwrap(),
                other.serial_number().to_bn().unwrap()
            );
        }
        assert!(private_key("dsa").is_err());
        let nonsense = Secret::new(b"-----BEGIN PRIVATE KEY-----\n".to_vec());
        assert!(public_key(&nonsense).is_err());
    }

    #[test]
    fn public_keys_are_those_that_ssh_reads() {
        let Ok(folder) = tempfile::tempdir() else {
            return;
        };
        for algorithm in ALGORITHMS {
            let public = public_key(&private_key(algorithm).unwrap()).unwrap();
            let file = folder.path().join(algorithm);
            std::fs::write(&file, format!("{}\n", public.openssh)).unwrap();
            let mut command = std::process::Command::new("ssh-keygen");
            match command.arg("-l").arg("-f").arg(&file).output() {
                Ok(output) => assert!(output.status.success(), "{algorithm}: {output:?}"),
                Err(error) => eprintln!("skipped: `ssh-keygen`: {error}"),
            }
        }
    }
}
