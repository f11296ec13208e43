//! `cpu.throttle`: the victim's cgroup gets less time on the cores than it had.
//!
//! In the kernel's usual period of 100 ms a victim would first use up what it has and then stand still for long. The
//! period is made shorter, so that it is held back at once and evenly; it is restored with the rest.

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

/// The period, in microseconds, where that leaves as much as the kernel takes.
const PERIOD_US: u64 = 10_000;

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
                quota.left(parameters).cores(),
                quota.allowed.cores(),
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
        let held = HeldValues::begin(order.pen, quota.changes(), &values)?;
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

/// So much time on the cores in each period, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time {
    time: u64,
    period: u64,
}

impl Time {
    fn cores(self) -> f64 {
        self.time as f64 / self.period as f64
    }

    /// What is left without this share, in a short period if it can be one. Never less than the kernel takes.
    fn without(self, share: f64) -> Self {
        let cores = self.cores() * (1.0 - share);
        let shortest = (LEAST_US as f64 / cores).ceil() as u64;
        let period = shortest.max(PERIOD_US).min(self.period);
        let time = (cores * period as f64).round() as u64;
        Self {
            time: time.max(LEAST_US),
            period,
        }
    }
}

/// What a cgroup may use.
#[derive(Debug)]
struct Quota {
    cgroup: Governed,
    /// Without a limit all the cores of the host.
    allowed: Time,
    /// The files that are changed and what is in them. In this order a stricter limit never begins with a laxer one,
    /// which a cgroup above might forbid; they are restored the other way round.
    before: Vec<(&'static str, String)>,
}

impl Quota {
    fn of(pid: i32) -> Result<Self, Problem> {
        let cgroup = CPU.of(pid)?;
        let burst = match cgroup.version {
            Version::One => "cpu.cfs_burst_us",
            Version::Two => "cpu.max.burst",
        };
        let mut before = Vec::new();
        // What is saved up for later may not be more than the limit. Older kernels save nothing.
        if let Ok(saved) = cgroup.read(burst)
            && saved != "0"
        {
            before.push((burst, saved));
        }
        let (limit, period) = match cgroup.version {
            Version::One => {
                let (limit, period) = ("cpu.cfs_quota_us", "cpu.cfs_period_us");
                let both = (cgroup.read(limit)?, cgroup.read(period)?);
                before.extend([(limit, both.0.clone()), (period, both.1.clone())]);
                both
            }
            Version::Two => {
                let both = cgroup.read("cpu.max")?;
                before.push(("cpu.max", both.clone()));
                let (limit, period) = both.split_once(' ').unwrap_or((&both, "100000"));
                (limit.to_owned(), period.to_owned())
            }
        };
        let period = period.parse().ok().filter(|it| *it > 0).unwrap_or(100_000);
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        Ok(Self {
            allowed: Time {
                time: limit.parse().unwrap_or(cores * period),
                period,
            },
            before,
            cgroup,
        })
    }

    fn left(&self, parameters: &Parameters) -> Time {
        self.allowed.without(parameters.share("share"))
    }

    /// One for each change.
    fn values(&self, parameters: &Parameters) -> Vec<String> {
        let Time { time, period } = self.left(parameters);
        let of = |file: &str| match file {
            "cpu.cfs_quota_us" => time.to_string(),
            "cpu.cfs_period_us" => period.to_string(),
            "cpu.max" => format!("{time} {period}"),
            _ => "0".to_owned(),
        };
        self.before.iter().map(|(file, _)| of(file)).collect()
    }

    fn changes(&self) -> Vec<Change> {
        let change = |(file, before): &(&str, String)| Change {
            path: self.cgroup.folder.join(file),
            line: None,
            ours: Vec::new(),
            before: before.clone(),
            of: None,
        };
        self.before.iter().map(change).collect()
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
        let left = quota.left(parameters).cores();
        let path = &quota.cgroup.path;
        Ok(words(format!("cgroup {path} is held to {left:.2} cores")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_share_in_a_short_period() {
        let time = |time, period| Time { time, period };
        assert_eq!(time(200_000, 100_000).without(0.5), time(10_000, 10_000));
        assert_eq!(time(200_000, 100_000).without(0.95), time(1_000, 10_000));
        // As short as the kernel's least allows.
        assert_eq!(time(200_000, 100_000).without(0.98), time(1_000, 25_000));
        assert_eq!(time(200_000, 100_000).without(1.0), time(1_000, 100_000));
        // Never longer than it was.
        assert_eq!(time(5_000, 5_000).without(0.5), time(2_500, 5_000));
        assert_eq!(time(5_000, 5_000).without(0.9), time(1_000, 5_000));
    }
}
