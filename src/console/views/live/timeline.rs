//! The whole drill on one line: phases, steps as planned and as they went, marks.

use egui::{CornerRadius, Rect, Shape, Stroke, StrokeKind, Ui, pos2, vec2};
use firedrill_drill::Phase;
use firedrill_scene::{DrillScene, InjectionScene, LogKind};

use super::{plot::samples_words, window::Window};
use crate::{
    cx::Cx,
    theme::{Tokens, medium, regular, size, space},
    widgets::{self, rich},
};

const TITLE: f32 = 22.0;
/// Height of the bars of phases, points.
pub const PHASES: f32 = 18.0;
const LANE: f32 = 22.0;
const MARKS: f32 = 18.0;

/// How high the card is.
pub fn height(drill: &DrillScene, titled: bool) -> f32 {
    (if titled { TITLE } else { 0.0 })
        + PHASES
        + space::XS
        + lanes(drill).len().max(1) as f32 * (LANE + space::XS)
        + MARKS
        + 2.0 * space::M
}

fn lanes(drill: &DrillScene) -> Vec<&str> {
    let mut lanes: Vec<&str> = Vec::new();
    for step in drill.planned.iter().filter(|step| !step.wait) {
        if !lanes.contains(&step.lane.as_str()) && lanes.len() < 4 {
            lanes.push(&step.lane);
        }
    }
    lanes
}

/// Draws it.
pub fn ui(
    ui: &mut Ui,
    rect: Rect,
    drill: &DrillScene,
    now_us: u64,
    window: &Window,
    hidden: f64,
    cx: &Cx<'_>,
) {
    let t = cx.tokens;
    widgets::card_at(ui, rect, |_| {});
    let inside = rect.shrink2(vec2(space::L, space::M));
    let titled = rect.height() >= height(drill, true);
    let heading = inside.with_max_y(inside.top() + if titled { TITLE } else { 0.0 });
    if titled {
        title(ui, heading, window, hidden, cx);
    }
    let axis = Axis {
        left: inside.left(),
        right: inside.right(),
        total_us: total(drill, now_us),
    };
    let mut y = heading.bottom();
    phases(ui, &axis, y, drill, now_us, cx);
    y += PHASES + space::XS;
    let begin = inject_begin(drill);
    for lane in lanes(drill) {
        steps(ui, &axis, y, lane, begin, drill, now_us, t);
        y += LANE + space::XS;
    }
    marks(ui, &axis, y + MARKS * 0.5 - 2.0, drill, t);
    let x = axis.x(now_us);
    let needle = heading.bottom() - 2.0..=y;
    if drill.verdict.is_none() {
        ui.painter().vline(x, needle, Stroke::new(1.5, t.strong));
    }
}

fn title(ui: &mut Ui, place: Rect, window: &Window, hidden: f64, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    widgets::region(ui, place, |ui| {
        widgets::ends(
            ui,
            18.0,
            |ui| drop(widgets::title(ui, say.timeline())),
            |ui| {
                let follows = if window.follows() {
                    say.follows()
                } else {
                    say.stands_still()
                };
                let samples = samples_words(say, hidden);
                let words = if ui.available_width() < 560.0 {
                    format!("{follows} · {samples}")
                } else {
                    format!("{follows} · {} · {samples}", say.timeline_hint())
                };
                widgets::one_line(ui, rich(words, regular(size::SMALL), t.dim));
            },
        );
    });
}

/// From the begin of a drill to its end, across.
pub struct Axis {
    /// Where it begins, points.
    pub left: f32,
    /// Where it ends.
    pub right: f32,
    /// How long it is, microseconds.
    pub total_us: u64,
}

impl Axis {
    /// Where a time stands; what is beyond the end stands at it.
    pub fn x(&self, us: u64) -> f32 {
        let share = us as f64 / self.total_us.max(1) as f64;
        self.left + (self.right - self.left) * share.min(1.0) as f32
    }
}

/// When Inject began, or when it begins at the earliest.
fn inject_begin(drill: &DrillScene) -> u64 {
    let began = drill
        .phases
        .iter()
        .find(|(phase, _)| *phase == Phase::Inject)
        .map(|(_, at)| *at);
    began.unwrap_or(drill.now.mono_us)
}

fn total(drill: &DrillScene, now_us: u64) -> u64 {
    if drill.verdict.is_some() {
        return drill.now.mono_us.max(1);
    }
    let planned = drill.planned.iter().map(|step| step.until_us).max().unwrap_or(0);
    let expected = inject_begin(drill) + planned;
    // Recovery takes its time too: a fifth is kept free for it.
    (expected + expected / 5).max(now_us + now_us / 12).max(1_000_000)
}

/// Every phase and hold as a bar, from `y` down.
pub fn phases(ui: &Ui, axis: &Axis, y: f32, drill: &DrillScene, now_us: u64, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    let painter = ui.painter();
    let ends = drill.phases.iter().skip(1).map(|(_, at)| *at).chain([now_us]);
    for ((phase, from), until) in drill.phases.iter().zip(ends) {
        let (label, fill, ink) = match phase {
            Phase::Preflight => (say.bar_preflight(), t.raised, t.text),
            Phase::Baseline => (say.bar_baseline(), t.band, t.steady),
            Phase::Arming => (say.bar_arming(), t.raised, t.fault),
            Phase::Inject => (say.bar_inject(), t.raised, t.fault),
            Phase::Recover => (say.bar_recover(), t.band, t.steady),
            Phase::Closing => (say.bar_reverting(), t.raised, t.text),
            Phase::Verdict => continue,
        };
        let rect = Rect::from_min_max(pos2(axis.x(*from), y), pos2(axis.x(until), y + PHASES));
        let rect = rect.with_max_x((rect.right() - 1.5).max(rect.left() + 1.0));
        painter.rect_filled(rect, CornerRadius::same(3), fill);
        let galley = painter.layout_no_wrap(label.to_owned(), regular(size::SMALL), ink);
        if galley.size().x + 10.0 < rect.width() {
            painter.galley(
                pos2(rect.left() + 6.0, rect.center().y - galley.size().y / 2.0),
                galley,
                ink,
            );
        }
    }
    for (from, until) in &drill.holds {
        let rect = Rect::from_min_max(pos2(axis.x(*from), y), pos2(axis.x(*until), y + PHASES));
        painter.rect(
            rect,
            CornerRadius::same(3),
            t.card,
            Stroke::new(1.0, t.strong),
            StrokeKind::Inside,
        );
        let galley = painter.layout_no_wrap(say.bar_held().to_owned(), regular(size::SMALL), t.strong);
        if galley.size().x + 10.0 < rect.width() {
            let at = pos2(rect.left() + 6.0, rect.center().y - galley.size().y / 2.0);
            painter.galley(at, galley, t.strong);
        }
    }
    if drill.verdict.is_none() {
        let rest = Rect::from_min_max(pos2(axis.x(now_us), y), pos2(axis.right, y + PHASES));
        painter.rect_stroke(
            rest,
            CornerRadius::same(3),
            Stroke::new(1.0, t.line),
            StrokeKind::Inside,
        );
    }
}

#[expect(clippy::too_many_arguments, reason = "a lane is where plan and drill meet")]
fn steps(ui: &Ui, axis: &Axis, y: f32, lane: &str, begin: u64, drill: &DrillScene, now_us: u64, t: &Tokens) {
    let painter = ui.painter();
    for step in drill
        .planned
        .iter()
        .filter(|step| step.lane == lane && !step.wait)
    {
        let (from, until) = (begin + step.from_us, begin + step.until_us);
        let rect = Rect::from_min_max(pos2(axis.x(from), y), pos2(axis.x(until), y + LANE));
        let ramp = axis.x(from + step.ramp_us).min(rect.right());
        painter.add(wedge(rect, ramp, t.fault.gamma_multiply(0.28)));
        // One planned step is one injection on each of its agents.
        let (fault, agents) = step.label.split_once(" · ").unwrap_or((&step.label, ""));
        let ours = |injection: &&InjectionScene| {
            injection.fault == fault && agents.split(", ").any(|agent| agent == injection.agent)
        };
        for injection in drill.injections.iter().filter(ours) {
            let Some(on) = injection.from_us else { continue };
            let off = injection.until_us.unwrap_or(now_us);
            let clip = Rect::from_min_max(pos2(axis.x(on), y), pos2(axis.x(off), y + LANE));
            painter
                .with_clip_rect(clip.intersect(painter.clip_rect()))
                .add(wedge(rect.union(clip), ramp, t.fault));
        }
        let solid_until = drill
            .injections
            .iter()
            .filter(ours)
            .filter_map(|injection| {
                injection
                    .from_us
                    .map(|_| axis.x(injection.until_us.unwrap_or(now_us)))
            })
            .fold(rect.left(), f32::max);
        label(ui, axis, rect, ramp, solid_until, &step.label, t);
    }
}

/// On the bar where it fits, on one ground; else beside it.
fn label(ui: &Ui, axis: &Axis, rect: Rect, ramp: f32, solid_until: f32, words: &str, t: &Tokens) {
    let painter = ui.painter();
    let measure = |ink| painter.layout_no_wrap(words.to_owned(), medium(size::SMALL), ink);
    let wide = measure(t.strong).size().x + 12.0;
    let (at, ink) = if ramp + wide < solid_until {
        (ramp + 6.0, t.on_fault)
    } else if ramp.max(solid_until) + wide < rect.right() {
        (ramp.max(solid_until) + 6.0, t.strong)
    } else if rect.right() + wide < axis.right {
        (rect.right() + 6.0, t.fault)
    } else {
        ((rect.left() - wide + 6.0).max(axis.left), t.fault)
    };
    let galley = measure(ink);
    painter.galley(pos2(at, rect.center().y - galley.size().y / 2.0), galley, ink);
}

/// A bar that begins as a ramp.
fn wedge(rect: Rect, ramp: f32, fill: egui::Color32) -> Shape {
    if ramp <= rect.left() + 1.0 {
        return Shape::rect_filled(rect, CornerRadius::same(3), fill);
    }
    let corners = vec![
        rect.left_bottom(),
        pos2(ramp, rect.top()),
        rect.right_top(),
        rect.right_bottom(),
    ];
    Shape::convex_polygon(corners, fill, Stroke::NONE)
}

/// What people did and what was bad, on a line.
pub fn marks(ui: &Ui, axis: &Axis, y: f32, drill: &DrillScene, t: &Tokens) {
    let painter = ui.painter();
    painter.hline(axis.left..=axis.right, y, Stroke::new(1.0, t.line));
    for line in drill.log.iter() {
        let at = pos2(axis.x(line.at.mono_us), y);
        match line.kind {
            LogKind::Person => drop(painter.circle_filled(at, 4.5, t.people)),
            LogKind::End => drop(painter.circle_filled(at, 4.5, t.strong)),
            LogKind::Phase | LogKind::Fault | LogKind::Agent | LogKind::Sample => {}
        }
    }
    for (us, _) in drill.slis.iter().flat_map(|sli| sli.bad.iter()) {
        let square = Rect::from_center_size(pos2(axis.x(*us), y), vec2(9.0, 9.0));
        painter.rect(square, 0.0, t.card, Stroke::new(1.5, t.out), StrokeKind::Inside);
    }
}
