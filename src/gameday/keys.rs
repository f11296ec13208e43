//! Every key of `gameday.toml`.

use firedrill_plan::reader::{Key, Kind, may, must};

pub(crate) const GAMEDAY: &[Key] = &[
    must(
        "title",
        Kind::Text,
        "what the game day is called; everybody reads it, so it gives nothing away",
    ),
    may(
        "id",
        Kind::Text,
        "tells a calendar that a new invitation is the same day; default: made from title and start",
    ),
    may("goal", Kind::Text, "what is to be learned; everybody reads it"),
    must(
        "start",
        Kind::Text,
        "when it begins, with its zone: \"2026-12-03 10:00 Europe/Berlin\"",
    ),
    must("for", Kind::Duration, "how long it takes at the most: \"3h\""),
    may("place", Kind::Text, "where people meet"),
    may("call", Kind::Text, "the link of the call"),
    may(
        "segment",
        Kind::Text,
        "what may be hit, in words: \"staging, shard 3\"",
    ),
    may(
        "between",
        Kind::Duration,
        "from one drill's end to the next one's begin, inside the box; default 5m",
    ),
    may("people", Kind::Table(PEOPLE), "who takes part, by role"),
    must("drill", Kind::Tables(DRILL), "the agenda, in its order"),
    may(
        "check",
        Kind::Tables(CHECK),
        "the preparation: the day does not start before each is ticked",
    ),
    may(
        "go",
        Kind::Tables(GO),
        "who says go: the day does not start before each has",
    ),
];

pub(crate) const PEOPLE: &[Key] = &[
    may("facilitator", Kind::Texts, "lead the room"),
    may("operator", Kind::Texts, "drive the console"),
    may("observers", Kind::Texts, "watch and note"),
    may(
        "responders",
        Kind::Texts,
        "are rehearsed; they are told nothing of the faults",
    ),
    may("stakeholders", Kind::Texts, "see what it is good for"),
    may("on_call", Kind::Texts, "are on call for real, meanwhile"),
    may(
        "named",
        Kind::Texts,
        "those who agreed to stand in reports by name; all others stand there by role",
    ),
];

pub(crate) const DRILL: &[Key] = &[
    must(
        "plan",
        Kind::Text,
        "the plan's file, relative to this folder and inside it",
    ),
    must("experiment", Kind::Text, "its name in that plan"),
    must(
        "box",
        Kind::Duration,
        "the time box, what follows the drill included",
    ),
    may(
        "id",
        Kind::Text,
        "what events call this row; default: the experiment's name; needed where an experiment comes twice",
    ),
    may(
        "rehearsal",
        Kind::Flag,
        "sealed: until the reveal nobody but the crew is told more than that there is an exercise",
    ),
    may(
        "surprise",
        Kind::Table(SURPRISE),
        "it begins at a moment that is drawn within a range after its start is confirmed",
    ),
    may("skip", Kind::Flag, "it stays on the agenda and is not run"),
];

pub(crate) const SURPRISE: &[Key] = &[
    must("earliest", Kind::Duration, "not before, after the confirmation"),
    must("latest", Kind::Duration, "not after; 8h at the most"),
    may(
        "blind",
        Kind::Flag,
        "the facilitator does not want to know the moment either",
    ),
];

pub(crate) const CHECK: &[Key] = &[
    must("name", Kind::Text, "what must be so, in a few words"),
    may("how", Kind::Text, "how one sees that it is"),
];

pub(crate) const GO: &[Key] = &[
    must("name", Kind::Text, "the person"),
    may("about", Kind::Text, "what they answer for"),
];
