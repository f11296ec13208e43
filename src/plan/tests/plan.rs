//! The plan through its public face: what is read, what is refused and where, what an edit keeps.

use firedrill_plan::{
    Action, AlertKind, Indicator, Mode, Severity, Source, Stop, check, edit, parse, schema,
};

const ORDERS: &str = include_str!("orders.toml");

fn messages(text: &str) -> Vec<String> {
    check(text).diagnostics.iter().map(ToString::to_string).collect()
}

/// The orders plan with one text replaced by another.
fn with(from: &str, to: &str) -> String {
    assert!(ORDERS.contains(from), "{from}");
    ORDERS.replacen(from, to, 1)
}

#[test]
fn a_good_plan_is_read_whole() {
    let plan = parse(ORDERS).unwrap();
    assert_eq!(plan.title, "Orders: payment provider slows down");
    assert!(matches!(&plan.metrics.source, Source::Prometheus(url) if url == "http://127.0.0.1:9090"));
    assert_eq!(plan.slis.len(), 3);
    assert!(matches!(
        &plan.slis[0].indicator,
        Indicator::Ratio {
            window_ms: 30_000,
            ..
        }
    ));
    assert_eq!(plan.slis[0].min_rate, Some(5.0));
    assert_eq!(plan.slis[1].unit, "ms");
    assert_eq!(plan.slis[2].stop, Stop::Never { after: 2 });
    assert_eq!(plan.slis[2].tolerate, plan.slis[2].band);
    let experiment = &plan.experiments[0];
    assert_eq!(
        (experiment.lease_ms, experiment.baseline_ms, experiment.recover_ms),
        (10_000, 60_000, 120_000)
    );
    let Action::Inject(inject) = &experiment.steps[0].action else {
        panic!("the first step injects")
    };
    assert_eq!(inject.parameters["delay"], "400ms");
    assert_eq!(
        (inject.for_ms, inject.ramp_ms, inject.target.mode),
        (60_000, 15_000, Mode::One)
    );
    assert_eq!(inject.target.scope.route.as_deref(), Some("payment-http"));
    assert_eq!(experiment.steps[1].action, Action::Wait(30_000));
}

#[test]
fn a_wrong_name_gets_its_place_and_the_nearest_right_one() {
    let found = messages(&with("\"http.latency\"", "\"http.latncy\""));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with("unknown fault \"http.latncy\"; did you mean \"http.latency\"?"),
        "{found:?}"
    );
    let line = ORDERS
        .lines()
        .position(|line| line.contains("http.latency"))
        .unwrap()
        + 1;
    assert!(found[0].starts_with(&format!("{line}:12: ")), "{found:?}");
}

#[test]
fn every_mistake_is_said_at_once() {
    let text = ORDERS
        .replace("title =", "titel =")
        .replace("window = \"30s\" }\nunit = \"%\"", "window = 30 }\nunit = \"%\"")
        .replace("driver = \"native\"", "driver = \"nativ\"")
        .replace("for = \"60s\"", "for = \"60\"")
        .replace("jitter = \"100ms\"", "jitter = \"500ms\"");
    let found = messages(&text).join("\n");
    for expected in [
        "missing \"title\"",
        "unknown key \"titel\"; did you mean \"title\"?",
        "expected a duration with its unit, such as \"30s\"",
        "unknown driver \"nativ\"; did you mean \"native\"?",
        "expected a duration such as \"400ms\"",
        "jitter: is larger than the delay: at most 400 ms",
    ] {
        assert!(found.contains(expected), "{expected} is not in\n{found}");
    }
}

#[test]
fn what_belongs_to_a_later_release_is_refused_and_never_ignored() {
    for (from, to) in [
        ("lease = \"10s\"", "lease = \"10s\"\nrules = [\"orders.sla\"]"),
        ("driver = \"native\"", "driver = \"toxiproxy\""),
        (
            "route = \"payment-http\"",
            "pod = \"x\", route = \"payment-http\"",
        ),
        ("band = { max = 50 }", "band = { learn = \"2m\", k = 4.0 }"),
    ] {
        let found = messages(&with(from, to)).join("\n");
        assert!(found.contains("not yet supported"), "{to}: {found}");
    }
}

const GUARDED: &str = r#"
[guardrails]
max_targets = 3
max_share = "50%"
max_duration = "5m"
staffed = "Mon-Fri 10:00-16:00 Europe/Berlin"
peak = "11:30-13:30"
forbid = ["network.partition", "tcp.*"]
alertmanager = "http://127.0.0.1:9093/"
approval = true
harm_budget = { per_drill = "90s", per_day = "300s" }
error_budget = { sli = "Order success", objective = 0.999, window = "30d", spend_at_most = 0.02 }
[[alert]]
kind = "webhook"
url = "http://127.0.0.1:9000/hook"
[[experiment.on_stop]]
when = ["breach", "abort"]
http = { url = "http://127.0.0.1:8080/admin/scale", body = "{\"replicas\":3}" }
[[experiment.on_stop]]
command = { agent = "payments-1", name = "restart-payments" }
"#;

#[test]
fn guardrails_alerts_and_actions_are_read_whole() {
    let checked = check(&format!("{ORDERS}{GUARDED}"));
    let plan = checked.plan.unwrap();
    let rails = &plan.guardrails;
    assert_eq!((rails.max_targets, rails.max_share), (Some(3), Some(0.5)));
    assert_eq!(rails.max_duration_ms, Some(300_000));
    assert_eq!(
        rails.peak.as_ref().unwrap().zone(),
        "Europe/Berlin",
        "that of staffed"
    );
    assert_eq!(rails.alertmanager.as_deref(), Some("http://127.0.0.1:9093"));
    assert!(rails.approval);
    assert_eq!(rails.harm_budget.unwrap().per_day_ms, Some(300_000));
    let budget = rails.error_budget.as_ref().unwrap();
    // 0.1 % of 30 days is 43.2 min; 2 % of that 51.84 s.
    assert!(
        budget.sli == 0 && (budget.allowed_ms() - 51_840.0).abs() < 1e-3,
        "{budget:?}"
    );
    assert_eq!(plan.alerts[0].kind, AlertKind::Webhook);
    let action = &plan.experiments[0].on_stop[0];
    assert!(action.on_breach && action.on_abort);
    assert_eq!(action.call.to_string(), "POST http://127.0.0.1:8080/admin/scale");
    let command = &plan.experiments[0].on_stop[1];
    assert!(command.on_breach && !command.on_abort);
    assert_eq!(command.call.to_string(), "command restart-payments on payments-1");
    // A fault that this version does not have yet is not silently forbidden.
    let warnings: Vec<String> = checked.diagnostics.iter().map(ToString::to_string).collect();
    assert!(
        warnings.iter().all(|it| it.contains("network.partition")),
        "{warnings:?}"
    );
}

#[test]
fn every_mistake_in_guardrails_is_said_at_once() {
    let text = format!("{ORDERS}{GUARDED}")
        .replace("max_targets = 3", "max_target = 3")
        .replace("\"50%\"", "1.5")
        .replace("Europe/Berlin", "Europe/Berln")
        .replace("\"tcp.*\"", "\"tcp.cutt\"")
        .replace("approval = true", "approval = \"yes\"")
        .replace("per_drill = \"90s\"", "per_drill = \"900s\"")
        .replace("sli = \"Order success\"", "sli = \"Order succes\"")
        .replace("objective = 0.999", "objective = 99.9")
        .replace("kind = \"webhook\"", "kind = \"webhok\"")
        .replace("when = [\"breach\", \"abort\"]", "when = [\"breech\"]")
        .replace(
            "http = { url",
            "command = { agent = \"a\", name = \"x\" }\nhttp = { methode = \"PUT\", url",
        )
        .replace(
            "agent = \"payments-1\", name = \"restart-payments\"",
            "agent = \"payment-1\", name = \"/bin/sh -c x\"",
        );
    let found = messages(&text).join("\n");
    for expected in [
        "unknown key \"max_target\"; did you mean \"max_targets\"?",
        "expected a share above 0 and at most 1",
        "\"Europe/Berln\" is not a time zone",
        "\"11:30-13:30\" names no time zone",
        "unknown fault \"tcp.cutt\"; did you mean \"tcp.cut\"?",
        "expected true or false",
        "per_drill is more than per_day",
        "the plan has no SLI \"Order succes\"; did you mean \"Order success\"?",
        "expected an objective within 0 and 1",
        "unknown kind \"webhok\"; did you mean \"webhook\"?",
        "unknown \"breech\"; did you mean \"breach\"?",
        "exactly one of http, command",
        "the plan has no agent \"payment-1\"; did you mean \"payments-1\"?",
        "program and arguments stand in the host's policy alone",
    ] {
        assert!(found.contains(expected), "{expected} is missing in\n{found}");
    }
}

#[test]
fn lines_hold_each_other() {
    let found = messages(&with("tolerate = { min = 0.97 }", "tolerate = { min = 0.99999 }"));
    assert!(
        found
            .iter()
            .any(|message| message.contains("tolerate is narrower than band")),
        "{found:?}"
    );
    let found = messages(&with("stop = { min = 0.90, after = 2 }", "stop = { min = 0.98 }"));
    assert!(
        found
            .iter()
            .any(|message| message.contains("stop is narrower than tolerate")),
        "{found:?}"
    );
    let found = messages(&with("band = { min = 0.9995 }", "band = { min = 2, max = 1 }"));
    assert!(
        found
            .iter()
            .any(|message| message.contains("min 2 is above max 1")),
        "{found:?}"
    );
}

#[test]
fn a_plan_that_nothing_can_stop_is_an_error() {
    let text = ORDERS
        .replace("stop = { min = 0.90, after = 2 }", "stop = \"never\"")
        .replace("stop = { max = 2.0, after = 2 }", "stop = \"never\"");
    assert!(messages(&text).join("\n").contains("no SLI can stop a drill"));
}

#[test]
fn a_plan_judged_by_machines_only_is_a_warning() {
    let start = ORDERS.find("[[sli]]").unwrap();
    let end = ORDERS.find("[[agent]]").unwrap();
    let text = format!(
        "{}[[sli]]\nname = \"CPU\"\ngauge = 'node_cpu_busy'\nband = {{ max = 0.7 }}\n\n{}",
        &ORDERS[..start],
        &ORDERS[end..]
    );
    let checked = check(&text);
    assert!(checked.plan.is_some(), "{:?}", checked.diagnostics);
    assert_eq!(checked.diagnostics[0].severity, Severity::Warning);
    assert!(
        checked.diagnostics[0]
            .message
            .contains("steady state is what users get")
    );
}

#[test]
fn credentials_and_half_addresses_are_refused() {
    for (url, expected) in [
        (
            "http://me:secret@127.0.0.1:7431",
            "credentials never stand in a plan",
        ),
        ("127.0.0.1:7431", "begins with http://"),
        ("http://:7431", "no host"),
        ("http://127.0.0.1:99999", "not a port"),
    ] {
        let found = messages(&with("http://10.0.0.7:7431", url)).join("\n");
        assert!(found.contains(expected), "{url}: {found}");
    }
}

#[test]
fn targets_must_exist() {
    let found = messages(&with(
        "service = \"payments\", mode",
        "servce = \"payments\", mode",
    ))
    .join("\n");
    assert!(
        found.contains("no agent has a label \"servce\"; did you mean \"service\"?"),
        "{found}"
    );
    let found = messages(&with("service = \"payments\", mode", "service = \"other\", mode")).join("\n");
    assert!(found.contains("hits 0 of 1 agents"), "{found}");
    let found = messages(&with("mode = \"one\"", "mode = \"fixed:2\"")).join("\n");
    assert!(found.contains("hits 1 of 1 agents; 2 needed"), "{found}");
    let found = messages(&with(", route = \"payment-http\"", "")).join("\n");
    assert!(found.contains("needs a route"), "{found}");
}

#[test]
fn several_syntax_errors_are_said_together() {
    let found = messages("title = \nsystem = \"x\"\ngoal = = 1\n");
    assert!(found.len() >= 2, "{found:?}");
    assert!(found.iter().any(|message| message.starts_with("1:")), "{found:?}");
    assert!(found.iter().any(|message| message.starts_with("3:")), "{found:?}");
}

#[test]
fn windows_hold_four_samples_where_the_interval_is_ours() {
    let text = with(
        "prometheus = \"http://127.0.0.1:9090\"",
        "scrape = [\"http://127.0.0.1:9090/metrics\"]",
    )
    .replace("every = \"1s\"", "every = \"10s\"");
    let found = messages(&text).join("\n");
    assert!(
        found.contains("at least 40000 ms with one every 10000 ms"),
        "{found}"
    );
}

#[test]
fn a_diagnostic_shows_the_line_with_a_caret() {
    let text = with("title = \"Orders", "titel = \"Orders");
    let checked = check(&text);
    let rendered = checked
        .diagnostics
        .iter()
        .find(|d| d.message.contains("unknown key"))
        .unwrap()
        .render("orders.toml", &text);
    let lines: Vec<_> = rendered.lines().collect();
    assert!(
        lines[0].starts_with("orders.toml:2:1: error: unknown key \"titel\""),
        "{rendered}"
    );
    assert_eq!(lines[2].find('^'), lines[1].find("titel"), "{rendered}");
}

#[test]
fn an_edit_keeps_comments_order_and_spacing() {
    let path = ["experiment", "0", "step", "0", "with", "delay"];
    let edited = edit::set(ORDERS, &path, "250ms").unwrap();
    assert_eq!(edited, with("delay = \"400ms\"", "delay = \"250ms\""));
    let edited = edit::set(ORDERS, &["experiment", "0", "hypothesis"], "It holds.").unwrap();
    let hypothesis = "\"Orders stay within tolerance when payment answers 400 ms later.\"";
    assert_eq!(edited, with(hypothesis, "\"It holds.\""));
}

#[test]
fn an_edit_makes_what_is_missing_and_takes_away() {
    let edited = edit::set(ORDERS, &["experiment", "0", "step", "0", "repeat", "times"], 3).unwrap();
    let edited = edit::set(
        &edited,
        &["experiment", "0", "step", "0", "repeat", "every"],
        "2m",
    )
    .unwrap();
    let plan = parse(&edited).unwrap();
    let Action::Inject(inject) = &plan.experiments[0].steps[0].action else {
        panic!("the first step injects")
    };
    assert_eq!((inject.repeat.times, inject.repeat.every_ms), (3, 120_000));
    let removed = edit::remove(&edited, &["experiment", "0", "step", "1"]).unwrap();
    assert_eq!(parse(&removed).unwrap().experiments[0].steps.len(), 1);
    assert!(removed.contains("# agreed with the payments team"));
}

#[test]
fn a_new_step_goes_behind_the_others() {
    let body = "inject = \"tcp.cut\"\ntarget = { service = \"payments\", route = \"payment-http\" }\n";
    let edited = edit::push_table(ORDERS, &["experiment", "0", "step"], body).unwrap();
    let plan = parse(&edited).unwrap_or_else(|found| panic!("{found:?}\n{edited}"));
    assert_eq!(plan.experiments[0].steps.len(), 3);
    assert!(
        matches!(&plan.experiments[0].steps[2].action, Action::Inject(inject) if inject.fault == "tcp.cut")
    );
}

#[test]
fn what_is_new_stands_as_far_from_the_margin_as_its_neighbours() {
    let text = "[[experiment]]\nname = \"e\"\n\n  [[experiment.step]]\n  wait = \"1s\"\n";
    let edited = edit::set(text, &["experiment", "0", "step", "0", "lane"], "b").unwrap();
    assert!(edited.ends_with("  wait = \"1s\"\n  lane = \"b\"\n"), "{edited}");
    let edited = edit::set(text, &["experiment", "0", "say"], "s").unwrap();
    assert!(
        edited.starts_with("[[experiment]]\nname = \"e\"\nsay = \"s\"\n\n  [["),
        "{edited}"
    );
    let pushed = edit::push_table(
        text,
        &["experiment", "0", "step"],
        "wait = \"2s\"\nlane = \"b\"\n",
    )
    .unwrap();
    assert!(
        pushed.ends_with("\n  [[experiment.step]]\n  wait = \"2s\"\n  lane = \"b\"\n"),
        "{pushed}"
    );
}

#[test]
fn a_step_moves_with_its_comments_and_its_tables() {
    let text = r#"# of the plan
[[experiment]]
name = "e"

  # the first
  [[experiment.step]]
  inject = "a" # why a
  [experiment.step.with]
  delay = "1s" # of a

  # the second
  [[experiment.step]]
  wait = "2s"

  [[experiment.step]]
  inject = "c"

[people] # at the end
"#;
    let steps = ["experiment", "0", "step"];
    let order = |text: &str| {
        let values = edit::values(text).unwrap();
        let steps = values["experiment"][0]["step"].as_array().unwrap().clone();
        let name = |step: &serde_json::Value| step["inject"].as_str().unwrap_or("wait").to_owned();
        steps.iter().map(name).collect::<Vec<_>>().join(" ")
    };
    let moved = edit::move_entry(text, &steps, 0, 2).unwrap();
    assert_eq!(order(&moved), "wait c a");
    let tail = "  # the first\n  [[experiment.step]]\n  inject = \"a\" # why a\n  [experiment.step.with]\n  delay = \"1s\" # of a\n\n[people] # at the end\n";
    assert!(moved.ends_with(tail), "{moved}");
    assert!(
        moved.contains("  # the second\n  [[experiment.step]]\n  wait = \"2s\"\n"),
        "{moved}"
    );
    assert_eq!(edit::move_entry(&moved, &steps, 2, 0).unwrap(), text);
    assert_eq!(order(&edit::move_entry(text, &steps, 2, 1).unwrap()), "a c wait");
    assert!(edit::move_entry(text, &steps, 0, 3).is_err());

    // One that was made just now has no place of its own yet.
    let pushed = edit::push_table(text, &steps, "inject = \"d\"").unwrap();
    assert_eq!(
        order(&edit::move_entry(&pushed, &steps, 3, 0).unwrap()),
        "d a wait c"
    );
    let inline = "experiment = [{ step = [{ inject = \"a\" }, { wait = \"2s\" }] }]";
    assert_eq!(order(&edit::move_entry(inline, &steps, 1, 0).unwrap()), "wait a");
}

#[test]
fn a_plan_can_be_built_from_nothing() {
    let text = edit::set("", &["title"], "New").unwrap();
    let text = edit::push_table(&text, &["agent"], "name = \"a\"\nurl = \"http://127.0.0.1:7431\"").unwrap();
    let text = edit::push_table(&text, &["agent"], "name = \"b\"\nurl = \"http://127.0.0.1:7432\"").unwrap();
    assert!(text.starts_with("title = \"New\"\n"), "{text}");
    assert_eq!(text.matches("[[agent]]").count(), 2, "{text}");
}

#[test]
fn an_edit_that_cannot_be_says_so() {
    assert!(matches!(
        edit::set("a = = 1", &["a"], 1),
        Err(edit::EditError::NotToml(_))
    ));
    assert!(matches!(
        edit::set(ORDERS, &["experiment", "7", "name"], "x"),
        Err(edit::EditError::NoSuchPlace(_))
    ));
}

#[test]
fn the_schema_names_every_key_of_the_example() {
    let schema = schema();
    let sli = &schema["properties"]["sli"]["items"]["properties"];
    for key in ["name", "ratio", "band", "tolerate", "stop", "say", "min_rate"] {
        assert!(sli[key].is_object(), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn every_profile_that_ships_is_a_good_plan() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            seen += 1;
            let checked = check(&std::fs::read_to_string(&path).unwrap());
            assert!(
                checked.plan.is_some(),
                "{}: {:?}",
                path.display(),
                checked.diagnostics
            );
        }
    }
    assert!(seen >= 8, "profiles/ holds {seen} plans");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(200))]

    #[test]
    fn no_damage_panics_or_hides(at in 0usize..4_000, cut in 0usize..60, insert in ".{0,12}") {
        let mut text = ORDERS.to_owned();
        let at = (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (at + cut..text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        text.replace_range(at..end, &insert);
        let checked = check(&text);
        // Either it can be used, or there is at least one error that says why not, at a place in the text.
        let errors = checked.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        proptest::prop_assert_eq!(checked.plan.is_none(), errors > 0);
        for diagnostic in checked.diagnostics {
            proptest::prop_assert!(diagnostic.line >= 1 && diagnostic.line <= text.lines().count() + 1);
        }
    }
}
