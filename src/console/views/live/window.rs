//! Which part of a drill's time the plots show.

/// Shown time: follows now, or stands where somebody put it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::struct_field_names, reason = "units stand in names")]
pub struct Window {
    /// Microseconds from edge to edge, where somebody chose it.
    span_us: Option<f64>,
    /// The right edge, where it stands still; `None`: it follows.
    until_us: Option<f64>,
    /// The pointer's time, on every plot.
    pub cursor_us: Option<f64>,
}

const SHORTEST_US: f64 = 1e6;
const FIRST_US: f64 = 30e6;
const FOLLOWED_US: f64 = 150e6;

impl Window {
    /// Left and right edge, microseconds since the drill was made.
    pub fn edges(&self, now_us: u64) -> (f64, f64) {
        let now = now_us as f64;
        let span = self.span_us.unwrap_or_else(|| now.clamp(FIRST_US, FOLLOWED_US));
        match self.until_us {
            Some(until) => (until - span, until),
            None if now < span => (0.0, span),
            None => (now - span, now),
        }
    }

    /// The whole of a drill that is over.
    pub fn whole(end_us: u64) -> Self {
        let end = (end_us as f64).max(SHORTEST_US);
        Self {
            span_us: Some(end),
            until_us: Some(end),
            cursor_us: None,
        }
    }

    /// It follows now.
    pub fn follows(&self) -> bool {
        self.until_us.is_none()
    }

    /// Follows again, at the first span.
    pub fn follow(&mut self) {
        self.span_us = None;
        self.until_us = None;
    }

    /// Moves by a share of the span, to the past for positive ones.
    pub fn pan(&mut self, share: f64, now_us: u64) {
        let (from, until) = self.edges(now_us);
        let span = until - from;
        self.span_us = Some(span);
        self.until_us = Some((until - share * span).clamp(span * 0.1, now_us as f64 + span * 0.9));
    }

    /// Shows `factor` times as much around the time at `share` of the width. A window that follows goes on
    /// following, with another span.
    pub fn zoom(&mut self, factor: f64, share: f64, now_us: u64) {
        let (from, until) = self.edges(now_us);
        let longest = (now_us as f64 * 1.2).max(FIRST_US);
        let span = ((until - from) * factor).clamp(SHORTEST_US, longest);
        let pivot = from + (until - from) * share;
        self.span_us = Some(span);
        if self.until_us.is_some() {
            self.until_us = Some(pivot + span * (1.0 - share));
        }
    }
}

/// A step of 1, 2, 5, 10, 15, 30 s and so on that keeps ticks at least `apart` of the span from one another.
pub fn time_step_us(span_us: f64, apart: f64) -> i64 {
    const STEPS_S: [f64; 17] = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0,
        10_800.0, 21_600.0,
    ];
    let least = span_us * apart / 1e6;
    let step = STEPS_S
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(86_400.0);
    (step * 1e6) as i64
}

/// About `wanted` round values within a range, and the step between them.
pub fn ticks(low: f64, high: f64, wanted: f64) -> (f64, Vec<f64>) {
    let rough = (high - low) / wanted;
    if !rough.is_finite() || rough <= 0.0 {
        return (1.0, Vec::new());
    }
    let power = 10_f64.powf(rough.log10().floor());
    let mut step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|s| *s >= rough * 0.999)
        .unwrap_or(rough);
    // One value alone tells no scale.
    if (high / step).floor() - (low / step).ceil() < 1.0 {
        step /= 2.0;
    }
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (
        step,
        (first..=last.min(first + 20)).map(|i| i as f64 * step).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_until_somebody_pans_and_again_after_a_double_click() {
        let mut window = Window::default();
        assert_eq!(window.edges(5_000_000), (0.0, 30e6));
        assert_eq!(window.edges(400_000_000), (250e6, 400e6));
        window.zoom(0.5, 0.5, 400_000_000);
        assert!(window.follows());
        assert_eq!(window.edges(400_000_000), (325e6, 400e6));
        window.pan(0.5, 400_000_000);
        assert!(!window.follows());
        let edges = window.edges(400_000_000);
        assert_eq!(
            window.edges(500_000_000),
            edges,
            "stands still while time goes on"
        );
        window.follow();
        assert_eq!(window.edges(400_000_000), (250e6, 400e6));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 1.0, 4.0), (0.25, vec![0.0, 0.25, 0.5, 0.75, 1.0]));
        assert_eq!(ticks(97.1, 100.0, 4.0), (1.0, vec![98.0, 99.0, 100.0]));
        assert!(ticks(1.0, 1.0, 4.0).1.is_empty() && ticks(f64::NAN, 1.0, 4.0).1.is_empty());
        assert_eq!(time_step_us(150e6, 0.1), 15_000_000);
    }
}
