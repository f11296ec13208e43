//! The evaluator over made-up scrapes at made-up times.

use super::*;

fn sli(indicator: Indicator) -> Sli {
    Sli {
        name: "SLI".to_owned(),
        indicator,
        unit: String::new(),
        min_rate: None,
        band: firedrill_plan::Range::default(),
        tolerate: firedrill_plan::Range::default(),
        stop: firedrill_plan::Stop::Never { after: 2 },
        say: firedrill_plan::Say::default(),
    }
}

fn ratio() -> Sli {
    sli(Indicator::Ratio {
        good: r#"r{code!~"5.."}"#.parse().unwrap(),
        total: "r".parse().unwrap(),
        window_ms: 4_000,
    })
}

/// One SLI, and what it is after each text, one a second from second 1.
fn readings(sli: Sli, texts: impl IntoIterator<Item = String>) -> Vec<Reading> {
    let mut evaluator = Evaluator::new(&[sli]).unwrap();
    texts
        .into_iter()
        .zip(1_i64..)
        .flat_map(|(text, second)| look(&mut evaluator, second * 1_000, &text))
        .map(|sample| sample.reading)
        .collect()
}

fn look(evaluator: &mut Evaluator, now_ms: i64, text: &str) -> Vec<Sample> {
    evaluator.begin(now_ms);
    evaluator
        .take(text, Format::Text, &Origin::default(), now_ms)
        .unwrap();
    evaluator.finish()
}

fn number(reading: &Reading) -> (f64, f64) {
    match reading {
        Reading::Value { value, rate } => (*value, rate.unwrap()),
        Reading::NoData { why } => panic!("{why}"),
    }
}

fn why(reading: &Reading) -> &str {
    match reading {
        Reading::NoData { why } => why,
        reading @ Reading::Value { .. } => panic!("{reading:?}"),
    }
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-9
}

#[test]
fn a_ratio_once_its_window_is_full() {
    let texts = (0..8).map(|i| {
        format!(
            "r{{code=\"200\"}} {}\nr{{code=\"503\"}} {}\n",
            100 + i * 3,
            100 + i
        )
    });
    let readings = readings(ratio(), texts);
    assert_eq!(readings.len(), 8);
    for reading in &readings[..3] {
        assert!(why(reading).contains("not full yet"), "{reading:?}");
    }
    for reading in &readings[3..] {
        let (value, rate) = number(reading);
        assert!(near(value, 0.75) && near(rate, 4.0), "{reading:?}");
    }
}

#[test]
fn a_good_part_without_series_is_zero_and_no_traffic_is_no_data() {
    let failing = readings(
        ratio(),
        (0..6).map(|i| format!("r{{code=\"503\"}} {}\n", 100 + i)),
    );
    assert_eq!(number(&failing[5]).0, 0.0);
    let idle = readings(ratio(), (0..6).map(|_| "r{code=\"200\"} 7\n".to_owned()));
    assert!(
        why(&idle[5]).starts_with("no traffic: r did not grow in 4 s"),
        "{idle:?}"
    );
}

#[test]
fn a_restart_is_not_a_fall() {
    let counts = [100, 110, 120, 130, 5, 15, 25];
    let texts = counts.map(|count| format!("r{{code=\"200\"}} {count}\n"));
    let restarted = readings(ratio(), texts);
    let (value, rate) = number(&restarted[4]);
    // 110 → 130, then 5 from zero: 25 in 3 s.
    assert!(near(value, 1.0) && near(rate, 25.0 / 3.0), "{rate}");
}

#[test]
fn a_target_that_is_gone_is_no_data_at_once() {
    let texts = (0..6).map(|i| {
        if i < 5 {
            format!("r{{code=\"200\"}} {}\n", 100 + i)
        } else {
            String::new()
        }
    });
    let gone = readings(ratio(), texts);
    assert_eq!(number(&gone[4]).0, 1.0);
    assert!(why(&gone[5]).contains("no series is chosen by r:"), "{gone:?}");
}

#[test]
fn a_matcher_that_is_wrong_is_told_from_a_name_that_is() {
    let gauge = sli(Indicator::Gauge(r#"g{job="orders"}"#.parse().unwrap()));
    let mut evaluator = Evaluator::new(&[gauge]).unwrap();
    let samples = look(&mut evaluator, 1_000, "g{job=\"cart\"} 1\n");
    assert!(
        why(&samples[0].reading).contains("though the source has g{job=\"cart\"}"),
        "{samples:?}"
    );
    let samples = look(&mut evaluator, 2_000, "gg 1\n");
    assert!(
        why(&samples[0].reading).contains("nothing of that name"),
        "{samples:?}"
    );
}

#[test]
fn a_failed_scrape_says_why() {
    let mut evaluator = Evaluator::new(&[ratio()]).unwrap();
    look(&mut evaluator, 1_000, "r 1\n");
    evaluator.begin(2_000);
    evaluator.failed("nobody there".to_owned());
    let samples = evaluator.finish();
    assert_eq!(
        (samples[0].source_ms, why(&samples[0].reading)),
        (2_000, "nobody there")
    );
    // A text that is wrong anywhere gives nothing.
    evaluator.begin(3_000);
    assert!(
        evaluator
            .take("r 2\n<", Format::Text, &Origin::default(), 3_000)
            .is_err()
    );
    assert!(evaluator.missing(0).is_some());
}

#[test]
fn what_is_waited_for_is_no_sample_and_no_part_of_a_sum() {
    let gauges = ["g", r#"g{of="one"}"#, r#"g{of="two"}"#];
    let gauges = gauges.map(|it| sli(Indicator::Gauge(it.parse().unwrap())));
    let mut evaluator = Evaluator::new(&gauges).unwrap();
    let origin = |number| Origin {
        number,
        instance: None,
    };
    let values = |samples: Vec<Sample>| -> Vec<(usize, Option<f64>)> {
        let value = |sample: &Sample| match sample.reading {
            Reading::Value { value, .. } => Some(value),
            Reading::NoData { .. } => None,
        };
        samples.iter().map(|sample| (sample.sli, value(sample))).collect()
    };
    let one = |evaluator: &mut Evaluator, now_ms| {
        let text = "g{of=\"one\"} 1\n";
        evaluator.take(text, Format::Text, &origin(1), now_ms).unwrap();
    };
    let two = |evaluator: &mut Evaluator, asked_ms| {
        let text = "g{of=\"two\"} 2\n";
        evaluator.take(text, Format::Text, &origin(2), asked_ms).unwrap();
    };

    // Nothing is known of the second address: it may have a part in each.
    evaluator.begin(1_000);
    one(&mut evaluator, 1_000);
    evaluator.pending(2);
    assert_eq!(values(evaluator.finish()), []);
    evaluator.begin(2_000);
    one(&mut evaluator, 2_000);
    two(&mut evaluator, 1_000);
    assert_eq!(
        values(evaluator.finish()),
        [(0, Some(3.0)), (1, Some(1.0)), (2, Some(2.0))]
    );
    for now_ms in [3_000, 4_000] {
        evaluator.begin(now_ms);
        one(&mut evaluator, now_ms);
        evaluator.pending(2);
        assert_eq!(values(evaluator.finish()), [(1, Some(1.0))]);
    }
    evaluator.begin(5_000);
    one(&mut evaluator, 5_000);
    evaluator.failed("nobody there".to_owned());
    assert_eq!(
        values(evaluator.finish()),
        [(0, Some(1.0)), (1, Some(1.0)), (2, None)]
    );
}

#[test]
fn a_sample_with_a_time_of_its_own_is_new_once() {
    let gauge = sli(Indicator::Gauge("g".parse().unwrap()));
    let mut evaluator = Evaluator::new(&[gauge]).unwrap();
    let first = look(&mut evaluator, 10_000, "g 5 9000\n");
    assert_eq!((first[0].source_ms, first[0].age_ms), (9_000, 1_000));
    assert!(look(&mut evaluator, 11_000, "g 5 9000\n").is_empty());
    assert_eq!(look(&mut evaluator, 12_000, "g 6 11500\n")[0].age_ms, 500);
}

#[test]
fn gauges_are_summed_and_the_first_of_two_equal_series_counts() {
    let gauge = sli(Indicator::Gauge(r#"g{a=~"x|y"}"#.parse().unwrap()));
    let mut evaluator = Evaluator::new(&[gauge]).unwrap();
    evaluator.begin(1_000);
    let text = "g{a=\"x\"} 2\ng{a=\"y\"} 3\ng{a=\"z\"} 100\ng{a=\"x\"} 50\n";
    for number in 0..2 {
        let origin = Origin {
            number,
            instance: None,
        };
        evaluator.take(text, Format::Text, &origin, 1_000).unwrap();
    }
    assert_eq!(
        evaluator.finish()[0].reading,
        Reading::Value {
            value: 10.0,
            rate: None
        }
    );
}

#[test]
fn a_quantile_of_two_instances() {
    let quantile = sli(Indicator::Quantile {
        q: 0.5,
        histogram: "h".parse().unwrap(),
        window_ms: 4_000,
    });
    let text = |i: i32| {
        format!(
            "h_bucket{{le=\"0.1\",i=\"a\"}} {}\nh_bucket{{le=\"0.2\",i=\"a\"}} {}\nh_bucket{{le=\"+Inf\",i=\"a\"}} {}\n\
             h_bucket{{le=\"0.1\",i=\"b\"}} 0\nh_bucket{{le=\"0.2\",i=\"b\"}} {}\nh_bucket{{le=\"+Inf\",i=\"b\"}} {}\n",
            100 + i,
            100 + 3 * i,
            100 + 3 * i,
            100 + i,
            100 + i
        )
    };
    let readings = readings(quantile, (0..6).map(text));
    let (value, rate) = number(&readings[5]);
    // Of 4 a second 1 is at most 0.1 and all are at most 0.2: the second lies a third into the second bucket.
    assert!(near(value, 0.1 + 0.1 / 3.0) && near(rate, 4.0), "{value} {rate}");
    let mut evaluator = Evaluator::new(&[ratio()]).unwrap();
    look(&mut evaluator, 1_000, "r 1\n");
    assert!(evaluator.edges(0).is_empty());
}

#[test]
fn what_no_window_reaches_is_forgotten() {
    let mut evaluator = Evaluator::new(&[ratio()]).unwrap();
    for second in 0..1_000 {
        // A series of its own each second, as a service with a request id in its labels has.
        look(
            &mut evaluator,
            second * 1_000,
            &format!("r{{id=\"{second}\"}} 1\n"),
        );
    }
    assert!(evaluator.parts.iter().all(|part| part.series.len() <= 4));
}

#[test]
fn raw_promql_is_refused() {
    let error = Evaluator::new(&[sli(Indicator::Promql("up".to_owned()))]).unwrap_err();
    assert!(error.to_string().contains("only a Prometheus source"), "{error}");
}
