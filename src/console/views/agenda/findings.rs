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
            |ui| drop(widgets::title(ui, cx.say.open_findings(open))),
            |ui| {
                if widgets::button(ui, cx.say.new_finding()).clicked() {
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
            widgets::dim(ui, cx.say.findings_none());
        }
        let today = today(page.now_ms, &page.zone);
        for noted in due_first(findings) {
            widgets::rule(ui);
            self.one(ui, noted, today, page, cx);
        }
    }

    fn one(&mut self, ui: &mut Ui, noted: &Noted, today: Date, page: &Page<'_>, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        let finding = &noted.finding;
        let (shape, word) = match noted.standing(today) {
            "overdue" => (State::Bad, say.finding_overdue()),
            "closed" => (State::Good, say.finding_closed()),
            _ => (State::Tolerated, say.finding_open()),
        };
        widgets::ends(
            ui,
            26.0,
            |ui| {
                widgets::one_line(ui, rich(&finding.symptom, medium(size::BODY), t.strong));
            },
            |ui| drop(widgets::pill(ui, shape, word, size::SMALL)),
        );
        let mut facts: Vec<String> = Vec::new();
        facts.extend((!finding.owner.is_empty()).then(|| finding.owner.clone()));
        facts.extend((!finding.due.is_empty()).then(|| say.finding_due(&finding.due)));
        facts.extend(finding.drill.as_ref().map(|drill| say.finding_by(drill)));
        facts.extend(finding.from.as_ref().map(|from| say.finding_from(from)));
        if !facts.is_empty() {
            widgets::one_line(ui, rich(facts.join(" · "), regular(size::SMALL), t.dim));
        }
        for (what, words) in [(say.cause(), &finding.cause), (say.impact(), &finding.impact)] {
            if !words.is_empty() {
                ui.label(rich(say.namely(what, words), regular(size::NOTE), t.text));
            }
        }
        if let Some((_, by, words)) = &noted.closed {
            ui.label(rich(say.namely(by, words), regular(size::NOTE), t.text));
        }
        ui.horizontal(|ui| self.acts(ui, noted, page, cx));
        self.closing_of(ui, noted, cx);
    }

    fn acts(&mut self, ui: &mut Ui, noted: &Noted, page: &Page<'_>, cx: &mut Cx<'_>) {
        let say = cx.say;
        let symptom = &noted.finding.symptom;
        let act = |ui: &mut Ui, label: &str| {
            widgets::named(widgets::link(ui, label), &say.namely(label, symptom)).clicked()
        };
        if noted.closed.is_some() {
            if act(ui, say.open_again()) {
                cx.ask(Ask::GameDay(GameDayAsk::ReopenFinding(noted.id.clone())));
            }
            return;
        }
        if act(ui, say.change()) {
            self.form = Some((Some(noted.id.clone()), noted.finding.clone()));
        }
        if act(ui, say.dealt_with()) {
            self.closing = Some((noted.id.clone(), String::new()));
        }
        let drill = noted.finding.drill.as_ref();
        let can = page.scene.state.no_drill_because().is_none() && !cx.running();
        if let Some(drill) = drill.filter(|it| can && page.day.row(it).is_some())
            && act(ui, say.run_its_drill())
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
        let say = cx.say;
        widgets::field(ui, say.dealt_how(), words, say.dealt_how_hint());
        let enabled = if words.trim().is_empty() {
            Err(say.say_how())
        } else {
            Ok(())
        };
        let (mut close, mut stay) = (false, false);
        ui.horizontal(|ui| {
            close = widgets::button_if(ui, enabled, say.close_finding()).clicked();
            stay = widgets::button(ui, say.not_yet()).clicked();
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
        let say = cx.say;
        let drill = finding.drill.clone().unwrap_or_default();
        heading(
            ui,
            if id.is_some() {
                say.change_finding()
            } else {
                say.new_finding()
            },
            &drill,
        );
        labelled(ui, say.symptom(), &mut finding.symptom, say.symptom_hint());
        labelled(ui, say.cause(), &mut finding.cause, say.cause_hint());
        labelled(ui, say.impact(), &mut finding.impact, say.impact_hint());
        let width = (ui.available_width() - space::S) / 2.0;
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            for (label, value, hint) in [
                (say.owner(), &mut finding.owner, say.owner_hint()),
                (say.due(), &mut finding.due, "2026-12-24"),
            ] {
                ui.vertical(|ui| {
                    ui.set_width(width);
                    labelled(ui, label, value, hint);
                });
            }
        });
        labelled(ui, say.ticket(), &mut finding.ticket, "https://…");
        if let Some((from, until)) = finding.evidence_ms {
            let (from, until) = (words::clock(from, &page.zone), words::clock(until, &page.zone));
            widgets::dim(ui, say.evidence(from, until));
        }
        let mistake = finding.mistake();
        let (mut keep, mut leave) = (false, false);
        ui.horizontal(|ui| {
            keep = widgets::button_if(ui, mistake.map_or(Ok(()), Err), say.keep_finding()).clicked();
            leave = widgets::button(ui, say.leave_it()).clicked();
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
