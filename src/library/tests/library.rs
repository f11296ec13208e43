//! The templates that ship, and what filling makes of answers.

use std::collections::BTreeMap;

use firedrill_library::{DemoPlaces, Kind, Template, Values, find, library};
use firedrill_plan::{Action, Indicator, Source, Stop};

fn places() -> DemoPlaces {
    let services = ["gateway", "orders", "payments", "inventory"];
    DemoPlaces {
        services: services
            .into_iter()
            .zip(40_001..)
            .map(|(name, port)| (name, format!("127.0.0.1:{port}")))
            .collect(),
        agent: "http://127.0.0.1:40010".to_owned(),
    }
}

fn answers(answers: &[(&str, &str)]) -> Values {
    let answers = answers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    answers.collect()
}

fn named(name: &str) -> &'static Template {
    find(name).unwrap_or_else(|| panic!("no template {name}"))
}

#[test]
fn all_eight_are_there_with_three_experiments_or_more_and_rules_for_a_first_run() {
    let names: Vec<_> = library().iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        [
            "online-shop",
            "payments",
            "go-microservices",
            "kubernetes-service",
            "smart-grid",
            "air-traffic",
            "medical-records",
            "trading"
        ]
    );
    for template in library() {
        let name = template.name;
        assert!(template.plan.experiments.len() >= 3, "{name}");
        assert!(template.parameters.len() >= 8, "{name}");
        let guardrails = &template.plan.guardrails;
        assert!(guardrails.max_targets.is_some(), "{name}");
        assert!(guardrails.max_duration_ms.is_some(), "{name}");
        assert!(guardrails.staffed.is_some(), "{name}");
        let forbid = guardrails.forbid.as_deref().unwrap_or_default();
        let partition = |it: &String| it == "network.partition" || it == "network.*";
        assert!(forbid.iter().any(partition), "{name}: {forbid:?}");
    }
}

#[test]
fn every_band_has_its_reason_beside_it() {
    for template in library() {
        for (number, line) in template.text.lines().enumerate() {
            // A comment above the indicator says it where the line itself does not.
            let bare = line.trim_start();
            if bare.starts_with("band") && !bare.contains('#') {
                let before: Vec<_> = template.text.lines().take(number).collect();
                let start = before.iter().rposition(|it| *it == "[[sli]]").unwrap();
                let above = before[start.saturating_sub(1)];
                assert!(
                    above.starts_with('#'),
                    "{} line {}: no reason for {line}",
                    template.name,
                    number + 1
                );
            }
        }
    }
}

#[test]
fn without_answers_it_is_the_plan_that_ships() {
    for template in library() {
        let filled = template.fill(&Values::new());
        assert_eq!(filled.text, template.text);
        assert!(filled.plan.is_some() && filled.wrong.is_empty());
        // Its defaults are answers too.
        let defaults = template
            .parameters
            .iter()
            .map(|it| (it.name.clone(), it.default.clone()));
        assert_eq!(template.fill(&defaults.collect()).text, template.text);
    }
}

#[test]
fn each_parameter_changes_something_and_what_comes_out_is_a_plan() {
    for template in library() {
        for parameter in &template.parameters {
            let other = match parameter.kind {
                Kind::Url => "http://10.1.2.3:7431",
                Kind::Source => "scrape http://10.1.2.3:80/metrics",
                Kind::Selector => "other_total{who=\"else\"}",
                Kind::Process => "container 0123456789ab",
                Kind::Count if parameter.default == "2" => "1",
                Kind::Count => "2",
                Kind::Number => "49.9",
                Kind::Text => match parameter.default.as_bytes() {
                    [b'0'..=b'9', .., b's' | b'B'] if parameter.default.ends_with("/s") => "3KB/s",
                    [b'0'..=b'9', .., b's'] => "1s",
                    _ if parameter.name == "staffed" => "Sat 01:00-02:00 UTC",
                    _ if parameter.name == "peak" => "01:00-02:00 UTC",
                    _ if parameter.name == "path" || parameter.name == "payment-path" => "/other",
                    _ => "other",
                },
            };
            let filled = template.fill(&answers(&[(&parameter.name, other)]));
            let at = format!("{}: {}", template.name, parameter.name);
            assert_ne!(filled.text, template.text, "{at}");
            assert_eq!(filled.wrong, [], "{at}");
            assert!(filled.plan.is_some(), "{at}");
        }
    }
}

#[test]
fn answers_go_to_all_their_places_and_comments_stay() {
    let filled = named("online-shop").fill(&answers(&[
        ("source", "scrape http://a:1/metrics http://b:2/metrics"),
        ("service", "cart"),
        ("quiet-rate", "3"),
        ("unit", "container 0123456789ab"),
        ("title", "no such parameter"),
    ]));
    assert!(filled.plan.is_none(), "an answer to nothing is a mistake");
    assert!(
        filled.wrong[0].words.contains("asks for no \"title\""),
        "{:?}",
        filled.wrong
    );
    let plan = firedrill_plan::parse(&filled.text).unwrap();
    assert_eq!(
        plan.metrics.source,
        Source::Scrape(vec!["http://a:1/metrics".into(), "http://b:2/metrics".into()])
    );
    assert_eq!(plan.agents[0].labels["service"], "cart");
    for experiment in &plan.experiments {
        for step in &experiment.steps {
            let Action::Inject(inject) = &step.action else {
                continue;
            };
            assert_eq!(inject.target.labels["service"], "cart", "{}", experiment.name);
        }
    }
    let placed = plan.slis.iter().find(|it| it.name == "Orders placed").unwrap();
    assert_eq!((placed.band.min, placed.tolerate.min), (Some(3.0), Some(2.1)));
    let Stop::Outside { range, .. } = placed.stop else {
        panic!()
    };
    assert_eq!(range.min, Some(0.9));
    let dns = plan
        .experiments
        .iter()
        .find(|it| it.name.contains("resolved"))
        .unwrap();
    let Action::Inject(dns) = &dns.steps[0].action else {
        panic!()
    };
    assert_eq!(dns.target.scope.container.as_deref(), Some("0123456789ab"));
    assert_eq!(dns.target.scope.unit, None);
    let comments = |text: &str| text.matches('#').count();
    assert_eq!(comments(&filled.text), comments(named("online-shop").text));
}

#[test]
fn all_mistakes_are_told_each_with_its_parameter() {
    let filled = named("online-shop").fill(&answers(&[
        ("agent", "10.0.0.7:7431"),
        ("orders-good", "http_requests_total{job="),
        ("staffed", "sometimes"),
        ("small-limit", "wide"),
        ("quiet-rate", "many"),
        ("balancer-route", "\"]\n[people]\nfacilitator = \"x"),
    ]));
    let concerned: Vec<_> = filled
        .wrong
        .iter()
        .filter_map(|it| it.parameter.as_deref())
        .collect();
    for name in [
        "agent",
        "orders-good",
        "staffed",
        "small-limit",
        "quiet-rate",
        "balancer-route",
    ] {
        assert!(concerned.contains(&name), "{name}: {:?}", filled.wrong);
        assert!(filled.wrong_with(name).is_some());
    }
    assert!(filled.plan.is_none());
    assert!(!filled.text.contains("[people]"), "a value breaks out of nothing");
}

#[test]
fn on_the_demo_each_is_a_plan_whose_numbers_come_from_it() {
    for template in library() {
        let name = template.name;
        let filled = template.on_demo(&places());
        assert_eq!(filled.wrong, [], "{name}");
        let plan = filled.plan.unwrap();
        let Source::Scrape(urls) = &plan.metrics.source else {
            panic!("{name}: {:?}", plan.metrics.source)
        };
        assert!(
            urls.iter().all(|url| url.starts_with("http://127.0.0.1:4000")),
            "{name}: {urls:?}"
        );
        assert_eq!(plan.agents.len(), 1, "{name}");
        assert_eq!(plan.agents[0].url, "http://127.0.0.1:40010", "{name}");
        assert!(
            plan.experiments.len() >= 2,
            "{name}: {} are left",
            plan.experiments.len()
        );
        for experiment in &plan.experiments {
            assert_eq!(template.demo.runs(&experiment.name), Ok(()), "{name}");
            assert!(experiment.baseline_ms <= 5_000, "{name}");
            for step in &experiment.steps {
                let Action::Inject(inject) = &step.action else {
                    continue;
                };
                assert!(inject.for_ms <= 8_000, "{name}: {}", experiment.name);
                if let Some(route) = &inject.target.scope.route {
                    let known = ["payment-http", "inventory-http", "balancer"];
                    assert!(known.contains(&route.as_str()), "{name}: {route}");
                }
            }
        }
        for sli in &plan.slis {
            assert!(
                !matches!(sli.indicator, Indicator::Promql(_)),
                "{name}: {}",
                sli.name
            );
        }
        let left: BTreeMap<_, _> = template
            .demo
            .without
            .iter()
            .map(|it| (it.what().1, &it.why))
            .collect();
        let missing = template.plan.experiments.len() - plan.experiments.len();
        let said = template
            .plan
            .experiments
            .iter()
            .filter(|it| left.contains_key(it.name.as_str()));
        assert_eq!(said.count(), missing, "{name}: what is left out is said");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(60))]

    /// Whatever is typed: no panic, and what is a plan has what was typed and nothing else new.
    #[test]
    fn no_answer_breaks_out(typed in "[ -~äß\"\\\\\n\\[\\]#=]{0,40}", which in 0usize..1_000) {
        let template = named("payments");
        let parameter = &template.parameters[which % template.parameters.len()];
        let filled = template.fill(&answers(&[(&parameter.name, &typed)]));
        if let Some(plan) = filled.plan {
            proptest::prop_assert_eq!(plan.experiments.len(), template.plan.experiments.len());
            proptest::prop_assert_eq!(plan.slis.len(), template.plan.slis.len());
            proptest::prop_assert_eq!(plan.title, template.plan.title.clone());
        } else {
            proptest::prop_assert!(!filled.wrong.is_empty());
        }
    }
}
