//! Exposition text fetched from the services themselves. Each scrape is one source sample.

use std::time::Duration;

use firedrill_drill::Sample;
use firedrill_plan::Sli;
use reqwest::header::ACCEPT;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::SetupError;
use crate::evaluate::{Evaluator, Origin};
use crate::exposition::Format;
use crate::http::{Answer, Http, excerpt, timeout};
use crate::sampler::Clock;

const ACCEPTED: &str =
    "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1";

/// A scrape source.
pub(crate) struct Scrape {
    targets: Vec<Target>,
    /// The requests under way; they end with this.
    asking: JoinSet<Asked>,
    every: Duration,
    evaluator: Evaluator,
    clock: Clock,
}

/// One address.
struct Target {
    url: String,
    origin: Origin,
    http: Http,
    /// Its request is under way.
    asked: bool,
    /// Its last request took longer than a look waits: it is not waited for, and answers between two looks.
    slow: bool,
    /// Why its last request gave nothing.
    failed: Option<String>,
}

/// A request that has ended.
struct Asked {
    /// Of this target.
    target: usize,
    /// When it was sent.
    sent_ms: i64,
    took: Duration,
    answer: Result<(String, Format), String>,
}

impl Scrape {
    pub(crate) fn new(urls: &[String], slis: &[Sli], every_ms: u64) -> Result<Self, SetupError> {
        let http = Http::new("", timeout(every_ms))?;
        let target = |(number, url): (usize, &String)| Target {
            url: url.clone(),
            origin: Origin {
                number,
                instance: instance(url),
            },
            http: http.for_address(url),
            asked: false,
            slow: false,
            failed: None,
        };
        Ok(Self {
            targets: urls.iter().enumerate().map(target).collect(),
            asking: JoinSet::new(),
            every: Duration::from_millis(every_ms.max(1)),
            evaluator: Evaluator::new(slis)?,
            clock: Clock::new(),
        })
    }

    /// Asks every address, side by side. What was asked in one look and answers in it has one source time: when
    /// it began. It waits for an interval at the most: an address that takes longer has no part in the looks until
    /// it has answered or failed, and is not waited for again before it has answered in time.
    pub(crate) async fn look(&mut self) -> Vec<Sample> {
        let began_ms = self.clock.now_ms();
        let until = Instant::now() + self.every;
        self.evaluator.begin(began_ms);
        let mut late = Vec::new();
        while let Some(Ok(asked)) = self.asking.try_join_next() {
            late.push(asked.target);
            self.take(asked);
        }
        for index in 0..self.targets.len() {
            let target = &self.targets[index];
            // One that answered late, but might have been waited for, is asked with the next look's others.
            if !target.asked && (target.slow || !late.contains(&index)) {
                self.ask(index, began_ms);
            }
        }
        while self.targets.iter().any(|target| target.asked && !target.slow) {
            match timeout_at(until, self.asking.join_next()).await {
                Ok(Some(Ok(asked))) => self.take(asked),
                _ => break,
            }
        }
        for (index, target) in self.targets.iter_mut().enumerate() {
            target.slow |= target.asked;
            match &target.failed {
                Some(why) => self.evaluator.failed(why.clone()),
                None if target.asked && !late.contains(&index) => {
                    self.evaluator.pending(target.origin.number);
                }
                None => {}
            }
        }
        let mut samples = self.evaluator.finish();
        let took_ms = u64::try_from(self.clock.now_ms() - began_ms).unwrap_or(0);
        for sample in &mut samples {
            sample.age_ms += took_ms;
        }
        samples
    }

    fn ask(&mut self, index: usize, sent_ms: i64) {
        let target = &mut self.targets[index];
        target.asked = true;
        let (http, url) = (target.http.clone(), target.url.clone());
        self.asking.spawn(async move {
            let began = Instant::now();
            let answer = fetch(&http, &url).await;
            Asked {
                target: index,
                sent_ms,
                took: began.elapsed(),
                answer,
            }
        });
    }

    fn take(&mut self, asked: Asked) {
        let target = &mut self.targets[asked.target];
        target.asked = false;
        target.slow = asked.took > self.every;
        let taken = asked.answer.and_then(|(text, format)| {
            let taken = self.evaluator.take(&text, format, &target.origin, asked.sent_ms);
            taken.map_err(|why| {
                format!(
                    "{} does not answer with exposition text: {why}; give the address of its metrics",
                    target.url
                )
            })
        });
        target.failed = taken.err();
        if let Some(why) = &target.failed {
            tracing::debug!(why, "scrape failed");
        }
    }

    pub(crate) fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    /// What has neither answered nor failed so far, a sentence each.
    pub(crate) fn unanswered(&self) -> Vec<String> {
        let silent = self
            .targets
            .iter()
            .filter(|target| target.asked && target.failed.is_none());
        let words = |target: &Target| {
            format!(
                "{} has not answered within {} ms; is it overloaded, or the address wrong?",
                target.url,
                self.every.as_millis()
            )
        };
        silent.map(words).collect()
    }
}

async fn fetch(http: &Http, url: &str) -> Result<(String, Format), String> {
    let request = http.client().get(url).header(ACCEPT, ACCEPTED);
    let answer = http.send(url, request).await?;
    text(url, answer)
}

fn text(url: &str, answer: Answer) -> Result<(String, Format), String> {
    let Answer {
        status,
        content_type,
        body,
        ..
    } = answer;
    if status != 200 {
        return Err(format!(
            "{url} answers {status} \"{}\"; is it the address of metrics, and is the service well?",
            excerpt(&body)
        ));
    }
    if content_type.contains("text/html") {
        return Err(format!(
            "{url} answers a web page, not exposition text; give the address of its metrics, often /metrics"
        ));
    }
    let format = Format::of(&content_type);
    let text = String::from_utf8(body)
        .map_err(|_| format!("{url} answers bytes that are not UTF-8; give the address of its metrics"))?;
    Ok((text, format))
}

/// `host:port`, as Prometheus labels what it scrapes.
fn instance(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}
