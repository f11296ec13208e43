//! A quantile of a classic histogram by Prometheus' rule.

/// Counts that differ by less than this share are the same: what is left of additions in another order.
const SAME: f64 = 1e-12;

/// One bucket: how many observations were at most `le`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Its upper edge; infinity for the last one.
    pub le: f64,
    /// Observations at or below the edge, those of lower buckets included: a count or a rate.
    pub count: f64,
}

/// The `q`-quantile (0 to 1), linear within a bucket, as Prometheus' `histogram_quantile()` gives it. In the last
/// bucket it is that bucket's lower edge, in the first one it counts from zero. `None` where Prometheus gives NaN:
/// no observations, fewer than two buckets, no bucket up to infinity, or `q` outside its range.
pub fn quantile(q: f64, buckets: &[Bucket]) -> Option<f64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let buckets = cumulative(buckets);
    let (last, finite) = buckets.split_last()?;
    let highest = finite.last()?;
    // Counts do not fall from bucket to bucket, so none is larger than the last.
    if last.le != f64::INFINITY || last.count <= 0.0 || last.count.is_nan() {
        return None;
    }
    let mut rank = q * last.count;
    let at = finite.partition_point(|bucket| bucket.count < rank);
    let Some(bucket) = finite.get(at) else {
        return Some(highest.le);
    };
    let mut begin = 0.0;
    let mut count = bucket.count;
    match at.checked_sub(1).and_then(|below| finite.get(below)) {
        Some(below) => {
            begin = below.le;
            count -= below.count;
            rank -= below.count;
        }
        None if bucket.le <= 0.0 => return Some(bucket.le),
        None => {}
    }
    let value = begin + (bucket.le - begin) * (rank / count);
    value.is_finite().then_some(value)
}

/// Sorted by edge, each edge once, counts that never fall.
fn cumulative(buckets: &[Bucket]) -> Vec<Bucket> {
    let mut sorted: Vec<Bucket> = buckets
        .iter()
        .copied()
        .filter(|bucket| !bucket.le.is_nan())
        .collect();
    sorted.sort_by(|a, b| a.le.total_cmp(&b.le));
    let mut merged: Vec<Bucket> = Vec::with_capacity(sorted.len());
    for bucket in sorted {
        match merged.last_mut() {
            // `1` and `1.0` are one edge.
            Some(last) if last.le == bucket.le => last.count += bucket.count,
            _ => merged.push(bucket),
        }
    }
    let mut highest = f64::NEG_INFINITY;
    for bucket in &mut merged {
        if bucket.count < highest || (bucket.count - highest).abs() <= SAME * bucket.count.abs() {
            bucket.count = highest;
        }
        highest = bucket.count;
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(edges: &[(f64, f64)]) -> Vec<Bucket> {
        edges.iter().map(|&(le, count)| Bucket { le, count }).collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn it_is_linear_within_a_bucket() {
        let histogram = buckets(&[(0.1, 10.0), (0.2, 30.0), (INF, 30.0)]);
        assert_eq!(quantile(0.5, &histogram), Some(0.1 + 0.1 * (5.0 / 20.0)));
        assert_eq!(quantile(0.2, &histogram), Some(0.1 * (6.0 / 10.0)));
        assert_eq!(quantile(0.0, &histogram), Some(0.0));
    }

    #[test]
    fn in_the_last_bucket_it_is_the_highest_edge() {
        let histogram = buckets(&[(0.1, 10.0), (0.2, 20.0), (INF, 100.0)]);
        assert_eq!(quantile(0.95, &histogram), Some(0.2));
    }

    #[test]
    fn order_and_doubled_edges_do_not_matter() {
        let histogram = buckets(&[(INF, 15.0), (0.2, 10.0), (0.1, 10.0), (0.2, 20.0), (INF, 15.0)]);
        assert_eq!(
            quantile(0.5, &histogram),
            quantile(0.5, &buckets(&[(0.1, 10.0), (0.2, 30.0), (INF, 30.0)]))
        );
    }

    #[test]
    fn counts_that_fall_are_lifted() {
        let histogram = buckets(&[(0.1, 10.0), (0.2, 8.0), (0.4, 20.0), (INF, 19.0)]);
        assert_eq!(quantile(0.75, &histogram), Some(0.2 + 0.2 * (5.0 / 10.0)));
    }

    #[test]
    fn without_observations_there_is_no_quantile() {
        assert_eq!(quantile(0.5, &[]), None);
        assert_eq!(quantile(0.5, &buckets(&[(INF, 5.0)])), None);
        assert_eq!(quantile(0.5, &buckets(&[(0.1, 0.0), (INF, 0.0)])), None);
        assert_eq!(quantile(0.5, &buckets(&[(0.1, 1.0), (0.2, 2.0)])), None);
        assert_eq!(quantile(1.5, &buckets(&[(0.1, 1.0), (INF, 2.0)])), None);
        assert_eq!(quantile(0.5, &buckets(&[(0.1, f64::NAN), (INF, f64::NAN)])), None);
    }

    #[test]
    fn a_first_bucket_below_zero_gives_its_edge() {
        assert_eq!(
            quantile(0.1, &buckets(&[(-1.0, 5.0), (1.0, 5.0), (INF, 5.0)])),
            Some(-1.0)
        );
    }
}
