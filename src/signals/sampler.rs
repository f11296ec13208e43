//! Looks at the source again and again, and passes on what is new there.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use firedrill_drill::Sample;
use firedrill_plan::{Plan, Source};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::SetupError;
use crate::probe::Probe;
use crate::prometheus::Prometheus;
use crate::scrape::Scrape;

/// Batches that wait for their reader; then sampling waits too.
const QUEUE: usize = 16;

/// Samples all SLIs of a plan until it is dropped.
#[derive(Debug)]
pub struct Sampler {
    task: JoinHandle<()>,
}

impl Sampler {
    /// Begins at once, on the tokio runtime of the caller, which there must be. Each batch holds the samples of one
    /// look, at most one of an SLI; an SLI with nothing new is not in it, and an empty batch is not sent.
    ///
    /// No data is paced by the source: an SLI that stays without gives one sample without data an interval, so a
    /// count of bad samples means the same with and without. A look that got no answer is no sample by itself while
    /// the newest one is younger than two intervals of the source.
    pub fn start(plan: &Plan) -> Result<(Self, mpsc::Receiver<Vec<Sample>>), SetupError> {
        let mut source = Looking::new(plan)?;
        let every = Duration::from_millis(plan.metrics.every_ms.max(1));
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let samples = source.look().await;
                if !samples.is_empty() && sender.send(samples).await.is_err() {
                    return;
                }
            }
        });
        Ok((Self { task }, receiver))
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The three kinds of source.
pub(crate) enum Looking {
    Prometheus(Box<Prometheus>),
    Scrape(Box<Scrape>),
    Probe(Box<Probe>),
}

impl Looking {
    pub(crate) fn new(plan: &Plan) -> Result<Self, SetupError> {
        let every_ms = plan.metrics.every_ms;
        Ok(match &plan.metrics.source {
            Source::Prometheus(url) => {
                Self::Prometheus(Box::new(Prometheus::new(url, &plan.slis, every_ms)?))
            }
            Source::Scrape(urls) => Self::Scrape(Box::new(Scrape::new(urls, &plan.slis, every_ms)?)),
            Source::Probe(requests) => Self::Probe(Box::new(Probe::start(requests, &plan.slis, every_ms)?)),
        })
    }

    pub(crate) async fn look(&mut self) -> Vec<Sample> {
        match self {
            Self::Prometheus(source) => source.look().await,
            Self::Scrape(source) => source.look().await,
            Self::Probe(source) => source.look(),
        }
    }
}

/// Milliseconds since 1970 that never jump: the wall clock once, then the monotonic one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    began_ms: i64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            began: Instant::now(),
            began_ms: i64::try_from(since_1970.as_millis()).unwrap_or(0),
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.began_ms
            .saturating_add(i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}
