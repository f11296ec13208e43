//! A Prometheus server, or what speaks its HTTP API. One request a look for all SLIs.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use firedrill_drill::{Reading, Sample};
use firedrill_plan::Sli;
use futures_util::future::join_all;

use crate::SetupError;
use crate::evaluate::{no_data, no_traffic, seconds, value};
use crate::http::{Http, timeout};
use crate::novelty::{Novelty, Seen};
use crate::promql::Compiled;
use crate::query::{Found, Item, QueryError, interval_of, query, series_query, shown};
use crate::sampler::Clock;

/// Tells the SLIs and their parts apart in the answer to one request: `3/value`.
const PART: &str = "firedrill_part";
/// After so many looks without success the interval of a source is left unknown.
const INTERVAL_TRIES: u32 = 5;
/// Several series where one is expected are named up to here.
const NAMED: usize = 4;

/// A Prometheus source.
pub(crate) struct Prometheus {
    http: Http,
    base: String,
    slis: Vec<Asked>,
    clock: Clock,
}

struct Asked {
    name: String,
    compiled: Compiled,
    window_ms: Option<u64>,
    novelty: Novelty,
    interval_tries: u32,
    /// It spoiled the common request and is asked alone from then on.
    alone: bool,
}

/// What a server said of one SLI.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// The labels and the value of every series.
    pub(crate) values: Vec<(BTreeMap<String, String>, f64)>,
    pub(crate) rate: Option<f64>,
    pub(crate) full: bool,
    /// Newest sample and evaluation, in seconds by the server's clock.
    pub(crate) newest_s: Option<f64>,
    pub(crate) evaluated_s: Option<f64>,
    pub(crate) took: Duration,
}

impl Prometheus {
    pub(crate) fn new(base: &str, slis: &[Sli], every_ms: u64) -> Result<Self, SetupError> {
        Ok(Self {
            http: Http::new(base, timeout(every_ms))?,
            base: base.trim_end_matches('/').to_owned(),
            slis: asked(slis, every_ms),
            clock: Clock::new(),
        })
    }

    pub(crate) async fn look(&mut self) -> Vec<Sample> {
        let said = self.ask().await;
        self.learn_intervals(&said).await;
        let now_ms = self.clock.now_ms();
        let mut samples = Vec::new();
        for (index, (asked, said)) in self.slis.iter_mut().zip(said).enumerate() {
            if let Some((source_ms, age_ms, reading)) = asked.judge(now_ms, said) {
                samples.push(Sample {
                    sli: index,
                    source_ms,
                    age_ms,
                    reading,
                });
            }
        }
        samples
    }

    /// One request for all, and one more for each that cannot be asked with the others.
    pub(crate) async fn ask(&mut self) -> Vec<Result<Said, QueryError>> {
        let together: Vec<usize> = (0..self.slis.len()).filter(|&i| !self.slis[i].alone).collect();
        let mut alone: Vec<usize> = (0..self.slis.len()).filter(|&i| self.slis[i].alone).collect();
        let mut said: BTreeMap<usize, Result<Said, QueryError>> = BTreeMap::new();
        match self.ask_for(&together).await {
            Err(QueryError::Refused(_)) if together.len() > 1 => alone.extend(together),
            answer => said.extend(spread(&together, answer)),
        }
        let answers = join_all(
            alone
                .iter()
                .map(|index| self.ask_for(std::slice::from_ref(index))),
        )
        .await;
        for (index, answer) in alone.into_iter().zip(answers) {
            let asked = &mut self.slis[index];
            if let Err(QueryError::Refused(why)) = &answer {
                asked.alone = true;
                if why.contains("got scalar") && !asked.compiled.value.starts_with("vector(") {
                    // A scalar is a number too; the next look asks for it as one.
                    asked.compiled.value = format!("vector({})", asked.compiled.value);
                }
            }
            said.extend(spread(&[index], answer));
        }
        said.into_values().collect()
    }

    async fn ask_for(&self, slis: &[usize]) -> Result<HashMap<usize, Said>, QueryError> {
        if slis.is_empty() {
            return Ok(HashMap::new());
        }
        let promql = slis
            .iter()
            .flat_map(|&index| self.slis[index].parts(index))
            .collect::<Vec<_>>()
            .join(" or ");
        Ok(sorted(slis, query(&self.http, &self.base, &promql).await?))
    }

    /// Finds how often the source really has a sample, for SLIs of which that is not known.
    async fn learn_intervals(&mut self, said: &[Result<Said, QueryError>]) {
        let mut wanted: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, (asked, said)) in self.slis.iter_mut().zip(said).enumerate() {
            let there = said.as_ref().is_ok_and(|said| said.newest_s.is_some());
            if there && asked.novelty.interval_ms().is_none() && asked.interval_tries < INTERVAL_TRIES {
                asked.interval_tries += 1;
                for clock in &asked.compiled.clocks {
                    wanted.entry(clock.clone()).or_default().push(index);
                }
            }
        }
        let found = join_all(wanted.keys().map(|clock| self.interval(clock))).await;
        for (slis, interval) in wanted.into_values().zip(found) {
            let Ok(Some(interval_ms)) = interval else { continue };
            for index in slis {
                let novelty = &mut self.slis[index].novelty;
                let least = novelty
                    .interval_ms()
                    .map_or(interval_ms, |known| known.min(interval_ms));
                novelty.learn(least);
            }
        }
    }

    /// How often one series of `selector` has a sample, in milliseconds; `None`: it has too few to tell.
    pub(crate) async fn interval(&self, selector: &str) -> Result<Option<u64>, QueryError> {
        let one = query(&self.http, &self.base, &format!("topk(1, {selector})")).await?;
        let Some(series) = one.items.first() else {
            return Ok(None);
        };
        let raw = query(&self.http, &self.base, &series_query(&series.metric, "5m")).await?;
        Ok(raw.items.first().and_then(|item| interval_of(&item.values)))
    }

    /// The upper edges of a histogram's buckets, sorted.
    pub(crate) async fn edges(&self, buckets: &str) -> Result<Vec<f64>, QueryError> {
        let counted = query(&self.http, &self.base, &format!("count by (le) ({buckets})")).await?;
        let mut edges: Vec<f64> = counted
            .items
            .iter()
            .filter_map(|item| item.metric.get("le")?.parse().ok())
            .collect();
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        Ok(edges)
    }

    /// The labels of any series with this metric's name.
    pub(crate) async fn any_of(&self, metric: &str) -> Option<String> {
        let found = query(&self.http, &self.base, &format!("topk(1, {metric})"))
            .await
            .ok()?;
        let mut labels = found.items.into_iter().next()?.metric;
        labels.remove("__name__");
        Some(shown(&labels))
    }

    pub(crate) fn compiled(&self, sli: usize) -> Option<&Compiled> {
        self.slis.get(sli).map(|asked| &asked.compiled)
    }

    pub(crate) fn reading(&self, sli: usize, said: &Said) -> Option<Reading> {
        self.slis.get(sli).map(|asked| asked.reading(said))
    }
}

impl Asked {
    /// The expressions of one SLI, each marked with what it is.
    fn parts(&self, index: usize) -> Vec<String> {
        let Compiled {
            value,
            rate,
            full,
            clocks,
            buckets: _,
        } = &self.compiled;
        let mark = |part: &str, promql: &str| {
            format!("label_replace({promql}, \"{PART}\", \"{index}/{part}\", \"\", \"\")")
        };
        let mut parts = vec![mark("value", value)];
        parts.extend(rate.iter().map(|promql| mark("rate", promql)));
        parts.extend(full.iter().map(|promql| mark("full", promql)));
        for (number, clock) in clocks.iter().enumerate() {
            parts.push(mark(
                &format!("time{number}"),
                &format!("max(timestamp({clock}))"),
            ));
        }
        if clocks.is_empty() {
            parts.push(mark("time", "vector(time())"));
        }
        parts
    }

    /// The sample of this look, if it is one: its source time, age and reading.
    fn judge(&mut self, now_ms: i64, said: Result<Said, QueryError>) -> Option<(i64, u64, Reading)> {
        let said = match said {
            Ok(said) => said,
            Err(QueryError::Unanswered(why)) => {
                return self.novelty.unanswered(now_ms).then(|| (now_ms, 0, no_data(why)));
            }
            Err(QueryError::Refused(why)) => {
                let name = &self.name;
                return self.novelty.nothing(now_ms).then(|| {
                    (
                        now_ms,
                        0,
                        no_data(format!(
                            "the query of \"{name}\" is refused: {why}; correct it in the plan"
                        )),
                    )
                });
            }
        };
        let Some((source_ms, age_ms)) = said.newest() else {
            return self
                .novelty
                .nothing(now_ms)
                .then(|| (now_ms, 0, self.reading(&said)));
        };
        match self.novelty.sample(now_ms, source_ms, age_ms) {
            Seen::Nothing => None,
            Seen::New => Some((source_ms, age_ms, self.reading(&said))),
            Seen::Stale(age_ms) => Some((source_ms, age_ms, self.stale(age_ms))),
        }
    }

    fn stale(&self, age_ms: u64) -> Reading {
        no_data(format!(
            "the newest sample of {} is {} old at the source, which has one every {}; is the target still scraped?",
            self.clock_words(),
            seconds(age_ms),
            seconds(self.novelty.interval_ms().unwrap_or(0))
        ))
    }

    fn reading(&self, said: &Said) -> Reading {
        if said.newest_s.is_none() {
            return no_data(format!(
                "no series is chosen by {} at the source: the target is gone or a name is wrong; look at the server's page of targets",
                self.clock_words()
            ));
        }
        if let (Some(window_ms), false) = (self.window_ms, said.full) {
            return no_data(format!(
                "the window of {} is not full yet: the source has no samples from its begin; wait",
                seconds(window_ms)
            ));
        }
        let idle = || no_traffic(&self.clock_words(), self.window_ms.unwrap_or(0));
        let no_events =
            self.compiled.rate.is_some() && said.rate.is_none_or(|rate| rate <= 0.0 || rate.is_nan());
        match said.values.as_slice() {
            [(_, number)] => value(*number, said.rate, || {
                if no_events {
                    idle()
                } else {
                    format!(
                        "the query of \"{}\" gives {number}, which is no value; guard it against 0/0",
                        self.name
                    )
                }
            }),
            [] if no_events => no_data(idle()),
            [] => no_data(format!(
                "the query of \"{}\" gives nothing; try it on the server's own page",
                self.name
            )),
            several => {
                let names: Vec<String> = several
                    .iter()
                    .take(NAMED)
                    .map(|(labels, _)| shown(labels))
                    .collect();
                let more = several.len().saturating_sub(NAMED);
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                no_data(format!(
                    "the query of \"{}\" gives {} series where one is expected: {}{more}; put sum(…) or max(…) around it",
                    self.name,
                    several.len(),
                    names.join(", ")
                ))
            }
        }
    }

    fn clock_words(&self) -> String {
        if self.compiled.clocks.is_empty() {
            return format!("\"{}\"", self.name);
        }
        self.compiled.clocks.join(" and ")
    }
}

impl Said {
    /// Source time and age of the newest sample, in milliseconds. What the answer took counts as age: a sample is
    /// never taken to be younger than it is.
    pub(crate) fn newest(&self) -> Option<(i64, u64)> {
        let newest_s = self.newest_s?;
        let evaluated_s = self.evaluated_s.unwrap_or(newest_s);
        let age_ms = ((evaluated_s - newest_s) * 1_000.0).round().max(0.0) as u64;
        let took_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        Some((
            (newest_s * 1_000.0).round() as i64,
            age_ms.saturating_add(took_ms),
        ))
    }
}

fn asked(slis: &[Sli], every_ms: u64) -> Vec<Asked> {
    slis.iter()
        .map(|sli| Asked {
            name: sli.name.clone(),
            compiled: Compiled::new(&sli.indicator),
            window_ms: sli.indicator.window_ms(),
            novelty: Novelty::new(every_ms),
            interval_tries: 0,
            alone: false,
        })
        .collect()
}

/// What an answer says of each of `slis`.
fn sorted(slis: &[usize], answer: Found) -> HashMap<usize, Said> {
    let said = |index: &usize| {
        let took = answer.took;
        (
            *index,
            Said {
                took,
                ..Said::default()
            },
        )
    };
    let mut said: HashMap<usize, Said> = slis.iter().map(said).collect();
    for item in answer.items {
        take(&mut said, item);
    }
    said
}

/// Reads answers to the looks at `slis`, one after another: what a server says, without the server.
#[cfg(feature = "fuzz")]
pub(crate) fn judge_answers(slis: &[Sli], every_ms: u64, answers: Vec<Vec<u8>>) -> Vec<Sample> {
    let mut all = asked(slis, every_ms);
    let indices: Vec<usize> = (0..all.len()).collect();
    let mut samples = Vec::new();
    for (look, body) in answers.into_iter().enumerate() {
        let found = crate::query::read_answer(body);
        if let Ok(found) = &found {
            for item in &found.items {
                crate::query::interval_of(&item.values);
            }
        }
        let now_ms = 1_790_000_000_000 + look as i64 * every_ms.cast_signed();
        for (index, said) in spread(&indices, found.map(|found| sorted(&indices, found))) {
            let judged = all.get_mut(index).and_then(|asked| asked.judge(now_ms, said));
            samples.extend(judged.map(|(source_ms, age_ms, reading)| Sample {
                sli: index,
                source_ms,
                age_ms,
                reading,
            }));
        }
    }
    samples
}

/// Puts one series of the answer where its mark says.
fn take(said: &mut HashMap<usize, Said>, item: Item) {
    let Item {
        mut metric,
        value,
        values: _,
    } = item;
    let Some(mark) = metric.remove(PART) else { return };
    let Some((index, part)) = mark.split_once('/') else {
        return;
    };
    let Some(said) = index.parse().ok().and_then(|index: usize| said.get_mut(&index)) else {
        return;
    };
    let Some((evaluated_s, number)) = value else {
        if part == "value" {
            // A native histogram.
            said.values.push((metric, f64::NAN));
        }
        return;
    };
    said.evaluated_s = Some(evaluated_s);
    match part {
        "value" => said.values.push((metric, number)),
        "rate" => said.rate = Some(number).filter(|rate| rate.is_finite()),
        "full" => said.full = true,
        _ => {
            if number.is_finite() {
                said.newest_s = Some(said.newest_s.map_or(number, |newest| newest.max(number)));
            }
        }
    }
}

/// One answer for several SLIs, or one refusal for all of them.
fn spread(
    slis: &[usize],
    answer: Result<HashMap<usize, Said>, QueryError>,
) -> Vec<(usize, Result<Said, QueryError>)> {
    match answer {
        Ok(said) => said.into_iter().map(|(index, said)| (index, Ok(said))).collect(),
        Err(error) => slis.iter().map(|&index| (index, Err(error.clone()))).collect(),
    }
}
