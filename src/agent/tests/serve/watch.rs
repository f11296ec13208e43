//! The events.

use serde_json::{Value, json};

use crate::client::Client;
use crate::rig::{Drill, Rig};

pub const TESTS: &[(&str, fn())] = &[
    ("events_tell_what_happens", events_tell_what_happens),
    (
        "events_resume_after_the_last_one_seen",
        events_resume_after_the_last_one_seen,
    ),
    (
        "events_of_another_life_begin_with_a_gap",
        events_of_another_life_begin_with_a_gap,
    ),
    ("dropped_events_are_counted", dropped_events_are_counted),
];

/// One event.
#[derive(Clone, Debug)]
struct Seen {
    id: String,
    name: String,
    data: Value,
}

struct Events {
    client: Client,
    text: String,
}

impl Events {
    fn listen(rig: &Rig, last: Option<&str>) -> Self {
        let mut client = rig.client();
        let extra = last
            .map(|id| format!("last-event-id: {id}\r\n"))
            .unwrap_or_default();
        client.send("GET", "/v1/events", &extra, b"");
        let head = client.head();
        assert_eq!(
            (head.status, head.header("content-type")),
            (200, Some("text/event-stream"))
        );
        let mut events = Self {
            client,
            text: String::new(),
        };
        // The greeting: from here on nothing is missed.
        while !events.text.contains("\n\n") {
            events.more();
        }
        events
    }

    fn more(&mut self) {
        let chunk = self.client.chunk().expect("the stream goes on");
        self.text.push_str(std::str::from_utf8(&chunk).unwrap());
    }

    fn next(&mut self) -> Seen {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                if frame.starts_with(':') {
                    continue;
                }
                let field = |key: &str| {
                    let line = frame
                        .lines()
                        .find_map(|line| line.strip_prefix(key))
                        .expect("a field");
                    line.trim().to_owned()
                };
                return Seen {
                    id: field("id:"),
                    name: field("event:"),
                    data: serde_json::from_str(&field("data:")).unwrap(),
                };
            }
            self.more();
        }
    }

    fn until(&mut self, mut wanted: impl FnMut(&Seen) -> bool) -> Vec<Seen> {
        let mut seen = Vec::new();
        loop {
            seen.push(self.next());
            if wanted(seen.last().unwrap()) {
                return seen;
            }
        }
    }
}

fn proved(event: &Seen) -> bool {
    event.data["injection"]["proved"].is_object()
}

fn noop(drill: &mut Drill, id: &str) {
    drill.start(id, "noop", Value::Null, json!({}));
    drill.client.delete(&format!("/v1/injections/{id}")).expect(200);
}

fn events_tell_what_happens() {
    let rig = Rig::new();
    let mut events = Events::listen(&rig, None);
    let mut drill = Drill::open(rig.client(), "d1");
    noop(&mut drill, "i1");
    let seen = events.until(proved);
    assert_eq!(
        (seen[0].name.as_str(), &seen[0].data["drill"]),
        ("opened", &json!("d1"))
    );
    let states: Vec<_> = seen[1..]
        .iter()
        .map(|event| event.data["injection"]["state"].as_str().unwrap())
        .collect();
    assert!(
        states.starts_with(&["starting", "active"]) && states.last() == Some(&"reverted"),
        "{states:?}"
    );
    let instance = drill.fence["instance"].as_str().unwrap();
    for (n, event) in seen.iter().enumerate() {
        assert_eq!(event.id, format!("{instance}:{}", n + 1));
        assert_eq!(
            (&event.data["n"], &event.data["instance"]),
            (&json!(n + 1), &json!(instance))
        );
    }
    rig.client().abort(&json!({}));
    let seen = events.until(|event| event.name == "latch");
    assert!(
        seen.iter()
            .any(|event| event.name == "ended" && event.data["why"] == "abort")
            || { events.until(|event| event.name == "ended").last().unwrap().data["why"] == "abort" }
    );
}

fn events_resume_after_the_last_one_seen() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let mut events = Events::listen(&rig, None);
    noop(&mut drill, "i1");
    let first = events.next();
    drop(events);
    noop(&mut drill, "i2");
    let mut events = Events::listen(&rig, Some(&first.id));
    let next = events.next();
    let number = |event: &Seen| event.data["n"].as_u64().unwrap();
    assert_eq!(number(&next), number(&first) + 1);
    assert_ne!(next.name, "gap");
}

fn events_of_another_life_begin_with_a_gap() {
    let mut rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let mut events = Events::listen(&rig, None);
    noop(&mut drill, "i1");
    let old = events.next();
    rig.stop();
    rig.start();
    let mut events = Events::listen(&rig, Some(&old.id));
    let gap = events.next();
    assert_eq!(gap.name, "gap");
    assert_ne!(gap.data["instance"], old.data["instance"]);
}

fn dropped_events_are_counted() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let mut events = Events::listen(&rig, None);
    noop(&mut drill, "first");
    let first = events.next();
    drop(events);
    // Each has at least two; more than are kept, though as many as the agent remembers injections.
    for n in 0..230 {
        noop(&mut drill, &format!("i{n}"));
    }
    let mut events = Events::listen(&rig, Some(&first.id));
    let seen = events.next();
    let last = first.data["n"].as_u64().unwrap();
    if seen.name == "gap" {
        let dropped = seen.data["dropped"].as_u64().unwrap();
        assert!(dropped > 0);
        assert_eq!(events.next().data["n"].as_u64().unwrap(), last + dropped + 1);
    } else {
        panic!("no gap: {} follows {last}", seen.id);
    }
}
