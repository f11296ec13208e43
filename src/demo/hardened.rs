//! What the hardened build does about a slow or failing peer: deadlines, retries, a breaker, and payment
//! later.
//!
//! An order is answered within [`Hardened::ORDER_DEADLINE`]. A payment that is not made by then, or that the
//! breaker does not let through, is queued: the customer gets 202 at once, and a task pays later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::breaker::{Breaker, Permit, State};
use crate::orders::{Order, Peers};
use crate::retry::{jitter, next_wait};

/// One call of payments: ten times what it takes on a good day.
const PAY_DEADLINE: Duration = Duration::from_millis(200);
/// One call of inventory.
const RESERVE_DEADLINE: Duration = Duration::from_millis(100);
/// Payments that may wait to be made later; an order beyond that is refused.
const MAX_LATER: usize = 10_000;

/// The state that the workers share.
pub(crate) struct Hardened {
    peers: Arc<Peers>,
    started: Instant,
    breaker: Mutex<Breaker>,
    later: Mutex<VecDeque<Order>>,
    more: Notify,
    retries: Counter,
    breaker_state: Gauge,
    pending: Gauge,
}

/// How one call of payments ended.
enum Tried {
    Paid,
    Failed,
    /// The breaker did not let it through; ask again then.
    Refused {
        until: Instant,
    },
}

impl Hardened {
    /// From an order's arrival to its answer, at the most: inside what the demo plan tolerates (0.8 s).
    pub(crate) const ORDER_DEADLINE: Duration = Duration::from_millis(600);

    pub(crate) fn new(peers: Arc<Peers>) -> Self {
        Self {
            peers,
            started: Instant::now(),
            breaker: Mutex::default(),
            later: Mutex::default(),
            more: Notify::new(),
            retries: Counter::default(),
            breaker_state: Gauge::default(),
            pending: Gauge::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("payment_retries", "Payments tried again", self.retries.clone());
        registry.register(
            "payments_pending",
            "Orders accepted whose payment is made later",
            self.pending.clone(),
        );
        registry.register(
            "circuit_breaker_state",
            "The breaker before payments: 0 closed, 1 half-open, 2 open",
            self.breaker_state.clone(),
        );
    }

    /// One order, by a worker: 200 paid, 202 accepted and paid later, 503 refused.
    pub(crate) async fn work(&self, order: Order, deadline: Instant) -> StatusCode {
        if !matches!(timeout_at(deadline, self.reserve(order)).await, Ok(true)) {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        if matches!(timeout_at(deadline, self.pay(order)).await, Ok(true)) {
            StatusCode::OK
        } else if self.queue(order) {
            StatusCode::ACCEPTED
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }

    async fn reserve(&self, order: Order) -> bool {
        let began = Instant::now();
        for failed in 1.. {
            if matches!(
                timeout(RESERVE_DEADLINE, self.peers.reserve(order)).await,
                Ok(true)
            ) {
                return true;
            }
            match next_wait(failed, began.elapsed(), jitter(order.id, failed)) {
                Some(wait) => sleep(wait).await,
                None => break,
            }
        }
        false
    }

    /// Tries until paid, until the breaker opens, or for as long as the retries last.
    async fn pay(&self, order: Order) -> bool {
        let began = Instant::now();
        for failed in 1.. {
            match self.try_to_pay(order).await {
                Tried::Paid => return true,
                Tried::Refused { .. } => return false,
                Tried::Failed => match next_wait(failed, began.elapsed(), jitter(order.id, failed)) {
                    Some(wait) => sleep(wait).await,
                    None => return false,
                },
            }
            self.retries.inc();
        }
        false
    }

    /// One call, if the breaker lets it through.
    async fn try_to_pay(&self, order: Order) -> Tried {
        let answer = self.breaker.lock().ask(self.started.elapsed());
        self.show_breaker();
        let permit = match answer {
            Ok(permit) => permit,
            Err(until) => {
                return Tried::Refused {
                    until: self.started + until,
                };
            }
        };
        let mut call = Call {
            hardened: self,
            permit: Some(permit),
        };
        let paid = matches!(timeout(PAY_DEADLINE, self.peers.pay(order)).await, Ok(true));
        call.ended(paid);
        if paid { Tried::Paid } else { Tried::Failed }
    }

    /// Makes the queued payments, oldest first, for as long as the system runs.
    pub(crate) async fn pay_later(self: Arc<Self>) {
        loop {
            let next = self.later.lock().front().copied();
            let Some(order) = next else {
                self.more.notified().await;
                continue;
            };
            if self.pay_patiently(order).await {
                self.later.lock().pop_front();
                self.pending.dec();
            } else {
                // Its time for retries is over: the others first, then it again.
                let mut later = self.later.lock();
                later.rotate_left(1);
            }
        }
    }

    /// As [`Self::pay`], but an open breaker is waited for.
    async fn pay_patiently(&self, order: Order) -> bool {
        let mut began = Instant::now();
        let mut failed = 0;
        loop {
            match self.try_to_pay(order).await {
                Tried::Paid => return true,
                Tried::Refused { until } => {
                    sleep_until(until).await;
                    (began, failed) = (Instant::now(), 0);
                }
                Tried::Failed => {
                    failed += 1;
                    match next_wait(failed, began.elapsed(), jitter(order.id, failed)) {
                        Some(wait) => sleep(wait).await,
                        None => return false,
                    }
                    self.retries.inc();
                }
            }
        }
    }

    fn queue(&self, order: Order) -> bool {
        let mut later = self.later.lock();
        if later.len() >= MAX_LATER {
            return false;
        }
        later.push_back(order);
        self.pending.inc();
        self.more.notify_one();
        true
    }

    fn show_breaker(&self) {
        self.breaker_state.set(match self.breaker.lock().state() {
            State::Closed => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        });
    }
}

/// A call on its way. Dropped without an end (the customer went away, the order's time was over), its permit
/// goes back, or a probe that nobody waits for would hold the breaker half-open for good.
struct Call<'a> {
    hardened: &'a Hardened,
    permit: Option<Permit>,
}

impl Call<'_> {
    fn ended(&mut self, paid: bool) {
        if let Some(permit) = self.permit.take() {
            let now = self.hardened.started.elapsed();
            let mut breaker = self.hardened.breaker.lock();
            if paid {
                breaker.succeeded(permit);
            } else {
                breaker.failed(permit, now);
            }
        }
        self.hardened.show_breaker();
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.hardened.breaker.lock().abandoned(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{payments, serve};

    const ORDER: Order = Order {
        id: 1,
        pieces: 1,
        amount_cents: 100,
    };

    /// Payments on a port of its own, and the hardened side of orders that calls it.
    async fn with_payments() -> Arc<Hardened> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve::serve(listener, payments::router()));
        Arc::new(Hardened::new(Arc::new(Peers::new(address, address))))
    }

    /// A port on which nobody listens.
    async fn with_nobody() -> Arc<Hardened> {
        let address = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        Arc::new(Hardened::new(Arc::new(Peers::new(address, address))))
    }

    #[tokio::test]
    async fn queued_payments_are_made() {
        let hardened = with_payments().await;
        let task = tokio::spawn(Arc::clone(&hardened).pay_later());
        for id in 0..5 {
            assert!(hardened.queue(Order { id, ..ORDER }));
        }
        let all_paid = async {
            while hardened.pending.get() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), all_paid).await.unwrap();
        assert!(hardened.later.lock().is_empty());
        task.abort();
    }

    #[tokio::test]
    async fn the_queue_of_payments_has_an_end() {
        let hardened = with_nobody().await;
        for id in 0..MAX_LATER as u64 {
            assert!(hardened.queue(Order { id, ..ORDER }));
        }
        assert!(!hardened.queue(ORDER));
    }

    #[tokio::test]
    async fn an_order_that_cannot_reserve_is_refused_in_time() {
        let hardened = with_nobody().await;
        let begin = Instant::now();
        let status = hardened.work(ORDER, begin + Hardened::ORDER_DEADLINE).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(begin.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_probe_given_up_frees_the_breaker() {
        let hardened = with_nobody().await;
        let much_later = Duration::from_mins(1);
        for _ in 0..5 {
            let mut breaker = hardened.breaker.lock();
            let permit = breaker.ask(Duration::ZERO).unwrap();
            breaker.failed(permit, Duration::ZERO);
        }
        let probe = hardened.breaker.lock().ask(much_later).unwrap();
        let call = Call {
            hardened: &hardened,
            permit: Some(probe),
        };
        assert!(hardened.breaker.lock().ask(much_later).is_err());
        drop(call);
        assert!(hardened.breaker.lock().ask(much_later).is_ok());
    }
}
