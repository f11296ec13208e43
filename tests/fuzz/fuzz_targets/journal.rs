//! A journal's bytes, whatever they are: read without a panic, and what is believed can be replayed.
//!
//! The first byte chooses: as it is, or each line with the hash that fits it, so that the fuzzer gets behind the chain.

#![no_main]

use firedrill_drill::replay;
use firedrill_journal::{Encoder, decode};
use libfuzzer_sys::fuzz_target;

/// Each line closed with the hash over the one before and itself, as the codec does.
fn chained(text: &[u8]) -> Vec<u8> {
    let mut hash = Encoder::new().hash().to_owned();
    let mut out = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(open) = line.strip_suffix(b"}") else { continue };
        let mut hasher = blake3::Hasher::new();
        hasher.update(hash.as_bytes());
        hasher.update(line);
        hash = hasher.finalize().to_hex().to_string();
        out.extend_from_slice(open);
        out.extend_from_slice(format!(",\"hash\":\"{hash}\"}}\n").as_bytes());
    }
    out
}

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let journal = if mode % 2 == 0 {
        decode(rest)
    } else {
        decode(&chained(rest))
    };
    assert!(
        !(journal.sealed && journal.broken.is_some()),
        "sealed and broken at once"
    );
    let mut encoder = Encoder::new();
    for stamped in &journal.entries {
        encoder.encode(stamped).expect("what was read can be written");
    }
    // What it says of itself is for people; a replay may refuse, never panic.
    drop(journal.whole());
    drop(replay(&journal.entries, |drill, at, _| {
        drill.progress(at);
    }));
});
