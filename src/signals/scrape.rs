//! Exposition text fetched from the services themselves. Each scrape is one source sample.

use firedrill_drill::Sample;
use firedrill_plan::Sli;
use futures_util::future::join_all;
use reqwest::header::ACCEPT;

use crate::SetupError;
use crate::evaluate::{Evaluator, Origin};
use crate::exposition::Format;
use crate::http::{Answer, Http, excerpt, timeout};
use crate::sampler::Clock;

const ACCEPTED: &str =
    "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1";

/// A scrape source.
pub(crate) struct Scrape {
    http: Http,
    targets: Vec<(String, Origin)>,
    evaluator: Evaluator,
    clock: Clock,
}

impl Scrape {
    pub(crate) fn new(urls: &[String], slis: &[Sli], every_ms: u64) -> Result<Self, SetupError> {
        let origin = |(number, url): (usize, &String)| {
            let instance = instance(url);
            (url.clone(), Origin { number, instance })
        };
        let targets = urls.iter().enumerate().map(origin).collect();
        Ok(Self {
            http: Http::new(urls.first().map_or("", String::as_str), timeout(every_ms))?,
            targets,
            evaluator: Evaluator::new(slis)?,
            clock: Clock::new(),
        })
    }

    /// Asks every address once. All texts of one look have one source time: when it began.
    pub(crate) async fn look(&mut self) -> Vec<Sample> {
        let began_ms = self.clock.now_ms();
        let answers = join_all(self.targets.iter().map(|(url, _)| fetch(&self.http, url))).await;
        self.evaluator.begin(began_ms);
        for ((url, origin), answer) in self.targets.iter().zip(answers) {
            let taken = answer.and_then(|(text, format)| {
                self.evaluator.take(&text, format, origin).map_err(|why| {
                    format!(
                        "{url} does not answer with exposition text: {why}; give the address of its metrics"
                    )
                })
            });
            if let Err(why) = taken {
                tracing::debug!(why, "scrape failed");
                self.evaluator.failed(why);
            }
        }
        let mut samples = self.evaluator.finish();
        let took_ms = u64::try_from(self.clock.now_ms() - began_ms).unwrap_or(0);
        for sample in &mut samples {
            sample.age_ms += took_ms;
        }
        samples
    }

    pub(crate) fn evaluator(&self) -> &Evaluator {
        &self.evaluator
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
