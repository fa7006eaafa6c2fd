//! Keys, their files, shares, state at rest.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use stratum_seal::age::{Identity, Recipient};
use stratum_seal::keys::{
    FileError, Sealer, SealerKeyError, identities, identity_file, read_private, write_private,
};
use stratum_seal::rest::{DataKey, DataKeys, RestError};
use stratum_seal::share::{Share, ShareError, combine, split};

use crate::support::{World, crypto, secret, time};

#[test]
fn a_sealer_key_comes_back_from_its_file() {
    let crypto = crypto();
    let sealer = Sealer::generate(&crypto).unwrap();
    let file = sealer.to_file("ada\nSTRATUM");
    let text = file.expose_text().unwrap();
    assert!(
        text.contains("\nSTRATUM-SEALER-KEY-1"),
        "what is caught under trust/"
    );
    assert!(text.contains(sealer.id()));
    assert!(sealer.id().starts_with("ed25519+ml-dsa-65/v1:"));
    let again = Sealer::parse(&crypto, &file).unwrap();
    assert_eq!(again.public(), sealer.public());
    let cut = secret(&text[..text.len() - 5]);
    assert_eq!(
        Sealer::parse(&crypto, &cut).unwrap_err(),
        SealerKeyError::Malformed
    );
    let twice = secret(&format!("{text}{text}"));
    assert_eq!(
        Sealer::parse(&crypto, &twice).unwrap_err(),
        SealerKeyError::Malformed
    );
    assert!(!format!("{sealer:?}").contains("STRATUM"));
}

#[test]
fn identities_come_back_from_their_file_and_are_never_shown() {
    let world = World::new("openssl");
    let file = identity_file(&world.identity, time()).unwrap();
    let text = file.expose_text().unwrap().to_owned();
    assert!(text.contains("# created: 2026-09-21T"), "{text}");
    let line = text.lines().last().unwrap();
    assert!(line.starts_with("AGE-SECRET-KEY-PQ-1") && line.len() == 77);
    let again = identities(&world.crypto, &file).unwrap();
    assert_eq!(again[0].recipient(), world.identity.recipient());
    for wrong in [
        "",
        "# nothing\n",
        &line.to_lowercase(),
        &line[..70],
        "age1pq1xyz",
    ] {
        let error = identities(&world.crypto, &secret(wrong)).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("AGE-SECRET-KEY-PQ-1Q"), "{shown}");
    }
    let wrong: Result<Recipient, _> = line.parse();
    assert!(wrong.unwrap_err().to_string().contains("secret key"));
    assert!(!format!("{:?}", world.identity).contains("SECRET"));
}

#[test]
fn private_files_are_their_owners_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ada.sealer");
    write_private(&path, &secret("one")).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(read_private(&path).unwrap().expose(), b"one");
    let error = write_private(&path, &secret("two")).unwrap_err();
    assert!(matches!(error, FileError::Exists(_)), "{error}");
    assert_eq!(read_private(&path).unwrap().expose(), b"one");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = read_private(&path).unwrap_err();
    assert!(
        matches!(error, FileError::Readable { mode: 0o640, .. }),
        "{error}"
    );
    let error = read_private(folder.path()).unwrap_err();
    assert!(matches!(error, FileError::NotAFile(_)), "{error}");
    fs::write(&path, vec![b'x'; 70_000]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(
        read_private(&path).unwrap_err(),
        FileError::TooLarge(_)
    ));
}

#[test]
fn any_k_shares_give_the_identity_and_fewer_do_not() {
    let world = World::new("openssl");
    for (k, n) in [(2, 2), (2, 3), (3, 5), (5, 5)] {
        let shares = split(&world.crypto, &world.identity, k, n).unwrap();
        assert_eq!(shares.len(), usize::from(n));
        for chosen in 0_u32..1 << n {
            let some: Vec<Share> = (0..n)
                .filter(|index| chosen >> index & 1 == 1)
                .map(|index| again(&world, &shares[usize::from(index)]))
                .collect();
            let result = combine(&world.crypto, &some);
            if some.len() < usize::from(k) {
                assert!(matches!(result.unwrap_err(), ShareError::TooFew { .. }));
            } else {
                assert_eq!(result.unwrap().recipient(), world.identity.recipient());
            }
        }
    }
    for (k, n) in [(1, 3), (4, 3), (2, 33), (0, 0)] {
        let error = split(&world.crypto, &world.identity, k, n).unwrap_err();
        assert_eq!(error, ShareError::Numbers { k, n });
    }
}

fn again(world: &World, share: &Share) -> Share {
    Share::parse(&world.crypto, &share.to_text(&world.crypto).unwrap()).unwrap()
}

#[test]
fn wrong_shares_are_named() {
    let world = World::new("openssl");
    let crypto = &world.crypto;
    let first = split(crypto, &world.identity, 2, 3).unwrap();
    let second = split(crypto, &world.identity, 2, 3).unwrap();
    let mixed = [
        again(&world, &first[0]),
        again(&world, &second[1]),
        again(&world, &first[2]),
    ];
    let error = combine(crypto, &mixed).unwrap_err();
    assert!(
        matches!(error, ShareError::Foreign { index: 2, .. }),
        "{error}"
    );
    // The same share twice is one.
    let twice = [again(&world, &first[0]), again(&world, &first[0])];
    let error = combine(crypto, &twice).unwrap_err();
    assert_eq!(error, ShareError::TooFew { have: 1, need: 2 });
    let text = first[0].to_text(crypto).unwrap();
    let text = text.expose_text().unwrap();
    let line = text.lines().last().unwrap();
    proptest!(ProptestConfig::with_cases(200), |(at in 0..line.len(), to in "[02-9AC-HJ-NP-Z]")| {
        let mut changed = line.to_owned();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != line);
        let error = Share::parse(crypto, &secret(&changed)).unwrap_err();
        prop_assert!(matches!(error, ShareError::Damaged | ShareError::Malformed), "{error}");
    });
    assert!(!format!("{:?}", first[0]).contains("STRATUM-SHARE"));
}

#[test]
fn rows_open_in_their_place_only_and_rotation_goes_on() {
    let world = World::new("openssl");
    let crypto = &world.crypto;
    let key = DataKey::generate(crypto).unwrap();
    let file = key
        .seal(crypto, std::slice::from_ref(&world.recipient))
        .unwrap();
    let identities = std::slice::from_ref(&world.identity);
    let opened = DataKey::open(crypto, identities, &file).unwrap();
    assert_eq!(opened.id(), key.id());
    let stranger = [Identity::generate(crypto).unwrap()];
    assert!(matches!(
        DataKey::open(crypto, &stranger, &file),
        Err(RestError::Age(_))
    ));
    let keys = DataKeys::new(key);
    let row = keys
        .encrypt(crypto, b"state/a", b"{\"password\":1}")
        .unwrap();
    let same = keys
        .encrypt(crypto, b"state/a", b"{\"password\":1}")
        .unwrap();
    assert_ne!(row, same);
    let read = keys.decrypt(crypto, b"state/a", &row).unwrap();
    assert_eq!(read.expose(), b"{\"password\":1}");
    assert_eq!(
        keys.decrypt(crypto, b"state/b", &row).unwrap_err(),
        RestError::Mismatch
    );
    for at in 0..row.len() {
        let mut changed = row.clone();
        changed[at] ^= 0x40;
        assert!(keys.decrypt(crypto, b"state/a", &changed).is_err(), "{at}");
        assert!(
            keys.decrypt(crypto, b"state/a", &row[..at]).is_err(),
            "{at}"
        );
    }
    let digest = keys.digest(crypto, b"what", &secret("x")).unwrap();
    let keys = keys.with_newest(opened_again(&world));
    assert!(keys.is_old(&row).unwrap());
    assert_eq!(
        keys.decrypt(crypto, b"state/a", &row).unwrap().expose(),
        b"{\"password\":1}"
    );
    let newer = keys.encrypt(crypto, b"state/a", b"").unwrap();
    assert!(!keys.is_old(&newer).unwrap());
    assert!(
        keys.matches(crypto, &digest, b"what", &secret("x"))
            .unwrap()
    );
    assert!(
        !keys
            .matches(crypto, &digest, b"what", &secret("y"))
            .unwrap()
    );
    assert!(
        !keys
            .matches(crypto, &digest, b"whatx", &secret(""))
            .unwrap()
    );
    let other = DataKeys::new(opened_again(&world));
    let error = other.decrypt(crypto, b"state/a", &row).unwrap_err();
    assert!(matches!(error, RestError::UnknownKey(_)), "{error}");
    assert_eq!(digest.to_string().len(), "hmac:".len() + 16 + 1 + 32);
}

fn opened_again(world: &World) -> DataKey {
    DataKey::generate(&world.crypto).unwrap()
}

#[test]
fn a_file_of_something_else_is_no_data_key() {
    let world = World::new("openssl");
    let recipients = std::slice::from_ref(&world.recipient);
    let file = stratum_seal::age::seal(&world.crypto, recipients, &[], &[0; 52]).unwrap();
    let identities = std::slice::from_ref(&world.identity);
    let error = DataKey::open(&world.crypto, identities, &file).unwrap_err();
    assert_eq!(error, RestError::NotAKey);
}
