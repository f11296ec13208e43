//! Guardrails: each refuses by its name and says what would satisfy it; those that can change end a drill; alerts
//! and emergency actions follow a stop and are waited for by nothing but the verdict.

use firedrill_drill::{Arming, COMMAND_MS, Call, Command, Effect, Outcome, Phase, Reading, Spent};
use firedrill_plan::Rule;
use firedrill_wire::{DrillId, Epoch, OpenDrillView, Tick};

use crate::world::{PLAN, World, first, healthy};

/// The plan with its guardrails replaced.
fn plan(guardrails: &str) -> String {
    let known = "[guardrails]\nmax_targets = 2\n";
    assert!(PLAN.contains(known));
    PLAN.replacen(known, guardrails, 1)
}

fn guarded(more: &str) -> String {
    plan(&format!("[guardrails]\nmax_targets = 2\n{more}\n"))
}

/// What a headless drill of this plan is refused for.
fn refused(plan: &str, prepare: impl FnOnce(&mut World)) -> String {
    let mut world = World::prepared(plan, Arming::AtOnce, prepare);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(world.drill.injections().is_empty(), "nothing was injected");
    first(&verdict)
}

fn held(plan: &str, prepare: impl FnOnce(&mut World)) {
    let verdict = World::prepared(plan, Arming::AtOnce, prepare).verdict();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:#?}");
}

#[test]
fn without_a_table_a_run_is_one_instance() {
    let words = refused(&plan(""), |_| {});
    assert_eq!(
        words,
        "guardrail targets: hits 2 agents, at most 1 where [guardrails] max_targets does not say more; \
         choose fewer targets (mode), or set max_targets = 2 in [guardrails]; \
         or override it for a reason (--override targets=REASON)"
    );
    held(&plan("").replace("mode = \"all\"", "mode = \"one\""), |_| {});
}

#[test]
fn each_rule_refuses_by_its_name_and_says_what_would_satisfy_it() {
    for (more, rule, remedy) in [
        (
            "max_share = \"50%\"",
            "guardrail share: hits 2 of 2",
            "raise max_share",
        ),
        (
            "max_duration = \"5s\"",
            "guardrail duration: the longest injection is 10 s, at most 5 s",
            "raise max_duration",
        ),
        (
            "forbid = [\"http.*\"]",
            "guardrail forbid: http.latency is forbidden",
            "change forbid",
        ),
        (
            "staffed = \"Fri 10:00-16:00 UTC\"",
            "guardrail staffed: nobody is there now",
            "begin Fri 10:00 UTC",
        ),
        (
            "peak = \"Thu 00:00-01:00 UTC\"",
            "guardrail peak: it is a peak hour",
            "is over: Thu 01:00 UTC",
        ),
        (
            "approval = true",
            "guardrail approval: the plan asks for a second person",
            "--approved-by NAME",
        ),
    ] {
        let words = refused(&guarded(more), |_| {});
        assert!(
            words.starts_with(rule) && words.contains(remedy),
            "{more}: {words}"
        );
        assert_eq!(
            words.contains("--override"),
            rule != "guardrail approval: the plan asks for a second person"
        );
    }
    held(
        &guarded(
            "max_share = 1.0\nmax_duration = \"10s\"\nforbid = [\"tcp.cut\"]\nstaffed = \"Thu 00:00-01:00 UTC\"\npeak = \"Fri 00:00-01:00 UTC\"",
        ),
        |_| {},
    );
}

#[test]
fn open_alerts_refuse_a_start_and_so_does_an_alertmanager_that_is_silent() {
    let plan = guarded("alertmanager = \"http://127.0.0.1:9093\"");
    let words = refused(&plan, |world| world.alerts = Ok(vec!["DiskFull".to_owned()]));
    assert!(
        words.starts_with("guardrail alerts: 1 alert open: DiskFull; handle"),
        "{words}"
    );
    let words = refused(&plan, |world| world.alerts = Err("no answer".to_owned()));
    assert!(
        words.contains("whether alerts are open is not known: no answer"),
        "{words}"
    );
    held(&plan, |_| {});
}

#[test]
fn what_earlier_drills_spent_counts_and_must_be_known() {
    let plan = guarded("harm_budget = { per_drill = \"5s\", per_day = \"30s\" }");
    let words = refused(&plan, |world| {
        world.spent = Ok(Spent {
            harm_ms: 30_000,
            error_ms: 0.0,
        });
    });
    assert!(
        words.starts_with("guardrail harm-budget: nothing left of 30 s of bad time for 24 hours"),
        "{words}"
    );
    let words = refused(&plan, |world| world.spent = Err("unreadable".to_owned()));
    assert!(words.contains("not known: unreadable"), "{words}");
    held(&plan, |_| {});
}

/// What a neighbour in somebody else's drill says.
fn their_drill() -> OpenDrillView {
    OpenDrillView {
        on: None,
        drill: DrillId::from("other"),
        epoch: Epoch(3),
        experiment: "disk is full".to_owned(),
        console: "desk 2".to_owned(),
        who: "Bob".to_owned(),
        since: Tick(0),
        lease_left_ms: 900,
    }
}

#[test]
fn a_drill_on_the_same_targets_by_another_agent_refuses() {
    let plan = PLAN.replace("mode = \"all\"", "mode = \"one\"");
    let words = refused(&plan, |world| world.neighbour_drill = Some(their_drill()));
    assert!(
        words.starts_with("guardrail shared:")
            && words.contains("held by Bob on desk 2 for \"disk is full\""),
        "{words}"
    );
}

/// Found by the simulator: what a neighbour had said once stood for good.
#[test]
fn neighbours_are_asked_again_until_the_start() {
    let plan = PLAN.replace("mode = \"all\"", "mode = \"one\"");
    let mut world = World::prepared(&plan, Arming::Ask, |world| {
        world.neighbour_drill = Some(their_drill());
    });
    world.run_to(Phase::Arming);
    world.run(6_000);
    assert!(!world.drill.arming().ready, "the neighbour is in a drill");
    world.neighbour_drill = None;
    world.run(6_000);
    assert!(world.drill.arming().ready, "{:#?}", world.drill.guardrails());
    world.neighbour_drill = Some(their_drill());
    world.run(6_000);
    world.command(Command::Arm);
    assert_eq!(
        world.drill.phase(),
        Phase::Arming,
        "another drill has begun there"
    );
    world.neighbour_drill = None;
    world.run(6_000);
    world.command(Command::Arm);
    world.run_to(Phase::Inject);
    let asked = |world: &World| {
        let neighbours = world.times(|effect| match effect {
            Effect::Call {
                agent,
                call: Call::Info,
            } if !world.drill.agents()[*agent].needed => Some(()),
            _ => None,
        });
        neighbours.len()
    };
    let before = asked(&world);
    world.run(11_000);
    assert_eq!(asked(&world), before, "once agents are open their epochs decide");
}

/// Found by the simulator: a held drill was never resumed for what a neighbour had said before the start.
#[test]
fn neighbours_are_asked_again_while_a_drill_is_held() {
    let plan = PLAN
        .replace("mode = \"all\"", "mode = \"one\"")
        .replace("for = \"10s\"", "for = \"60s\"");
    let mut world = World::new(&plan, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(2_000);
    let by = || "Ada".to_owned();
    world.command(Command::Hold { by: by() });
    world.neighbour_drill = Some(their_drill());
    world.run(6_000);
    world.command(Command::Resume { by: by() });
    assert_eq!(
        world.drill.hold().map(|it| it.stage),
        Some(firedrill_drill::HoldStage::Held),
        "the neighbour is in a drill"
    );
    world.neighbour_drill = None;
    world.run(6_000);
    world.command(Command::Resume { by: by() });
    world.run(6_000);
    assert!(
        world.drill.hold().is_none(),
        "{:#?}",
        world.drill.judgements().last()
    );
}

/// Users are hurt, but not so much that a stop condition ends the drill.
fn hurt(world: &mut World) {
    world.run_to(Phase::Inject);
    world.run(600);
    world.read = Box::new(|sli, _| {
        let bad = Reading::Value {
            value: 0.93,
            rate: Some(40.0),
        };
        Some(if sli == 0 { bad } else { healthy(sli) })
    });
}

#[test]
fn a_harm_budget_drains_while_users_are_hurt_and_zero_stops_the_drill() {
    let plan = guarded("harm_budget = { per_drill = \"3s\" }");
    let mut world = World::new(&plan, Arming::AtOnce);
    hurt(&mut world);
    world.run(2_500);
    let row = world
        .drill
        .guardrails()
        .into_iter()
        .find(|it| it.rule == Rule::HarmBudget)
        .unwrap();
    let left = row.left.unwrap();
    assert!(
        left.of_ms == 3_000 && (1..3_000).contains(&left.left_ms),
        "{left:?}"
    );
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Aborted);
    assert_eq!(
        first(&verdict),
        "guardrail harm-budget: nothing left of 3 s of bad time for this drill"
    );
    assert_eq!(world.aborts(), [false], "a guardrail does not latch");
    assert!(verdict.unconfirmed.is_empty());
    assert!(
        (3_000..3_400).contains(&world.drill.harm_ms()),
        "{}",
        world.drill.harm_ms()
    );
}

#[test]
fn an_error_budget_is_spent_by_the_share_of_bad_events() {
    // (1 - 0.999) of an hour is 3.6 s; 10 % of it 0.36 s; at 7 % bad events that is 5.1 s.
    let budget =
        "error_budget = { sli = \"Success\", objective = 0.999, window = \"1h\", spend_at_most = \"10%\" }";
    let mut world = World::new(&guarded(budget), Arming::AtOnce);
    hurt(&mut world);
    let from = world.now_us;
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Aborted);
    assert!(
        first(&verdict).starts_with(
            "guardrail error-budget: nothing left of 0.4 s of errors of Success (10 % of its budget of 3.6 s)"
        ),
        "{}",
        first(&verdict)
    );
    let took_ms = (world.drill.began(Phase::Closing).unwrap().mono_us - from) / 1_000;
    assert!((4_500..6_500).contains(&took_ms), "{took_ms}");
}

#[test]
fn the_end_of_the_staffed_hours_and_a_new_alert_end_a_running_drill() {
    let mut world = World::new(
        &guarded("staffed = \"Thu 00:00-00:01 UTC\"").replace("for = \"10s\"", "for = \"300s\""),
        Arming::AtOnce,
    );
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Aborted);
    assert!(
        first(&verdict).starts_with("guardrail staffed: nobody is there now"),
        "{}",
        first(&verdict)
    );

    let mut world = World::new(
        &guarded("alertmanager = \"http://127.0.0.1:9093\"").replace("for = \"10s\"", "for = \"300s\""),
        Arming::AtOnce,
    );
    world.run_to(Phase::Inject);
    world.run(1_000);
    // One silence is not three.
    world.alerts = Err("no answer".to_owned());
    world.run(20_000);
    assert_eq!(world.drill.phase(), Phase::Inject);
    world.alerts = Ok(vec!["OrdersFail".to_owned()]);
    let verdict = world.verdict();
    assert!(
        first(&verdict).starts_with("guardrail alerts: 1 alert open: OrdersFail"),
        "{}",
        first(&verdict)
    );
}

#[test]
fn a_person_may_override_for_a_reason_and_a_second_person_approves() {
    let mut world = World::new(&plan("[guardrails]\napproval = true\n"), Arming::Ask);
    world.run_to(Phase::Arming);
    world.command(Command::Arm);
    assert_eq!(world.drill.phase(), Phase::Arming, "two rules are in the way");
    let refusal = world.drill.judgements().last().unwrap().clone();
    assert!(
        refusal.what == "not started" && refusal.reason.words.contains("Guardrail targets"),
        "{refusal:?}"
    );
    let say = |rule, reason: &str| Command::Override {
        rule,
        reason: reason.to_owned(),
        by: "Ada".to_owned(),
    };
    world.command(say(Rule::Targets, "  "));
    world.command(say(Rule::Approval, "no time"));
    world.command(Command::Approve {
        by: "ada ".to_owned(),
    });
    assert!(!world.drill.arming().ready);
    let said: Vec<String> = world
        .drill
        .judgements()
        .iter()
        .map(|it| it.what.clone())
        .collect();
    assert!(
        said.ends_with(&[
            "not overridden".into(),
            "not overridden".into(),
            "not approved".into()
        ]),
        "{said:?}"
    );
    world.command(say(Rule::Targets, "both are canaries"));
    world.command(Command::Approve {
        by: "Grace".to_owned(),
    });
    assert!(world.drill.arming().ready);
    world.command(Command::Arm);
    assert_eq!(world.verdict().outcome, Outcome::Held);
    let row = world.drill.guardrails().remove(0);
    assert!(
        row.words.starts_with("overridden by Ada: both are canaries"),
        "{}",
        row.words
    );
}

const TOLD: &str = r#"
[[experiment.on_stop]]
http = { url = "http://127.0.0.1:8080/scale" }
[[experiment.on_stop]]
when = ["abort"]
http = { url = "http://127.0.0.1:8080/page" }
[[alert]]
kind = "webhook"
url = "http://127.0.0.1:9000/hook"
"#;

fn told(world: &World) -> Vec<&'static str> {
    let word = |effect: &Effect| match effect {
        Effect::Abort { .. } => Some("abort"),
        Effect::Alert { .. } => Some("alert"),
        Effect::Act { action: 0, .. } => Some("scale"),
        Effect::Act { .. } => Some("page"),
        _ => None,
    };
    world
        .effects
        .iter()
        .filter_map(|(_, effect)| word(effect))
        .collect()
}

#[test]
fn a_breach_is_told_and_acted_on_after_the_reverts() {
    let plan = format!("{PLAN}{TOLD}");
    let mut world = World::new(&plan, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(600);
    world.read = Box::new(|sli, now| {
        let bad = Reading::Value {
            value: 0.5,
            rate: Some(40.0),
        };
        Some(if sli == 0 && now < 13_000_000 {
            bad
        } else {
            healthy(sli)
        })
    });
    assert_eq!(world.verdict().outcome, Outcome::Broken);
    assert_eq!(told(&world), ["abort", "alert", "scale"]);
    let said: Vec<&str> = world
        .drill
        .judgements()
        .iter()
        .map(|it| it.what.as_str())
        .collect();
    assert!(said.contains(&"alert") && said.contains(&"action"), "{said:?}");
    assert!(world.drill.notices().iter().all(|it| it.done.is_some()));
}

#[test]
fn an_abort_has_its_own_actions_and_a_normal_end_has_none() {
    let plan = format!("{PLAN}{TOLD}");
    let mut world = World::new(&plan, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.abort();
    assert_eq!(world.verdict().outcome, Outcome::Aborted);
    assert_eq!(told(&world), ["abort", "page"]);

    let mut world = World::new(&plan, Arming::AtOnce);
    assert_eq!(world.verdict().outcome, Outcome::Held);
    assert!(told(&world).is_empty());
}

#[test]
fn nobody_waits_long_for_who_does_not_answer() {
    let mut world = World::new(&format!("{PLAN}{TOLD}"), Arming::AtOnce);
    world.noticed = None;
    world.run_to(Phase::Inject);
    world.run(500);
    let at = world.now_us;
    world.abort();
    world.verdict();
    let took_ms = (world.now_us - at) / 1_000;
    assert!((9_000..13_000).contains(&took_ms), "{took_ms}");
}

#[test]
fn an_action_by_hand_is_sent_while_a_drill_runs() {
    let mut world = World::new(&format!("{PLAN}{TOLD}"), Arming::AtOnce);
    let act = || Command::Act {
        action: 0,
        by: "Ada".to_owned(),
    };
    world.run_to(Phase::Baseline);
    world.command(act());
    assert!(told(&world).is_empty(), "not before a drill runs");
    world.run_to(Phase::Inject);
    world.command(act());
    assert_eq!(told(&world), ["scale"]);
    assert_eq!(world.verdict().outcome, Outcome::Held);
}

/// With an agent that is not hit and runs the command.
const RUN: &str = r#"
[[experiment.on_stop]]
command = { agent = "ops", name = "restart" }
[[agent]]
name = "ops"
url = "http://127.0.0.9:1"
"#;

fn allows(world: &mut World) {
    let ops = world.agents.last_mut().unwrap();
    ops.commands = vec!["reboot".to_owned(), "restart".to_owned()];
}

#[test]
fn a_command_must_be_on_its_hosts_list_before_a_start() {
    let plan = format!("{PLAN}{RUN}");
    let words = refused(&plan, |_| {});
    assert_eq!(
        words,
        "preflight: Emergency command restart on ops: its host does not allow it (it allows nothing); add [command.restart] \
         to the agent's policy file there, or take the action out of the plan"
    );
    held(&plan, allows);
    // The same of an agent that is hit.
    let plan = plan.replace("agent = \"ops\"", "agent = \"a\"");
    let words = refused(&plan, |_| {});
    assert!(
        words.starts_with("preflight: Emergency command restart on a: its host does not"),
        "{words}"
    );
    held(&plan, |world| {
        world.agents[0].commands = vec!["restart".to_owned()];
    });
}

#[test]
fn a_command_is_given_its_hosts_time() {
    let mut world = World::prepared(&format!("{PLAN}{RUN}"), Arming::AtOnce, allows);
    world.noticed = None;
    world.run_to(Phase::Inject);
    world.run(600);
    world.read = Box::new(|sli, now| {
        let bad = Reading::Value {
            value: 0.5,
            rate: Some(40.0),
        };
        Some(if sli == 0 && now < 13_000_000 {
            bad
        } else {
            healthy(sli)
        })
    });
    assert_eq!(world.verdict().outcome, Outcome::Broken);
    let sent = |it: &&(u64, Effect)| matches!(it.1, Effect::Act { action: 0, .. });
    let (sent_us, _) = world.effects.iter().find(sent).unwrap();
    let waited_ms = (world.now_us - sent_us) / 1_000;
    assert!(
        (COMMAND_MS..COMMAND_MS + 1_000).contains(&waited_ms),
        "{waited_ms}"
    );
}
