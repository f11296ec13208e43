//! The payment provider: charges a card, which takes 12 to 20 ms. An order is charged once however often it
//! asks.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::serve;

/// Orders remembered as charged. Older ones are forgotten: nobody asks again after that long.
const REMEMBERED: usize = 50_000;

/// What orders asks for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    pub(crate) order: u64,
    pub(crate) amount_cents: u32,
}

struct Payments {
    charged: Mutex<Charged>,
    charges: Counter,
}

#[derive(Default)]
struct Charged {
    orders: HashSet<u64>,
    oldest_first: VecDeque<u64>,
}

impl Charged {
    /// Whether it is new.
    fn add(&mut self, order: u64) -> bool {
        if !self.orders.insert(order) {
            return false;
        }
        self.oldest_first.push_back(order);
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.orders.remove(&oldest);
        }
        true
    }
}

pub(crate) fn router() -> Router {
    let charges = Counter::default();
    let metrics = Metrics::new("payments", |registry| {
        registry.register("payments_charged", "Orders charged, each once", charges.clone());
    });
    let state = Arc::new(Payments {
        charged: Mutex::default(),
        charges,
    });
    let own = Router::new().route("/api/payment", post(pay)).with_state(state);
    serve::router(own, Arc::new(metrics))
}

async fn pay(State(payments): State<Arc<Payments>>, Json(payment): Json<Payment>) -> StatusCode {
    // The card network's answer: no two take the same time, and the same order always takes as long.
    tokio::time::sleep(Duration::from_millis(12 + payment.order * 7 % 9)).await;
    if payments.charged.lock().add(payment.order) {
        payments.charges.inc();
    }
    StatusCode::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_charged_once_and_the_memory_has_a_limit() {
        let mut charged = Charged::default();
        assert!(charged.add(7));
        assert!(!charged.add(7));
        for order in 100..100 + REMEMBERED as u64 {
            assert!(charged.add(order));
        }
        assert_eq!(charged.orders.len(), REMEMBERED);
        assert!(charged.add(7), "the oldest is forgotten");
    }
}
