//! The abort line's thread, and the handle that needs nothing but it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::Bytes;
use firedrill_drill::At;
use firedrill_fleet::Gate;
use firedrill_wire::{AbortRequest, DrillId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    board::{AgentLine, Board, Press, Shared},
    link::AbortTarget,
    peer::{Peer, Test, UNCONNECTED_LATER},
};
use crate::clock::{Clock, wall_ms};

/// An abort to carry out.
pub(crate) struct Order {
    pub(crate) number: u64,
    /// The request as it is sent, made once for all.
    pub(crate) body: Bytes,
    pub(crate) requested: At,
    pub(crate) pressed: Instant,
    /// Without a drill, agents that were never reachable are given up after this long.
    pub(crate) give_up_after: Option<Duration>,
}

/// What a press needs to know; replaced as one.
struct Now {
    gate: Gate,
    drill: Option<DrillId>,
    clock: Clock,
}

struct Inner {
    /// Held for moments only, by a press and by the begin of a drill: one is before the other.
    now: Mutex<Now>,
    shared: Arc<Shared>,
    orders: watch::Sender<Option<Arc<Order>>>,
    numbers: AtomicU64,
}

/// Presses ABORT, from any thread. Cheap to clone.
#[derive(Clone)]
pub struct AbortHandle(Arc<Inner>);

impl AbortHandle {
    /// A person's abort: from now on no start, no strengthening and no renewal is sent, and every agent on the
    /// line is told, again and again, until each has proved it clean. Returns at once. Needs neither the main
    /// runtime nor the journal nor name resolution.
    pub fn press(&self, reason: &str, who: &str) {
        self.order(true, reason, who, false);
    }

    /// The same by a signal such as Ctrl-C.
    pub fn press_by_signal(&self, signal: &str) {
        self.order(true, signal, signal, true);
    }

    /// The automatic stop of a breach: the drill's agents revert, and do not latch.
    pub fn stop(&self, reason: &str) {
        self.order(false, reason, "firedrill", false);
    }

    /// What the line knows now.
    pub fn board(&self) -> Board {
        self.0.shared.read()
    }

    /// Changes whenever the board does.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.0.shared.version()
    }

    /// Hides an abort that is finished.
    pub fn dismiss(&self) {
        self.0.shared.change(|board| {
            if !board.is_aborting() {
                clear(board);
            }
        });
    }

    fn order(&self, latch: bool, reason: &str, who: &str, by_signal: bool) {
        let inner = &*self.0;
        let now = inner.now.lock();
        // First of all: nothing new goes out.
        now.gate.close();
        let pressed = Instant::now();
        let number = inner.numbers.fetch_add(1, Ordering::SeqCst) + 1;
        let request = AbortRequest {
            abort: Some(random_id()),
            drill: now.drill.clone(),
            latch,
            reason: Some(reason.to_owned()),
            who: Some(who.to_owned()),
        };
        let order = Order {
            number,
            // Its fields are texts: it always can be. An abort without a body would still be one.
            body: serde_json::to_vec(&request).unwrap_or_default().into(),
            requested: now.clock.now(),
            pressed,
            give_up_after: now.drill.is_none().then_some(Duration::from_secs(10)),
        };
        inner.shared.change(|board| {
            clear(board);
            board.pressed = Some(pressed);
            board.press = Some(Press {
                number,
                latch,
                wall_ms: wall_ms(),
                reason: reason.to_owned(),
                who: who.to_owned(),
                by_signal,
            });
        });
        inner.orders.send_replace(Some(Arc::new(order)));
    }
}

fn clear(board: &mut Board) {
    board.press = None;
    board.pressed = None;
    for line in &mut board.agents {
        let line = Arc::make_mut(line);
        line.abort = None;
        line.clean = false;
        line.given_up = false;
        line.words.clear();
    }
}

enum Command {
    Hold(Vec<AbortTarget>, bool),
    Test(usize, Test),
}

/// The thread with the connections. Dropping it ends the thread; held agents are then on their own leases.
pub struct AbortLine {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    handle: AbortHandle,
}

impl AbortLine {
    /// Starts the thread with its own runtime.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::new());
        let (orders, _) = watch::channel(None);
        let inner = Arc::new(Inner {
            now: Mutex::new(Now {
                gate: Gate::new(),
                drill: None,
                clock: Clock::start(),
            }),
            shared,
            orders,
            numbers: AtomicU64::new(0),
        });
        let handle = AbortHandle(inner);
        let (commands, receiver) = mpsc::channel(64);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new().name("abort-line".to_owned()).spawn({
            let handle = handle.clone();
            move || runtime.block_on(serve(handle, receiver))
        })?;
        Ok(Self {
            commands: Some(commands),
            thread: Some(thread),
            handle,
        })
    }

    /// To press with.
    pub fn handle(&self) -> AbortHandle {
        self.handle.clone()
    }

    /// A drill begins, or (`None`) there is none any more: its gate, to read before every send. A press from
    /// now on is of this drill; an older one is over, but for one by a signal, which is of every drill.
    pub fn begin(&self, drill: Option<DrillId>, clock: Clock) -> Gate {
        let inner = &*self.handle.0;
        let mut now = inner.now.lock();
        let gate = Gate::new();
        *now = Now {
            gate: gate.clone(),
            drill,
            clock,
        };
        if inner.shared.read().press.is_some_and(|press| press.by_signal) {
            // Somebody wants this process to end: that is never over, or a Ctrl-C just before the begin would
            // be lost and the drill would go on.
            gate.close();
            return gate;
        }
        inner.shared.change(clear);
        inner.orders.send_replace(None);
        gate
    }

    /// Holds the line to these agents from now on, in a drill with kept connections and heartbeats. An abort
    /// that is in force goes to them at once.
    pub fn hold(&self, targets: Vec<AbortTarget>) {
        let drill = self.handle.0.now.lock().drill.is_some();
        if !self.give(Command::Hold(targets, drill)) {
            // Without an abort line nothing may start.
            self.handle.0.now.lock().gate.close();
        }
    }

    /// Holds the line to these agents if no drill runs.
    pub(crate) fn hold_if_resting(&self, targets: Vec<AbortTarget>) {
        let now = self.handle.0.now.lock();
        if now.drill.is_none() && !self.give(Command::Hold(targets, false)) {
            now.gate.close();
        }
    }

    /// Exercises the abort path to one agent: microseconds from the send to the end of the answer.
    pub async fn test(&self, agent: usize, drill: DrillId) -> Result<u64, String> {
        let (done, result) = oneshot::channel();
        let request = AbortRequest {
            abort: Some(random_id()),
            drill: Some(drill),
            latch: false,
            reason: Some("test of the abort path".to_owned()),
            who: Some("firedrill".to_owned()),
        };
        if !self.give(Command::Test(agent, Box::new((request, done)))) {
            return Err("the abort line does not run".to_owned());
        }
        match result.await {
            Ok(result) => result,
            Err(_) => Err("the abort line to this agent is not held".to_owned()),
        }
    }

    fn give(&self, command: Command) -> bool {
        match &self.commands {
            Some(commands) => commands.try_send(command).is_ok(),
            None => false,
        }
    }
}

impl Drop for AbortLine {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the abort line's thread ended by a panic");
        }
    }
}

struct Running {
    target: AbortTarget,
    tests: mpsc::Sender<Test>,
    task: tokio::task::JoinHandle<()>,
}

async fn serve(handle: AbortHandle, mut commands: mpsc::Receiver<Command>) {
    let mut peers: Vec<Running> = Vec::new();
    let (late, _) = watch::channel(());
    let relay = tokio::spawn(relay(handle.0.orders.subscribe(), late.clone()));
    while let Some(command) = commands.recv().await {
        match command {
            Command::Hold(targets, heartbeat) => hold(&handle, &late, &mut peers, targets, heartbeat),
            Command::Test(agent, test) => {
                if let Some(peer) = peers.iter().find(|peer| peer.target.agent == agent) {
                    // Full or gone: the dropped sender says so to who waits.
                    peer.tests.try_send(test).ok();
                }
            }
        }
    }
    relay.abort();
    for peer in peers {
        peer.task.abort();
    }
}

/// Wakes those who can wait after those with a connection. Ends with the line.
async fn relay(mut orders: watch::Receiver<Option<Arc<Order>>>, late: watch::Sender<()>) {
    while orders.changed().await.is_ok() {
        if orders.borrow_and_update().is_some() {
            tokio::time::sleep(UNCONNECTED_LATER).await;
        }
        late.send_replace(());
    }
}

fn hold(
    handle: &AbortHandle,
    late: &watch::Sender<()>,
    peers: &mut Vec<Running>,
    targets: Vec<AbortTarget>,
    heartbeat: bool,
) {
    let inner = &handle.0;
    let held = tokio::time::Instant::now();
    for peer in peers.drain(..) {
        peer.task.abort();
    }
    let mut lines: Vec<_> = targets.iter().map(|target| Arc::new(line(target))).collect();
    lines.sort_by_key(|line| line.agent);
    inner.shared.change(|board| board.agents = lines);
    for target in targets {
        let (tests, receiver) = mpsc::channel(4);
        let peer = Peer {
            target: target.clone(),
            shared: Arc::clone(&inner.shared),
            orders: inner.orders.subscribe(),
            late: late.subscribe(),
            held,
            next_beat: held,
            tests: receiver,
            heartbeat,
            link: None,
        };
        let task = tokio::spawn(peer.run());
        peers.push(Running { target, tests, task });
    }
}

fn line(target: &AbortTarget) -> AgentLine {
    AgentLine {
        agent: target.agent,
        name: target.name.clone(),
        beats: 0,
        rtt_us: None,
        stamp: None,
        latch: None,
        abort: None,
        words: String::new(),
        clean: false,
        given_up: false,
    }
}

/// 128 random bits in hex: ids that nobody else has.
pub fn random_id() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Uniqueness is all that is asked for: time and process do.
        bytes[..8].copy_from_slice(&wall_ms().to_le_bytes());
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    }
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
