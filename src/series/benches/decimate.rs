//! What drawing a day and ten days of one SLI at 1 Hz costs on 1,000 pixels, and what publishing it costs.

use divan::Bencher;
use firedrill_series::Series;

fn main() {
    divan::main();
}

/// A noisy latency at 1 Hz, with a gap a minute long every hour.
fn series(samples: u64) -> Series {
    let mut series = Series::new();
    let mut noise = 1_u64;
    for second in 0..samples {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let value = 0.2 + (noise >> 40) as f64 / 1e8;
        let gap = second % 3_600 < 60;
        series.push(second * 1_000_000, (!gap).then_some(value));
    }
    series
}

#[divan::bench(args = [86_400, 864_000])]
fn all_on_1000_pixels(bencher: Bencher<'_, '_>, samples: u64) {
    let series = series(samples);
    let end = series.last().map_or(0, |last| last.time_us);
    bencher.bench_local(|| series.decimated(0, end, 1_000));
}

#[divan::bench(args = [86_400, 864_000])]
fn last_ten_minutes_on_1000_pixels(bencher: Bencher<'_, '_>, samples: u64) {
    let series = series(samples);
    let end = series.last().map_or(0, |last| last.time_us);
    bencher.bench_local(|| series.decimated(end - 600_000_000, end, 1_000));
}

#[divan::bench(args = [86_400, 864_000])]
fn clone_and_push(bencher: Bencher<'_, '_>, samples: u64) {
    let mut series = series(samples);
    let mut time_us = series.last().map_or(0, |last| last.time_us);
    bencher.bench_local(|| {
        let published = series.clone();
        time_us += 1_000_000;
        series.push(time_us, Some(0.2));
        published
    });
}
