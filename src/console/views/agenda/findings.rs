//! Findings: overdue ones first; noted, changed, dealt with, and run again.

use egui::Ui;
use firedrill_gameday::{Finding, Noted, due_first, today};
use firedrill_scene::{Ask, GameDayAsk};
use jiff::civil::Date;

use super::{Page, before::heading, labelled};
use crate::{
    View,
    cx::Cx,
    theme::{medium, regular, size, space},
    widgets::{self, State, rich},
    words,
};

/// What is typed there.
#[derive(Default)]
pub struct Findings {
    /// The form, and of an earlier finding its id.
    form: Option<(Option<String>, Finding)>,
    /// How one was dealt with: its id and the words.
    closing: Option<(String, String)>,
}

impl Findings {
    /// Draws them. `row`: the chosen drill, which a new finding is of.
    pub fn ui(&mut self, ui: &mut Ui, page: &Page<'_>, row: Option<&str>, cx: &mut Cx<'_>) {
        if self.form.is_some() {
            self.form(ui, page, cx);
            return;
        }
        let findings = &page.scene.state.findings;
        let open = findings.iter().filter(|it| it.closed.is_none()).count();
        widgets::ends(
            ui,
            36.0,
            |ui| drop(widgets::title(ui, words::count(open, "open finding"))),
            |ui| {
                if widgets::button(ui, "New finding").clicked() {
                    let finding = Finding {
                        drill: row.map(str::to_owned),
                        evidence_ms: row.and_then(|row| evidence(page, row)),
                        ..Finding::default()
                    };
                    self.form = Some((None, finding));
                }
            },
        );
        if findings.is_empty() {
            widgets::dim(
                ui,
                "Nothing was found yet. What is found carries over to the next game day until it is dealt with.",
            );
        }
        let today = today(page.now_ms, &page.zone);
        for noted in due_first(findings) {
            widgets::rule(ui);
            self.one(ui, noted, today, page, cx);
        }
    }

    fn one(&mut self, ui: &mut Ui, noted: &Noted, today: Date, page: &Page<'_>, cx: &mut Cx<'_>) {
        let t = cx.tokens;
        let finding = &noted.finding;
        let word = noted.standing(today);
        let shape = match word {
            "overdue" => State::Bad,
            "closed" => State::Good,
            _ => State::Tolerated,
        };
        widgets::ends(
            ui,
            26.0,
            |ui| {
                widgets::one_line(ui, rich(&finding.symptom, medium(size::BODY), t.strong));
            },
            |ui| drop(widgets::pill(ui, shape, word, 12.0)),
        );
        let mut facts: Vec<String> = Vec::new();
        facts.extend((!finding.owner.is_empty()).then(|| finding.owner.clone()));
        facts.extend((!finding.due.is_empty()).then(|| format!("due {}", finding.due)));
        facts.extend(finding.drill.as_ref().map(|drill| format!("found by {drill}")));
        facts.extend(finding.from.as_ref().map(|from| format!("from {from}")));
        if !facts.is_empty() {
            widgets::one_line(ui, rich(facts.join(" · "), regular(size::SMALL), t.dim));
        }
        for (what, words) in [("Cause", &finding.cause), ("Impact", &finding.impact)] {
            if !words.is_empty() {
                ui.label(rich(format!("{what}: {words}"), regular(13.0), t.text));
            }
        }
        if let Some((_, by, words)) = &noted.closed {
            ui.label(rich(format!("{by}: {words}"), regular(13.0), t.text));
        }
        ui.horizontal(|ui| self.acts(ui, noted, page, cx));
        self.closing_of(ui, noted, cx);
    }

    fn acts(&mut self, ui: &mut Ui, noted: &Noted, page: &Page<'_>, cx: &mut Cx<'_>) {
        let symptom = &noted.finding.symptom;
        let act = |ui: &mut Ui, label: &str| {
            widgets::named(widgets::link(ui, label), &format!("{label}: {symptom}")).clicked()
        };
        if noted.closed.is_some() {
            if act(ui, "Open again") {
                cx.ask(Ask::GameDay(GameDayAsk::ReopenFinding(noted.id.clone())));
            }
            return;
        }
        if act(ui, "Change") {
            self.form = Some((Some(noted.id.clone()), noted.finding.clone()));
        }
        if act(ui, "Dealt with") {
            self.closing = Some((noted.id.clone(), String::new()));
        }
        let drill = noted.finding.drill.as_ref();
        let can = page.scene.state.no_drill_because().is_none() && !cx.running();
        if let Some(drill) = drill.filter(|it| can && page.day.row(it).is_some())
            && act(ui, "Run its drill again")
        {
            cx.ask(Ask::GameDay(GameDayAsk::Begin(drill.clone())));
            cx.goto = Some(View::Live);
        }
        if !noted.finding.ticket.is_empty() {
            ui.label(rich(&noted.finding.ticket, regular(size::SMALL), cx.tokens.dim));
        }
    }

    fn closing_of(&mut self, ui: &mut Ui, noted: &Noted, cx: &mut Cx<'_>) {
        let Some((id, words)) = self.closing.as_mut().filter(|(id, _)| *id == noted.id) else {
            return;
        };
        widgets::field(ui, "How it was dealt with", words, "how it was dealt with");
        let enabled = if words.trim().is_empty() {
            Err("Say how")
        } else {
            Ok(())
        };
        let (mut close, mut stay) = (false, false);
        ui.horizontal(|ui| {
            close = widgets::button_if(ui, enabled, "Close the finding").clicked();
            stay = widgets::button(ui, "Not yet").clicked();
        });
        if close {
            cx.ask(Ask::GameDay(GameDayAsk::CloseFinding {
                id: id.clone(),
                words: std::mem::take(words),
            }));
        }
        if close || stay {
            self.closing = None;
        }
    }

    fn form(&mut self, ui: &mut Ui, page: &Page<'_>, cx: &mut Cx<'_>) {
        let Some((id, finding)) = &mut self.form else {
            return;
        };
        let drill = finding.drill.clone().unwrap_or_default();
        heading(
            ui,
            if id.is_some() {
                "Change a finding"
            } else {
                "New finding"
            },
            &drill,
        );
        labelled(ui, "Symptom", &mut finding.symptom, "what was seen");
        labelled(ui, "Cause", &mut finding.cause, "why it is so");
        labelled(ui, "Impact", &mut finding.impact, "what it costs");
        let width = (ui.available_width() - space::S) / 2.0;
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            for (label, value, hint) in [
                ("Owner", &mut finding.owner, "who takes care of it"),
                ("Due", &mut finding.due, "2026-12-24"),
            ] {
                ui.vertical(|ui| {
                    ui.set_width(width);
                    labelled(ui, label, value, hint);
                });
            }
        });
        labelled(ui, "Ticket", &mut finding.ticket, "https://…");
        if let Some((from, until)) = finding.evidence_ms {
            let (from, until) = (words::clock(from, &page.zone), words::clock(until, &page.zone));
            widgets::dim(ui, format!("Evidence: {from} to {until}, while the fault was on"));
        }
        let mistake = finding.mistake();
        let (mut keep, mut leave) = (false, false);
        ui.horizontal(|ui| {
            keep = widgets::button_if(ui, mistake.map_or(Ok(()), Err), "Keep the finding").clicked();
            leave = widgets::button(ui, "Leave it").clicked();
        });
        if keep {
            cx.ask(Ask::GameDay(GameDayAsk::Finding {
                id: id.clone(),
                finding: finding.clone(),
            }));
        }
        if keep || leave {
            self.form = None;
        }
    }
}

/// While the last fault of a drill was on.
fn evidence(page: &Page<'_>, row: &str) -> Option<(i64, i64)> {
    let state = page.scene.state.rows.iter().find(|it| it.id == row)?;
    let run = state.runs.last()?;
    let found = run.found.as_ref()?;
    Some((found.fault_ms?, found.off_ms.or(run.ended_ms)?))
}
