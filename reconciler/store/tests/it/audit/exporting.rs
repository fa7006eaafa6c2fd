//! Exports.

use std::fs;

use jiff::Timestamp;
use stratum_core::ports::Audit;
use stratum_store::{Expected, LogReader};

use super::{Desk, files, refused};

#[tokio::test]
async fn an_export_is_verified_from_the_copy_alone_and_shows_what_was_left_out() {
    let desk = Desk::new();
    let store = desk.open().await;
    let days = ["2026-10-31", "2026-11-02", "2026-11-20", "2026-12-01"];
    for day in days {
        let at = format!("{day}T10:00:00Z");
        let entries: Vec<_> = (0..700).map(|number| refused(&at, number)).collect();
        Audit::log(&store, &entries).await.unwrap();
    }
    store.close().await;
    let out = desk.log().join("../copy");
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let period = at("2026-11-15T00:00:00Z")..at("2026-11-30T00:00:00Z");
    let exported = desk.reader().export(&period, &out, false).unwrap();
    assert_eq!(exported.entries, 700);
    assert_eq!(exported.parts, ["0002-2026-11"]);
    let copy = LogReader::new(out.clone(), desk.signer.clone());
    let report = copy.verify(&Expected::default()).unwrap();
    assert_eq!(report.problem, None);
    let part = &report.parts[0];
    assert!(part.present >= 700 && part.present < part.size, "{part:?}");
    assert!(part.readable.is_empty() && !part.redacted.is_empty());
    // A bundle of the period is taken out, and the list says it never was in it.
    let manifest = fs::read_to_string(out.join("export.json")).unwrap();
    let bundles = out.join(&part.name).join("tile/entries");
    let last = files(&bundles).pop().unwrap();
    fs::remove_file(&last).unwrap();
    assert!(copy.verify(&Expected::default()).unwrap().problem.is_some());
    let value: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let end = value["parts"][&part.name]["end_bundle"].as_u64().unwrap();
    let less = manifest.replace(
        &format!("\"end_bundle\": {end}"),
        &format!("\"end_bundle\": {}", end - 1),
    );
    fs::write(out.join("export.json"), less).unwrap();
    let found = copy.verify(&Expected::default()).unwrap().problem.unwrap();
    assert!(found.what.contains("left out"), "{found:?}");
}

/// Every file of an export, changed, cut or removed: all are found and named.
#[tokio::test]
async fn a_changed_or_missing_file_of_an_export_is_found() {
    let desk = Desk::new();
    let store = desk.open().await;
    for (day, count) in [
        ("2026-10-31", 300),
        ("2026-11-02", 300),
        ("2026-11-20", 900),
    ] {
        let at = format!("{day}T10:00:00Z");
        let entries: Vec<_> = (0..count).map(|number| refused(&at, number)).collect();
        Audit::log(&store, &entries).await.unwrap();
    }
    store.close().await;
    let out = desk.log().join("../copy");
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let period = at("2026-10-31T00:00:00Z")..at("2026-11-10T00:00:00Z");
    let exported = desk.reader().export(&period, &out, false).unwrap();
    assert_eq!(exported.parts.len(), 2);
    let copy = LogReader::new(out.clone(), desk.signer.clone());
    let verified = || {
        let report = copy.verify(&Expected::default());
        report.map(|report| report.problem)
    };
    let is_found = || verified().map_or(true, |found| found.is_some());
    assert_eq!(verified(), Ok(None));
    for file in files(&out) {
        let bytes = fs::read(&file).unwrap();
        for place in [0, bytes.len() / 2, bytes.len() - 2] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            fs::write(&file, changed).unwrap();
            assert!(is_found(), "{} at {place}", file.display());
            // Where only hashes are, whether a tile or the checkpoint was changed cannot be told.
            if let Ok(Some(found)) = verified() {
                let folder = file.parent().unwrap().to_string_lossy().into_owned();
                let hashes_only = folder.contains("tile/") && !folder.contains("entries");
                let named = found.path.as_deref() == Some(file.as_path());
                assert!(
                    named || hashes_only || file.ends_with("export.json"),
                    "{place}: {found:?}"
                );
            }
        }
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        assert!(is_found(), "{} was cut", file.display());
        fs::remove_file(&file).unwrap();
        assert!(is_found(), "{} is gone", file.display());
        fs::write(&file, &bytes).unwrap();
    }
    assert_eq!(verified(), Ok(None));
    fs::rename(out.join(&exported.parts[0]), out.join("away")).unwrap();
    assert!(is_found(), "a part was left out");
}
