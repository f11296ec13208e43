//! The order system with an agent's route before payments, and somebody who runs drills on it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_demo::{AGENT_NAME, Build, EXPERIMENT_NAME, PAYMENT_ROUTE, System};

use crate::{
    Agent, AgentBuilder, Connection, Finished, Firedrill, PATIENCE, Programs, Response, request, wait_until,
};

/// A payment through the route counts as normal below this.
const NORMAL: Duration = Duration::from_millis(150);

/// So many normal ones in a row are not luck.
const IN_A_ROW: usize = 10;

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

/// The number of an order that no customer of the order system uses.
fn order_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How long the phases of the rig's plan take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Seconds inside the band before the fault.
    pub baseline_s: u32,
    /// Seconds of fault.
    pub fault_s: u32,
    /// Seconds to get back into the band.
    pub recover_s: u32,
    /// Seconds of lease.
    pub lease_s: u32,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            baseline_s: 3,
            fault_s: 20,
            recover_s: 30,
            lease_s: 5,
        }
    }
}

/// An order system, the agent before it, and an account that knows the agent's token.
#[derive(Debug)]
pub struct Rig {
    /// The account.
    pub firedrill: Firedrill,
    /// The plan's file.
    pub plan: PathBuf,
    /// The agent.
    pub agent: Agent,
    /// The route before payments.
    pub route: SocketAddr,
    /// The order system; ends last.
    pub system: System,
}

impl Rig {
    /// Starts everything but a drill.
    pub fn start(programs: Programs, build: Build, times: Times) -> anyhow::Result<Self> {
        let rig = Self::start_with(programs, build, times, |agent| agent)?;
        rig.firedrill.know(&[&rig.agent])?;
        Ok(rig)
    }

    /// The same with another agent, which the account does not know yet.
    pub fn start_with(
        programs: Programs,
        build: Build,
        times: Times,
        change: impl FnOnce(AgentBuilder) -> AgentBuilder,
    ) -> anyhow::Result<Self> {
        let bound = System::bind(build)?;
        let agent = Agent::build(programs)
            .label("env=demo")
            .label("service=payments")
            .http_route(PAYMENT_ROUTE, bound.payments_addr())?;
        let agent = change(agent).start()?;
        let route = agent.route(PAYMENT_ROUTE)?;
        let text = firedrill_demo::plan(bound.addresses(), &agent.url());
        let system = bound.start(Some(route))?;
        let firedrill = Firedrill::new(programs)?;
        let plan = firedrill.file("plan.toml", &with_times(&text, times)?)?;
        Ok(Self {
            firedrill,
            plan,
            agent,
            route,
            system,
        })
    }

    /// The plan's text.
    pub fn plan_text(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(&self.plan)?)
    }

    /// The plan's path as an argument.
    pub fn plan_arg(&self) -> anyhow::Result<&str> {
        self.plan.to_str().context("the path is UTF-8")
    }

    /// Where reports go.
    pub fn report(&self) -> PathBuf {
        self.firedrill.home().join("report")
    }

    /// The words of `firedrill run PLAN --report DIR`.
    pub fn run_words(&self) -> anyhow::Result<Vec<String>> {
        let report = self.report();
        let words = [
            "run",
            self.plan_arg()?,
            "--experiment",
            EXPERIMENT_NAME,
            "--report",
        ];
        let mut words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        words.push(report.to_str().context("the path is UTF-8")?.to_owned());
        Ok(words)
    }

    /// The report for machines.
    pub fn report_json(&self) -> anyhow::Result<serde_json::Value> {
        let path = self.report().join("report.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("no report {}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Puts another text in place of one in the plan.
    pub fn edit_plan(&self, old: &str, new: &str) -> anyhow::Result<()> {
        let text = self.plan_text()?;
        ensure!(text.contains(old), "the plan does not say {old}");
        Ok(std::fs::write(&self.plan, text.replace(old, new))?)
    }

    /// Runs the drill to its end.
    pub fn run(&self, limit: Duration) -> anyhow::Result<Finished> {
        let words = self.run_words()?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.firedrill.run(&words, limit)
    }

    /// Starts the drill, and waits until its fault is felt by a client of the route.
    pub fn run_until_fault(&self) -> anyhow::Result<crate::Console> {
        let words = self.run_words()?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut console = self.firedrill.start(&words)?;
        let felt = wait_until(Duration::from_mins(1), "the fault is felt by a client", || {
            ensure!(console.process.is_running(), "the drill has ended");
            Ok((self.pay()?.1 > Duration::from_millis(250)).then_some(()))
        });
        felt.with_context(|| format!("{}{}", console.process.rest(), console.process.stderr()))?;
        Ok(console)
    }

    /// One payment through the route, by a client of its own, with the time it took.
    pub fn pay(&self) -> anyhow::Result<(Response, Duration)> {
        let began = Instant::now();
        let answer = Connection::open(self.route, Duration::from_secs(5))?.call(
            "POST",
            "/api/payment",
            JSON,
            &format!("{{\"order\": {}, \"amount_cents\": 100}}", order_id()),
        )?;
        Ok((answer, began.elapsed()))
    }

    /// Waits until payments through the route are answered, and fast, several times in a row; returns how long
    /// it took until the first of them.
    pub fn wait_until_normal(&self, limit: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut first = None;
        let mut row = 0;
        wait_until(limit, "payments through the route are normal again", || {
            let (answer, took) = match self.pay() {
                Ok(paid) => paid,
                Err(error) => {
                    (first, row) = (None, 0);
                    return Err(error);
                }
            };
            if answer.status != 200 || took > NORMAL {
                (first, row) = (None, 0);
                anyhow::bail!("answered {} in {took:?}", answer.status);
            }
            row += 1;
            let since = *first.get_or_insert(began.elapsed());
            Ok((row >= IN_A_ROW).then_some(since))
        })
        .map(|(took, _)| took)
    }

    /// Waits until a customer's order is taken at the gateway and paid at once: the hardened build's breaker is
    /// closed again then. It stays open for 30 s, and for another 30 s after each probe that a busy host
    /// answers too late.
    pub fn wait_until_orders_work(&self) -> anyhow::Result<Duration> {
        let gateway = self.system.addresses().gateway;
        wait_until(Duration::from_mins(4), "an order is paid within a second", || {
            let order = format!("{{\"id\": {}, \"pieces\": 1, \"amount_cents\": 100}}", order_id());
            let answer = request(gateway, "POST", "/order", JSON, &order, Duration::from_secs(1))?;
            ensure!(answer.status == 200, "answered {}", answer.status);
            Ok(Some(()))
        })
        .map(|((), took)| took)
    }

    /// Checks at the agent that nothing of anybody is on.
    pub fn expect_nothing_on(&self) -> anyhow::Result<()> {
        for injection in self.agent.injections()? {
            let state = injection["state"].as_str().unwrap_or_default();
            ensure!(
                ["reverted", "refused", "failed", "done"].contains(&state),
                "{AGENT_NAME} has something on: {injection}"
            );
        }
        Ok(())
    }

    /// Waits until the agent serves nobody and nothing is on.
    pub fn wait_until_closed(&self) -> anyhow::Result<()> {
        wait_until(PATIENCE, "the agent's drill is closed", || {
            Ok(self.agent.info()?["open"].is_null().then_some(()))
        })?;
        self.expect_nothing_on()
    }
}

/// The demo's plan with other times.
fn with_times(text: &str, times: Times) -> anyhow::Result<String> {
    let mut text = text.to_owned();
    for (old, new) in [
        (
            "baseline = \"6s\"",
            format!("baseline = \"{}s\"", times.baseline_s),
        ),
        ("recover = \"15s\"", format!("recover = \"{}s\"", times.recover_s)),
        ("for = \"20s\"", format!("for = \"{}s\"", times.fault_s)),
        ("lease = \"5s\"", format!("lease = \"{}s\"", times.lease_s)),
    ] {
        ensure!(text.contains(old), "the demo's plan no longer says {old}");
        text = text.replace(old, &new);
    }
    Ok(text)
}

/// For messages and JSON.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
