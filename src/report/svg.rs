//! An SLI's plot as SVG, from the same decimated series and lines that the window draws.

use std::fmt::Write as _;

use firedrill_plan::{Range, Stop};
use firedrill_scene::{DrillScene, SliScene};

use crate::words;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 200.0;
/// Room for labels: left nothing, right the value axis, top the injection bar, bottom the clock.
const RIGHT: f64 = 70.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 22.0;

/// Maps microseconds and values to the picture.
struct Frame {
    from_us: u64,
    until_us: u64,
    low: f64,
    high: f64,
}

impl Frame {
    fn x(&self, us: u64) -> f64 {
        let share = us.clamp(self.from_us, self.until_us).saturating_sub(self.from_us) as f64
            / (self.until_us - self.from_us) as f64;
        share * (WIDTH - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM)
    }
}

/// The plot of one SLI over the whole drill. Colours are classes of the page's style sheet.
pub fn plot(scene: &DrillScene, sli: &SliScene) -> String {
    let (Some(first), Some(last)) = (sli.series.first(), sli.series.last()) else {
        return "<p class=\"dim\">no samples</p>".to_owned();
    };
    let until_us = last.time_us.max(first.time_us + 1_000_000);
    let (low, high) = value_range(sli, first.time_us, until_us);
    let frame = Frame {
        from_us: first.time_us,
        until_us,
        low,
        high,
    };
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} over the drill\">",
        escape(&sli.name)
    );
    band(&mut out, &frame, sli);
    injections(&mut out, &frame, scene);
    lines(&mut out, &frame, sli);
    series(&mut out, &frame, sli);
    axis(&mut out, &frame, scene, sli);
    out.push_str("</svg>");
    out
}

/// All that is drawn fits: the values and every line of the SLI, with a little air.
fn value_range(sli: &SliScene, from_us: u64, until_us: u64) -> (f64, f64) {
    let stop = match sli.stop {
        Stop::Outside { range, .. } => range,
        Stop::Never { .. } => Range::default(),
    };
    let ends = [sli.band, sli.tolerate, stop]
        .into_iter()
        .flat_map(|range| [range.min, range.max])
        .flatten();
    let seen = sli
        .series
        .min_max(from_us, until_us)
        .into_iter()
        .flat_map(|(min, max)| [min, max]);
    let (low, high) = ends
        .chain(seen)
        .fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let air = ((high - low) * 0.08).max(high.abs() * 0.001).max(1e-9);
    (low - air, high + air)
}

fn band(out: &mut String, frame: &Frame, sli: &SliScene) {
    let top = frame.y(sli.band.max.unwrap_or(frame.high));
    let bottom = frame.y(sli.band.min.unwrap_or(frame.low));
    rect(out, "band", 0.0, top, WIDTH - RIGHT, bottom - top);
}

fn injections(out: &mut String, frame: &Frame, scene: &DrillScene) {
    for injection in &scene.injections {
        let Some(from) = injection.from_us else { continue };
        let until = injection.until_us.unwrap_or(scene.now.mono_us);
        let (x, end) = (frame.x(from), frame.x(until));
        rect(out, "window", x, TOP, end - x, HEIGHT - TOP - BOTTOM);
        rect(out, "fault", x, TOP - 8.0, (end - x).max(2.0), 5.0);
    }
}

fn lines(out: &mut String, frame: &Frame, sli: &SliScene) {
    let mut draw = |class: &str, label: &str, range: Range| {
        for value in [range.min, range.max].into_iter().flatten() {
            let y = frame.y(value);
            // Writing to a String cannot fail.
            let _infallible = write!(
                out,
                "<line class=\"{class}\" x1=\"0\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"{class}\" x=\"6\" y=\"{:.1}\">{label}</text>",
                WIDTH - RIGHT,
                y - 4.0
            );
        }
    };
    draw("steady", "steady", sli.band);
    if sli.tolerate != sli.band {
        draw("tolerated", "tolerated", sli.tolerate);
    }
    if let Stop::Outside { range, .. } = sli.stop {
        draw("stop", "stop", range);
    }
}

fn series(out: &mut String, frame: &Frame, sli: &SliScene) {
    let pixels = (WIDTH - RIGHT) as usize;
    for run in sli.series.decimated(frame.from_us, frame.until_us, pixels).runs {
        let points: Vec<_> = run
            .iter()
            .map(|(t, v)| format!("{:.1},{:.1}", frame.x(*t), frame.y(*v)))
            .collect();
        let _infallible = write!(
            out,
            "<polyline class=\"series\" points=\"{}\"/>",
            points.join(" ")
        );
    }
    for (time_us, value) in sli.bad.iter() {
        let (x, y) = (
            frame.x(*time_us),
            value.map_or(HEIGHT - BOTTOM - 4.0, |value| frame.y(value)),
        );
        let _infallible = write!(
            out,
            "<rect class=\"bad\" x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"/>",
            x - 3.5,
            y - 3.5
        );
    }
}

fn axis(out: &mut String, frame: &Frame, scene: &DrillScene, sli: &SliScene) {
    for value in [frame.low, frame.low.midpoint(frame.high), frame.high] {
        let label = firedrill_drill::show_value(&sli.unit, value);
        let _infallible = write!(
            out,
            "<text class=\"dim\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT + 8.0,
            frame.y(value) + 4.0,
            escape(&label)
        );
    }
    for (i, anchor) in ["start", "middle", "end"].into_iter().enumerate() {
        let us = frame.from_us + (frame.until_us - frame.from_us) * i as u64 / 2;
        let _infallible = write!(
            out,
            "<text class=\"dim\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            frame.x(us),
            HEIGHT - 6.0,
            words::clock(scene, us)
        );
    }
}

fn rect(out: &mut String, class: &str, x: f64, y: f64, width: f64, height: f64) {
    let _infallible = write!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
        height.max(0.0)
    );
}

fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
