//! The agents: health, version, round trip, what they can do and why not, the latch and its release.

use std::collections::BTreeMap;

use egui::{Align2, Id, Rect, ScrollArea, Sense, Ui, vec2};
use firedrill_scene::{AgentHealth, AgentScene, Ask};
use firedrill_wire::{AgentInfo, FaultInfo, LatchView};

use crate::{
    View,
    commands::Command,
    cx::Cx,
    messages::Say,
    theme::{Tokens, medium, mono, regular, size, space},
    views::enroll::Enroll,
    widgets::{self, State, rich},
    words,
};

/// What Fleet remembers.
#[derive(Default)]
pub struct FleetView {
    chosen: Option<String>,
    /// Reasons for a release as typed, by agent.
    reasons: BTreeMap<String, String>,
    token: String,
    /// A join string is being pasted.
    adding: Option<Enroll>,
}

impl FleetView {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let fleet = cx.scene.fleet.clone();
        if fleet.is_empty() {
            if self.adding.is_some() {
                let place = ui.max_rect();
                let place = place.with_max_x(place.left() + place.width().min(640.0));
                self.add(ui, place, cx);
            } else if nothing(ui, cx) {
                self.adding = Some(Enroll::default());
            }
            return;
        }
        let whole = ui.max_rect();
        let head = whole.with_max_y(whole.top() + 40.0);
        if widgets::region(ui, head, |ui| heading(ui, &fleet, cx)) {
            self.adding = Some(Enroll::default());
        }
        let rest = whole.with_min_y(head.bottom() + space::S);
        let (left, right) =
            rest.split_left_right_at_x(rest.left() + (rest.width() * 0.42).clamp(380.0, 620.0));
        widgets::card_at(ui, left, |ui| self.list(ui, &fleet));
        let right = right.with_min_x(right.left() + space::M);
        if self.adding.is_some() {
            self.add(ui, right, cx);
            return;
        }
        let Some(agent) = fleet
            .iter()
            .find(|a| self.chosen.as_ref() == Some(&a.name))
            .or_else(|| fleet.first())
        else {
            return;
        };
        widgets::card_at(ui, right, |ui| {
            ScrollArea::vertical()
                .id_salt("agent")
                .auto_shrink(false)
                .show(ui, |ui| self.agent(ui, agent, cx));
        });
    }

    fn add(&mut self, ui: &mut Ui, place: Rect, cx: &mut Cx<'_>) {
        let done = widgets::card_at(ui, place, |ui| {
            ScrollArea::vertical()
                .id_salt("add")
                .auto_shrink(false)
                .show(ui, |ui| {
                    self.adding.as_mut().is_some_and(|adding| adding.ui(ui, cx))
                })
                .inner
        });
        if done {
            self.adding = None;
        }
    }

    fn list(&mut self, ui: &mut Ui, fleet: &[AgentScene]) {
        const ROW: f32 = 58.0;
        let shown = self
            .chosen
            .clone()
            .or_else(|| fleet.first().map(|agent| agent.name.clone()));
        ui.spacing_mut().item_spacing.y = space::XS;
        ScrollArea::vertical()
            .id_salt("fleet")
            .auto_shrink(false)
            .show_rows(ui, ROW, fleet.len(), |ui, rows| {
                for agent in &fleet[rows] {
                    let chosen = shown.as_ref() == Some(&agent.name);
                    if widgets::agent_card(ui, agent, chosen, ROW).clicked() {
                        self.chosen = Some(agent.name.clone());
                        self.token.clear();
                        self.adding = None;
                    }
                }
            });
    }

    fn agent(&mut self, ui: &mut Ui, agent: &AgentScene, cx: &mut Cx<'_>) {
        let t = cx.tokens;
        ui.spacing_mut().item_spacing.y = 6.0;
        widgets::ends(
            ui,
            28.0,
            |ui| drop(ui.label(rich(&agent.name, medium(size::TITLE), t.strong))),
            |ui| {
                drop(widgets::pill(
                    ui,
                    widgets::agent_state(agent),
                    widgets::agent_word(cx.say, agent),
                    13.0,
                ));
            },
        );
        match &agent.health {
            AgentHealth::Unreachable(why) | AgentHealth::Unusable(why) => {
                drop(widgets::small(ui, why, t.out));
            }
            AgentHealth::Unknown => drop(widgets::dim(ui, cx.say.agent_not_asked_yet())),
            AgentHealth::Healthy => {}
        }
        if let Some(latch) = &agent.latch {
            self.latch(ui, agent, latch, cx);
        }
        ui.add_space(space::S);
        facts(ui, agent, cx);
        if let Some(info) = &agent.info {
            known(ui, info);
        }
        ui.add_space(space::S);
        self.token(ui, agent, cx);
    }

    /// The latch stands in the way of everything, so its release comes first, and asks for a reason.
    fn latch(&mut self, ui: &mut Ui, agent: &AgentScene, latch: &LatchView, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        egui::Frame::new()
            .fill(t.raised)
            .corner_radius(8)
            .inner_margin(space::M)
            .show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.label(rich(
                    say.latched_number(latch.number),
                    medium(size::LEAD),
                    t.strong,
                ));
                widgets::text(ui, say.latched_by(&latch.who, &latch.reason));
                let reason = self.reasons.entry(agent.name.clone()).or_default();
                ui.label(rich(say.release_why(), regular(size::SMALL), t.text));
                widgets::field(ui, say.release_why(), reason, say.release_hint());
                let given = reason.trim().to_owned();
                let enabled = if given.is_empty() {
                    Err(say.release_needs_reason())
                } else {
                    Ok(())
                };
                if widgets::button_if(ui, enabled, say.release()).clicked() {
                    cx.ask(Ask::Release {
                        agent: agent.name.clone(),
                        latch: latch.number,
                        reason: given,
                    });
                    self.reasons.remove(&agent.name);
                }
            });
    }

    fn token(&mut self, ui: &mut Ui, agent: &AgentScene, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        ui.label(rich(say.token_for(), regular(size::SMALL), t.text));
        let place = ui.available_width().min(420.0);
        ui.horizontal(|ui| {
            let edit = egui::TextEdit::singleline(&mut self.token)
                .id(Id::unique(("token", &agent.url)))
                .password(true)
                .desired_width(place - 110.0)
                .margin(egui::Margin::symmetric(10, 7))
                .hint_text(rich(say.token_hint(), regular(size::BODY), t.dim));
            widgets::named(ui.add(edit), say.token());
            let enabled = if self.token.trim().is_empty() {
                Err(say.token_first())
            } else {
                Ok(())
            };
            if widgets::button_if(ui, enabled, say.token_keep()).clicked() {
                let token = std::mem::take(&mut self.token).trim().to_owned();
                cx.ask(Ask::SetToken {
                    url: agent.url.clone(),
                    token,
                });
            }
        });
        widgets::dim(ui, say.token_kept());
    }
}

/// Whether an agent is to be added.
fn nothing(ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
    let mut add = false;
    let say = cx.say;
    widgets::empty(ui, say.why_no_agents(), say.fleet_empty_words(), |ui| {
        ui.horizontal(|ui| {
            ui.add_space((ui.available_width() - 250.0).max(0.0) / 2.0);
            if widgets::button(ui, say.go_to_design()).clicked() {
                cx.goto = Some(View::Design);
            }
            add = widgets::button(ui, cx.say.add_agent()).clicked();
        });
    });
    add
}

/// Whether an agent is to be added.
fn heading(ui: &mut Ui, fleet: &[AgentScene], cx: &mut Cx<'_>) -> bool {
    let t = cx.tokens;
    let healthy = fleet
        .iter()
        .filter(|agent| agent.health == AgentHealth::Healthy)
        .count();
    let latched = fleet.iter().filter(|agent| agent.latch.is_some()).count();
    let words = match latched {
        0 => cx.say.fleet_answer(healthy, fleet.len()),
        latched => cx.say.fleet_answer_latched(healthy, fleet.len(), latched),
    };
    let (mut refresh, mut test, mut add) = (false, false, false);
    widgets::ends(
        ui,
        36.0,
        |ui| {
            ui.label(rich(cx.say.agents(fleet.len()), medium(size::TITLE), t.strong));
            ui.label(rich(words, regular(size::BODY), t.dim));
        },
        |ui| {
            test = Command::TestAbort.button(ui, cx.scene, cx.view).clicked();
            refresh = widgets::button(ui, cx.say.fleet_ask_again()).clicked();
            add = widgets::button(ui, cx.say.add_agent()).clicked();
        },
    );
    if refresh {
        cx.ask(Ask::RefreshFleet);
    }
    if test {
        cx.ask(Ask::TestAbort);
    }
    add
}

/// Names and values, two columns.
fn facts(ui: &mut Ui, agent: &AgentScene, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    let mut rows: Vec<(&str, String)> = vec![(say.fact_address(), agent.url.clone())];
    if let Some(info) = &agent.info {
        rows.push((say.fact_host(), info.host.clone()));
        let version = say.fact_version_words(&info.version, info.protocol);
        rows.push((say.fact_version(), version));
        let labels: Vec<String> = info
            .labels
            .iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        rows.push((
            say.fact_labels(),
            if labels.is_empty() {
                say.none().to_owned()
            } else {
                labels.join(", ")
            },
        ));
        if let Some(open) = &info.open {
            rows.push((
                say.fact_held_by(),
                say.fact_held_by_words(&open.console, &open.who, &open.experiment),
            ));
        }
    }
    if let Some(heard) = agent.heard_ms {
        let ago = u64::try_from(cx.now_ms() - heard).unwrap_or(0);
        let age = words::age(say, ago);
        let heard = match agent.rtt_us {
            Some(rtt) => say.fact_heard_words(age, words::took_us(rtt)),
            None => age,
        };
        rows.push((say.fact_heard(), heard));
    }
    match &agent.abort_test {
        Some(Ok(us)) => rows.push((say.fact_abort_test(), say.abort_test_clean(words::took_us(*us)))),
        Some(Err(why)) => rows.push((say.fact_abort_test(), say.abort_test_failed(why))),
        None => rows.push((say.fact_abort_test(), say.abort_test_not_made().to_owned())),
    }
    for (name, value) in rows {
        pair(ui, name, &value, t);
    }
}

/// A name and its value.
pub(super) fn pair(ui: &mut Ui, name: &str, value: &str, t: &Tokens) {
    let width = ui.available_width();
    let galley = ui
        .painter()
        .layout(value.to_owned(), regular(size::BODY), t.text, width - 110.0);
    let (rect, _) = ui.allocate_exact_size(vec2(width, galley.size().y + 2.0), Sense::hover());
    ui.painter().text(
        rect.min + vec2(0.0, 1.0),
        Align2::LEFT_TOP,
        name,
        regular(size::NOTE),
        t.dim,
    );
    ui.painter().galley(rect.min + vec2(104.0, 0.0), galley, t.text);
}

fn known(ui: &mut Ui, info: &AgentInfo) {
    let (t, say) = (Tokens::of(ui), Say::of(ui));
    ui.add_space(space::XS);
    if !info.routes.is_empty() {
        ui.add_space(space::S);
        widgets::title(ui, say.routes());
        for route in &info.routes {
            let words = say.route(&route.name, &route.listen, &route.upstream);
            ui.label(rich(words, mono(size::NOTE), t.text));
        }
    }
    ui.add_space(space::S);
    widgets::title(ui, say.fleet_faults());
    for fault in &info.faults {
        fault_row(ui, fault, t);
    }
    for note in &info.notes {
        widgets::dim(ui, note);
    }
}

fn fault_row(ui: &mut Ui, fault: &FaultInfo, t: &Tokens) {
    let words = if fault.available {
        fault.summary.clone()
    } else {
        let say = Say::of(ui);
        let why = fault.why_not.as_deref().unwrap_or(say.fault_not_here());
        let remedy = fault
            .remedy
            .as_deref()
            .map_or_else(String::new, |remedy| format!(" {remedy}"));
        say.fault_cannot(why, remedy)
    };
    let width = ui.available_width();
    let galley = ui
        .painter()
        .layout(words, regular(size::NOTE), t.text, width - 150.0);
    let (rect, _) = ui.allocate_exact_size(vec2(width, galley.size().y.max(17.0) + 4.0), Sense::hover());
    let mark = Rect::from_min_size(rect.min, vec2(14.0, 18.0)).center();
    if fault.available {
        widgets::check(ui.painter(), mark, 4.5, t.steady);
    } else {
        widgets::shape(ui.painter(), mark, 4.5, State::Unknown, t);
    }
    ui.painter().text(
        rect.min + vec2(24.0, 1.0),
        Align2::LEFT_TOP,
        fault.name.as_str(),
        medium(size::NOTE),
        t.strong,
    );
    ui.painter().galley(rect.min + vec2(144.0, 1.0), galley, t.text);
}
