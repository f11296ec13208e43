//! What goes to others than agents: alerts, emergency actions, the question for open alerts. Bounded in time,
//! tries and size; nothing waits for it.

use std::time::Duration;

use firedrill_drill::{EXERCISE, Outgoing, Redact, Setup, StopNews};
use firedrill_plan::{AlertKind, AlertTarget, HttpCall};
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};

/// One request, its answer included.
const LIMIT: Duration = Duration::from_secs(5);
/// An alert with all its tries, a little less than the drill waits for it.
const ALERT_LIMIT: Duration = Duration::from_secs(9);
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_millis(500);
/// No answer is read further than this, in bytes.
const BODY_LIMIT: usize = 1 << 20;
/// Open alerts that are named; the others are counted.
const NAMED: usize = 10;
/// The name of the alerts that we post ourselves: they do not count against the next drill.
const OURS: &str = "FiredrillStopped";
/// The same while the drill is sealed.
const OURS_SEALED: &str = "FiredrillExercise";
/// An alert of ours ends by itself after this long.
const ALERT_FOR: Duration = Duration::from_mins(5);

fn client() -> Result<Client, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Both mains install it first; if somebody else did meanwhile, theirs serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIMIT)
        .user_agent(concat!("firedrill/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

/// Sends it and reads its answer.
async fn send(request: RequestBuilder) -> Result<Vec<u8>, String> {
    let mut answer = request.send().await.map_err(|error| words(&error))?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| words(&error))? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err("its answer is longer than 1 MiB".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        Ok(body)
    } else {
        let said = String::from_utf8_lossy(&body);
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        Err(format!("it answered {status} {said}").trim_end().to_owned())
    }
}

fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", LIMIT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[derive(Deserialize)]
struct OpenAlert {
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

/// Alerts that are open at an Alertmanager, neither silenced nor inhibited; ours left out.
pub(crate) async fn open_alerts(base: &str) -> Result<Vec<String>, String> {
    let url = format!("{base}/api/v2/alerts?active=true&silenced=false&inhibited=false");
    let asked = async {
        let body = send(client()?.get(&url)).await?;
        let alerts: Vec<OpenAlert> = serde_json::from_slice(&body)
            .map_err(|error| format!("its answer is not that of an Alertmanager (API v2): {error}"))?;
        Ok(named(&alerts))
    };
    asked.await.map_err(|why: String| format!("{base}: {why}"))
}

fn named(alerts: &[OpenAlert]) -> Vec<String> {
    let name = |alert: &OpenAlert| {
        let label = |key: &str| alert.labels.get(key).map(String::as_str);
        let name = label("alertname").unwrap_or("(no name)").to_owned();
        match label("service").or(label("job")).or(label("instance")) {
            Some(whose) => format!("{name} ({whose})"),
            None => name,
        }
    };
    let open = alerts.iter().filter(|it| {
        it.labels
            .get("alertname")
            .is_none_or(|name| name != OURS && name != OURS_SEALED)
    });
    let mut names: Vec<String> = open.map(name).collect();
    names.sort();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names
}

/// What others are told of a stop.
#[derive(Clone, Debug)]
pub(crate) struct AlertNews {
    wall_ms: i64,
    /// `None`: the drill is sealed.
    told: Option<ToldNews>,
}

#[derive(Clone, Debug)]
struct ToldNews {
    title: String,
    system: String,
    console: String,
    who: String,
    stop: StopNews,
}

impl AlertNews {
    pub(crate) fn new(setup: &Setup, stop: StopNews) -> Self {
        Self {
            wall_ms: stop.at.wall_ms,
            told: Some(ToldNews {
                title: setup.plan.title.clone(),
                system: setup.plan.system.clone(),
                console: setup.console.clone(),
                who: setup.who.clone(),
                stop,
            }),
        }
    }

    /// Our own form: flat, so that any receiver can pick from it.
    fn webhook(&self) -> Value {
        let time = time(self.wall_ms);
        match &self.told {
            None => json!({ "source": "firedrill", "event": EXERCISE, "time": time }),
            Some(it) => json!({
                "source": "firedrill",
                "event": "stopped",
                "drill": it.stop.drill,
                "title": it.title,
                "system": it.system,
                "experiment": it.stop.experiment,
                "rule": it.stop.rule,
                "words": it.stop.words,
                "time": time,
                "console": it.console,
                "who": it.who,
            }),
        }
    }

    fn alertmanager(&self) -> Value {
        let ends = self.wall_ms.saturating_add(ALERT_FOR.as_millis() as i64);
        let (labels, annotations) = match &self.told {
            None => (
                json!({ "alertname": OURS_SEALED, "severity": "info" }),
                json!({ "summary": EXERCISE }),
            ),
            Some(it) => (
                json!({
                    "alertname": OURS,
                    "severity": "warning",
                    "system": it.system,
                    "experiment": it.stop.experiment,
                    "rule": it.stop.rule,
                }),
                json!({
                    "summary": format!("Firedrill stopped \"{}\": {}", it.stop.experiment, it.stop.rule),
                    "description": it.stop.words,
                    "drill": it.stop.drill,
                }),
            ),
        };
        json!([{
            "labels": labels,
            "annotations": annotations,
            "startsAt": time(self.wall_ms),
            "endsAt": time(ends),
        }])
    }
}

impl Redact for AlertNews {
    fn redacted(self) -> Self {
        Self { told: None, ..self }
    }
}

/// Posts an alert, again if need be.
pub(crate) async fn alert(target: AlertTarget, news: Outgoing<AlertNews>) -> Result<String, String> {
    let (url, body) = match target.kind {
        AlertKind::Webhook => (target.url, news.webhook()),
        AlertKind::Alertmanager => (format!("{}/api/v2/alerts", target.url), news.alertmanager()),
    };
    let client = client()?;
    let tried = async {
        let mut tries = 1;
        loop {
            match send(client.post(&url).json(&body)).await {
                Ok(_) => return Ok(format!("told, try {tries}")),
                Err(why) if tries == TRIES => return Err(format!("{why} ({tries} tries)")),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::time::timeout(ALERT_LIMIT, tried)
        .await
        .unwrap_or_else(|_| Err(format!("not told within {} s", ALERT_LIMIT.as_secs())))
}

fn time(wall_ms: i64) -> String {
    Timestamp::from_millisecond(wall_ms).map_or_else(|_| String::new(), |time| time.to_string())
}

/// Sends an emergency action, once: what it does may not bear to be done twice.
pub(crate) async fn act(call: HttpCall) -> Result<String, String> {
    let method = call
        .method
        .parse()
        .map_err(|_| format!("{} is not a method", call.method))?;
    let mut request = client()?.request(method, &call.url);
    if let Some(body) = call.body {
        if body.trim_start().starts_with(['{', '[']) {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request = request.body(body);
    }
    send(request).await.map(|_| "done".to_owned())
}

#[cfg(test)]
mod tests {
    use firedrill_drill::Redaction;

    use super::*;

    fn alerts(text: &str) -> Vec<String> {
        named(&serde_json::from_str::<Vec<OpenAlert>>(text).unwrap())
    }

    #[test]
    fn a_sealed_stop_posts_only_that_there_is_an_exercise() {
        let news = AlertNews {
            wall_ms: 5,
            told: Some(ToldNews {
                title: "Orders".to_owned(),
                system: "orders".to_owned(),
                console: "desk".to_owned(),
                who: "Ada".to_owned(),
                stop: StopNews {
                    drill: "d1".into(),
                    experiment: "Payment is slow".to_owned(),
                    rule: "stop condition".to_owned(),
                    words: "http.latency on payments-1".to_owned(),
                    at: firedrill_drill::At::default(),
                },
            }),
        };
        let bodies = |news: &AlertNews| format!("{}{}", news.webhook(), news.alertmanager());
        let secrets = [
            "Orders",
            "orders",
            "Payment",
            "http.latency",
            "payments-1",
            "stop",
            "d1",
            "Ada",
        ];
        let open = bodies(&Redaction::Nothing.pass(news.clone()));
        let sealed = bodies(&Redaction::ToExercise.pass(news));
        for secret in secrets {
            assert!(open.contains(secret), "{secret} is there to be hidden");
            assert!(!sealed.contains(secret), "{secret} in {sealed}");
        }
        assert!(sealed.contains(EXERCISE));
        assert!(alerts(&format!(r#"[{{"labels":{{"alertname":"{OURS_SEALED}"}}}}]"#)).is_empty());
    }

    #[test]
    fn open_alerts_are_named_and_ours_do_not_count() {
        let text = r#"[{"labels":{"alertname":"FiredrillStopped"}},
            {"labels":{"alertname":"DiskFull","service":"db"},"status":{"state":"active"}},{}]"#;
        assert_eq!(alerts(text), ["(no name)", "DiskFull (db)"]);
        let many: Vec<String> = (0..13)
            .map(|n| format!(r#"{{"labels":{{"alertname":"A{n:02}"}}}}"#))
            .collect();
        let named = alerts(&format!("[{}]", many.join(",")));
        assert!(named.len() == 11 && named[10] == "and 3 more", "{named:?}");
    }
}
