//! The report through its public face: what it says, that nothing in a name becomes markup, and that a review
//! always gives the same bytes.

use std::sync::Arc;

use firedrill_drill::{At, Outcome, Phase, Reason, SliState, Verdict};
use firedrill_plan::{Range, Say, Stop};
use firedrill_report::{html, json, junit, markdown, write};
use firedrill_scene::{
    DrillScene, InjectionScene, LogKind, LogLine, Numbers, Review, SafetyScene, SliNumbers, SliScene,
};
use firedrill_series::Series;
use firedrill_wire::InjectionState;

const HOSTILE: &str = "P95 <script>alert(1)</script> | \"x\" & `y`";

fn at(seconds: u64) -> At {
    At {
        mono_us: seconds * 1_000_000,
        wall_ms: 1_795_000_000_000 + seconds.cast_signed() * 1_000,
    }
}

fn sli() -> SliScene {
    let mut series = Series::new();
    for second in 0..40 {
        series.push(
            second * 1_000_000,
            (second != 20).then_some(if second < 15 { 0.1 } else { 2.5 }),
        );
    }
    SliScene {
        name: HOSTILE.to_owned(),
        unit: "ms".to_owned(),
        say: Say::default(),
        band: Range {
            min: None,
            max: Some(0.3),
        },
        tolerate: Range {
            min: None,
            max: Some(0.8),
        },
        stop: Stop::Outside {
            range: Range {
                min: None,
                max: Some(2.0),
            },
            after: 2,
        },
        state: SliState::Out,
        value: Some(2.5),
        age_ms: Some(400),
        why_no_data: None,
        bad_in_row: 2,
        series,
        bad: Arc::new(vec![(16_000_000, Some(2.5)), (20_000_000, None)]),
    }
}

fn review(outcome: Outcome) -> Review {
    let numbers = |median| {
        Some(Numbers {
            samples: 10,
            without_data: 1,
            min: median,
            median,
            p95: median,
            max: median,
        })
    };
    let injection = InjectionScene {
        id: "i-1".into(),
        fault: "http.latency".into(),
        agent: "payments-1".into(),
        scope: "route payment-http".into(),
        strength: "400 ms ± 100 ms".into(),
        lever: None,
        state: Some(InjectionState::Reverted),
        proved: true,
        from_us: Some(12_000_000),
        until_us: Some(22_000_000),
        ends_us: 40_000_000,
        ramp_us: 0,
        evidence: "212 requests delayed".into(),
        by_hand: None,
    };
    let scene = DrillScene {
        safety: SafetyScene::default(),
        console: "desk".into(),
        holds: Vec::new(),
        hold: None,
        people: None,
        id: "d-1".into(),
        experiment: "Payment is slow".into(),
        hypothesis: "Orders stay within tolerance.".into(),
        say: None,
        now: at(40),
        origin_wall_ms: 1_795_000_000_000,
        phase: Phase::Verdict,
        phases: vec![(Phase::Preflight, 0), (Phase::Inject, 12_000_000)],
        progress: None,
        slis: vec![sli()],
        injections: vec![injection],
        planned: Vec::new(),
        log: Arc::new(
            [LogLine {
                at: at(12),
                kind: LogKind::Fault,
                title: "inject".into(),
                words: HOSTILE.into(),
            }]
            .into(),
        ),
        lease_left_ms: None,
        agents: 0,
        checks: Vec::new(),
        arming: None,
        verdict: None,
        seal: firedrill_drill::Seal::Open,
        fired: Arc::default(),
    };
    let reason = Reason {
        at: at(17),
        rule: "stop condition".into(),
        words: "P95 2500 ms > 2000 ms, 2 in a row".into(),
    };
    Review {
        drill: "d-1".into(),
        title: "Orders".into(),
        system: "orders".into(),
        journal: None,
        sealed: Ok(()),
        hash: "abc123".into(),
        scene: Arc::new(scene),
        verdict: Verdict {
            outcome,
            reasons: vec![reason],
            unconfirmed: Vec::new(),
        },
        numbers: vec![SliNumbers {
            name: HOSTILE.into(),
            unit: "ms".into(),
            before: numbers(0.1),
            during: numbers(2.5),
            after: None,
        }],
        time_to_break_ms: Some(3_000),
        time_to_stop_ms: Some(7),
        time_to_recover_ms: None,
        bad_samples: 2,
    }
}

#[test]
fn nothing_in_a_name_becomes_markup() {
    let review = review(Outcome::Broken);
    for text in [html(&review), junit(&review), markdown(&review)] {
        assert!(!text.contains("<script>"), "{text}");
    }
    assert!(
        markdown(&review).contains("\\|"),
        "a bar in a name would break the table"
    );
}

#[test]
fn html_is_one_file_with_plots_and_nothing_to_fetch() {
    let text = html(&review(Outcome::Broken));
    assert!(text.contains("<svg") && text.contains("<polyline"), "{text}");
    assert!(
        !text.contains("http://") && !text.contains("https://") && !text.contains("<link"),
        "{text}"
    );
    // The gap at second 20 splits the line: a report never draws over what was not seen.
    assert_eq!(text.matches("<polyline").count(), 2);
    assert_eq!(text.matches("class=\"bad\"").count(), 2);
    assert!(text.contains("reverted and read back, proved clean"));
}

#[test]
fn junit_is_xml_that_fails_when_the_hypothesis_broke() {
    for (outcome, failures, errors) in [
        (Outcome::Held, 1, 0),
        (Outcome::Broken, 2, 0),
        (Outcome::Inconclusive, 1, 1),
        (Outcome::Aborted, 1, 1),
    ] {
        let text = junit(&review(outcome));
        let mut reader = quick_xml::Reader::from_str(&text);
        let mut cases = 0;
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Eof => break,
                quick_xml::events::Event::Start(tag) if tag.name().as_ref() == "testcase" => cases += 1,
                _ => {}
            }
        }
        assert_eq!(cases, 2, "{text}");
        // The SLI left tolerance (2.5 s against 0.8 s), whatever the verdict.
        assert!(
            text.contains(&format!("failures=\"{failures}\" errors=\"{errors}\"")),
            "{text}"
        );
    }
}

#[test]
fn json_has_the_probe_of_the_white_paper() {
    let value: serde_json::Value = serde_json::from_str(&json(&review(Outcome::Broken))).unwrap();
    assert_eq!(value["stability_probe"]["before"]["latency_95ms"], 100.0);
    assert_eq!(value["stability_probe"]["during"]["latency_95ms"], 2500.0);
    assert!(value["stability_probe"]["after"]["latency_95ms"].is_null());
    assert!(
        value["stability_probe"]["before"]["cpu_percent"].is_null(),
        "never a guess"
    );
    assert_eq!(value["outcome"], "broken");
}

#[test]
fn something_that_may_be_on_is_said_first() {
    let mut review = review(Outcome::Aborted);
    review.verdict.unconfirmed = vec!["i-1".into()];
    review.sealed = Err("line 7 was changed".into());
    for text in [html(&review), markdown(&review)] {
        assert!(text.contains("Something may still be on"), "{text}");
        assert!(text.contains("line 7 was changed"), "{text}");
    }
}

#[test]
fn the_same_review_gives_the_same_bytes_in_four_files() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b/c"));
    let first = write(&review(Outcome::Held), &a).unwrap();
    let second = write(&review(Outcome::Held), &b).unwrap();
    for (one, other) in [
        (first.html, second.html),
        (first.markdown, second.markdown),
        (first.junit, second.junit),
        (first.json, second.json),
    ] {
        assert_eq!(
            std::fs::read(&one).unwrap(),
            std::fs::read(&other).unwrap(),
            "{}",
            one.display()
        );
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = write(&review(Outcome::Held), &file.join("under"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("choose another folder"), "{error}");
}
