//! The service in the middle: a pool of workers, each of which reserves the goods and then sees to the
//! payment.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::client::Pool;
use crate::hardened::Hardened;
use crate::inventory::Reservation;
use crate::metrics::Metrics;
use crate::payments::Payment;
use crate::{Build, serve};

/// Orders worked on at once. With 25 ms an order that is 400 a second, ten times what customers send; with
/// 425 ms an order it is 23, and the queue grows by 17 a second.
const WORKERS: usize = 10;
/// How long the fragile build waits before it asks again.
const FRAGILE_PAUSE: Duration = Duration::from_millis(20);

/// An order as customers send it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) pieces: u32,
    pub(crate) amount_cents: u32,
}

impl Order {
    fn reservation(self) -> Bytes {
        json(&Reservation {
            order: self.id,
            pieces: self.pieces,
        })
    }

    fn payment(self) -> Bytes {
        json(&Payment {
            order: self.id,
            amount_cents: self.amount_cents,
        })
    }
}

/// Numbers only: this cannot fail, and were it to, the other side would refuse the empty body.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// The two services that orders needs.
pub(crate) struct Peers {
    inventory: Pool,
    payments: Pool,
    /// Payments that were confirmed.
    paid: Arc<AtomicU64>,
}

impl Peers {
    pub(crate) fn new(inventory: SocketAddr, payments: SocketAddr) -> Self {
        Self {
            inventory: Pool::new(inventory),
            payments: Pool::new(payments),
            paid: Arc::default(),
        }
    }

    /// Whether the goods were put aside.
    pub(crate) async fn reserve(&self, order: Order) -> bool {
        answered_well(
            "inventory",
            self.inventory.post("/api/reserve", order.reservation()).await,
        )
    }

    /// Whether the order was charged.
    pub(crate) async fn pay(&self, order: Order) -> bool {
        let paid = answered_well(
            "payments",
            self.payments.post("/api/payment", order.payment()).await,
        );
        if paid {
            self.paid.fetch_add(1, Ordering::Relaxed);
        }
        paid
    }
}

fn answered_well(who: &str, answer: Result<StatusCode, crate::client::CallError>) -> bool {
    match answer {
        Ok(status) => status.is_success(),
        Err(error) => {
            tracing::debug!(%error, "orders got no answer from {who}");
            false
        }
    }
}

enum Behaviour {
    Fragile(Arc<Peers>),
    Hardened(Arc<Hardened>),
}

struct Orders {
    behaviour: Behaviour,
    workers: Arc<Semaphore>,
    queue: Gauge,
    /// Orders that were answered well.
    acknowledged: Arc<AtomicU64>,
}

/// Read when somebody asks: how many workers are free, and how many orders are acknowledged and not paid.
#[derive(Debug)]
struct Standing {
    workers: Arc<Semaphore>,
    paid: Arc<AtomicU64>,
    acknowledged: Arc<AtomicU64>,
}

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut say = |name, help, value: u64| {
            let gauge = ConstGauge::new(value as f64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let free = self.workers.available_permits() as u64;
        say("workers_free", "Workers that wait for an order", free)?;
        // In this order: an order that is paid and acknowledged meanwhile is not taken for one that is owed.
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let unpaid = acknowledged.saturating_sub(self.paid.load(Ordering::Relaxed));
        say(
            "orders_acknowledged_unpaid",
            "Orders answered well whose payment nobody has confirmed",
            unpaid,
        )
    }
}

/// The routes of orders. The hardened build starts its task that makes payments later: call it inside the
/// runtime.
pub(crate) fn router(build: Build, peers: Peers) -> Router {
    let queue = Gauge::default();
    let peers = Arc::new(peers);
    let hardened = Arc::new(Hardened::new(Arc::clone(&peers)));
    let workers = Arc::new(Semaphore::new(WORKERS));
    let acknowledged = Arc::<AtomicU64>::default();
    let standing = Standing {
        workers: Arc::clone(&workers),
        paid: Arc::clone(&peers.paid),
        acknowledged: Arc::clone(&acknowledged),
    };
    let metrics = Metrics::new("orders", |registry| {
        registry.register("queue_depth", "Orders that wait for a worker", queue.clone());
        registry.register_collector(Box::new(standing));
        if build == Build::Hardened {
            hardened.register(registry);
        }
    });
    let behaviour = match build {
        Build::Fragile => Behaviour::Fragile(peers),
        Build::Hardened => {
            tokio::spawn(Arc::clone(&hardened).pay_later());
            Behaviour::Hardened(hardened)
        }
    };
    let state = Arc::new(Orders {
        behaviour,
        workers,
        queue,
        acknowledged,
    });
    serve::router(
        Router::new().route("/api/order", post(take)).with_state(state),
        Arc::new(metrics),
    )
}

async fn take(State(orders): State<Arc<Orders>>, Json(order): Json<Order>) -> StatusCode {
    let arrived = Instant::now();
    let status = match &orders.behaviour {
        Behaviour::Fragile(peers) => match orders.worker().await {
            Some(_worker) => fragile(peers, order).await,
            None => StatusCode::SERVICE_UNAVAILABLE,
        },
        Behaviour::Hardened(hardened) => {
            let deadline = arrived + Hardened::ORDER_DEADLINE;
            match tokio::time::timeout_at(deadline, orders.worker()).await {
                Ok(Some(_worker)) => hardened.work(order, deadline).await,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            }
        }
    };
    if status.is_success() {
        orders.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    status
}

impl Orders {
    /// Waits for a free worker; the queue is those who wait here.
    async fn worker(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        if let Ok(worker) = self.workers.try_acquire() {
            return Some(worker);
        }
        let _waiting = Waiting::new(&self.queue);
        self.workers.acquire().await.ok()
    }
}

/// Counts one who waits, for as long as it lives: also when the customer goes away.
struct Waiting<'a>(&'a Gauge);

impl<'a> Waiting<'a> {
    fn new(queue: &'a Gauge) -> Self {
        queue.inc();
        Self(queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What people write first: it works, until something is slow. No deadline, and tries again for ever.
async fn fragile(peers: &Peers, order: Order) -> StatusCode {
    while !peers.reserve(order).await {
        tokio::time::sleep(FRAGILE_PAUSE).await;
    }
    while !peers.pay(order).await {
        tokio::time::sleep(FRAGILE_PAUSE).await;
    }
    StatusCode::OK
}
