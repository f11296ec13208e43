//! `firedrill-agent load`: the child that sends requests. Started by the agent, not by people.
//!
//! Open loop: a request is due when the rate says so, whether or not the ones before are answered. How long one took is
//! counted from when it was due, so that a server that stands still is seen in every request that had to wait for it
//! (coordinated omission), and one that could not be sent at all is counted as given up.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use firedrill_wire::Evidence;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::child_main::ChildArgs;
use super::load_tls::{Tls, Trust};

/// Between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Sent later than this after it was due: this host is too slow for the rate.
const LATE: Duration = Duration::from_millis(10);

/// Between two looks at what is due: several that fell due meanwhile go at once.
const TICK: Duration = Duration::from_millis(1);

/// What is ordered, a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Where it goes.
    pub address: SocketAddr,
    /// The header of that name.
    pub host: String,
    /// The path with its query.
    pub uri: String,
    /// The method.
    pub method: String,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// Sent with each.
    pub body: String,
    /// Requests per second.
    pub rate: u64,
    /// Most at once.
    pub in_flight: u64,
    /// Most in all.
    pub total: u64,
    /// How long one may take from when it was due, in milliseconds.
    pub timeout_ms: u64,
    /// Over TLS; none: in the clear.
    pub tls: Option<Trust>,
}

impl Order {
    fn request(&self) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.uri)
            .header(HOST, &self.host);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        Ok(request.body(Full::new(Bytes::from(self.body.clone())))?)
    }
}

/// What came of the requests so far, a line of JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Sent, or tried to be.
    pub sent: u64,
    /// Answered, by the first digit of the status.
    pub answered: [u64; 6],
    /// Not answered: no connection, or one that broke.
    pub failed: u64,
    /// Not answered in time.
    pub timed_out: u64,
    /// Not sent: as many as may were unanswered.
    pub given_up: u64,
    /// Sent late: this host is too slow.
    pub late: u64,
    /// From when they were due to the end of the answer.
    pub p50_ms: f64,
    /// The same, of the slowest hundredth.
    pub p99_ms: f64,
}

impl Report {
    /// For people and counters.
    pub fn evidence(&self) -> Evidence {
        let answered: u64 = self.answered.iter().sum();
        let mut counts: std::collections::BTreeMap<String, f64> = [
            ("requests_sent", self.sent as f64),
            ("failed", self.failed as f64),
            ("timed_out", self.timed_out as f64),
            ("given_up", self.given_up as f64),
            ("late", self.late as f64),
            ("p50_ms", self.p50_ms),
            ("p99_ms", self.p99_ms),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into();
        for class in 1..self.answered.len() {
            counts.insert(format!("answered_{class}xx"), self.answered[class] as f64);
        }
        Evidence {
            words: format!(
                "{} requests sent, {answered} answered (p50 {:.1} ms, p99 {:.1} ms from when they were due), {} failed, {} too late, {} given up",
                self.sent, self.p50_ms, self.p99_ms, self.failed, self.timed_out, self.given_up
            ),
            counts,
        }
    }
}

/// Times in buckets, each 2 % wider than the one before.
#[derive(Debug)]
struct Times {
    buckets: Vec<u64>,
    all: u64,
}

const WIDER: f64 = 1.02;
const BUCKETS: usize = 1_000;

impl Times {
    fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            all: 0,
        }
    }

    fn add(&mut self, time: Duration) {
        let us = (time.as_micros() as f64).max(1.0);
        let at = (us.ln() / WIDER.ln()) as usize;
        self.buckets[at.min(BUCKETS - 1)] += 1;
        self.all += 1;
    }

    /// The time that this share is not above, in milliseconds.
    fn quantile_ms(&self, share: f64) -> f64 {
        let wanted = (self.all as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return WIDER.powf(at as f64 + 1.0) / 1e3;
            }
        }
        0.0
    }
}

/// What all requests share.
struct Shared {
    tls: Option<Tls>,
    order: Mutex<Order>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    seen: Mutex<(Report, Times)>,
    in_flight: AtomicU64,
}

/// Sends as ordered.
pub fn run(args: &ChildArgs) -> anyhow::Result<()> {
    let mut shared: Option<Arc<Shared>> = None;
    super::child_main::run(args, |line| {
        let order: Order = serde_json::from_str(line)?;
        order.request().context("no request can be made of it")?;
        if let Some(shared) = &shared {
            *shared.order.lock() = order;
            return Ok(());
        }
        let tls = order.tls.as_ref().map(Trust::open).transpose()?;
        let of_threads = Arc::new(Shared {
            tls,
            order: Mutex::new(order),
            idle: Mutex::new(Vec::new()),
            seen: Mutex::new((Report::default(), Times::new())),
            in_flight: 0.into(),
        });
        shared = Some(Arc::clone(&of_threads));
        start(&of_threads)
    })
}

fn start(shared: &Arc<Shared>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let of_sender = Arc::clone(shared);
    std::thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || runtime.block_on(tokio::task::LocalSet::new().run_until(send_all(&of_sender))))?;
    let of_reporter = Arc::clone(shared);
    std::thread::Builder::new()
        .name("report".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(REPORT_EVERY);
                if let Ok(line) = serde_json::to_string(&of_reporter.report()) {
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
                }
            }
        })?;
    Ok(())
}

impl Shared {
    fn report(&self) -> Report {
        let seen = self.seen.lock();
        Report {
            p50_ms: seen.1.quantile_ms(0.50),
            p99_ms: seen.1.quantile_ms(0.99),
            ..seen.0.clone()
        }
    }
}

/// When the next request is due, at a rate that may change.
struct Schedule {
    due: Instant,
}

impl Schedule {
    /// The one that is due by now, if any.
    fn next(&mut self, now: Instant, rate: u64) -> Option<Instant> {
        let due = self.due;
        if due > now {
            return None;
        }
        self.due = due + Duration::from_secs(1).div_f64(rate.max(1) as f64);
        Some(due)
    }
}

/// What becomes of a request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Sent,
    GivenUp,
    /// As many as may be sent have been.
    Over,
}

impl Shared {
    fn turn(&self, order: &Order, due: Instant) -> Turn {
        let report = &mut self.seen.lock().0;
        if report.sent + report.given_up >= order.total {
            return Turn::Over;
        }
        if self.in_flight.load(Relaxed) >= order.in_flight {
            report.given_up += 1;
            return Turn::GivenUp;
        }
        report.sent += 1;
        report.late += u64::from(due.elapsed() > LATE);
        self.in_flight.fetch_add(1, Relaxed);
        Turn::Sent
    }
}

async fn send_all(shared: &Arc<Shared>) {
    let mut schedule = Schedule { due: Instant::now() };
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let order = shared.order.lock().clone();
        while let Some(due) = schedule.next(Instant::now(), order.rate) {
            match shared.turn(&order, due) {
                Turn::Over => return std::future::pending().await,
                Turn::GivenUp => {}
                Turn::Sent => {
                    let (shared, order) = (Arc::clone(shared), order.clone());
                    tokio::task::spawn_local(async move {
                        one(&shared, &order, due).await;
                        shared.in_flight.fetch_sub(1, Relaxed);
                    });
                }
            }
        }
    }
}

/// One request, and what came of it.
async fn one(shared: &Arc<Shared>, order: &Order, due: Instant) {
    let end = due + Duration::from_millis(order.timeout_ms);
    let answered = tokio::time::timeout_at(end.into(), ask(shared, order)).await;
    let (report, times) = &mut *shared.seen.lock();
    match answered {
        Ok(Ok(status)) => {
            report.answered[usize::from(status.as_u16() / 100).min(5)] += 1;
            times.add(due.elapsed());
        }
        Ok(Err(_)) => report.failed += 1,
        Err(_) => {
            report.timed_out += 1;
            times.add(due.elapsed());
        }
    }
}

/// Asks, and reads the answer to its end. A connection that is whole then is kept.
async fn ask(shared: &Arc<Shared>, order: &Order) -> anyhow::Result<StatusCode> {
    let kept = || {
        let mut idle = shared.idle.lock();
        std::iter::from_fn(|| idle.pop()).find(|it| it.is_ready() && !it.is_closed())
    };
    let kept = kept();
    let mut sender = match kept {
        Some(sender) => sender,
        None => shared.connect(order.address).await?,
    };
    let answer = sender.send_request(order.request()?).await?;
    let status = answer.status();
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    // One that the server closes after its answer has answered.
    if sender.ready().await.is_ok() {
        shared.idle.lock().push(sender);
    }
    Ok(status)
}

impl Shared {
    async fn connect(&self, address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => speak(stream).await,
            Some(tls) => speak(tls.on(stream).await?).await,
        }
    }
}

async fn speak<S>(stream: S) -> anyhow::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        // What breaks it is told to whoever asked on it.
        connection.await.ok();
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate_whatever_came_of_the_ones_before() {
        let began = Instant::now();
        let mut schedule = Schedule { due: began };
        let later = began + Duration::from_millis(100);
        let due: Vec<_> = std::iter::from_fn(|| schedule.next(later, 50))
            .map(|due| due - began)
            .collect();
        assert_eq!(due, [0, 20, 40, 60, 80, 100].map(Duration::from_millis));
        // Another rate begins where this one is.
        let later = later + Duration::from_millis(30);
        assert_eq!(
            schedule.next(later, 1_000),
            Some(began + Duration::from_millis(120))
        );
        assert_eq!(
            schedule.next(later, 1_000),
            Some(began + Duration::from_millis(121))
        );
    }

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut times = Times::new();
        assert!(times.quantile_ms(0.5).abs() < 1e-9);
        for ms in 1..=1_000 {
            times.add(Duration::from_millis(ms));
        }
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0)] {
            let found = times.quantile_ms(share);
            assert!((found / ms - 1.0).abs() < 0.025, "{found}");
        }
        times.add(Duration::from_hours(1));
        times.add(Duration::ZERO);
    }
}
