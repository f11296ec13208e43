//! A frame of Live, layout and tessellation without a GPU: 64 SLIs of 24 hours at 1 Hz, and at ten times that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use firedrill_console::{Console, Frame, Prefs, TimeZone, View, install};
use firedrill_drill::{At, Phase, SliState};
use firedrill_plan::{Range, Say, Stop};
use firedrill_scene::{DrillScene, InjectionScene, Scene, SliScene};
use firedrill_series::Series;
use firedrill_wire::InjectionState;
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::Effort;
use crate::measure::{Row, Samples};

const SLIS: u64 = 64;
const DAY_S: u64 = 24 * 3600;
const SECOND: u64 = 1_000_000;

/// What the plots show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// The last 150 s, following.
    Newest,
    /// All 24 hours.
    Day,
}

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let frames = effort.samples(500);
    let mut rows = Vec::new();
    for (sight, what) in [(Sight::Newest, "newest 150 s"), (Sight::Day, "24 h in sight")] {
        let (mut once, mut tenfold) = (Live::new(1, sight), Live::new(10, sight));
        // In turns, so that whatever else the machine does is in both.
        for frame in 0..frames + WARM {
            once.frame(frame)?;
            tenfold.frame(frame)?;
        }
        let details = json!({ "at_1_hz_ms": once.wall.json(), "at_10_hz_ms": tenfold.wall.json(),
            "at_1_hz_cpu_ms": once.cpu.json(), "at_10_hz_cpu_ms": tenfold.cpu.json() });
        let name = format!("Live, 64 SLIs × 24 h at 1 Hz, {what}");
        rows.extend([
            Row::at_most(format!("{name}: median"), "ms", once.wall.p50(), 5.0).with(details),
            Row::at_most(format!("{name}: p99"), "ms", once.wall.p99(), 10.0),
            // A tenth more is within what a run differs from the next.
            Row::at_most(
                format!("{name}: ten times the samples, median CPU time"),
                "×",
                tenfold.cpu.p50() / once.cpu.p50(),
                1.1,
            ),
        ]);
    }
    Ok(rows)
}

/// The first frames lay out what later ones only move, and zoom out.
const WARM: usize = 20;

/// A console with a drill, drawn again and again.
struct Live {
    hz: u64,
    sight: Sight,
    drill: DrillScene,
    context: egui::Context,
    console: Console,
    wall: Samples,
    /// Of this thread, which draws alone.
    cpu: Samples,
}

impl Live {
    fn new(hz: u64, sight: Sight) -> Self {
        let context = egui::Context::default();
        install(&context);
        let mut console = Console::new(Prefs::default(), TimeZone::UTC);
        console.show(View::Live);
        Self {
            hz,
            sight,
            drill: drill(hz),
            context,
            console,
            wall: Samples::default(),
            cpu: Samples::default(),
        }
    }

    fn frame(&mut self, frame: usize) -> anyhow::Result<()> {
        // A new sample of every SLI before each frame, as at 60 Hz none has: the worst case.
        for (number, sli) in (0..).zip(&mut self.drill.slis) {
            let next = sli.series.last().map_or(0, |point| point.time_us) + SECOND / self.hz;
            sli.series.push(next, Some(value(number, next)));
            self.drill.now.mono_us = next;
        }
        let scene = Scene {
            drill: Some(Arc::new(self.drill.clone())),
            ..Scene::default()
        };
        let input = egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(
                egui::Pos2::ZERO,
                egui::vec2(1600.0, 1000.0),
            )),
            time: Some(frame as f64 / 60.0),
            events: events(frame, frame < WARM && self.sight == Sight::Day),
            ..egui::RawInput::default()
        };
        let (began, cpu) = (Instant::now(), cpu_time()?);
        let console = &mut self.console;
        let output = self.context.run_ui(input, |ui| {
            let mut ask = |_| {};
            let mut abort = || {};
            console.ui(
                ui,
                Frame {
                    scene: &scene,
                    since_ms: 0,
                    ask: &mut ask,
                    abort: &mut abort,
                },
            );
        });
        let primitives = self.context.tessellate(output.shapes, output.pixels_per_point);
        let (wall, cpu) = (began.elapsed(), cpu_time()?.saturating_sub(cpu));
        ensure!(primitives.len() > 10, "nothing was drawn");
        if frame >= WARM {
            self.wall.add(wall);
            self.cpu.add(cpu);
        }
        Ok(())
    }
}

/// What this thread has computed so far.
fn cpu_time() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// The pointer moves over the plots; the key that zooms out is pressed in the first frames.
fn events(frame: usize, zooms_out: bool) -> Vec<egui::Event> {
    let at = egui::pos2(300.0 + (frame % 700) as f32, 400.0);
    let mut events = vec![egui::Event::PointerMoved(at)];
    if zooms_out {
        events.extend([true, false].map(|pressed| egui::Event::Key {
            key: egui::Key::Minus,
            physical_key: None,
            pressed,
            repeat: false,
            modifiers: egui::Modifiers::NONE,
        }));
    }
    events
}

/// A steady system with a word of noise.
fn value(number: u64, time_us: u64) -> f64 {
    let mut bits =
        (time_us / 1_000).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^= bits >> 29;
    0.2 + (bits % 1_000) as f64 / 10_000.0
}

fn drill(hz: u64) -> DrillScene {
    let now = At {
        mono_us: DAY_S * SECOND,
        wall_ms: 1_763_820_060_000,
    };
    let range = |max| Range {
        min: None,
        max: Some(max),
    };
    let slis = (0..SLIS).map(|number| {
        let mut series = Series::new();
        for sample in 0..DAY_S * hz {
            let time_us = sample * SECOND / hz;
            series.push(time_us, Some(value(number, time_us)));
        }
        SliScene {
            name: format!("P95 latency of service {number}"),
            unit: "ms".to_owned(),
            say: Say::default(),
            band: range(0.3),
            tolerate: range(0.8),
            stop: Stop::Outside {
                range: range(2.0),
                after: 2,
            },
            state: SliState::Steady,
            value: series.last().and_then(|point| point.value),
            age_ms: Some(400),
            why_no_data: None,
            bad_in_row: 0,
            series,
            bad: Arc::default(),
        }
    });
    DrillScene {
        safety: firedrill_scene::SafetyScene::default(),
        console: "bench".to_owned(),
        holds: Vec::new(),
        hold: None,
        id: "bench".to_owned(),
        experiment: "Payment is slow".to_owned(),
        hypothesis: "Orders stay within tolerance.".to_owned(),
        say: None,
        now,
        origin_wall_ms: now.wall_ms,
        phase: Phase::Inject,
        phases: vec![(Phase::Baseline, 0), (Phase::Inject, (DAY_S - 60) * SECOND)],
        progress: Some((0.5, "half of it".to_owned())),
        slis: slis.collect(),
        injections: vec![InjectionScene {
            id: "i-1".to_owned(),
            fault: "http.latency".to_owned(),
            agent: "payments-1".to_owned(),
            scope: "route payment-http".to_owned(),
            strength: "400 ms".to_owned(),
            lever: None,
            state: Some(InjectionState::Active),
            proved: false,
            from_us: Some((DAY_S - 60) * SECOND),
            until_us: None,
            ends_us: (DAY_S + 60) * SECOND,
            ramp_us: 0,
            evidence: "212 requests delayed".to_owned(),
            by_hand: None,
        }],
        planned: Vec::new(),
        log: Arc::new(VecDeque::new()),
        lease_left_ms: Some(4_000),
        agents: 1,
        people: None,
        checks: Vec::new(),
        arming: None,
        verdict: None,
        seal: firedrill_scene::Seal::default(),
        fired: Arc::default(),
    }
}
