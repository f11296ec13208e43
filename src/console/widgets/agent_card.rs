//! An agent in a list: its shape, name, address, state and round trip.

use egui::{Align2, Response, Stroke, StrokeKind, Ui, pos2, vec2};
use firedrill_scene::{AgentHealth, AgentScene};

use super::{State, painted, shape};
use crate::{
    messages::Say,
    theme::{Tokens, medium, mono, regular, size, space},
    words,
};

/// How an agent stands.
pub fn agent_state(agent: &AgentScene) -> State {
    match (&agent.health, &agent.latch) {
        (AgentHealth::Healthy, Some(_)) => State::Fault,
        (AgentHealth::Healthy, None) => State::Good,
        (AgentHealth::Unknown, _) => State::Waiting,
        (AgentHealth::Unusable(_), _) => State::Tolerated,
        (AgentHealth::Unreachable(_), _) => State::Bad,
    }
}

/// The same in a word.
pub fn agent_word(say: Say, agent: &AgentScene) -> &'static str {
    match (&agent.health, &agent.latch) {
        (AgentHealth::Healthy, Some(_)) => say.agent_latched(),
        (AgentHealth::Healthy, None) => say.agent_ready(),
        (AgentHealth::Unknown, _) => say.agent_not_asked(),
        (AgentHealth::Unusable(_), _) => say.agent_not_usable(),
        (AgentHealth::Unreachable(_), _) => say.agent_no_answer(),
    }
}

/// Draws it, as wide as there is room.
pub fn agent_card(ui: &mut Ui, agent: &AgentScene, chosen: bool, height: f32) -> Response {
    let t = Tokens::of(ui);
    let (rect, response) = painted(ui, vec2(ui.available_width(), height), &agent.name);
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    if chosen || response.hovered() {
        painter.rect_filled(rect, 8.0, t.raised.gamma_multiply(if chosen { 1.0 } else { 0.5 }));
    }
    if response.has_focus() {
        painter.rect_stroke(rect, 8.0, Stroke::new(2.0, t.series), StrokeKind::Inside);
    }
    let state = agent_state(agent);
    shape(&painter, pos2(rect.left() + 18.0, rect.center().y), 6.0, state, t);
    let left = rect.left() + 38.0;
    painter.text(
        pos2(left, rect.top() + 11.0),
        Align2::LEFT_TOP,
        &agent.name,
        medium(size::LEAD),
        t.strong,
    );
    painter.text(
        pos2(left, rect.top() + 32.0),
        Align2::LEFT_TOP,
        &agent.url,
        mono(size::SMALL),
        t.dim,
    );
    let right = |y: f32, text: String, ink| {
        painter.text(
            pos2(rect.right() - space::M, y),
            Align2::RIGHT_TOP,
            text,
            regular(size::NOTE),
            ink,
        );
    };
    right(
        rect.top() + 11.0,
        agent_word(Say::of(ui), agent).to_owned(),
        state.colour(t),
    );
    if let Some(rtt) = agent.rtt_us {
        right(rect.top() + 32.0, words::took_us(rtt), t.dim);
    }
    response
}
