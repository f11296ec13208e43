//! Plans short enough for thousands of drills.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use firedrill_plan::Plan;

use crate::random::Random;

/// The source's interval in milliseconds.
pub(crate) const EVERY_MS: u64 = 500;
/// A value inside the band, and one outside `stop`.
pub(crate) const GOOD: f64 = 0.999;
pub(crate) const BAD: f64 = 0.2;
/// Bad samples in a row that stop a drill.
pub(crate) const AFTER: u32 = 2;

const HEAD: &str = r#"
title = "Simulated"
system = "world"

[metrics]
prometheus = "http://127.0.0.1:9090"
every = "500ms"

[[sli]]
name = "Success"
gauge = 'success'
unit = "%"
band = { min = 0.99 }
tolerate = { min = 0.9 }
stop = { min = 0.5, after = 2 }
"#;

/// Steps by shape: one after another, two lanes, a repeat, a one-shot, a long one, one that outlives its
/// agent.
const STEPS: [&str; 6] = [
    r#"
[[experiment.step]]
inject = "process.pause"
target = { service = "s", mode = "all", process = "shop" }
for = "1500ms"
[[experiment.step]]
inject = "http.latency"
target = { service = "s", mode = "one", route = "r1" }
with = { delay = "200ms" }
for = "1s"
"#,
    r#"
[[experiment.step]]
inject = "http.latency"
lane = "left"
target = { service = "s", mode = "all", route = "r1" }
with = { delay = "100ms" }
for = "2s"
ramp = "500ms"
[[experiment.step]]
wait = "300ms"
lane = "right"
[[experiment.step]]
inject = "cpu.burn"
lane = "right"
target = { service = "s", mode = "one" }
for = "1s"
"#,
    r#"
[[experiment.step]]
inject = "http.latency"
target = { service = "s", mode = "one", route = "r1" }
with = { delay = "100ms" }
for = "500ms"
repeat = { times = 3, every = "900ms" }
"#,
    r#"
[[experiment.step]]
inject = "tcp.cut"
target = { service = "s", mode = "all", route = "r2" }
for = "500ms"
[[experiment.step]]
inject = "http.latency"
target = { service = "s", mode = "one", route = "r1" }
with = { delay = "100ms" }
for = "1s"
"#,
    r#"
[[experiment.step]]
inject = "http.latency"
target = { service = "s", mode = "all", route = "r1" }
with = { delay = "100ms" }
for = "7s"
"#,
    r#"
[[experiment.step]]
inject = "process.pause"
target = { service = "s", mode = "all", process = "shop" }
for = "1200ms"
repeat = { times = 2, every = "2s" }
"#,
];

/// A plan and its text.
type Known = (Arc<Plan>, Arc<str>);

/// One of the plans, for `agents` agents of which those in `fleet` are driven, with its text.
pub(crate) fn choose(random: &mut Random, agents: usize, fleet: u8) -> Known {
    thread_local! {
        static KNOWN: RefCell<BTreeMap<(usize, u8, usize, u64), Known>> =
            const { RefCell::new(BTreeMap::new()) };
    }
    let steps = random.below(STEPS.len());
    // One so long that contact is lost before it lapses.
    let lease_s = [2, 3, 4, 7][random.below(4)];
    KNOWN.with_borrow_mut(|known| {
        let (plan, text) = known.entry((agents, fleet, steps, lease_s)).or_insert_with(|| {
            let text = text(agents, fleet, STEPS[steps], lease_s);
            let plan = firedrill_plan::parse(&text).unwrap_or_else(|mistakes| {
                let mistakes: Vec<String> = mistakes
                    .iter()
                    .map(|it| it.render("simulated.toml", &text))
                    .collect();
                panic!("the simulator's own plan is wrong: {}", mistakes.join("\n"))
            });
            (Arc::new(plan), text.into())
        });
        (plan.clone(), text.clone())
    })
}

fn text(agents: usize, fleet: u8, steps: &str, lease_s: u64) -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n[guardrails]\nmax_targets = 4\n");
    for agent in 0..agents {
        let service = if fleet & (1 << agent) == 0 { "other" } else { "s" };
        // Writing to a string does not fail.
        write!(
            text,
            "\n[[agent]]\nname = \"a{agent}\"\nurl = \"http://127.0.0.1:{}\"\nlabels = {{ service = \"{service}\" }}\n",
            7431 + 10 * agent
        )
        .ok();
    }
    write!(
        text,
        "\n[[experiment]]\nname = \"E\"\nhypothesis = \"It holds.\"\nlease = \"{lease_s}s\"\nbaseline = \"1s\"\nrecover = \"5s\"\n{steps}"
    )
    .ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_is_right() {
        for agents in 2..=4 {
            for steps in STEPS {
                let text = text(agents, 0b11, steps, 2);
                let plan = firedrill_plan::parse(&text);
                let words = plan
                    .as_ref()
                    .err()
                    .map(|all| all.iter().map(|it| it.render("p", &text)).collect::<Vec<_>>());
                assert!(plan.is_ok(), "{words:#?}");
            }
        }
    }
}
