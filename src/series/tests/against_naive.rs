//! The store against plain vectors, over random series with gaps, equal times and late samples.

use std::collections::BTreeMap;

use firedrill_series::{Point, Series};
use proptest::prelude::*;

/// Series long enough for several levels and more than one sealed segment.
fn points() -> impl Strategy<Value = Vec<Point>> {
    let value = prop_oneof![
        8 => (-50_i32..50).prop_map(|value| Some(f64::from(value))),
        1 => Just(None),
        1 => Just(Some(f64::NAN)),
    ];
    prop::collection::vec((0_u64..40, value), 0..9_000).prop_map(|steps| {
        let mut time_us = 0;
        steps
            .into_iter()
            .map(|(step, value)| {
                time_us += step;
                Point { time_us, value }
            })
            .collect()
    })
}

fn series(points: &[Point]) -> Series {
    let mut series = Series::new();
    for point in points {
        assert!(series.push(point.time_us, point.value));
    }
    series
}

/// What the store keeps of `points`.
fn kept(points: &[Point]) -> Vec<Point> {
    points
        .iter()
        .map(|point| Point {
            value: point.value.filter(|value| value.is_finite()),
            ..*point
        })
        .collect()
}

fn within(points: &[Point], from: u64, to: u64) -> Vec<Point> {
    kept(points)
        .into_iter()
        .filter(|point| (from..=to).contains(&point.time_us))
        .collect()
}

fn extremes(points: &[Point]) -> Option<(f64, f64)> {
    let values: Vec<f64> = points.iter().filter_map(|point| point.value).collect();
    let min = values.iter().copied().reduce(f64::min)?;
    let max = values.iter().copied().reduce(f64::max)?;
    Some((min, max))
}

fn by_pixel(points: impl Iterator<Item = (u128, f64)>) -> BTreeMap<u128, (f64, f64)> {
    let mut pixels = BTreeMap::new();
    for (pixel, value) in points {
        let (min, max) = pixels.entry(pixel).or_insert((value, value));
        *min = value.min(*min);
        *max = value.max(*max);
    }
    pixels
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn look_ups_agree(points in points(), from in 0_u64..200_000, length in 0_u64..200_000) {
        let series = series(&points);
        let to = from + length;
        prop_assert_eq!(series.len(), points.len());
        prop_assert_eq!(series.first(), kept(&points).first().copied());
        prop_assert_eq!(series.last(), kept(&points).last().copied());
        let expected = within(&points, from, to);
        prop_assert_eq!(series.range(from, to).collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(series.min_max(from, to), extremes(&expected));
        prop_assert_eq!(series.latest_at(to), within(&points, 0, to).last().copied());
    }

    #[test]
    fn a_drawing_keeps_extremes_ends_and_gaps(
        points in points(),
        from in 0_u64..60_000,
        length in 1_u64..200_000,
        pixels in prop_oneof![1_usize..30, 30_usize..400],
    ) {
        let series = series(&points);
        let to = from + length;
        let drawn = series.decimated(from, to, pixels);
        let expected = within(&points, from, to);
        // Four a pixel, the parts between gaps three times at worst, and a neighbour on either side.
        prop_assert!(drawn.points() <= 12 * pixels + 2);

        // Every point is a sample that was there, in the order of time.
        let all: Vec<(u64, f64)> = drawn.runs.iter().flatten().copied().collect();
        prop_assert!(all.is_sorted_by_key(|&(time, _)| time));
        for &(time, value) in &all {
            let there = series.range(time, time).any(|point| point.value == Some(value));
            prop_assert!(there);
        }

        let span = u128::from(length) + 1;
        let pixel = |time: u64| u128::from(time - from) * pixels as u128 / span;
        let inside = |time: &u64| (from..=to).contains(time);
        if expected.len() / pixels < 48 {
            // Pixel by pixel the same extremes as all samples have.
            let naive = by_pixel(expected.iter().filter_map(|p| Some((pixel(p.time_us), p.value?))));
            let shown = by_pixel(all.iter().filter(|(time, _)| inside(time)).map(|&(t, v)| (pixel(t), v)));
            prop_assert_eq!(naive, shown);
        } else {
            // No sample sticks out of what is drawn in its pixel and those next to it.
            let shown = by_pixel(all.iter().filter(|(time, _)| inside(time)).map(|&(t, v)| (pixel(t), v)));
            for point in &expected {
                let Some(value) = point.value else { continue };
                let at = pixel(point.time_us);
                let near = shown.range(at.saturating_sub(1)..=at + 1).map(|(_, extremes)| extremes);
                let min = near.clone().map(|(min, _)| *min).fold(f64::INFINITY, f64::min);
                let max = near.map(|(_, max)| *max).fold(f64::NEG_INFINITY, f64::max);
                prop_assert!((min..=max).contains(&value), "{} is not in {}..={}", value, min, max);
            }
        }
    }

    #[test]
    fn with_a_pixel_for_each_sample_runs_are_what_lies_between_gaps(
        values in prop::collection::vec(prop_oneof![3 => (0_i32..9).prop_map(Some), 1 => Just(None)], 1..600),
    ) {
        let mut series = Series::new();
        for (time, value) in values.iter().enumerate() {
            series.push(time as u64, value.map(f64::from));
        }
        let expected: Vec<Vec<(u64, f64)>> = (0_u64..)
            .zip(&values)
            .collect::<Vec<_>>()
            .split(|(_, value)| value.is_none())
            .filter(|run| !run.is_empty())
            .map(|run| run.iter().map(|&(time, value)| (time, f64::from(value.unwrap()))).collect())
            .collect();
        let drawn = series.decimated(0, values.len() as u64 - 1, values.len());
        prop_assert_eq!(drawn.runs, expected);
        prop_assert_eq!(drawn.samples_per_pixel, 1.0);
    }
}

#[test]
fn a_late_sample_is_refused_and_a_clone_stays_as_it_was() {
    let mut series = Series::new();
    for second in 0..5_000 {
        assert!(series.push(second, Some(second as f64)));
    }
    let before = series.clone();
    assert!(!series.push(10, Some(1.0)));
    assert!(series.push(4_999, None), "the same time is not late");
    assert!(series.push(6_000, Some(f64::INFINITY)));
    assert_eq!(series.last().unwrap().value, None, "what is not finite is a gap");
    assert_eq!((before.len(), series.len()), (5_000, 5_002));
    assert_eq!(before.last().unwrap().value, Some(4_999.0));
}

#[test]
fn a_gap_breaks_the_line_and_neighbours_beyond_the_edges_are_drawn() {
    let mut series = Series::new();
    for (time, value) in [
        (0, Some(1.0)),
        (10, Some(2.0)),
        (20, None),
        (30, Some(3.0)),
        (40, Some(4.0)),
    ] {
        series.push(time, value);
    }
    let drawn = series.decimated(5, 35, 100);
    assert_eq!(
        drawn.runs,
        [vec![(0, 1.0), (10, 2.0)], vec![(30, 3.0), (40, 4.0)]]
    );
    assert_eq!(series.decimated(41, 40, 100).runs, Vec::<Vec<(u64, f64)>>::new());
    assert_eq!(series.decimated(0, 40, 0).runs, Vec::<Vec<(u64, f64)>>::new());
}

#[test]
fn one_pixel_says_how_much_it_hides() {
    let mut series = Series::new();
    for time in 0..10_000_u64 {
        series.push(time, Some((time % 100) as f64));
    }
    let drawn = series.decimated(0, 9_999, 10);
    assert_eq!(drawn.samples_per_pixel, 1_000.0);
    assert!(drawn.points() <= 40);
    assert_eq!(series.decimated(100_000, 200_000, 10).samples_per_pixel, 0.0);
}
