//! The abort line to one agent: a kept-alive connection, a heartbeat, and, once ordered, an abort that goes
//! on until it is proved clean.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use firedrill_drill::AbortFold;
use firedrill_wire::{AbortLine, AbortRequest, AgentBrief};
use futures_util::{StreamExt, stream::FuturesUnordered};
use hyper::Method;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    board::{AgentLine, Shared},
    line::Order,
    link::{AbortTarget, Answer, Link},
};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// How many agents share no moment with their heartbeats; more than a thousand would be closer than one takes.
const BEAT_PLACES: usize = 997;
/// After this long without an answer a second connection is tried, or the abort is sent once more.
const SECOND_TRY: Duration = Duration::from_millis(200);
/// How long an abort waits for a heartbeat that is under way.
const BEAT_ENDS: Duration = Duration::from_millis(5);
/// Agents with a kept connection come first: waking and connecting to hundreds that may be dead takes its time.
pub(crate) const UNCONNECTED_LATER: Duration = Duration::from_millis(25);
/// After this long a heartbeat counts as unanswered.
const BEAT_LIMIT: Duration = Duration::from_millis(900);
/// An attempt that has said nothing for this long is given up.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
/// Attempts under way at once: an agent that answers late is waited for, not flooded.
const MAX_ATTEMPTS: usize = 16;
/// An agent that could not prove it clean is asked to try again this often.
const AGAIN: Duration = Duration::from_secs(1);
/// The test of the abort path.
const TEST_LIMIT: Duration = Duration::from_secs(5);

/// A test of the abort path: the request, and where the microseconds it took go.
/// Boxed, as [`Told`] is: a channel holds the room for dozens, at each of a thousand agents.
pub(crate) type Test = Box<(AbortRequest, oneshot::Sender<Result<u64, String>>)>;

pub(crate) struct Peer {
    pub(crate) target: AbortTarget,
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: watch::Receiver<Option<Arc<Order>>>,
    /// Wakes those without a connection, a moment after an order.
    pub(crate) late: watch::Receiver<()>,
    pub(crate) tests: mpsc::Receiver<Test>,
    /// Connections are kept and heartbeats sent: in a drill.
    pub(crate) heartbeat: bool,
    /// When the line was held to all of them.
    pub(crate) held: tokio::time::Instant,
    /// The first one is at once.
    pub(crate) next_beat: tokio::time::Instant,
    pub(crate) link: Option<Link>,
}

impl Peer {
    /// For ever, or until the task is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            // An order may be older than this peer.
            let order = self.orders.borrow_and_update().clone();
            if let Some(order) = order {
                // In a box, like all that is seldom under way: a thousand agents are at rest most of the time.
                Box::pin(self.abort(&order)).await;
                self.wait_for_another_order(&order).await;
                // Another order has come, and the wait for it has seen it: to wait again would be to miss it.
                continue;
            }
            let is_late = self.heartbeat && self.link.is_none();
            tokio::select! {
                biased;
                ordered = ordered(&mut self.orders, &mut self.late, is_late) => if ordered.is_err() { return },
                () = tokio::time::sleep_until(self.next_beat), if self.heartbeat => self.heartbeat_unless_ordered().await,
                test = self.tests.recv() => match test {
                    Some(test) => self.test_unless_ordered(test).await,
                    None => return,
                },
            }
        }
    }

    async fn heartbeat_unless_ordered(&mut self) {
        self.next_beat = beat_after(self.held, self.target.agent, tokio::time::Instant::now());
        let (mut orders, mut late) = (self.orders.clone(), self.late.clone());
        let is_late = self.link.is_none();
        let ordered = async {
            ordered(&mut orders, &mut late, is_late).await.ok();
            // It has most likely been answered already, and an abort on its connection is quicker than a handshake.
            tokio::time::sleep(BEAT_ENDS).await;
        };
        tokio::select! {
            biased;
            () = Box::pin(self.beat()) => {}
            // A beat that is let go of takes its connection with it.
            () = ordered => {}
        }
    }

    async fn test_unless_ordered(&mut self, test: Test) {
        let (request, done) = *test;
        let mut orders = self.orders.clone();
        let result = tokio::select! {
            biased;
            _ = orders.changed() => Err("an abort came in between".to_owned()),
            result = tokio::time::timeout(TEST_LIMIT, Box::pin(self.test(&request))) => {
                result.unwrap_or_else(|_| Err("no end of the answer within 5 s".to_owned()))
            }
        };
        // Nobody waits any more: then nobody needs it.
        done.send(result).ok();
    }

    /// The kept connection, taken out, if it can be used now.
    fn take_ready(&mut self) -> Option<Link> {
        self.link.take().filter(Link::is_ready)
    }

    /// The kept connection, or a new one.
    async fn ready(&mut self) -> Result<Link, String> {
        match self.take_ready() {
            Some(link) => Ok(link),
            None => Link::connect(&self.target).await,
        }
    }

    async fn beat(&mut self) {
        let begun = Instant::now();
        let first = self.ready().await;
        let target = self.target.clone();
        let asked = async {
            let ask = |link| heartbeat_on(link, target.clone());
            let mut under_way = FuturesUnordered::new();
            let mut why = None;
            match first {
                Ok(link) => under_way.push(ask(Ok(link))),
                Err(error) => why = Some(error),
            }
            let mut second = std::pin::pin!(tokio::time::sleep(SECOND_TRY));
            let mut tried = false;
            loop {
                tokio::select! {
                    Some(result) = under_way.next() => match result {
                        Ok(answered) => return Ok(answered),
                        Err(error) if tried && under_way.is_empty() => return Err(error),
                        Err(error) => why = Some(error),
                    },
                    () = &mut second, if !tried => {
                        tried = true;
                        under_way.push(ask(Err(())));
                    }
                    else => return Err(why.unwrap_or_default()),
                }
            }
        };
        let result = match tokio::time::timeout(BEAT_LIMIT, asked).await {
            Ok(result) => result,
            Err(_) => Err("not answered in time".to_owned()),
        };
        let took = begun.elapsed().as_micros() as u64;
        match result {
            Ok((link, said)) => {
                self.link = Some(link);
                self.beaten(Some(took), |line| {
                    line.latch = said.latch;
                    line.stamp = Some(said.stamp);
                });
            }
            Err(why) => {
                tracing::debug!("heartbeat of {}: {why}", self.target.name);
                self.beaten(None, |_| {});
            }
        }
    }

    fn beaten(&self, rtt_us: Option<u64>, change: impl FnOnce(&mut AgentLine)) {
        self.shared.change_line(self.target.agent, |line| {
            line.beats += 1;
            line.rtt_us = rtt_us;
            change(line);
        });
    }

    /// Microseconds from the send to the end of the answer.
    async fn test(&mut self, request: &AbortRequest) -> Result<u64, String> {
        let mut link = self.ready().await?;
        let body = Bytes::from(serde_json::to_vec(request).map_err(|error| error.to_string())?);
        let begun = Instant::now();
        let mut answer = link.send(&self.target, Method::POST, "/v1/abort", body).await?;
        refused(&mut answer).await?;
        while let Some(line) = answer.line().await? {
            if let AbortLine::End { clean, .. } = parse(&line)? {
                let took = begun.elapsed().as_micros() as u64;
                if answer.finish().await {
                    self.link = Some(link);
                }
                return if clean {
                    Ok(took)
                } else {
                    Err("the agent could not prove the test fault gone".to_owned())
                };
            }
        }
        Err("the answer ended without its end".to_owned())
    }

    /// Sends the abort at once and again, until an answer ends with everything proved clean, or a newer order
    /// comes.
    async fn abort(&mut self, order: &Order) {
        let mut fold = AbortFold::new(order.requested);
        let (tell, mut told) = mpsc::channel::<Box<Told>>(64);
        let mut attempts = FuturesUnordered::new();
        let mut orders = self.orders.clone();
        // Unset: at once. tokio's timer counts whole milliseconds and rounds up, which the first send must not wait for.
        let kept = self.link.as_ref().is_some_and(Link::is_ready);
        let mut next = (!kept && self.heartbeat)
            .then(|| tokio::time::Instant::from_std(order.pressed) + UNCONNECTED_LATER);
        let mut heard = None::<Instant>;
        let give_up = order.give_up_after.map(|after| order.pressed + after);
        loop {
            tokio::select! {
                biased;
                _ = orders.changed() => return,
                Some(news) = told.recv() => {
                    heard = Some(Instant::now());
                    let us = order.pressed.elapsed().as_micros() as u64;
                    match *news {
                        Told::Line(line) => fold.line(line, us),
                        Told::Failed(why) => fold.failed(format!(
                            "{why}; still sending. By hand, on the host of {}: firedrill-agent abort", self.target.name
                        )),
                    }
                    self.shared.fold(self.target.agent, &fold);
                    if fold.clean() {
                        break;
                    }
                }
                Some(link) = attempts.next() => self.kept(link),
                () = due(next) => {
                    if give_up.is_some_and(|end| Instant::now() > end) {
                        self.shared.change_line(self.target.agent, |line| line.given_up = true);
                        break;
                    }
                    let waits = heard.is_some_and(|heard| heard.elapsed() < AGAIN) && fold.status().received_us.is_some();
                    if attempts.len() < MAX_ATTEMPTS && !waits {
                        fold.sent();
                        self.shared.fold(self.target.agent, &fold);
                        let link = self.take_ready();
                        attempts.push(attempt(link, self.target.clone(), order.body.clone(), tell.clone()));
                    }
                    next = Some(tokio::time::Instant::now() + SECOND_TRY);
                }
            }
        }
        // The connection that served is whole in a moment; whatever else is under way would tell the same.
        if let Ok(Some(link)) = tokio::time::timeout(SECOND_TRY, attempts.next()).await {
            self.kept(link);
        }
        drop(attempts);
    }

    fn kept(&mut self, link: Option<Link>) {
        if link.is_some() {
            self.link = link;
        }
    }

    /// An order that is done is not done twice; heartbeats go on.
    async fn wait_for_another_order(&mut self, done: &Order) {
        loop {
            let same = self
                .orders
                .borrow()
                .as_ref()
                .is_some_and(|order| order.number == done.number);
            if !same {
                return;
            }
            tokio::select! {
                biased;
                changed = self.orders.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(self.next_beat), if self.heartbeat => self.heartbeat_unless_ordered().await,
                test = self.tests.recv() => match test {
                    Some(test) => self.test_unless_ordered(test).await,
                    None => return,
                },
            }
        }
    }
}

/// When an agent's heartbeat is due after one at `now`: each has its own place in the second, so that no abort ever
/// comes behind the heartbeats of a whole fleet.
fn beat_after(held: tokio::time::Instant, agent: usize, now: tokio::time::Instant) -> tokio::time::Instant {
    let place = HEARTBEAT * (agent % BEAT_PLACES) as u32 / BEAT_PLACES as u32;
    let seconds = (now - held).as_secs() as u32;
    let here = held + HEARTBEAT * seconds + place;
    if here > now { here } else { here + HEARTBEAT }
}

/// Returns when an order has come, or the last one was called off; an error at the end of the line.
async fn ordered(
    orders: &mut watch::Receiver<Option<Arc<Order>>>,
    late: &mut watch::Receiver<()>,
    is_late: bool,
) -> Result<(), watch::error::RecvError> {
    if is_late {
        late.changed().await
    } else {
        orders.changed().await
    }
}

async fn due(at: Option<tokio::time::Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

/// What an attempt tells.
enum Told {
    Line(AbortLine),
    Failed(String),
}

/// One sending of an abort, on a kept connection or a new one; gives back the connection where it is whole.
async fn attempt(
    link: Option<Link>,
    target: AbortTarget,
    body: Bytes,
    tell: mpsc::Sender<Box<Told>>,
) -> Option<Link> {
    let work = async {
        let kept = link.is_some();
        let mut link = match link {
            Some(link) => link,
            None => Link::connect(&target).await?,
        };
        let mut answer = match link.send(&target, Method::POST, "/v1/abort", body.clone()).await {
            Ok(answer) => answer,
            // A kept connection may have died unseen: a new one at once, not after the next pause.
            Err(_) if kept => {
                link = Link::connect(&target).await?;
                link.send(&target, Method::POST, "/v1/abort", body).await?
            }
            Err(error) => return Err(error),
        };
        refused(&mut answer).await?;
        loop {
            let line = match tokio::time::timeout(ATTEMPT_LIMIT, answer.line()).await {
                Ok(line) => line?,
                Err(_) => return Err("nothing more of the answer for 10 s".to_owned()),
            };
            let Some(line) = line else {
                return Err("the answer broke off before its end".to_owned());
            };
            let line = parse(&line)?;
            let ended = matches!(line, AbortLine::End { .. });
            // The receiver lives as long as the attempts do.
            tell.send(Box::new(Told::Line(line))).await.ok();
            if ended {
                return Ok(answer.finish().await.then_some(link));
            }
        }
    };
    let result = match tokio::time::timeout(ATTEMPT_LIMIT * 6, work).await {
        Ok(result) => result,
        Err(_) => Err("no end of the answer within 60 s".to_owned()),
    };
    match result {
        Ok(link) => link,
        Err(why) => {
            tell.send(Box::new(Told::Failed(why))).await.ok();
            None
        }
    }
}

fn parse(line: &[u8]) -> Result<AbortLine, String> {
    serde_json::from_slice(line).map_err(|_| "the answer is not an agent's".to_owned())
}

/// An answer that is not 200 is a refusal, in the agent's words where it has some.
async fn refused(answer: &mut Answer) -> Result<(), String> {
    let status = answer.status();
    if status == 200 {
        return Ok(());
    }
    let body = tokio::time::timeout(BEAT_LIMIT, answer.whole()).await;
    let body = body.unwrap_or_else(|_| Ok(Vec::new()))?;
    match serde_json::from_slice::<firedrill_wire::Problem>(&body) {
        Ok(problem) => Err(problem.to_string()),
        Err(_) => Err(format!("answered {status}, not as an agent does")),
    }
}

/// Asks who it is.
async fn heartbeat_on(link: Result<Link, ()>, target: AbortTarget) -> Result<(Link, AgentBrief), String> {
    let mut link = match link {
        Ok(link) => link,
        Err(()) => Link::connect(&target).await?,
    };
    let mut answer = link
        .send(&target, Method::GET, "/v1/agent?brief", Bytes::new())
        .await?;
    refused(&mut answer).await?;
    let body = answer.whole().await?;
    let said: AgentBrief =
        serde_json::from_slice(&body).map_err(|_| "the answer is not an agent's".to_owned())?;
    Ok((link, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_a_second_apart_and_each_has_a_place_of_its_own() {
        let held = tokio::time::Instant::now();
        let mut firsts: Vec<_> = (0..BEAT_PLACES)
            .map(|agent| {
                let first = beat_after(held, agent, held);
                assert_eq!(beat_after(held, agent, first), first + HEARTBEAT);
                // One that was late is not made up for.
                let late = first + HEARTBEAT * 7 / 2;
                let next = beat_after(held, agent, late);
                assert!(next > late && next <= late + HEARTBEAT);
                first
            })
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), BEAT_PLACES);
        assert!(
            firsts
                .iter()
                .all(|first| *first > held && *first <= held + HEARTBEAT)
        );
    }
}
