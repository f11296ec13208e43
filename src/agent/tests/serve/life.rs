//! The life of drills and injections.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Drill, Rig, burners, opening, runs, until};

pub const TESTS: &[(&str, fn())] = &[
    ("a_noop_from_start_to_proof", a_noop_from_start_to_proof),
    (
        "starts_are_idempotent_and_ids_are_taken_once",
        starts_are_idempotent_and_ids_are_taken_once,
    ),
    ("an_agent_has_one_holder", an_agent_has_one_holder),
    (
        "foreign_and_late_calls_are_refused",
        foreign_and_late_calls_are_refused,
    ),
    ("mistakes_are_told_all_at_once", mistakes_are_told_all_at_once),
    ("a_preview_has_no_effect", a_preview_has_no_effect),
    ("cores_burn_and_stop", cores_burn_and_stop),
    ("a_resource_has_one_owner", a_resource_has_one_owner),
    ("an_injection_ends_by_itself", an_injection_ends_by_itself),
    ("a_lapsed_lease_reverts", a_lapsed_lease_reverts),
    (
        "a_renewal_by_the_second_door_keeps_the_drill",
        a_renewal_by_the_second_door_keeps_the_drill,
    ),
    (
        "a_revert_before_its_start_leaves_a_tombstone",
        a_revert_before_its_start_leaves_a_tombstone,
    ),
];

fn a_noop_from_start_to_proof() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let view = drill.start("i1", "noop", Value::Null, json!({}));
    assert_eq!(
        (&view["id"], &view["fault"], &view["epoch"]),
        (&json!("i1"), &json!("noop"), &json!(1))
    );
    assert_eq!(
        drill
            .client
            .get("/v1/injections")
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(
        (&gone["state"], &gone["undone"]),
        (&json!("reverted"), &json!(true)),
        "{gone}"
    );
    let proved = until("proved", || {
        Some(drill.view("i1")).filter(|view| !view["proved"].is_null())
    });
    assert!(proved["proved"]["tick"].as_u64() >= gone["tick"].as_u64().map(|_| 1));
    let closed = drill
        .client
        .call("DELETE", "/v1/drills/1", &json!({ "journal": "abc" }))
        .expect(200);
    assert_eq!(closed["injections"][0]["state"], "reverted");
    let metrics = String::from_utf8(drill.client.get("/metrics").body).unwrap();
    for part in [
        "chaos_injection_active{",
        "chaos_injection_duration_seconds_count{",
        "chaos_experiment_id=\"payment is slow\"",
        "chaos_type=\"noop\"",
        "env=\"test\"",
        "job=\"chaos\"",
        "outcome=\"reverted\"",
    ] {
        assert!(metrics.contains(part), "{part} is not in {metrics}");
    }
    until("the audit log tells it", || {
        let audit = rig.audit();
        let told = ["tester", "noop", "i1", "abc", "Reverted"]
            .iter()
            .all(|word| audit.contains(word));
        (told
            && audit
                .lines()
                .all(|line| serde_json::from_str::<Value>(line).is_ok()))
        .then_some(())
    });
}

fn starts_are_idempotent_and_ids_are_taken_once() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let first = drill.start("i1", "noop", Value::Null, json!({}));
    let again = drill.start("i1", "noop", Value::Null, json!({}));
    assert_eq!(first["active_since"], again["active_since"]);
    let mut other = drill.body("noop", Value::Null, json!({}));
    other["ends_in_ms"] = json!(1_000);
    let refusal = drill.client.call("PUT", "/v1/injections/i1", &other).expect(409);
    assert_eq!(refusal["type"], "held");
    // Another body that is not even valid is another body too.
    let invalid = drill.body("noop", json!({ "delay": "1s" }), json!({}));
    drill
        .client
        .call("PUT", "/v1/injections/i1", &invalid)
        .expect(409);
}

fn an_agent_has_one_holder() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let again = drill
        .client
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(200);
    assert_eq!(again["holder"], drill.fence["holder"]);
    let refusal = drill
        .client
        .call("POST", "/v1/drills", &opening("d2", 60_000))
        .expect(409);
    let text = refusal.to_string();
    assert!(
        text.contains("tester") && !text.contains(drill.fence["holder"].as_str().unwrap()),
        "{text}"
    );
    let seen = drill.client.get("/v1/agent").expect(200);
    assert_eq!(
        (&seen["open"]["drill"], &seen["open"]["epoch"]),
        (&json!("d1"), &json!(1))
    );
    drill.client.delete("/v1/drills/1").expect(200);
    drill
        .client
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(412);
    let next = drill
        .client
        .call("POST", "/v1/drills", &opening("d2", 60_000))
        .expect(200);
    assert_eq!(next["epoch"], 2);
}

fn foreign_and_late_calls_are_refused() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    for (key, value) in [
        ("drill", json!("d0")),
        ("epoch", json!(7)),
        ("instance", json!("x")),
        ("holder", json!("x")),
    ] {
        let mut body = drill.body("noop", Value::Null, json!({}));
        body["fence"][key] = value;
        drill.client.call("PUT", "/v1/injections/i1", &body).expect(412);
    }
    let mut late = drill.body("noop", Value::Null, json!({}));
    late["not_after"] = json!(1);
    drill.client.call("PUT", "/v1/injections/i2", &late).expect(412);
    let mut long = drill.body("noop", Value::Null, json!({}));
    long["ends_in_ms"] = json!(3_600_001);
    drill.client.call("PUT", "/v1/injections/i3", &long).expect(403);
    drill.client.delete("/v1/drills/1").expect(200);
    let dead = drill.body("noop", Value::Null, json!({}));
    drill.client.call("PUT", "/v1/injections/i4", &dead).expect(412);
}

fn mistakes_are_told_all_at_once() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let body = drill.body(
        "cpu.burn",
        json!({ "cores": 0, "load": "200%", "x": 1 }),
        json!({ "pid": 1 }),
    );
    let refusal = drill.client.call("PUT", "/v1/injections/i1", &body).expect(400);
    let detail = refusal["detail"].as_str().unwrap();
    for path in ["parameters.cores", "parameters.load", "parameters.x", "scope.pid"] {
        assert!(detail.contains(path), "{path} is not in {detail}");
    }
    assert!(!refusal["remedy"].as_str().unwrap().is_empty() && refusal["instance"].is_string());
    let mut unknown = drill.body("noop", Value::Null, json!({}));
    unknown["surprise"] = json!(1);
    let refusal = drill
        .client
        .call("PUT", "/v1/injections/i1", &unknown)
        .expect(400);
    assert!(refusal["detail"].as_str().unwrap().contains("surprise"));
    let body = drill.body("noop.at.all", Value::Null, json!({}));
    let refusal = drill.client.call("PUT", "/v1/injections/i1", &body).expect(400);
    assert!(refusal["remedy"].as_str().unwrap().contains("cpu.burn"));
    let mut ramp = drill.body("noop", Value::Null, json!({}));
    ramp["ramp_ms"] = json!(100);
    drill.client.call("PUT", "/v1/injections/i1", &ramp).expect(400);
    drill.client.send(
        "PUT",
        "/v1/injections/i1",
        "content-type: application/json\r\n",
        b"{\"fence\":",
    );
    drill.client.answer().expect(400);
    drill
        .client
        .call(
            "POST",
            "/v1/drills/9/lease",
            &json!({ "fence": drill.fence, "seen": 1 }),
        )
        .expect(400);
    drill
        .client
        .call(
            "POST",
            "/v1/drills/x/lease",
            &json!({ "fence": drill.fence, "seen": 1 }),
        )
        .expect(400);
}

fn a_preview_has_no_effect() {
    let rig = Rig::new();
    let mut client = rig.client();
    let body = json!({ "fault": "cpu.burn", "parameters": { "cores": 2, "load": "50%" } });
    let preview = client.call("POST", "/v1/preview", &body).expect(200);
    assert!(
        preview["hits"][0]
            .as_str()
            .unwrap()
            .starts_with("2 threads at 50 %"),
        "{preview}"
    );
    assert_eq!(client.get("/v1/injections").expect(200), json!([]));
    let wrong = json!({ "fault": "cpu.burn", "parameters": { "cores": 0 } });
    client.call("POST", "/v1/preview", &wrong).expect(400);
    client.get("/v1/injections/i1").expect(404);
    client.delete("/v1/injections/i1").expect(404);
}

fn cores_burn_and_stop() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let me = std::process::id().cast_signed();
    let before = burners(me);
    let body = json!({ "cores": 1, "load": "60%" });
    drill.start("i1", "cpu.burn", body, json!({}));
    let burner = burners(me)
        .into_iter()
        .find(|pid| !before.contains(pid))
        .expect("a child burns");
    until("core time is counted", || {
        drill.view("i1")["evidence"]["counts"]["core_s"]
            .as_f64()
            .filter(|seconds| *seconds > 0.1)
    });
    let change = json!({
        "fence": drill.fence, "revision": 1, "not_after": u64::MAX, "parameters": { "cores": 1, "load": "10%" },
    });
    let changed = drill
        .client
        .call("PATCH", "/v1/injections/i1", &change)
        .expect(200);
    assert_eq!(
        (&changed["revision"], &changed["state"]),
        (&json!(1), &json!("active")),
        "{changed}"
    );
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted");
    assert!(
        gone["evidence"]["words"].as_str().unwrap().contains("reaped"),
        "{gone}"
    );
    assert!(!runs(burner));
    let proved = until("proved", || {
        Some(drill.view("i1")).filter(|view| !view["proved"].is_null())
    });
    assert!(
        proved["proved"]["evidence"]["words"]
            .as_str()
            .unwrap()
            .contains("no such process")
    );
}

fn a_resource_has_one_owner() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let load = json!({ "load": "5%" });
    drill.start("i1", "cpu.burn", load.clone(), json!({}));
    let body = drill.body("cpu.burn", load.clone(), json!({}));
    let refusal = drill.client.call("PUT", "/v1/injections/i2", &body);
    assert_eq!(refusal.status, 409, "{}", String::from_utf8_lossy(&refusal.body));
    drill.client.delete("/v1/injections/i1").expect(200);
    drill.start("i3", "cpu.burn", load, json!({}));
}

fn an_injection_ends_by_itself() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let mut body = drill.body("noop", Value::Null, json!({}));
    body["ends_in_ms"] = json!(150);
    drill.client.call("PUT", "/v1/injections/i1", &body).expect(200);
    let view = until("over", || {
        Some(drill.view("i1")).filter(|view| view["state"] == "reverted")
    });
    assert_eq!(view["reason"], "end");
    let lasted = view["proved"]["tick"].as_u64().unwrap_or(u64::MAX) - view["active_since"].as_u64().unwrap();
    assert!(lasted >= 150_000, "{lasted}");
}

fn a_lapsed_lease_reverts() {
    let rig = Rig::new();
    let mut drill = Drill::open_for(rig.client(), "d1", 2_000);
    let began = drill.start("i1", "noop", Value::Null, json!({}));
    let view = until("lapsed", || {
        Some(drill.view("i1")).filter(|view| view["state"] == "reverted")
    });
    assert_eq!(view["reason"], "lease");
    let after = view["tick"].as_u64().unwrap() - began["active_since"].as_u64().unwrap();
    assert!((1_500_000..3_000_000).contains(&after), "{after} us");
    let metrics = String::from_utf8(drill.client.get("/metrics").body).unwrap();
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("chaos_lease_lapses_total") && line.ends_with(" 1"))
    );
}

fn a_renewal_by_the_second_door_keeps_the_drill() {
    let rig = Rig::new();
    let mut drill = Drill::open_for(rig.client(), "d1", 2_000);
    drill.start("i1", "noop", Value::Null, json!({}));
    let mut second = rig.second();
    let end = std::time::Instant::now() + Duration::from_millis(2_600);
    while std::time::Instant::now() < end {
        let seen = second.get("/v1/agent").expect(200)["tick"].clone();
        let body = json!({ "fence": drill.fence, "seen": seen });
        let renewed = second.call("POST", "/v1/drills/1/lease", &body).expect(200);
        assert_eq!(
            renewed["deadline"].as_u64().unwrap(),
            seen.as_u64().unwrap() + 2_000_000
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(drill.view("i1")["state"], "active");
}

fn a_revert_before_its_start_leaves_a_tombstone() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    drill.client.delete("/v1/injections/i1").expect(404);
    let body = drill.body("noop", Value::Null, json!({}));
    drill.client.call("PUT", "/v1/injections/i1", &body).expect(412);
}
