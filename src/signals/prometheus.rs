//! A Prometheus server, or what speaks its HTTP API. One request a look for all SLIs that are answered in time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use firedrill_drill::{Reading, Sample};
use firedrill_plan::Sli;
use tokio::time::{Instant, timeout_at};

use crate::SetupError;
use crate::asking::{Asking, Heard};
use crate::evaluate::{no_data, no_traffic, seconds, value};
use crate::novelty::{Novelty, Seen};
use crate::promql::Compiled;
use crate::query::{Found, Item, QueryError, interval, query, shown};
use crate::sampler::Clock;

/// Tells the SLIs and their parts apart in the answer to one request: `3/value`.
const PART: &str = "firedrill_part";
/// After so many looks without success the interval of a source is left unknown.
const INTERVAL_TRIES: u32 = 5;
/// Several series where one is expected are named up to here.
const NAMED: usize = 4;

/// A Prometheus source.
pub(crate) struct Prometheus {
    slis: Vec<Asked>,
    asking: Asking,
    every: Duration,
    clock: Clock,
}

struct Asked {
    name: String,
    compiled: Compiled,
    window_ms: Option<u64>,
    novelty: Novelty,
    interval_tries: u32,
    /// What was heard of it and not judged yet, and when that came.
    heard: Option<(Result<Said, QueryError>, Instant)>,
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
            slis: asked(slis, every_ms),
            asking: Asking::new(base, slis.len(), every_ms)?,
            every: Duration::from_millis(every_ms.max(1)),
            clock: Clock::new(),
        })
    }

    /// Asks, and waits for an interval at the most: what takes longer has no part in this look, and is not waited
    /// for again before it was in time.
    pub(crate) async fn look(&mut self) -> Vec<Sample> {
        let until = Instant::now() + self.every;
        while let Some(heard) = self.asking.ended() {
            self.hear(heard);
        }
        self.send();
        self.wait(until).await;
        self.learn_intervals();
        self.wait(until).await;
        self.asking.end_look();
        let (now, now_ms) = (Instant::now(), self.clock.now_ms());
        let mut samples = Vec::new();
        for (index, asked) in self.slis.iter_mut().enumerate() {
            let judged = match asked.heard.take() {
                Some((said, came)) => asked.judge(now_ms, later(said, now.duration_since(came))),
                None => asked.waiting(now_ms),
            };
            samples.extend(judged.map(|(source_ms, age_ms, reading)| Sample {
                sli: index,
                source_ms,
                age_ms,
                reading,
            }));
        }
        samples
    }

    /// Asks for all, and waits for every answer.
    pub(crate) async fn ask(&mut self) -> Vec<Result<Said, QueryError>> {
        self.send();
        while !self.asking.is_idle() {
            if let Some(heard) = self.asking.next().await {
                self.hear(heard);
            }
        }
        let nothing = || Err(QueryError::Unanswered("the server was not asked".to_owned()));
        let said = |asked: &mut Asked| asked.heard.take().map_or_else(nothing, |(said, _)| said);
        self.slis.iter_mut().map(said).collect()
    }

    fn send(&mut self) {
        let slis = &self.slis;
        self.asking.ask(|indices| promql(slis, indices));
    }

    async fn wait(&mut self, until: Instant) {
        while self.asking.is_waited_for() {
            match timeout_at(until, self.asking.next()).await {
                Ok(Some(heard)) => self.hear(heard),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        let (slis, answer, came) = match heard {
            Heard::Answer(slis, answer, came) => (slis, answer, came),
            Heard::Interval(selector, found) => return self.learn(&selector, found),
        };
        match &answer {
            // One of them spoils it for the others: which?
            Err(QueryError::Refused(_)) if slis.len() > 1 => {
                for index in slis {
                    let promql = promql(&self.slis, &[index]);
                    self.asking.ask_alone(index, promql);
                }
                return;
            }
            Err(QueryError::Refused(why)) => {
                for &index in &slis {
                    let value = &mut self.slis[index].compiled.value;
                    if why.contains("got scalar") && !value.starts_with("vector(") {
                        // A scalar is a number too; the next look asks for it as one.
                        *value = format!("vector({value})");
                    }
                }
            }
            _ => {}
        }
        let answer = answer.map(|found| sorted(&slis, found));
        for (index, said) in spread(&slis, answer) {
            self.slis[index].heard = Some((said, came));
        }
    }

    /// Asks how often the source really has a sample, for SLIs of which that is not known.
    fn learn_intervals(&mut self) {
        for asked in &mut self.slis {
            let there = matches!(&asked.heard, Some((Ok(said), _)) if said.newest_s.is_some());
            if there && asked.novelty.interval_ms().is_none() && asked.interval_tries < INTERVAL_TRIES {
                asked.interval_tries += 1;
                for clock in &asked.compiled.clocks {
                    self.asking.ask_interval(clock);
                }
            }
        }
    }

    fn learn(&mut self, selector: &str, found: Option<u64>) {
        let Some(interval_ms) = found else { return };
        let of_it = |asked: &&mut Asked| asked.compiled.clocks.iter().any(|clock| clock == selector);
        for asked in self.slis.iter_mut().filter(of_it) {
            let known = asked.novelty.interval_ms();
            asked
                .novelty
                .learn(known.map_or(interval_ms, |known| known.min(interval_ms)));
        }
    }

    /// How often one series of `selector` has a sample, in milliseconds; `None`: it has too few to tell.
    pub(crate) async fn interval(&self, selector: &str) -> Result<Option<u64>, QueryError> {
        let (http, base) = self.asking.http();
        interval(http, base, selector).await
    }

    /// The upper edges of a histogram's buckets, sorted.
    pub(crate) async fn edges(&self, buckets: &str) -> Result<Vec<f64>, QueryError> {
        let (http, base) = self.asking.http();
        let counted = query(http, base, &format!("count by (le) ({buckets})")).await?;
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
        let (http, base) = self.asking.http();
        let found = query(http, base, &format!("topk(1, {metric})")).await.ok()?;
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

    /// The sample of a look that ended before its answer: none while the newest one is fresh.
    fn waiting(&mut self, now_ms: i64) -> Option<(i64, u64, Reading)> {
        let why = format!(
            "the query of \"{}\" is not answered in time; is the server overloaded, or the query too large?",
            self.name
        );
        self.novelty.late(now_ms).then(|| (now_ms, 0, no_data(why)))
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
            heard: None,
        })
        .collect()
}

/// One query for some of `slis`.
fn promql(slis: &[Asked], indices: &[usize]) -> String {
    let parts = indices.iter().flat_map(|&index| slis[index].parts(index));
    parts.collect::<Vec<_>>().join(" or ")
}

/// What was heard so long ago.
fn later(said: Result<Said, QueryError>, ago: Duration) -> Result<Said, QueryError> {
    said.map(|said| Said {
        took: said.took + ago,
        ..said
    })
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
