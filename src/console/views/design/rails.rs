//! Guardrails as they stand for the plan that is being written: found by the drill's own judge, for a drill that is
//! never begun. What only the start can tell is said to be asked then.

use std::sync::Arc;

use egui::{Rect, Sense, Ui, vec2};
use firedrill_drill::{Arming, At, Drill, GuardrailStatus, Setup};
use firedrill_plan::Rule;

use super::draft::Draft;
use crate::{
    commands::Words,
    cx::Cx,
    messages::Say,
    theme::{Tokens, regular, size, space},
    widgets::{self, State},
};

/// Hours are judged anew so often.
const MINUTE_MS: i64 = 60_000;

/// What Design remembers of them.
#[derive(Default)]
pub struct Rails {
    /// The text's version, the experiment, and the minute, of which `found` is.
    of: Option<(u64, usize, i64)>,
    found: Vec<GuardrailStatus>,
}

impl Rails {
    /// Draws them for an experiment.
    pub fn ui(&mut self, ui: &mut Ui, draft: &Draft, experiment: usize, cx: &Cx<'_>) {
        let t = cx.tokens;
        widgets::title(ui, cx.say.rails_title());
        self.find(draft, experiment, cx.now_ms());
        if self.found.is_empty() {
            widgets::dim(ui, cx.say.rails_when_good());
        }
        for status in &self.found {
            row(ui, status, cx.say, t);
        }
    }

    fn find(&mut self, draft: &Draft, experiment: usize, wall_ms: i64) {
        let of = (draft.version(), experiment, wall_ms / MINUTE_MS);
        if self.of == Some(of) {
            return;
        }
        self.of = Some(of);
        let Some(plan) = draft.plan() else {
            self.found.clear();
            return;
        };
        let setup = Setup {
            drill: "design".into(),
            plan: Arc::new(plan.clone()),
            plan_text: draft.text().into(),
            version: String::new(),
            experiment,
            seed: 1,
            console: String::new(),
            who: String::new(),
            arming: Arming::Ask,
        };
        let (drill, _) = Drill::new(setup, At { mono_us: 0, wall_ms });
        self.found = drill.guardrails();
    }
}

/// What is found only when a drill asks: others' alerts, drills and words.
fn asked_then(rule: Rule) -> Option<Words> {
    match rule {
        Rule::Shared => Some(Say::rails_shared),
        Rule::Alerts => Some(Say::rails_alerts),
        Rule::HarmBudget | Rule::ErrorBudget => Some(Say::rails_budget),
        Rule::Approval => Some(Say::rails_approval),
        _ => None,
    }
}

fn row(ui: &mut Ui, status: &GuardrailStatus, say: Say, t: &Tokens) {
    let then = asked_then(status.rule).filter(|_| status.ok != Some(true));
    let refused = then.is_none() && status.ok == Some(false);
    let name = match (refused, then) {
        (true, _) => say.rails_refuses(status.rule),
        (false, Some(_)) => say.rails_later(status.rule),
        (false, None) => say.rails_passes(status.rule),
    };
    let width = ui.available_width();
    let painter = ui.painter().clone();
    let lay = |words: &str, ink| painter.layout(words.to_owned(), regular(size::SMALL), ink, width - 20.0);
    let words = then.map_or(status.words.as_str(), |then| then(say));
    let mut lines = vec![(lay(words, t.dim), t.dim)];
    if let Some(remedy) = status.remedy.as_ref().filter(|_| refused) {
        lines.push((lay(&say.rails_to_pass(remedy), t.text), t.text));
    }
    let height: f32 = 18.0 + lines.iter().map(|(galley, _)| galley.size().y + 2.0).sum::<f32>();
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
    let said = lines.iter().map(|(galley, _)| galley.text());
    let said: Vec<&str> = std::iter::once(name.as_str()).chain(said).collect();
    let said = said.join(": ");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &said));
    let mark = Rect::from_min_size(rect.min, vec2(14.0, 17.0)).center();
    match (refused, then) {
        (true, _) => widgets::shape(&painter, mark, 4.5, State::Bad, t),
        (false, Some(_)) => widgets::shape(&painter, mark, 4.5, State::Waiting, t),
        (false, None) => widgets::check(&painter, mark, 4.5, t.steady),
    }
    painter.text(
        rect.min + vec2(20.0, 0.0),
        egui::Align2::LEFT_TOP,
        &name,
        regular(size::NOTE),
        if refused { t.out } else { t.strong },
    );
    let mut at = rect.min + vec2(20.0, 17.0);
    for (galley, ink) in lines {
        let high = galley.size().y + 2.0;
        painter.galley(at, galley, ink);
        at.y += high;
    }
    ui.add_space(space::XS);
}
