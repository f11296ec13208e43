//! `GET /v1/events`: server-sent events, followed for ever.

use std::time::Duration;

use firedrill_drill::{Failure, Reply};
use firedrill_wire::{AgentEvent, EventKind};
use reqwest::{Method, Response, header::CONTENT_TYPE};
use tokio::sync::mpsc::Sender;

use crate::native::NativeDriver;

/// Between attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// No event is longer.
const MAX_EVENT_BYTES: usize = 256 * 1024;

/// Tells what happens on the agent, until nobody listens.
pub(crate) async fn follow(driver: &NativeDriver, tell: Sender<Reply>) {
    let mut last_id: Option<String> = None;
    while !tell.is_closed() {
        if let Ok(response) = connect(driver, last_id.as_deref()).await {
            // What happened before we listened, or while nobody did, is read once.
            if re_read(driver, &tell).await.is_none() {
                return;
            }
            if listen(driver, response, &mut last_id, &tell).await.is_none() {
                return;
            }
        }
        tokio::select! {
            () = tell.closed() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn connect(driver: &NativeDriver, last_id: Option<&str>) -> Result<Response, ()> {
    let mut request = driver
        .request(Method::GET, "/v1/events")
        .header("accept", "text/event-stream");
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let response = tokio::time::timeout(Duration::from_secs(3), request.send()).await;
    let Ok(Ok(response)) = response else {
        return Err(());
    };
    let kind = response.headers().get(CONTENT_TYPE);
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if response.status().is_success() && is_stream {
        Ok(response)
    } else {
        Err(())
    }
}

/// Reads everything again; `None`: nobody listens any more.
async fn re_read(driver: &NativeDriver, tell: &Sender<Reply>) -> Option<()> {
    if let Ok(info) = driver.info().await {
        let latch = info.latch.clone();
        tell.send(Reply::Latch { latch }).await.ok()?;
    }
    match driver.all_injections().await {
        Ok(views) => {
            for view in views {
                let view = Box::new(view);
                tell.send(Reply::Injection { view }).await.ok()?;
            }
        }
        Err(Failure::NoAnswer { why }) => tracing::debug!("re-read: {why}"),
        Err(Failure::Refused { problem }) => tracing::debug!("re-read: {problem}"),
    }
    Some(())
}

/// Until the stream ends; `None`: nobody listens any more.
async fn listen(
    driver: &NativeDriver,
    mut response: Response,
    last_id: &mut Option<String>,
    tell: &Sender<Reply>,
) -> Option<()> {
    let mut parser = Parser::default();
    loop {
        let chunk = tokio::select! {
            () = tell.closed() => return None,
            chunk = response.chunk() => chunk,
        };
        let Ok(Some(chunk)) = chunk else {
            return Some(());
        };
        let Ok(events) = parser.push(&chunk) else {
            tracing::warn!(
                "{}: an event longer than any agent sends; connecting anew",
                driver.base()
            );
            return Some(());
        };
        for (id, data) in events {
            let Ok(event) = serde_json::from_str::<AgentEvent>(&data) else {
                // A newer agent may tell of things that this console does not know.
                continue;
            };
            if id.is_some() {
                *last_id = id;
            }
            match event.kind {
                EventKind::Injection { injection } => {
                    tell.send(Reply::Injection { view: injection }).await.ok()?;
                }
                EventKind::Latch { latch } => tell.send(Reply::Latch { latch }).await.ok()?,
                EventKind::Gap { .. } => re_read(driver, tell).await?,
                EventKind::Opened { .. } | EventKind::Ended { .. } => {}
            }
        }
    }
}

/// Cuts a stream of server-sent events.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    id: Option<String>,
    data: String,
}

/// An event was longer than [`MAX_EVENT_BYTES`].
#[derive(Debug)]
struct TooLong;

impl Parser {
    /// The events that `chunk` completes: id and data.
    fn push(&mut self, chunk: &[u8]) -> Result<Vec<(Option<String>, String)>, TooLong> {
        let mut events = Vec::new();
        for &byte in chunk {
            match byte {
                b'\n' => self.end_of_line(&mut events),
                b'\r' => {}
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > MAX_EVENT_BYTES {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    fn end_of_line(&mut self, events: &mut Vec<(Option<String>, String)>) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let id = self.id.take();
            if !data.is_empty() {
                events.push((id, data));
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_wherever_the_network_cuts() {
        let text = b": hello\n\nid: a:1\nevent: latch\ndata: {\"x\":\ndata: 1}\n\nid: a:2\r\ndata: y\r\n\r\ndata: half";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let events: Vec<_> = text
                .chunks(size)
                .flat_map(|chunk| parser.push(chunk).unwrap())
                .collect();
            let expected = [
                (Some("a:1".to_owned()), "{\"x\":\n1}".to_owned()),
                (Some("a:2".to_owned()), "y".to_owned()),
            ];
            assert_eq!(events, expected, "chunks of {size}");
        }
    }

    #[test]
    fn an_endless_event_is_cut_off() {
        let mut parser = Parser::default();
        let endless = vec![b'x'; MAX_EVENT_BYTES + 1];
        assert!(parser.push(&endless).is_err());
    }
}
