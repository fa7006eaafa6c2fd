//! CCTV's age files, on every backend.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use stratum_core::secret::Secret;
use stratum_seal::Crypto;
use stratum_seal::age::{self, AgeError, Identity};
use stratum_seal::backend::{Algorithm, COMPILED};

use crate::support::{hex, secret, vectors};

/// What the head of a file of the collection says.
struct Case {
    expect: String,
    payload: Option<Vec<u8>>,
    identities: Vec<String>,
    passphrases: Vec<String>,
    armored: bool,
    file: Vec<u8>,
}

impl Case {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut file = bytes[end + 2..].to_vec();
        let mut fields: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
            fields.entry(name).or_default().push(value.to_owned());
        }
        let mut take = |name| fields.remove(name).unwrap_or_default();
        if take("compressed") == ["zlib"] {
            let mut plain = Vec::new();
            let mut decoder = flate2::read::ZlibDecoder::new(file.as_slice());
            decoder.read_to_end(&mut plain).unwrap();
            file = plain;
        }
        Self {
            expect: take("expect").pop().unwrap(),
            payload: take("payload").pop().map(|text| hex(&text)),
            identities: take("identity"),
            passphrases: take("passphrase"),
            armored: take("armored") == ["yes"],
            file,
        }
    }
}

fn outcome(result: &Result<Secret, AgeError>) -> &'static str {
    match result {
        Ok(_) => "success",
        Err(AgeError::NoMatch) => "no match",
        Err(AgeError::Header(_)) => "header failure",
        Err(AgeError::Mac) => "HMAC failure",
        Err(AgeError::Payload) => "payload failure",
        Err(AgeError::Armor(_)) => "armor failure",
        Err(_) => "other failure",
    }
}

#[test]
fn every_age_file_on_every_backend() {
    let Some(folder) = vectors("cctv/age") else {
        return;
    };
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, Case::parse(&fs::read(path).unwrap()))
        })
        .collect();
    cases.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(!cases.is_empty());
    println!("| backend | file | passed | failed |\n| --- | --- | --- | --- |");
    for name in COMPILED {
        let crypto = Crypto::choose(name).unwrap();
        let wrong: Vec<String> = cases
            .iter()
            .filter_map(|(file, case)| judge(&crypto, case).map(|why| format!("{file}: {why}")))
            .collect();
        let (all, bad) = (cases.len(), wrong.len());
        println!("| {name} | cctv/age | {} | {bad} |", all - bad);
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
    }
}

/// What is wrong with the outcome of a case.
fn judge(crypto: &Crypto, case: &Case) -> Option<String> {
    let mut identities: Vec<Identity> = case
        .identities
        .iter()
        .map(|text| Identity::parse(crypto, text).unwrap())
        .collect();
    identities.extend(
        case.passphrases
            .iter()
            .map(|text| Identity::passphrase(secret(text))),
    );
    let result = if case.armored {
        age::unarmor(&case.file).and_then(|file| age::open(crypto, &identities, &file, usize::MAX))
    } else {
        age::open(crypto, &identities, &case.file, usize::MAX)
    };
    let got = outcome(&result);
    if got != case.expect {
        let detail = result.err().map(|error| error.to_string());
        return Some(format!("{} expected, {got} ({detail:?})", case.expect));
    }
    let digest = |opened: Secret| {
        let backend = crypto.at(Algorithm::Sha256).unwrap();
        backend.sha256(&[opened.expose()]).unwrap().to_vec()
    };
    let opened = result.ok().map(digest);
    (opened.is_some() && opened != case.payload).then(|| "another payload".to_owned())
}
