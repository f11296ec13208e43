//! The stock: puts an order's goods aside, which takes 3 to 7 ms.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::serve;

/// What orders asks for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reservation {
    pub(crate) order: u64,
    pub(crate) pieces: u32,
}

pub(crate) fn router() -> Router {
    let metrics = Metrics::new("inventory", |_| {});
    serve::router(
        Router::new().route("/api/reserve", post(reserve)),
        Arc::new(metrics),
    )
}

async fn reserve(Json(reservation): Json<Reservation>) -> StatusCode {
    tokio::time::sleep(Duration::from_millis(3 + reservation.order * 3 % 5)).await;
    StatusCode::OK
}
