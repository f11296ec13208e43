//! Journals through the room's public face: as written, torn, changed, sealed, on a full disk.

#![expect(
    clippy::unwrap_used,
    reason = "what panics in a helper of these tests fails the test"
)]

use std::{fs, path::Path};

use firedrill_drill::{At, Entry, Event, Outcome, Reading, Reason, Sample, Stamped, Verdict};
use firedrill_journal::{Encoder, Journal, Writer, decode, read};
use proptest::prelude::*;

fn at(n: u64) -> At {
    At {
        mono_us: n * 250_000,
        wall_ms: 1_700_000_000_000 + n.cast_signed() * 250,
    }
}

/// A journal as a drill writes it: events with odd values, judgements, a verdict.
fn entries(values: &[f64]) -> Vec<Stamped> {
    let mut entries = vec![Stamped {
        at: at(0),
        entry: Entry::Made {
            drill: "d".into(),
            plan: "title = \"Übung\"\n# \"quoted\", \\ and \u{2028}\n".to_owned(),
            experiment: 0,
            seed: u64::MAX,
            console: "desk".to_owned(),
            who: "Ada".to_owned(),
            arming: firedrill_drill::Arming::AtOnce,
            version: "0".to_owned(),
        },
    }];
    for (n, value) in values.iter().enumerate() {
        let sample = Sample {
            sli: n,
            source_ms: -5,
            age_ms: 3,
            reading: Reading::Value {
                value: *value,
                rate: None,
            },
        };
        entries.push(Stamped {
            at: at(n as u64 + 1),
            entry: Entry::event(&Event::Samples {
                samples: vec![sample],
            }),
        });
    }
    let reason = Reason {
        at: at(9),
        rule: "tolerance".to_owned(),
        words: "Success is 50 %".to_owned(),
    };
    entries.push(Stamped {
        at: at(9),
        entry: Entry::Judged {
            what: "stop".to_owned(),
            reason: reason.clone(),
        },
    });
    entries.push(Stamped {
        at: at(10),
        entry: Entry::Verdict {
            verdict: Verdict {
                outcome: Outcome::Broken,
                reasons: vec![reason],
                unconfirmed: vec!["d-1".into()],
            },
        },
    });
    entries
}

fn encode(entries: &[Stamped], seal: bool) -> String {
    let mut encoder = Encoder::new();
    let mut text: String = entries.iter().map(|it| encoder.encode(it).unwrap()).collect();
    if seal {
        text += &encoder.seal(at(11)).unwrap();
    }
    text
}

fn write(path: &Path, entries: &[Stamped]) -> String {
    let mut writer = Writer::create(path).unwrap();
    for (n, entry) in entries.iter().enumerate() {
        writer.append(entry, n % 2 == 0).unwrap();
    }
    writer.seal(at(11)).unwrap()
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.journal");
    let entries = entries(&[0.1, 0.2, 1e-300]);
    let hash = write(&path, &entries);
    let journal = read(&path).unwrap();
    assert_eq!(journal.entries, entries);
    assert_eq!((journal.whole(), journal.hash), (Ok(()), hash));
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        encode(&entries, true),
        "the codec's very bytes"
    );
}

#[test]
fn a_record_has_the_documented_keys() {
    let text = encode(&entries(&[0.5]), true);
    let first = text.lines().next().unwrap();
    let value: serde_json::Value = serde_json::from_str(first).unwrap();
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = ["seq", "wall_ms", "mono_us", "kind", "payload", "hash"];
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    assert_eq!(value["kind"], "made");
    let kinds: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].to_string())
        .collect();
    assert_eq!(
        kinds,
        ["\"made\"", "\"event\"", "\"judged\"", "\"verdict\"", "\"closed\""]
    );
}

#[test]
fn the_hash_is_what_the_format_says() {
    let text = encode(&entries(&[]), false);
    let mut before = "0".repeat(64);
    for line in text.lines() {
        let (body, hash) = line.rsplit_once(",\"hash\":\"").unwrap();
        let expected = blake3::hash(format!("{before}{body}}}").as_bytes()).to_hex();
        assert_eq!(hash.trim_end_matches("\"}"), expected.as_str());
        before = expected.to_string();
    }
    assert_eq!(decode(text.as_bytes()).hash, before);
}

#[test]
fn a_journal_without_its_closing_record_says_so() {
    let journal = decode(encode(&entries(&[0.5]), false).as_bytes());
    assert_eq!(journal.entries.len(), 4);
    assert!(journal.whole().unwrap_err().contains("no closing record"));
}

#[test]
fn an_empty_file_is_an_unsealed_journal() {
    let journal = decode(b"");
    assert!(journal.entries.is_empty() && !journal.sealed);
}

#[test]
fn what_follows_the_closing_record_is_said() {
    let text = encode(&entries(&[]), true);
    let journal = decode(format!("{text}{text}").as_bytes());
    assert_eq!(
        journal.broken.unwrap().why,
        "something follows the closing record"
    );
    assert!(!journal.sealed);
    assert_eq!(journal.entries.len(), 3);
}

#[test]
fn lines_that_were_exchanged_or_taken_away_are_found() {
    let text = encode(&entries(&[0.1, 0.2]), true);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for away in 0..lines.len() - 1 {
        let mut fewer = lines.clone();
        fewer.remove(away);
        let journal = decode(fewer.concat().as_bytes());
        assert_eq!(journal.broken.unwrap().line, away + 1);
        assert_eq!(journal.entries.len(), away);
    }
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    assert!(decode(swapped.concat().as_bytes()).broken.is_some());
}

#[test]
fn a_chain_forged_with_other_numbers_is_found() {
    let mut entries = entries(&[0.1]);
    let whole = encode(&entries, true);
    entries.remove(1);
    let forged = encode(&entries, true);
    let (a, b) = (decode(whole.as_bytes()), decode(forged.as_bytes()));
    assert_ne!(
        a.hash, b.hash,
        "the closing hash in the agents' audit logs tells them apart"
    );
}

#[test]
fn an_existing_journal_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.journal");
    fs::write(&path, "mine").unwrap();
    let error = Writer::create(&path).unwrap_err().to_string();
    assert!(
        error.contains("d.journal") && error.contains("never overwritten"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn a_missing_folder_is_named_with_its_remedy() {
    let error = Writer::create(Path::new("/nonexistent/d.journal"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nonexistent/d.journal") && error.contains("see whether the path is right"));
}

#[cfg(unix)]
#[test]
fn a_journal_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.journal");
    write(&path, &entries(&[]));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_line_without_end_is_not_read_to_its_end() {
    let mut text = encode(&entries(&[]), false).into_bytes();
    text.resize(text.len() + firedrill_journal::MAX_LINE_BYTES + 10, b'x');
    let journal = decode(&text);
    assert!(journal.broken.unwrap().why.contains("more than"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.journal");
    fs::write(&path, &text).unwrap();
    assert!(read(&path).unwrap().broken.is_some());
}

fn is_said(journal: &Journal) -> bool {
    journal.whole().is_err()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_values_come_back_to_the_last_bit(values in prop::collection::vec(any::<f64>(), 0..20)) {
        let entries = entries(&values);
        let journal = decode(encode(&entries, true).as_bytes());
        prop_assert_eq!(journal.whole(), Ok(()));
        prop_assert_eq!(journal.entries, entries);
    }

    #[test]
    fn any_change_of_any_byte_is_found(place in any::<prop::sample::Index>(), with in any::<u8>()) {
        let text = encode(&entries(&[0.1, 0.25]), true).into_bytes();
        let mut changed = text.clone();
        let place = place.index(text.len());
        changed[place] = with;
        prop_assume!(changed != text);
        let journal = decode(&changed);
        prop_assert!(is_said(&journal));
        // What is still believed is what was written.
        let whole = decode(&text);
        prop_assert!(whole.entries.starts_with(&journal.entries));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(is_said(&decode(&bytes)));
    }
}

#[test]
fn a_cut_at_any_byte_is_said() {
    let text = encode(&entries(&[0.1, 0.25]), true);
    let whole = decode(text.as_bytes());
    for cut in 0..text.len() {
        let journal = decode(&text.as_bytes()[..cut]);
        assert!(is_said(&journal), "cut at {cut}");
        assert!(journal.broken.is_none(), "a cut is no forgery: {cut}");
        assert!(whole.entries.starts_with(&journal.entries));
        let at_line_end = cut == 0 || text.as_bytes()[cut - 1] == b'\n';
        assert_eq!(journal.torn.is_none(), at_line_end, "cut at {cut}");
    }
}
