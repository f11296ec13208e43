//! A drill's scenes, said as the pictures say them. The drill is the one that ships; the world around it
//! answers at once.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::Arc;

use firedrill_drill::{
    Arming, At, Call, Command, Drill, Effect, Event, Outcome, Phase, Reading, Reply, Sample, Setup, SliState,
};
use firedrill_scene::{DrillScene, LogKind, Ours, SceneBuilder, ours};
use firedrill_wire::{
    AgentInfo, Closed, Epoch, Evidence, HolderSecret, InjectionState, InjectionView, Opened, Renewed, Stamp,
    StartRequest, Tick,
};

const PLAN: &str = r#"
title = "Orders"
system = "orders"
[metrics]
scrape = ["http://127.0.0.1:1/metrics"]
every = "500ms"
[[sli]]
name = "P95 latency"
quantile = { q = 0.95, histogram = 'http_request_duration_seconds{job="gateway"}', window = "5s" }
unit = "ms"
band     = { max = 0.3 }
tolerate = { max = 0.4 }
stop     = { max = 0.55, after = 2 }
[[agent]]
name = "payments-1"
url = "http://127.0.0.1:2"
labels = { service = "payments" }
[[agent]]
name = "payments-2"
url = "http://127.0.0.1:3"
labels = { service = "payments" }
[[experiment]]
name = "Payment is slow"
hypothesis = "Orders stay within tolerance when payment answers 400 ms later."
say = "Payment is slow on {n} of {all} hosts."
lease = "5s"
baseline = "2s"
recover = "15s"
  [[experiment.step]]
  inject = "http.latency"
  target = { service = "payments", mode = "one", route = "payment-http" }
  with = { path = "/api/payment", delay = "400ms", jitter = "100ms" }
  for = "20s"
  ramp = "5s"
[people]
facilitator = "Ada"
observers = ["Grace", "Edsger"]
"#;

struct World {
    drill: Drill,
    builder: SceneBuilder,
    now: At,
    todo: Vec<Effect>,
    latency: f64,
    injection: Option<InjectionView>,
}

impl World {
    fn new() -> Self {
        let plan = firedrill_plan::check(PLAN);
        assert!(plan.diagnostics.is_empty(), "{:?}", plan.diagnostics);
        let setup = Setup {
            drill: "d1".into(),
            plan: Arc::new(plan.plan.unwrap()),
            plan_text: PLAN.into(),
            version: "0.1.0".to_owned(),
            experiment: 0,
            seed: 1,
            console: "test".to_owned(),
            who: "Ada".to_owned(),
            arming: Arming::Ask,
        };
        let now = At {
            mono_us: 0,
            wall_ms: 1_000_000,
        };
        let mut builder = SceneBuilder::new(&setup);
        let (drill, todo) = Drill::new(setup, now);
        builder.feed(&drill, now, None);
        Self {
            drill,
            builder,
            now,
            todo,
            latency: 0.2,
            injection: None,
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            agent: "a".into(),
            instance: "i".into(),
            tick: Tick(self.now.mono_us + 77),
        }
    }

    fn feed(&mut self, event: Event) {
        let effects = self.drill.step(self.now, event.clone());
        self.builder.feed(&self.drill, self.now, Some(&event));
        self.todo.extend(effects);
        while !self.todo.is_empty() {
            let effect = self.todo.remove(0);
            if let Some(event) = self.answer(effect) {
                let effects = self.drill.step(self.now, event.clone());
                self.builder.feed(&self.drill, self.now, Some(&event));
                self.todo.extend(effects);
            }
        }
    }

    fn answer(&mut self, effect: Effect) -> Option<Event> {
        let stamp = self.stamp();
        let (agent, reply) = match effect {
            Effect::CheckSource => return Some(Event::SourceChecked { result: Ok(vec![]) }),
            Effect::TestAbort { agent, .. } => (agent, Reply::AbortTested { result: Ok(6_000) }),
            Effect::Abort { .. } => {
                let view = self.injection.as_mut().unwrap();
                view.state = InjectionState::Reverted;
                view.stamp = stamp;
                let view = Box::new(view.clone());
                (0, Reply::Injection { view })
            }
            Effect::Call { agent, call } => (agent, self.call(call, stamp)?),
            _ => return None,
        };
        Some(Event::Agent { agent, reply })
    }

    fn call(&mut self, call: Call, stamp: Stamp) -> Option<Reply> {
        Some(match call {
            Call::Info => Reply::Info {
                result: Ok(Box::new(AgentInfo {
                    stamp,
                    protocol: 1,
                    version: "0.1.0".to_owned(),
                    host: "h".to_owned(),
                    labels: [("service".to_owned(), "payments".to_owned())].into(),
                    latch: None,
                    open: None,
                    routes: vec![firedrill_wire::Route {
                        name: "payment-http".to_owned(),
                        listen: "127.0.0.1:4".to_owned(),
                        upstream: "127.0.0.1:5".to_owned(),
                        protocol: firedrill_wire::RouteProtocol::Http,
                    }],
                    faults: ["noop", "http.latency"].map(fault).into(),
                    abort_port: None,
                    notes: vec![],
                    policy: None,
                    commands: Vec::new(),
                })),
            },
            Call::Open(_) => Reply::Opened {
                result: Ok(Opened {
                    deadline: stamp.tick.plus_ms(5_000),
                    stamp,
                    epoch: Epoch(1),
                    holder: HolderSecret("s".to_owned()),
                }),
            },
            Call::Renew(_) => Reply::Renewed {
                result: Ok(Renewed {
                    deadline: stamp.tick.plus_ms(5_000),
                    stamp,
                }),
            },
            Call::Start(id, start) => {
                let StartRequest {
                    fault,
                    parameters,
                    scope,
                    ends_in_ms,
                    ..
                } = *start;
                let view = InjectionView {
                    started_by: stamp.instance.clone(),
                    id: id.clone(),
                    drill: "d1".into(),
                    epoch: Epoch(1),
                    fault,
                    scope,
                    parameters,
                    revision: 0,
                    state: InjectionState::Active,
                    active_since: Some(stamp.tick),
                    ends_at: stamp.tick.plus_ms(ends_in_ms),
                    ends_in_ms,
                    lease_left_ms: 5_000,
                    undone: None,
                    by_hand: None,
                    reason: None,
                    evidence: Evidence {
                        words: "212 requests delayed".to_owned(),
                        ..Evidence::default()
                    },
                    proved: None,
                    stamp,
                };
                self.injection = Some(view.clone());
                let result = Ok(Box::new(view));
                Reply::Started { id, result }
            }
            Call::Change(id, change) => {
                let view = self.injection.as_mut()?;
                view.stamp = stamp;
                view.revision = change.revision;
                view.parameters = change.parameters;
                Reply::Changed {
                    id,
                    revision: change.revision,
                    result: Ok(Box::new(view.clone())),
                }
            }
            Call::Revert(id) => {
                let view = self.injection.as_mut()?;
                view.stamp = stamp;
                view.state = InjectionState::Reverted;
                let result = Ok(Box::new(view.clone()));
                Reply::Reverted { id, result }
            }
            Call::Close(..) => Reply::Closed {
                result: Ok(Closed {
                    stamp,
                    injections: self.injection.clone().into_iter().collect(),
                }),
            },
        })
    }

    /// 100 ms: a heartbeat, every fifth time a sample.
    fn tick(&mut self) {
        self.now.mono_us += 100_000;
        self.now.wall_ms += 100;
        for agent in 0..2 {
            let reply = Reply::Heartbeat {
                rtt_us: Some(400),
                stamp: None,
            };
            self.feed(Event::Agent { agent, reply });
        }
        if self.now.mono_us.is_multiple_of(500_000) {
            self.feed(Event::Samples {
                samples: vec![Sample {
                    sli: 0,
                    source_ms: self.now.wall_ms,
                    age_ms: 100,
                    reading: Reading::Value {
                        value: self.latency,
                        rate: Some(40.0),
                    },
                }],
            });
        }
        self.feed(Event::Tick);
    }

    fn ours(&self) -> Ours {
        ours(&self.drill, self.now)
    }

    fn until(&mut self, what: impl Fn(&Drill) -> bool) -> DrillScene {
        for _ in 0..2_000 {
            if what(&self.drill) {
                return self.builder.scene(&self.drill, self.now);
            }
            self.tick();
        }
        panic!(
            "never: {:?} {:?} {:?}",
            self.drill.phase(),
            self.drill.checks(),
            self.drill.judgements()
        );
    }
}

fn fault(name: &str) -> firedrill_wire::FaultInfo {
    firedrill_wire::FaultInfo {
        name: name.into(),
        summary: String::new(),
        schema: serde_json::json!({}),
        params: vec![],
        scope: vec![],
        undo: firedrill_wire::Undo::ProcessHeld,
        undo_words: String::new(),
        available: true,
        why_not: None,
        remedy: None,
    }
}

fn log(scene: &DrillScene) -> Vec<(LogKind, String, String)> {
    let lines = scene.log.iter();
    lines
        .map(|line| (line.kind, line.title.clone(), line.words.clone()))
        .collect()
}

#[test]
fn a_drill_from_the_confirmation_to_the_verdict() {
    let mut world = World::new();
    let scene = world.until(|drill| drill.phase() == Phase::Arming);
    let arming = scene.arming.unwrap();
    assert_eq!(arming.title, "Start: payment is slow on 1 of 2 hosts, for 20 s");
    let hit = world.drill.chosen()[0].agents[0] + 1;
    assert_eq!(
        arming.what,
        [format!(
            "http.latency 400 ms ± 100 ms on /api/payment of payments-{hit}, route payment-http, for 20 s, growing over 5 s"
        )]
    );
    assert_eq!(
        arming.stops_itself,
        "It stops by itself when P95 latency rises above 550 ms, twice in a row; when we lose sight; when this computer vanishes for 5 s."
    );
    assert!(arming.ready);
    let people = arming.rows.iter().find(|row| row.what == "People").unwrap();
    assert_eq!(people.words, "Ada leads, 2 observers");
    assert_eq!(scene.people.as_deref(), Some("Ada leads, 2 observers"));
    let radius = arming.rows.iter().find(|row| row.what == "Blast radius").unwrap();
    assert_eq!(radius.words, "1 of 2 hosts that match");
    assert!(matches!(world.ours(), Ours::Nothing { proved_ms: Some(_) }));

    world.feed(Event::Command {
        command: Command::Arm,
    });
    let scene = world.until(|drill| drill.phase() == Phase::Inject && drill.injections()[0].active.is_some());
    assert!(scene.arming.is_none());
    assert_eq!(scene.say.as_deref(), Some("Payment is slow on 1 of 2 hosts."));
    assert_eq!(scene.injections[0].scope, "route payment-http");
    assert_eq!(scene.injections[0].strength, "400 ms ± 100 ms on /api/payment");
    assert_eq!(scene.injections[0].ramp_us, 5_000_000);
    assert_eq!(scene.planned[0].label, format!("http.latency · payments-{hit}"));
    assert_eq!(scene.agents, 1);
    let lines = log(&scene);
    let inject = format!("http.latency on payments-{hit}, 400 ms ± 100 ms on /api/payment, ramp 5 s");
    assert!(
        lines.contains(&(LogKind::Fault, "inject".to_owned(), inject)),
        "{lines:?}"
    );
    let active = format!("payments-{hit}: active after 0.0 ms, 212 requests delayed");
    assert!(
        lines.contains(&(LogKind::Agent, "agent".to_owned(), active)),
        "{lines:?}"
    );
    let Ours::On {
        faults: 1,
        ends_in_ms,
        ..
    } = world.ours()
    else {
        panic!("{:?}", world.ours());
    };
    assert!((19_000..=20_000).contains(&ends_in_ms), "{ends_in_ms}");

    world.feed(Event::Command {
        command: Command::Note {
            author: "Grace".to_owned(),
            text: "the queue grows".to_owned(),
        },
    });
    world.latency = 0.562;
    let scene = world.until(|drill| drill.bad_samples().len() == 1);
    assert_eq!(scene.slis[0].state, SliState::Out);
    assert_eq!((scene.slis[0].bad_in_row, scene.slis[0].bad.len()), (1, 1));
    assert_eq!(scene.slis[0].bad[0].1, Some(0.562));
    assert!(log(&scene).iter().any(|(kind, title, words)| {
        *kind == LogKind::Person && title == "note · Grace" && words == "the queue grows"
    }));
    assert!(
        log(&scene)
            .iter()
            .any(|(_, title, words)| title == "tolerance left" && words.contains("562 ms"))
    );

    world.until(Drill::is_ending);
    world.latency = 0.2;
    let scene = world.until(|drill| drill.verdict().is_some());
    let verdict = scene.verdict.as_ref().unwrap();
    assert_eq!(verdict.outcome, Outcome::Broken, "{verdict:?}");
    let lines = log(&scene);
    assert_eq!(lines.last().unwrap().1, "broken");
    assert!(
        lines
            .iter()
            .any(|(kind, title, _)| *kind == LogKind::End && title == "stop · stop condition")
    );
    assert!(scene.slis[0].series.len() > 10);
    assert_eq!(scene.origin_wall_ms, 1_000_000);
    assert!(matches!(world.ours(), Ours::Nothing { proved_ms: Some(_) }));
}

#[test]
fn a_strength_is_shown_as_the_agent_said_and_the_log_says_who_changed_it() {
    let mut world = World::new();
    world.until(|drill| drill.phase() == Phase::Arming);
    world.feed(Event::Command {
        command: Command::Arm,
    });
    let scene = world.until(|drill| drill.phase() == Phase::Inject && drill.fault_is_on());
    let lever = scene.injections[0].lever.clone().unwrap();
    assert_eq!(
        (lever.on, lever.on_words.as_str(), lever.asked),
        (Some(1.0), "400 ms", None)
    );
    let injection = world.drill.injections()[0].id.clone();
    world.feed(Event::Command {
        command: Command::Strength {
            injection,
            parameters: lever.lever.parameters(0.5),
            by: "Ada".to_owned(),
        },
    });
    let scene = world.builder.scene(&world.drill, world.now);
    assert_eq!(scene.injections[0].strength, "200 ms ± 50 ms on /api/payment");
    assert_eq!(scene.injections[0].lever.as_ref().unwrap().on, Some(0.5));
    let said: Vec<String> = log(&scene)
        .into_iter()
        .filter(|(kind, title, _)| (*kind, title.as_str()) == (LogKind::Fault, "strength"))
        .map(|(_, _, words)| words)
        .collect();
    let agent = &scene.injections[0].agent;
    assert_eq!(
        said,
        [
            format!("Ada turns http.latency on {agent} down: 400 ms to 200 ms"),
            format!("http.latency on {agent} is at 200 ms, as Ada asked")
        ]
    );
}

#[test]
fn a_hold_is_shown_and_moves_what_is_planned() {
    let mut world = World::new();
    world.until(|drill| drill.phase() == Phase::Arming);
    world.feed(Event::Command {
        command: Command::Arm,
    });
    world.until(|drill| drill.phase() == Phase::Inject && drill.fault_is_on());
    for _ in 0..80 {
        world.tick();
    }
    let by = || "Ada".to_owned();
    world.feed(Event::Command {
        command: Command::Hold { by: by() },
    });
    for _ in 0..50 {
        world.tick();
    }
    let scene = world.builder.scene(&world.drill, world.now);
    let hold = scene.hold.clone().unwrap();
    assert_eq!(
        (hold.by.as_str(), hold.stage),
        ("Ada", firedrill_drill::HoldStage::Held)
    );
    let agent = scene.injections[0].agent.clone();
    assert_eq!(
        hold.then,
        [format!("http.latency on {agent} for the 12 s it had left")]
    );
    assert!(matches!(world.ours(), Ours::Nothing { proved_ms: Some(_) }));
    assert!(scene.injections[0].lever.is_none(), "there is nothing to turn");
    assert_eq!(
        scene.planned[0].until_us, 25_000_000,
        "20 s and the 5 s that the clock has stood"
    );
    world.feed(Event::Command {
        command: Command::Resume { by: by() },
    });
    let scene = world.until(|drill| drill.hold().is_none());
    assert_eq!((scene.injections.len(), scene.holds.len()), (2, 1));
    assert!(matches!(world.ours(), Ours::On { faults: 1, .. }));
    let titles: Vec<String> = log(&scene).into_iter().map(|it| it.1).collect();
    for title in ["hold", "held", "resume", "resumed"] {
        assert!(titles.iter().any(|it| it == title), "no {title} in {titles:?}");
    }
    let replayed = world.until(|drill| drill.phase() == Phase::Verdict);
    assert_eq!(replayed.verdict.unwrap().outcome, Outcome::Held);
}

/// Everything that stands in a sealed drill and must not be told.
const SECRETS: [&str; 7] = [
    "http.latency",
    "payments-1",
    "payments-2",
    "payment-http",
    "Payment is slow",
    "Payment",
    "Orders stay",
];

#[test]
fn whoever_is_rehearsed_sees_symptoms_and_a_room_an_exercise() {
    use firedrill_scene::{Scene, Viewer};
    let mut world = World::new();
    let by = || "Ada".to_owned();
    world.feed(Event::Command {
        command: Command::Seal { by: by() },
    });
    world.until(|drill| drill.phase() == Phase::Arming);
    world.feed(Event::Command {
        command: Command::Arm,
    });
    world.until(|drill| drill.phase() == Phase::Inject && drill.fault_is_on());
    world.latency = 0.5;
    for _ in 0..50 {
        world.tick();
    }
    let scene = |world: &World| Scene {
        wall_ms: world.now.wall_ms,
        drill: Some(Arc::new(world.builder.scene(&world.drill, world.now))),
        ours: world.ours(),
        ..Scene::default()
    };
    let whole = scene(&world);
    assert!(
        SECRETS[..3].iter().any(|it| format!("{whole:?}").contains(it)),
        "there is a secret"
    );
    let told = whole.told(Viewer::Responder, false);
    let words = format!("{:?}", told.scene);
    for secret in SECRETS {
        assert!(!words.contains(secret), "{secret} in {words}");
    }
    let drill = told.scene.drill.as_ref().unwrap();
    assert_eq!(
        (drill.slis[0].state, drill.slis[0].value),
        (SliState::Out, Some(0.5))
    );
    assert_eq!(drill.slis[0].name, "P95 latency");
    assert!(drill.slis[0].bad.is_empty() && drill.slis[0].bad_in_row == 0 && drill.phases.is_empty());
    assert_eq!(drill.fired.len(), 1);
    assert_eq!(
        (drill.fired[0].what.as_str(), drill.fired[0].state),
        ("P95 latency", Some(SliState::Out))
    );
    let room = whole.told(Viewer::Room, false);
    assert!(room.scene.drill.is_none() && matches!(room.scene.ours, Ours::Unknown));
    for told in [&told, &room] {
        assert!(told.scene.abort.armed, "safety is never sealed");
    }
    // Who runs it sees all, and so does everybody after the reveal.
    assert!(whole.told(Viewer::Crew, true).scene.drill.is_some());
    world.feed(Event::Command {
        command: Command::Reveal { by: by() },
    });
    let whole = scene(&world);
    assert!(whole.redaction(true).hides() && !whole.redaction(false).hides());
    let told = whole.told(Viewer::Responder, false);
    assert!(format!("{:?}", told.scene).contains("http.latency"));
    let titles: Vec<String> = log(told.scene.drill.as_ref().unwrap())
        .into_iter()
        .map(|it| it.1)
        .collect();
    assert!(
        titles.contains(&"sealed".to_owned()) && titles.contains(&"revealed".to_owned()),
        "{titles:?}"
    );
}
