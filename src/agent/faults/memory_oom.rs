//! `memory.oom`: the kernel kills a process for want of memory, in its own cgroup and nowhere else.
//!
//! The cgroup's limit is lowered to little more than it needs, the victim is made the first to go, and a child of the
//! agent joins the cgroup and asks for memory until the kernel kills. Then the limit is what it was. A limit below what is
//! in use is not enough by itself: version 1 refuses it, and version 2 kills all there is. All of it is over when the
//! start is answered; how the values are written back is on disk before.

use std::path::Path;
use std::time::{Duration, Instant};

use firedrill_catalogue::quantity::show_bytes;
use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::child::HeldChild;
use super::filling_child::PAGE;
use super::process::{self, not_possible};
use super::values::HeldValues;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, Process, ReadBack, memory_fill, words};
use crate::config::SelfCommand;
use crate::state::read_small;
use crate::targets;
use crate::targets::controllers::{Governed, MEMORY, Version};
use crate::undo::{Change, Undo};

/// How long the kernel may take to kill, of the time that the ward waits for a start.
const KILLS_WITHIN: Duration = Duration::from_secs(2);

/// How long one push has to be felt.
const ASKS_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Left to the cgroup above what it needs, so that the limit can be set.
const MARGIN: u64 = 256 * 1024;

/// What the child asks for beyond what is left, half of what the victim has within these bounds: it fits into what that
/// leaves.
const PUSH: std::ops::RangeInclusive<u64> = 128 * 1024..=2 * 1024 * 1024;

/// Between the tightest limit and one that the kernel surely takes.
const TRIES: u64 = 8;

/// The first to go, and the next, the agent's own child: where the victim's memory comes back late, it is none of the
/// victim's neighbours.
const VICTIM: &str = "1000";
const NEXT: &str = "500";

/// The fault.
#[derive(Debug)]
pub struct MemoryOom {
    /// Its line in the catalogue.
    pub spec: &'static FaultSpec,
    /// How the agent's own program is started.
    pub program: SelfCommand,
}

impl Fault for MemoryOom {
    fn spec(&self) -> &'static FaultSpec {
        self.spec
    }

    fn available(&self) -> Result<(), NotHere> {
        MEMORY.available()?;
        super::child::available(&self.program)
    }

    fn prepare(&self, _parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let target = targets::process(scope)?;
        process::may_hit(&target)?;
        let cgroup = Squeezed::of(&target)?;
        let all = match cgroup.of.read("memory.oom.group").as_deref() {
            Ok("1") => " and all others in it",
            _ => "",
        };
        Ok(Prepared {
            claims: vec![
                format!("pid:{}", target.pid),
                format!("memory:{}", cgroup.of.path),
            ],
            hits: vec![format!(
                "process {} {}{all}, killed by the kernel in cgroup {}, which has {}",
                target.pid,
                target.name,
                cgroup.of.path,
                show_bytes(cgroup.used)
            )],
            process: Some(target),
            members: cgroup.of.members()?,
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
        let cgroup = Squeezed::of(target).map_err(nothing)?;
        let kills = cgroup.kills();
        let mut held = cgroup.squeeze(target, order)?;
        let killed = self.push(&cgroup, target, order);
        let back = held.revert();
        let kills = cgroup.kills().saturating_sub(kills);
        let failed = |problem| Failure {
            problem,
            half_applied: !back.clean,
        };
        let no_kill = |why: String| {
            not_possible(
                format!("process {} {} was not killed: {why}", target.pid, target.name),
                "look at memory.oom_control or memory.events of its cgroup, and at swap",
            )
        };
        match killed {
            Err(why) => Err(failed(no_kill(why))),
            Ok(false) => Err(failed(no_kill(format!(
                "not within {KILLS_WITHIN:?}; the kernel killed {kills} others"
            )))),
            Ok(true) if !back.clean => Err(failed(not_possible(
                back.evidence.words.clone(),
                back.by_hand.clone().unwrap_or_default(),
            ))),
            Ok(true) => Ok((
                Box::new(held),
                Evidence {
                    words: format!(
                        "process {} {} has ended; the kernel killed {kills} in cgroup {}; {}",
                        target.pid, target.name, cgroup.of.path, back.evidence.words
                    ),
                    counts: [("ended".to_owned(), 1.0), ("oom_kills".to_owned(), kills as f64)].into(),
                },
            )),
        }
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(HeldValues::adopt(undo))
    }
}

impl MemoryOom {
    /// The child asks for more than there is; whether the victim has ended.
    fn push(&self, cgroup: &Squeezed, target: &Process, order: &Order<'_>) -> Result<bool, String> {
        let no = |error: std::io::Error| error.to_string();
        let Some(victim) = target.exactly().handle().map_err(no)? else {
            return Ok(true);
        };
        let (mut child, exactly) = HeldChild::start(&self.program, "push", order)?;
        // What it needs itself is not the cgroup's.
        child.order("0 0 0")?;
        child.wait_ready()?;
        std::fs::write(format!("/proc/{}/oom_score_adj", exactly.pid), NEXT).map_err(no)?;
        std::fs::write(cgroup.of.folder.join("cgroup.procs"), exactly.pid.to_string()).map_err(no)?;
        let limit = cgroup.limit_now().ok_or("its limit cannot be read")?;
        let used = cgroup.used_now().ok_or("its use cannot be read")?;
        let of_victim = memory_fill::of_process(target.pid, "RssAnon:").unwrap_or(0);
        let push = (of_victim / 2).clamp(*PUSH.start(), *PUSH.end());
        // Copies of files that are there still give way to it. No more is taken than the limit allows.
        let left = limit.saturating_sub(used) + cgroup.files_now();
        let began = Instant::now();
        let mut asked = left;
        while began.elapsed() < KILLS_WITHIN {
            // The kernel may find more to take back than it had told: then the child asks for more. The limit is
            // the child's too, so this ends with a kill, not with more than the cgroup may have.
            asked += push;
            child.order(&format!("{asked} 0 0"))?;
            if victim.ended(ASKS_AGAIN_AFTER).map_err(no)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A cgroup whose memory is to become short.
#[derive(Debug)]
struct Squeezed {
    of: Governed,
    /// All of it, in bytes.
    used: u64,
    /// What of that the kernel can take back: copies of files.
    files: u64,
    /// As it is written.
    limit: String,
}

impl Squeezed {
    fn of(target: &Process) -> Result<Self, Problem> {
        let of = MEMORY.of(target.pid)?;
        if of.version == Version::One && of.count("memory.oom_control", "oom_kill_disable") == Some(1) {
            return Err(not_possible(
                format!(
                    "cgroup {} has oom_kill_disable set: its processes would hang",
                    of.path
                ),
                "write 0 to its memory.oom_control",
            ));
        }
        let file = match of.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        let limit = of.read(file)?;
        let mut found = Self {
            of,
            used: 0,
            files: 0,
            limit,
        };
        let unread = || {
            not_possible(
                "the cgroup's use of memory cannot be read",
                "run the agent as root",
            )
        };
        found.used = found.used_now().ok_or_else(unread)?;
        found.files = found.files_now().min(found.used);
        Ok(found)
    }

    fn files_now(&self) -> u64 {
        let prefix = match self.of.version {
            Version::One => "total_",
            Version::Two => "",
        };
        let of_files = |key: &str| {
            self.of
                .count("memory.stat", &format!("{prefix}{key}"))
                .unwrap_or(0)
        };
        of_files("inactive_file") + of_files("active_file")
    }

    fn file(&self) -> &'static str {
        match self.of.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        }
    }

    fn used_now(&self) -> Option<u64> {
        let file = match self.of.version {
            Version::One => "memory.usage_in_bytes",
            Version::Two => "memory.current",
        };
        self.of.read(file).ok()?.parse().ok()
    }

    fn limit_now(&self) -> Option<u64> {
        self.of.read(self.file()).ok()?.parse().ok()
    }

    /// How many the kernel has killed in it.
    fn kills(&self) -> u64 {
        let file = match self.of.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        self.of.count(file, "oom_kill").unwrap_or(0)
    }

    /// From the tightest limit to one that the kernel surely takes, in whole pages.
    fn limits(&self) -> Vec<u64> {
        let (tight, wide) = (self.used - self.files + MARGIN, self.used + MARGIN);
        let most = self.limit.parse().unwrap_or(u64::MAX);
        let all = (0..=TRIES).map(|at| tight + (wide - tight) * at / TRIES);
        let mut all: Vec<_> = all.map(|it| it.min(most).next_multiple_of(PAGE)).collect();
        all.dedup();
        all
    }

    /// Lowers the limit, with the victim the first to go and nothing moved to swap.
    fn squeeze(&self, target: &Process, order: &Order<'_>) -> Result<HeldValues, Failure> {
        let score = Change {
            path: format!("/proc/{}/oom_score_adj", target.pid).into(),
            line: None,
            ours: Vec::new(),
            before: read_small(Path::new(&format!("/proc/{}/oom_score_adj", target.pid)))
                .map(|text| text.trim().to_owned())
                .unwrap_or_default(),
            of: Some(target.exactly()),
        };
        let own = |file: &str, before: String| Change {
            path: self.of.folder.join(file),
            line: None,
            ours: Vec::new(),
            before,
            of: None,
        };
        let mut changes = vec![score];
        let mut values = vec![VICTIM.to_owned()];
        let swap = match self.of.version {
            Version::One => "memory.swappiness",
            Version::Two => "memory.swap.max",
        };
        if let Ok(before) = self.of.read(swap) {
            changes.push(own(swap, before));
            values.push("0".to_owned());
        }
        changes.push(own(self.file(), self.limit.clone()));
        let limits: Vec<String> = self.limits().iter().map(ToString::to_string).collect();
        HeldValues::begin_with_any(order.pen, changes, &values, &limits)
    }
}

/// What is left of it: nothing, but after a start that failed half way the values.
impl Held for HeldValues {
    fn adjust(&mut self, _parameters: &Parameters) -> Result<Evidence, Problem> {
        Err(not_possible("the kernel kills once", "start another"))
    }

    fn revert(&mut self) -> ReadBack {
        Self::revert(self)
    }

    fn prove(&mut self) -> (bool, Evidence) {
        Self::prove(self)
    }

    fn observe(&mut self) -> Option<Evidence> {
        Some(words("the values are written back"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_go_from_what_is_needed_to_what_is_used() {
        let of = Governed {
            folder: "/".into(),
            path: "/a".to_owned(),
            version: Version::One,
        };
        let squeezed = |used, files, limit: &str| Squeezed {
            of: of.clone(),
            used,
            files,
            limit: limit.to_owned(),
        };
        let limits = squeezed(100 * MARGIN, 20 * MARGIN, "max").limits();
        assert_eq!((limits[0], limits[8]), (81 * MARGIN, 101 * MARGIN));
        assert_eq!(squeezed(MARGIN, 0, "max").limits(), [2 * MARGIN]);
        let limited = squeezed(100 * MARGIN, 20 * MARGIN, &(90 * MARGIN).to_string());
        assert!(limited.limits().iter().all(|it| *it <= 90 * MARGIN));
    }
}
