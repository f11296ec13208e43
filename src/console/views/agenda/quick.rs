//! Quick entry: a line, or one key, in the name of somebody who does not have the program.

use egui::{Key, Ui};
use firedrill_gameday::{Clock, Entered, Entry, Known, MAX_ENTRY, entry, everybody};
use firedrill_scene::{Ask, GameDayAsk};

use super::{Page, before::heading};
use crate::{
    commands::Command,
    cx::Cx,
    messages::Say,
    theme::Tokens,
    widgets::{self, choice},
    words,
};

/// What is typed there, and in whose name keys are.
#[derive(Default)]
pub struct Quick {
    line: String,
    /// Clocks by key and button are of this person; `None`: of who is at the console.
    pub who: Option<String>,
    /// The field gets the focus in the next frame.
    pub focus: bool,
}

impl Quick {
    /// The next person of the day, after the last one nobody.
    pub fn next(&mut self, people: &[&str]) {
        let at = people.iter().position(|name| Some(*name) == self.who.as_deref());
        self.who = people
            .get(at.map_or(0, |at| at + 1))
            .map(|name| (*name).to_owned());
    }

    /// Draws it for a row.
    pub fn ui(&mut self, ui: &mut Ui, page: &Page<'_>, row: &str, cx: &mut Cx<'_>) {
        let say = cx.say;
        let keys = |command: Command, ui: &Ui| command.keys(ui).unwrap_or_default();
        let hint = say.quick_keys(keys(Command::Enter, ui), keys(Command::NextPerson, ui));
        heading(ui, say.quick_title(), &hint);
        let people = everybody(page.day);
        if !people.is_empty() {
            ui.horizontal_wrapped(|ui| {
                if choice(ui, self.who.is_none(), say.quick_myself()).clicked() {
                    self.who = None;
                }
                for name in people {
                    let chosen = self.who.as_deref() == Some(name);
                    if choice(ui, chosen, name).clicked() {
                        self.who = (!chosen).then(|| name.to_owned());
                    }
                }
            });
        }
        let response = widgets::field(ui, say.quick_title(), &mut self.line, say.quick_hint());
        if std::mem::take(&mut self.focus) {
            response.request_focus();
        }
        if self.line.trim().is_empty() {
            return;
        }
        let slis = page.scene.slis.get(row).map_or(&[][..], Vec::as_slice);
        let known = Known {
            day: page.day,
            slis,
            now_ms: page.now_ms,
        };
        // As it will be understood, before it is kept.
        let read = entry(self.line.trim(), &known);
        let t = Tokens::of(ui);
        match &read {
            Ok(entry) => drop(widgets::small(ui, understood(entry, page, say), t.people)),
            Err(why) => drop(widgets::small(ui, why, t.out)),
        }
        let entered = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if entered {
            // The next line can be typed at once, or this one mended.
            self.focus = true;
        }
        if entered && read.is_ok() {
            cx.ask(Ask::GameDay(GameDayAsk::Enter {
                line: std::mem::take(&mut self.line).chars().take(MAX_ENTRY).collect(),
                drill: Some(row.to_owned()),
            }));
        }
    }
}

/// What a line is taken for.
fn understood(entry: &Entry, page: &Page<'_>, say: Say) -> String {
    let at = |ms: i64| words::clock(ms, &page.zone);
    let clock = |clock: Clock| Command::Clock(clock).label(say);
    let who = &entry.who;
    match &entry.what {
        Entered::Clock { clock: it, when_ms } => say.quick_clock(who, clock(*it), at(*when_ms)),
        Entered::Strike(it) => say.quick_strike(who, clock(*it)),
        Entered::Note { when_ms, words } => say.quick_note(who, at(*when_ms), words),
        Entered::Predict(said) => {
            let holds = if said.holds {
                say.said_holds()
            } else {
                say.said_breaks()
            };
            say.quick_predict(who, holds)
        }
    }
}
