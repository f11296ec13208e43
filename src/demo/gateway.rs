//! The shop's front door: hands an order on and gives back the answer. What it measures is what customers
//! get.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;

use crate::client::Channel;
use crate::metrics::{Metrics, register_cpu};
use crate::{Build, serve};

/// How long the hardened gateway waits for orders: longer than orders itself takes at the worst, so that it
/// only acts when orders does not.
const DEADLINE: Duration = Duration::from_secs(2);

struct Gateway {
    orders: Channel,
    deadline: Option<Duration>,
}

pub(crate) fn router(build: Build, orders: Channel) -> Router {
    let deadline = match build {
        Build::Fragile => None,
        Build::Hardened => Some(DEADLINE),
    };
    let own = Router::new()
        .route("/order", post(order))
        .with_state(Arc::new(Gateway { orders, deadline }));
    // Processor time at one service only: they share one process, and a sum must not count it four times.
    let metrics = Metrics::new("gateway", register_cpu);
    serve::router(own, Arc::new(metrics))
}

async fn order(State(gateway): State<Arc<Gateway>>, json: Bytes) -> StatusCode {
    let answer = gateway.orders.post("/api/order", json);
    let answer = match gateway.deadline {
        None => answer.await,
        Some(deadline) => match tokio::time::timeout(deadline, answer).await {
            Ok(answer) => answer,
            Err(_) => return StatusCode::GATEWAY_TIMEOUT,
        },
    };
    answer.unwrap_or_else(|error| {
        tracing::debug!(%error, "the gateway got no answer from orders");
        StatusCode::BAD_GATEWAY
    })
}
