//! The agents: health, version, round trip, what they can do and why not, the latch and its release.

use std::collections::BTreeMap;

use egui::{Align2, Id, Rect, ScrollArea, Sense, Ui, vec2};
use firedrill_scene::{AgentHealth, AgentScene, Ask};
use firedrill_wire::{AgentInfo, FaultInfo, LatchView};

use crate::{
    View,
    commands::Command,
    cx::Cx,
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
                    widgets::agent_word(agent),
                    13.0,
                ));
            },
        );
        match &agent.health {
            AgentHealth::Unreachable(why) | AgentHealth::Unusable(why) => {
                drop(widgets::small(ui, why, t.out));
            }
            AgentHealth::Unknown => drop(widgets::dim(ui, "Not asked yet.")),
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
        let t = cx.tokens;
        egui::Frame::new()
            .fill(t.raised)
            .corner_radius(8)
            .inner_margin(space::M)
            .show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.label(rich(
                    format!("Latched (number {})", latch.number),
                    medium(15.0),
                    t.strong,
                ));
                widgets::text(
                    ui,
                    format!(
                        "By {}: {}. Nothing starts here until it is released.",
                        latch.who, latch.reason
                    ),
                );
                let reason = self.reasons.entry(agent.name.clone()).or_default();
                ui.label(rich("Why it is safe again", regular(size::SMALL), t.text));
                widgets::field(ui, "Why it is safe again", reason, "what was found, who looked");
                let given = reason.trim().to_owned();
                let enabled = if given.is_empty() {
                    Err("A release needs a reason")
                } else {
                    Ok(())
                };
                if widgets::button_if(ui, enabled, "Release the latch").clicked() {
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
        let t = cx.tokens;
        ui.label(rich("Token for this agent", regular(size::SMALL), t.text));
        let place = ui.available_width().min(420.0);
        ui.horizontal(|ui| {
            let edit = egui::TextEdit::singleline(&mut self.token)
                .id(Id::unique(("token", &agent.url)))
                .password(true)
                .desired_width(place - 110.0)
                .margin(egui::Margin::symmetric(10, 7))
                .hint_text(rich("paste it here", regular(size::BODY), t.dim));
            widgets::named(ui.add(edit), "Token");
            let enabled = if self.token.trim().is_empty() {
                Err("Paste the agent's token first")
            } else {
                Ok(())
            };
            if widgets::button_if(ui, enabled, "Keep").clicked() {
                let token = std::mem::take(&mut self.token).trim().to_owned();
                cx.ask(Ask::SetToken {
                    url: agent.url.clone(),
                    token,
                });
            }
        });
        widgets::dim(ui, "Kept in a file that only you can read; never in the plan.");
    }
}

/// Whether an agent is to be added.
fn nothing(ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
    let mut add = false;
    let words = "Agents inject faults on their hosts and always take them back. They stand in the plan: open one, or write one in Design.";
    widgets::empty(ui, "No plan with agents is open", words, |ui| {
        ui.horizontal(|ui| {
            ui.add_space((ui.available_width() - 250.0).max(0.0) / 2.0);
            if widgets::button(ui, "Go to Design").clicked() {
                cx.goto = Some(View::Design);
            }
            add = widgets::button(ui, "Add agent").clicked();
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
    let latched = if latched > 0 {
        format!(", {latched} latched")
    } else {
        String::new()
    };
    let words = format!("{healthy} of {} answer{latched}", fleet.len());
    let (mut refresh, mut test, mut add) = (false, false, false);
    widgets::ends(
        ui,
        36.0,
        |ui| {
            ui.label(rich(
                words::count(fleet.len(), "agent"),
                medium(size::TITLE),
                t.strong,
            ));
            ui.label(rich(words, regular(size::BODY), t.dim));
        },
        |ui| {
            test = Command::TestAbort.button(ui, cx.scene, cx.view).clicked();
            refresh = widgets::button(ui, "Ask again").clicked();
            add = widgets::button(ui, "Add agent").clicked();
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
    let t = cx.tokens;
    let mut rows: Vec<(&str, String)> = vec![("address", agent.url.clone())];
    if let Some(info) = &agent.info {
        rows.push(("host", info.host.clone()));
        rows.push(("version", format!("{}, protocol {}", info.version, info.protocol)));
        let labels: Vec<String> = info
            .labels
            .iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        rows.push((
            "labels",
            if labels.is_empty() {
                "none".to_owned()
            } else {
                labels.join(", ")
            },
        ));
        if let Some(open) = &info.open {
            rows.push((
                "held by",
                format!("{} ({}), drill {}", open.console, open.who, open.experiment),
            ));
        }
    }
    if let Some(heard) = agent.heard_ms {
        let ago = u64::try_from(cx.now_ms() - heard).unwrap_or(0);
        let trip = agent
            .rtt_us
            .map_or_else(String::new, |rtt| format!(", round trip {}", words::took_us(rtt)));
        rows.push(("heard", format!("{}{trip}", words::age(ago))));
    }
    match &agent.abort_test {
        Some(Ok(us)) => rows.push(("abort test", format!("proved clean in {}", words::took_us(*us)))),
        Some(Err(why)) => rows.push(("abort test", format!("failed: {why}"))),
        None => rows.push(("abort test", "not made yet".to_owned())),
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
        regular(13.0),
        t.dim,
    );
    ui.painter().galley(rect.min + vec2(104.0, 0.0), galley, t.text);
}

fn known(ui: &mut Ui, info: &AgentInfo) {
    let t = Tokens::of(ui);
    ui.add_space(space::XS);
    if !info.routes.is_empty() {
        ui.add_space(space::S);
        widgets::title(ui, "Routes");
        for route in &info.routes {
            let words = format!("{}: {} to {}", route.name, route.listen, route.upstream);
            ui.label(rich(words, mono(13.0), t.text));
        }
    }
    ui.add_space(space::S);
    widgets::title(ui, "Faults");
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
        let why = fault.why_not.as_deref().unwrap_or("not on this host");
        let remedy = fault
            .remedy
            .as_deref()
            .map_or_else(String::new, |remedy| format!(" {remedy}"));
        format!("cannot: {why}.{remedy}")
    };
    let width = ui.available_width();
    let galley = ui.painter().layout(words, regular(13.0), t.text, width - 150.0);
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
        medium(13.0),
        t.strong,
    );
    ui.painter().galley(rect.min + vec2(144.0, 1.0), galley, t.text);
}
