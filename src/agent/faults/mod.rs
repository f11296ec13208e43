//! The faults, one file each behind one trait.
//!
//! A [`Fault`] is shared and knows how to check, to begin and to look; what one injection of it holds is a
//! [`Held`]. The host runs every injection on an operating system thread of its own: [`Fault::apply`] is
//! called there, and the `Held` it returns never leaves that thread (ptrace and the death signal of a child
//! are bound to a thread). So each method may block, within [`Limits::operation_ms`], but must not need the
//! agent's main runtime: a revert works while that is stuck.
//!
//! [`Limits::operation_ms`]: firedrill_ward::Limits::operation_ms

pub mod child;
pub mod child_main;
pub mod cpu_burn;
pub mod cpu_burn_child;
pub mod cpu_throttle;
pub mod disk_fill;
pub mod disk_fill_child;
pub mod disk_slow;
pub mod dns;
pub mod fd_exhaust;
pub mod filling;
pub mod filling_child;
pub mod grpc_status;
pub mod http_body;
pub mod http_headers;
pub mod http_latency;
pub mod http_lose;
pub mod http_reset;
pub mod http_slow_body;
pub mod http_status;
pub mod http_truncate;
pub mod load_http;
pub mod load_http_child;
pub mod load_tls;
pub mod memory_fill;
pub mod memory_fill_child;
pub mod memory_oom;
pub mod network;
pub mod network_loss;
pub mod network_refuse;
pub mod network_reset;
pub mod noop;
pub mod packet;
pub mod pause;
pub mod pause_outside;
pub mod pause_ptrace;
pub mod process;
pub mod process_kill;
pub mod process_pause;
pub mod repeat;
pub mod route;
pub mod steered;
pub mod tcp_bandwidth;
pub mod tcp_cut;
pub mod tcp_latency;
pub mod tcp_refuse;
pub mod tls_fail;
pub mod values;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use firedrill_catalogue::{FAULTS, FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, ProblemKind, Scope};

use self::packet::Kind;
use self::steered::Led;
use crate::config::SelfCommand;
use crate::proxy::Client;
use crate::undo::records::Records;
use crate::undo::{Exactly, Record, Undo};

/// A process, safe against reuse of its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it began, in clock ticks since boot.
    pub start_time: u64,
    /// Its name, for people.
    pub name: String,
}

impl Process {
    /// The same without the name.
    pub fn exactly(&self) -> Exactly {
        Exactly {
            pid: self.pid,
            start_time: self.start_time,
        }
    }
}

/// A checked injection: what it would hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The resources it takes, one owner each: `route:payments:http.latency`, `pid:4211`, `cpu`.
    pub claims: Vec<String>,
    /// One sentence a line: `route payment-http 127.0.0.1:8081 → 127.0.0.1:9081`, `process 4211 nginx`.
    pub hits: Vec<String>,
    /// The process that the scope meant when it was checked, for faults on processes.
    pub process: Option<Process>,
    /// Of a fault on a cgroup: who is in it. The host's policy must allow all of them.
    pub members: Vec<Process>,
    /// Whether nothing but the agent itself ends it at its end: see [`Undo::needs_keeper`].
    pub needs_keeper: bool,
    /// Of a fault that is a one-shot: it is none this time, but goes on until it is ended.
    pub goes_on: bool,
}

impl Prepared {
    /// The process that was meant, if it still runs.
    pub fn running(&self) -> Result<&Process, Problem> {
        let Some(target) = &self.process else {
            return Err(process::not_possible("no process was found", "name one"));
        };
        if process::runs(target) {
            return Ok(target);
        }
        let detail = format!("process {} {} has ended meanwhile", target.pid, target.name);
        Err(process::not_possible(detail, "name one that runs"))
    }
}

/// What [`Fault::apply`] is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Names the injection for ever.
    pub key: &'a Key,
    /// Checked, with defaults.
    pub parameters: &'a Parameters,
    /// As on the wire.
    pub scope: &'a Scope,
    /// What [`Fault::prepare`] made of it.
    pub prepared: &'a Prepared,
    /// When it ends by itself, the ramp included: a second lock, the ward ends it too.
    pub ends_in: Duration,
    /// How long it grows from nothing to full strength; zero for faults without a strength. For faults that do
    /// not grow by themselves the parameters are those of the ramp's first moment.
    pub ramp: Duration,
    /// Puts on disk how it is undone. Nothing is applied before.
    pub pen: &'a Pen<'a>,
}

/// Writes one injection's undo record.
#[derive(Debug)]
pub struct Pen<'a> {
    records: &'a Arc<Records>,
    head: Record,
    written: Cell<bool>,
}

impl<'a> Pen<'a> {
    /// One for the injection that `head` names.
    pub fn new(records: &'a Arc<Records>, head: Record) -> Self {
        Self {
            records,
            head,
            written: Cell::new(false),
        }
    }

    /// The record is on disk when this returns; on a failure nothing may be applied.
    pub fn write(&self, undo: Undo) -> Result<(), Failure> {
        self.ledger().write(undo).map_err(|problem| Failure {
            problem,
            half_applied: false,
        })?;
        self.written.set(true);
        Ok(())
    }

    /// Where the record can be written again while the fault is on.
    pub fn ledger(&self) -> Ledger {
        Ledger {
            records: Arc::clone(self.records),
            head: self.head.clone(),
        }
    }

    /// The agent's state folder, where the records are.
    pub fn state_folder(&self) -> &Path {
        &self.records.here.folder
    }

    /// Whether it was.
    pub fn is_written(&self) -> bool {
        self.written.get()
    }
}

/// One injection's undo record, to be written again when what it holds changes.
#[derive(Debug)]
pub struct Ledger {
    records: Arc<Records>,
    head: Record,
}

impl Ledger {
    /// The record is on disk when this returns; on a failure nothing may be changed.
    pub fn write(&self, undo: Undo) -> Result<(), Problem> {
        let record = Record {
            undo,
            ..self.head.clone()
        };
        self.records.write(&record).map_err(|error| {
            Problem::new(
                ProblemKind::Unavailable,
                "the undo record cannot be written",
                format!("{error:#}"),
                "make room on the disk of the agent's state folder; nothing was changed",
            )
        })
    }
}

/// Why a fault cannot be done on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotHere {
    /// Why not.
    pub why: String,
    /// What would help.
    pub remedy: String,
}

/// A start that did not come off.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What the caller is told.
    pub problem: Problem,
    /// `false` only when a read-back showed that nothing is left of it.
    pub half_applied: bool,
}

impl Failure {
    /// Nothing was applied.
    pub fn nothing(problem: Problem) -> Self {
        Self {
            problem,
            half_applied: false,
        }
    }
}

/// What was read from the target after a revert.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadBack {
    /// Whether the fault is gone.
    pub clean: bool,
    /// What was read.
    pub evidence: Evidence,
    /// Where it is not gone: what a person can do.
    pub by_hand: Option<String>,
}

/// One kind of failure.
pub trait Fault: Send + Sync {
    /// Its line in the catalogue.
    fn spec(&self) -> &'static FaultSpec;

    /// Whether it can be done on this host, as far as can be told beforehand. Cheap: asked often.
    fn available(&self) -> Result<(), NotHere>;

    /// Checks scope and parameters (already checked against the catalogue) and says what it would hit,
    /// without any effect.
    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem>;

    /// Begins it. On success the evidence says what was seen.
    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure>;

    /// Whether it grows by itself over [`Order::ramp`]. Of the others the injection's thread changes the
    /// strength ten times a second, by [`Held::adjust`], from the least that the fault takes.
    fn ramps_itself(&self) -> bool {
        false
    }

    /// Whether anything of it can change while it is on.
    fn changes(&self) -> bool {
        !self.spec().params.is_empty()
    }

    /// Takes hold of what a start may have left behind that failed half way, or that a former life of the
    /// agent began, so that it can be reverted. `undo` is from its record, where there is one.
    fn adopt(&self, key: &Key, scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held>;
}

/// One injection that is on, or was.
pub trait Held {
    /// Another strength. After an error the host reverts.
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem>;

    /// Takes it back and reads back that it is gone. May be asked again.
    fn revert(&mut self) -> ReadBack;

    /// Looks by another mechanism than the one that undid it: whether it is gone, and what was seen.
    fn prove(&mut self) -> (bool, Evidence);

    /// Whether what proves it was sent out with the revert, so that [`Self::prove`] takes no time of its own.
    fn is_being_proved(&self) -> bool {
        false
    }

    /// Counters while it is on, asked once a second.
    fn observe(&mut self) -> Option<Evidence>;
}

/// Evidence of words alone.
pub fn words(words: impl Into<String>) -> Evidence {
    Evidence {
        words: words.into(),
        ..Evidence::default()
    }
}

/// Every fault of this build, in the order of the catalogue. Those on routes need the proxy.
pub fn all(program: &SelfCommand, proxy: Option<&Client>) -> Vec<Arc<dyn Fault>> {
    let led = Arc::default();
    FAULTS
        .iter()
        .filter_map(|spec| of(spec, program, proxy, &led))
        .collect()
}

fn of(
    spec: &'static FaultSpec,
    program: &SelfCommand,
    proxy: Option<&Client>,
    led: &Arc<Led>,
) -> Option<Arc<dyn Fault>> {
    let on_route = |rule| -> Option<Arc<dyn Fault>> {
        Some(Arc::new(route::RouteFault {
            spec,
            proxy: proxy.cloned(),
            rule,
            led: Arc::clone(led),
        }))
    };
    let on_packets = |kind| -> Option<Arc<dyn Fault>> { Some(Arc::new(packet::PacketFault { spec, kind })) };
    match spec.name {
        "noop" => Some(Arc::new(noop::Noop(spec))),
        "http.latency" => on_route(http_latency::rule),
        "http.status" => on_route(http_status::rule),
        "http.reset" => on_route(http_reset::rule),
        "http.headers" => on_route(http_headers::rule),
        "http.body" => on_route(http_body::rule),
        "http.truncate" => on_route(http_truncate::rule),
        "http.slow_body" => on_route(http_slow_body::rule),
        "http.lose" => on_route(http_lose::rule),
        "grpc.status" => on_route(grpc_status::rule),
        "tcp.latency" => on_route(tcp_latency::rule),
        "tcp.bandwidth" => on_route(tcp_bandwidth::rule),
        "tcp.refuse" => on_route(tcp_refuse::rule),
        "tcp.cut" => Some(Arc::new(tcp_cut::TcpCut {
            spec,
            proxy: proxy.cloned(),
        })),
        "network.refuse" => Some(Arc::new(network_refuse::NetworkRefuse(spec))),
        "network.reset" => Some(Arc::new(network_reset::NetworkReset(spec))),
        "network.loss" | "network.partition" => Some(Arc::new(network_loss::NetworkLoss(spec))),
        "dns.hijack" | "dns.fail" => Some(Arc::new(dns::Dns(spec))),
        "tls.fail" => Some(Arc::new(tls_fail::TlsFail(spec))),
        "packet.latency" => on_packets(Kind::Delay),
        "packet.rate" => on_packets(Kind::Rate),
        "packet.loss" | "packet.drop" => on_packets(Kind::Lose),
        "packet.duplicate" => on_packets(Kind::Duplicate),
        "packet.reset" => on_packets(Kind::Reset),
        "process.pause" => Some(Arc::new(process_pause::ProcessPause(spec))),
        "process.kill" => Some(Arc::new(process_kill::ProcessKill(spec))),
        "memory.fill" => Some(Arc::new(memory_fill::MemoryFill {
            spec,
            program: program.clone(),
        })),
        "disk.fill" => Some(Arc::new(disk_fill::DiskFill {
            spec,
            program: program.clone(),
        })),
        "disk.slow" => Some(Arc::new(disk_slow::DiskSlow(spec))),
        "cpu.throttle" => Some(Arc::new(cpu_throttle::CpuThrottle(spec))),
        "load.http" => Some(Arc::new(load_http::LoadHttp {
            spec,
            program: program.clone(),
        })),
        "fd.exhaust" => Some(Arc::new(fd_exhaust::FdExhaust(spec))),
        "memory.oom" => Some(Arc::new(memory_oom::MemoryOom {
            spec,
            program: program.clone(),
        })),
        "cpu.burn" => Some(Arc::new(cpu_burn::CpuBurn {
            spec,
            program: program.clone(),
        })),
        _ => None,
    }
}
