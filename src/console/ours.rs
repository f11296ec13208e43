//! "Is this us?" in the header, and on the clipboard.

use egui::{Id, Ui};
use firedrill_scene::{Ours, Scene};
use jiff::tz::TimeZone;

use crate::{
    commands::Command,
    cx::Cx,
    theme::{medium, regular, size},
    widgets::{self, State, rich},
    words,
};

/// `1 fault of ours on payments-1 · ends in 18 s`.
pub fn ui(ui: &mut Ui, cx: &Cx<'_>, roomy: bool, clicked: &mut Vec<Command>) {
    let t = cx.tokens;
    let (state, sentence, rest) = ours(cx);
    let label = if copied(ui, Id::unique(COPIED)) {
        cx.say.copied()
    } else {
        cx.say.copy()
    };
    let copy = widgets::named(widgets::link(ui, label), Command::CopyOurs.label(cx.say));
    if copy.on_hover_text(Command::CopyOurs.tip(ui)).clicked() {
        clicked.push(Command::CopyOurs);
    }
    // From the right: what follows the sentence comes first.
    let rest = if roomy {
        rest.as_str()
    } else {
        rest.split(" · ").next().unwrap_or_default()
    };
    if !rest.is_empty() {
        ui.label(rich(rest, regular(size::NOTE), t.dim));
    }
    let font = if state == State::Waiting {
        regular(size::NOTE)
    } else {
        medium(size::BODY)
    };
    let colour = if state == State::Good {
        t.text
    } else {
        state.colour(t)
    };
    ui.label(rich(sentence, font, colour));
}

/// "Is this us?": how it stands, the sentence, and what more there is to say.
pub fn ours(cx: &Cx<'_>) -> (State, String, String) {
    let sentence = sentence(cx);
    let (state, rest) = match &cx.scene.ours {
        Ours::Unknown => (State::Waiting, String::new()),
        Ours::Nothing { .. } => (State::Good, String::new()),
        Ours::On { ends_in_ms, .. } => {
            let left = |ms: u64| words::span_ms(cx.say, ms.saturating_sub(cx.since_ms));
            let mut parts = vec![cx.say.ends_in(left(*ends_in_ms))];
            if let Some(drill) = &cx.scene.drill {
                parts.extend(drill.lease_left_ms.map(|lease| cx.say.lease_left(left(lease))));
                parts.push(cx.say.agents(drill.agents));
            }
            (State::Fault, parts.join(" · "))
        }
        Ours::MayBeOn { .. } => (State::Bad, String::new()),
    };
    (state, sentence, rest)
}

/// "Is this us?" in one sentence. What is copied for others is in English, as recorded and as `firedrill status`.
fn sentence(cx: &Cx<'_>) -> String {
    let say = cx.say;
    match &cx.scene.ours {
        Ours::Unknown => say.ours_unknown().to_owned(),
        Ours::Nothing { proved_ms: None } => say.ours_nothing().to_owned(),
        Ours::Nothing { proved_ms: Some(at) } => say.ours_nothing_proved(words::clock(*at, cx.zone)),
        Ours::On { faults, agents, .. } => say.ours_on(*faults, words::names(say, agents)),
        Ours::MayBeOn { agents } => say.ours_may_be_on(words::names(say, agents)),
    }
}

/// When the sentence was copied last, in the window's memory.
const COPIED: &str = "ours copied";

/// Puts "is this us?" on the clipboard, with drill, console and time; of a sealed drill, that there is an exercise.
pub fn copy(ui: &Ui, scene: &Scene, since_ms: u64, zone: &TimeZone, sealed: bool) {
    let mut ours = scene.ours.clone();
    if let Ours::On { ends_in_ms, .. } = &mut ours {
        *ends_in_ms = ends_in_ms.saturating_sub(since_ms);
    }
    let drill = scene.drill.as_ref();
    let now_ms = scene.wall_ms.saturating_add_unsigned(since_ms);
    let text = ours.told(
        drill.map(|it| (it.experiment.as_str(), it.id.as_str())),
        drill.map(|it| it.console.as_str()),
        now_ms,
        |ms| words::clock(ms, zone),
    );
    ui.ctx()
        .copy_text(scene.redaction(sealed).pass(text).into_inner());
    let now = ui.input(|input| input.time);
    ui.data_mut(|data| data.insert_temp(Id::unique(COPIED), now));
}

/// Whether that was a moment ago.
fn copied(ui: &Ui, id: Id) -> bool {
    const SHOWN: std::time::Duration = std::time::Duration::from_millis(1_500);
    let at: Option<f64> = ui.data(|data| data.get_temp(id));
    let recent = at.is_some_and(|at| ui.input(|input| input.time) < at + SHOWN.as_secs_f64());
    if recent {
        // The word goes back by itself.
        ui.ctx().request_repaint_after(SHOWN);
    }
    recent
}
