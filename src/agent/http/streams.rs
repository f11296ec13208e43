//! Answers that go on: the lines of an abort, and the events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use firedrill_wire::{AbortLine, Problem, ProblemKind};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::App;
use super::answer::{self, Answer};
use super::listen::Busy;
use crate::host::Host;
use crate::{clock, events};

/// A comment keeps a quiet stream from being taken for a dead one.
const EVENTS_ALIVE_EVERY: Duration = Duration::from_secs(5);

/// The lines of an abort as they come. The answer's head goes with the first of them: alone it would only wake who
/// waits, at both ends, while the reverts run.
pub async fn abort_lines(mut lines: mpsc::Receiver<Box<AbortLine>>, busy: Busy) -> Answer {
    let first = lines.recv().await;
    let frames = stream::unfold((first, lines, busy), |(first, mut lines, busy)| async move {
        let first = match first {
            Some(first) => first,
            None => lines.recv().await?,
        };
        let mut text = line_text(&first);
        // What came together goes together.
        while let Ok(line) = lines.try_recv() {
            text.push_str(&line_text(&line));
        }
        Some((Ok::<_, Infallible>(frame(text)), (None, lines, busy)))
    });
    answer::of(
        StatusCode::OK,
        "application/x-ndjson",
        StreamBody::new(frames).boxed_unsync(),
    )
}

fn line_text(line: &AbortLine) -> String {
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text
}

fn frame(text: String) -> Frame<Bytes> {
    Frame::data(Bytes::from(text))
}

struct Listener {
    host: Arc<Host>,
    newest: watch::Receiver<u64>,
    /// The number of the last event sent.
    last: u64,
    /// What goes out before the first event.
    preface: Option<String>,
    _permit: OwnedSemaphorePermit,
    _busy: Busy,
}

/// `GET /v1/events`, from now on or after the event that the caller saw last.
pub fn events(app: &App, last_event_id: Option<&str>, busy: Busy) -> Result<Answer, Problem> {
    let permit = Arc::clone(&app.event_listeners)
        .try_acquire_owned()
        .map_err(|_| {
            Problem::new(
                ProblemKind::TooMany,
                "too many listeners",
                "all places for event streams are taken",
                "close one of them",
            )
        })?;
    let log = &app.host.events;
    let newest = log.watch();
    let (last, preface) = match last_event_id.map(|id| log.resume(id)) {
        None => (log.newest(), String::new()),
        Some((last, true)) => (last, String::new()),
        // Another life: how much was missed in it nobody knows, but all that this one dropped.
        Some((_, false)) => {
            let (dropped, _) = log.after(0);
            (dropped, log.gap(clock::tick(), dropped + 1, dropped))
        }
    };
    let listener = Listener {
        host: Arc::clone(&app.host),
        newest,
        last,
        preface: Some(format!(": firedrill\n\n{preface}")),
        _permit: permit,
        _busy: busy,
    };
    let frames = stream::unfold(listener, |mut listener| async move {
        let text = listener.next().await;
        Some((Ok::<_, Infallible>(frame(text)), listener))
    });
    let body = StreamBody::new(frames).boxed_unsync();
    Ok(answer::of(StatusCode::OK, "text/event-stream", body))
}

impl Listener {
    async fn next(&mut self) -> String {
        if let Some(preface) = self.preface.take() {
            return preface;
        }
        let changed = self.newest.wait_for(|newest| *newest > self.last);
        if tokio::time::timeout(EVENTS_ALIVE_EVERY, changed).await.is_err() {
            return ": alive\n\n".to_owned();
        }
        let log = &self.host.events;
        let (dropped, events) = log.after(self.last);
        let mut text = String::new();
        if dropped > 0 {
            let first = self.last + dropped + 1;
            text = log.gap(clock::tick(), first, dropped);
        }
        for event in &events {
            text.push_str(&events::frame(event));
            self.last = event.n;
        }
        text
    }
}
