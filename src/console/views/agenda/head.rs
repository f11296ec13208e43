//! What the game day is, how it stands in one sentence, and what comes next.

use egui::Ui;
use firedrill_drill::Outcome;
use firedrill_gameday::{Standing, clock, day_and_clock, length};
use firedrill_scene::{Ask, GameDayAsk};

use super::Page;
use crate::{
    cx::Cx,
    messages::Say,
    theme::{medium, regular, size, space},
    widgets::{self, State, rich},
    words,
};

/// How the day stands: a shape, a word, a sentence.
pub fn standing(page: &Page<'_>, say: Say) -> (State, &'static str, String) {
    let state = &page.scene.state;
    let left = |until: i64| {
        let ms = until.saturating_sub(page.now_ms);
        if ms < 0 {
            say.box_over(length(ms.unsigned_abs()))
        } else {
            say.box_left(length(ms.unsigned_abs()))
        }
    };
    if let Some(stopped) = &state.stopped {
        let words = say.day_stopped_words(&stopped.reason, clock(stopped.at_ms, &page.zone));
        return (State::Bad, say.day_stopped(), words);
    }
    if let Some(ended) = state.ended_ms {
        let words = say.day_over_words(clock(ended, &page.zone));
        return (State::Waiting, say.day_over(), words);
    }
    if let Some(slot) = page
        .schedule
        .slots
        .iter()
        .find(|it| it.standing == Standing::Running)
    {
        return (
            State::Fault,
            say.day_running(),
            say.namely(&slot.id, left(slot.until_ms)),
        );
    }
    if state.started_ms.is_some() {
        let words = page.schedule.next().map_or_else(
            || say.day_none_to_come().to_owned(),
            |next| say.day_next(&next.id, clock(next.from_ms, &page.zone)),
        );
        let aborted = last(page).filter(|(_, outcome)| *outcome == Outcome::Aborted);
        return match aborted {
            Some((id, _)) => {
                let words = say.day_was_aborted(id, words);
                (State::Tolerated, say.day_started(), words)
            }
            None => (State::Good, say.day_started(), words),
        };
    }
    let in_the_way = state.in_the_way();
    match in_the_way.first() {
        None => (State::Good, say.day_ready(), say.day_ready_words().to_owned()),
        Some(first) if in_the_way.len() == 1 => (State::Waiting, say.day_not_ready(), first.clone()),
        Some(first) => {
            let words = say.day_in_the_way(first, in_the_way.len() - 1);
            (State::Waiting, say.day_not_ready(), words)
        }
    }
}

/// The drill that ended last, and how.
fn last<'p>(page: &Page<'p>) -> Option<(&'p str, Outcome)> {
    let rows = page.scene.state.rows.iter();
    let runs = rows.flat_map(|row| row.runs.iter().map(move |run| (row, run)));
    let (row, run) = runs.max_by_key(|(_, run)| run.ended_ms)?;
    Some((&row.id, run.found.as_ref()?.outcome))
}

/// Draws it.
pub fn ui(ui: &mut Ui, page: &Page<'_>, cx: &mut Cx<'_>, resume: &mut String) {
    let t = cx.tokens;
    let (day, say) = (page.day, cx.say);
    ui.spacing_mut().item_spacing.y = 0.0;
    widgets::ends(
        ui,
        30.0,
        |ui| {
            ui.label(rich(&day.title, medium(size::TITLE), t.strong));
            ui.add_space(space::XS);
            let mut words = format!(
                "{} {}",
                day_and_clock(day.start.wall_ms, &page.zone),
                day.start.zone
            );
            for more in [&day.place, &day.segment].into_iter().flatten() {
                words = format!("{words} · {more}");
            }
            widgets::one_line(ui, rich(words, regular(size::NOTE), t.dim));
        },
        |ui| files(ui, page, cx),
    );
    ui.add_space(2.0);
    widgets::ends(
        ui,
        36.0,
        |ui| {
            let (state, word, words) = standing(page, say);
            widgets::pill(ui, state, word, size::BODY);
            widgets::one_line(ui, rich(words, medium(size::BODY), t.strong));
        },
        |ui| next(ui, page, cx, resume),
    );
}

fn files(ui: &mut Ui, page: &Page<'_>, cx: &mut Cx<'_>) {
    for (label, ask) in [
        (cx.say.close(), GameDayAsk::Close),
        (cx.say.write_report(), GameDayAsk::Report),
        (cx.say.write_invitation(), GameDayAsk::Invite),
        (cx.say.read_again(), GameDayAsk::Open(page.scene.folder.clone())),
    ] {
        if widgets::link(ui, label).clicked() {
            cx.ask(Ask::GameDay(ask));
        }
    }
}

/// From the right: the way out, then the way on.
fn next(ui: &mut Ui, page: &Page<'_>, cx: &mut Cx<'_>, resume: &mut String) {
    let say = cx.say;
    let state = &page.scene.state;
    let ask = |cx: &mut Cx<'_>, it: GameDayAsk| cx.ask(Ask::GameDay(it));
    if state.ended_ms.is_some() {
        return;
    }
    if state.stopped.is_some() {
        if widgets::button_if(ui, reason(resume, say), say.agenda_goes_on()).clicked() {
            ask(cx, GameDayAsk::Resume(std::mem::take(resume)));
        }
        ui.allocate_ui(egui::vec2(300.0, 34.0), |ui| {
            widgets::field(ui, say.release_why(), resume, say.resume_hint());
        });
        return;
    }
    if state.started_ms.is_none() {
        let first = state.in_the_way().into_iter().next();
        let enabled = first.as_deref().map_or(Ok(()), Err);
        if widgets::button_if(ui, enabled, say.start_gameday()).clicked() {
            ask(cx, GameDayAsk::Start);
        }
        return;
    }
    let real = widgets::button_in(ui, Ok(()), say.real_incident(), cx.tokens.out);
    if real.on_hover_text(say.real_incident_tip()).clicked() {
        ask(cx, GameDayAsk::RealIncident);
    }
    let running = state.running().is_some();
    let busy = if running { Err(say.a_drill_is_on()) } else { Ok(()) };
    if widgets::button_if(ui, busy, say.end_day()).clicked() {
        ask(cx, GameDayAsk::End);
    }
    let Some(slot) = page.schedule.next().filter(|_| !running) else {
        return;
    };
    let enabled = if cx.running() {
        Err(say.a_drill_is_on())
    } else {
        Ok(())
    };
    let begin = widgets::button_if(ui, enabled, say.start_next());
    if begin.on_hover_text(say.start_next_tip(&slot.id)).clicked() {
        ask(cx, GameDayAsk::Begin(slot.id.clone()));
        cx.goto = Some(crate::View::Live);
    }
    if page.schedule.over_ms > 0 {
        let words = say.too_long(words::span_ms(say, page.schedule.over_ms));
        ui.label(rich(words, medium(size::NOTE), cx.tokens.fault))
            .on_hover_text(say.too_long_tip());
    }
}

fn reason(text: &str, say: Say) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        Err(say.say_why_safe())
    } else {
        Ok(())
    }
}
