//! `cpu.throttle`: the victim's cgroup gets less time on the cores than it had.

use std::time::Instant;

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::process::{self, not_possible};
use super::values::HeldValues;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, words};
use crate::targets;
use crate::targets::controllers::{CPU, Governed, Version};
use crate::undo::{Change, Undo};

/// The least that the kernel takes in a period, in microseconds.
const LEAST_US: u64 = 1_000;

/// The fault.
#[derive(Debug)]
pub struct CpuThrottle(pub &'static FaultSpec);

impl Fault for CpuThrottle {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        CPU.available()
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let target = targets::process(scope)?;
        process::may_hit(&target)?;
        let quota = Quota::of(target.pid)?;
        Ok(Prepared {
            claims: vec![format!("cpu:{}", quota.cgroup.path)],
            hits: vec![format!(
                "cgroup {} with process {} {}: {:.2} cores of {:.2}",
                quota.cgroup.path,
                target.pid,
                target.name,
                quota.left_us(parameters) as f64 / quota.period_us as f64,
                quota.allowed_us as f64 / quota.period_us as f64,
            )],
            process: Some(target),
            members: quota.cgroup.members()?,
            needs_keeper: true,
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let nothing = |problem| Failure {
            problem,
            half_applied: false,
        };
        let target = order.prepared.running().map_err(nothing)?;
        let quota = Quota::of(target.pid).map_err(nothing)?;
        let values = quota.values(order.parameters);
        let held = HeldValues::begin(order.pen, vec![quota.change()], &values)?;
        let mut held = Throttle {
            held,
            before: Some(quota.throttled()),
            quota: Some(quota),
            since: Instant::now(),
        };
        let evidence = held.observe().unwrap_or_default();
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(Throttle {
            held: HeldValues::adopt(undo),
            quota: None,
            before: None,
            since: Instant::now(),
        })
    }
}

/// What a cgroup may use, in microseconds of core time in a period.
#[derive(Debug)]
struct Quota {
    cgroup: Governed,
    period_us: u64,
    /// Without a limit all the cores of the host.
    allowed_us: u64,
    /// As it is written.
    before: String,
}

impl Quota {
    fn of(pid: i32) -> Result<Self, Problem> {
        let cgroup = CPU.of(pid)?;
        let (limit, period) = match cgroup.version {
            Version::One => (
                cgroup.read("cpu.cfs_quota_us")?,
                cgroup.read("cpu.cfs_period_us")?,
            ),
            Version::Two => {
                let both = cgroup.read("cpu.max")?;
                let (limit, period) = both.split_once(' ').unwrap_or((&both, "100000"));
                (limit.to_owned(), period.to_owned())
            }
        };
        let period_us = period.parse().ok().filter(|it| *it > 0).unwrap_or(100_000);
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        Ok(Self {
            allowed_us: limit.parse().unwrap_or(cores * period_us),
            before: match cgroup.version {
                Version::One => limit,
                Version::Two => format!("{limit} {period}"),
            },
            period_us,
            cgroup,
        })
    }

    fn left_us(&self, parameters: &Parameters) -> u64 {
        let left = self.allowed_us as f64 * (1.0 - parameters.share("share"));
        (left.round() as u64).max(LEAST_US)
    }

    fn values(&self, parameters: &Parameters) -> [String; 1] {
        let left = self.left_us(parameters);
        [match self.cgroup.version {
            Version::One => left.to_string(),
            Version::Two => format!("{left} {}", self.period_us),
        }]
    }

    fn change(&self) -> Change {
        Change {
            path: self.cgroup.folder.join(match self.cgroup.version {
                Version::One => "cpu.cfs_quota_us",
                Version::Two => "cpu.max",
            }),
            line: None,
            ours: Vec::new(),
            before: self.before.clone(),
            of: None,
        }
    }

    /// How often and for how many seconds the kernel has held the cgroup back so far.
    fn throttled(&self) -> (u64, f64) {
        let count = |key| self.cgroup.count("cpu.stat", key).unwrap_or(0);
        let seconds = match self.cgroup.version {
            Version::One => count("throttled_time") as f64 / 1e9,
            Version::Two => count("throttled_usec") as f64 / 1e6,
        };
        (count("nr_throttled"), seconds)
    }
}

#[derive(Debug)]
struct Throttle {
    held: HeldValues,
    /// `None`: another life's.
    quota: Option<Quota>,
    before: Option<(u64, f64)>,
    since: Instant,
}

impl Throttle {
    /// What the kernel counts by itself: whether the victim ever ran into the limit.
    fn with_counts(&self, mut evidence: Evidence) -> Evidence {
        if let (Some(quota), Some((times, seconds))) = (&self.quota, self.before) {
            let now = quota.throttled();
            let (times, seconds) = (now.0.saturating_sub(times), (now.1 - seconds).max(0.0));
            evidence.words = format!("{}; held back {times} times, {seconds:.1} s", evidence.words);
            evidence.counts.insert("throttled".to_owned(), times as f64);
            evidence.counts.insert("throttled_s".to_owned(), seconds);
        }
        evidence
    }
}

impl Held for Throttle {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let Some(quota) = &self.quota else {
            return Err(not_possible(
                "it was begun by a former life of the agent",
                "start another",
            ));
        };
        let values = quota.values(parameters);
        self.held.set(&values)?;
        Ok(words(format!(
            "cgroup {} is held to {}",
            quota.cgroup.path, values[0]
        )))
    }

    fn revert(&mut self) -> ReadBack {
        let found = self.held.revert();
        ReadBack {
            evidence: self.with_counts(found.evidence),
            ..found
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        self.held.prove()
    }

    fn observe(&mut self) -> Option<Evidence> {
        let path = self.quota.as_ref()?.cgroup.path.clone();
        let on_s = self.since.elapsed().as_secs_f64();
        Some(self.with_counts(words(format!("cgroup {path}, on for {on_s:.1} s"))))
    }
}
