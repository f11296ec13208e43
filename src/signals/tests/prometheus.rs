//! The same workload through Debian's Prometheus and through our own evaluation gives the same numbers, and the
//! sampler and preflight work against a real server. Ignored where there is no `prometheus` on the PATH, unless
//! `FIREDRILL_REQUIRE` names it.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Saying, gauge, is_value, next, plan, quantile, rate, ratio, serve, sli, text, value, why};
use firedrill_drill::Reading;
use firedrill_plan::{Indicator, Sli, Source};
use firedrill_signals::{Sampler, check_source, explain, replay};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

/// Long enough for a server on a busy machine to start and to fill a window.
const PATIENCE: Duration = Duration::from_secs(90);

fn main() {
    let arguments = Arguments::from_args();
    let there = on_path("prometheus");
    let required = std::env::var("FIREDRILL_REQUIRE")
        .is_ok_and(|required| required.split(',').any(|peer| peer.trim() == "prometheus"));
    if !there {
        println!("prometheus is not on the PATH: its tests are ignored (apt-get install prometheus)");
    }
    let trial = |name: &str, test: fn() -> Result<(), Failed>| {
        Trial::test(name, test).with_ignored_flag(!there && !required)
    };
    libtest_mimic::run(
        &arguments,
        vec![
            trial("the_same_samples_give_the_same_numbers", || run(same_numbers())),
            trial("a_real_server_is_sampled_and_checked", || {
                run(sampled_and_checked())
            }),
        ],
    )
    .exit();
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn run(test: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(test)
}

/// A Prometheus that scrapes one target every second; it and its files end with this.
struct Server {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Server {
    async fn start(target: &str) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let target = target.trim_start_matches("http://");
        std::fs::write(
            folder.path().join("prometheus.yml"),
            format!(
                "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: shop\n    honor_labels: true\n    static_configs:\n      - targets: ['{target}']\n"
            ),
        )?;
        // The port may be taken between our look and its start; then another is tried.
        for _ in 0..5 {
            let port = std::net::TcpListener::bind(("127.0.0.1", 0))?
                .local_addr()?
                .port();
            let server = Self::on(port, folder.path())?;
            let mut server = Self {
                child: server,
                url: format!("http://127.0.0.1:{port}"),
                folder: tempfile::tempdir()?,
            };
            if server.ready().await {
                server.folder = folder;
                return Ok(server);
            }
        }
        Err("prometheus does not become ready".into())
    }

    fn on(port: u16, folder: &Path) -> Result<Child, Failed> {
        Ok(Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("prometheus cannot be started ({error}); FIREDRILL_REQUIRE wants it"))?)
    }

    async fn ready(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return false;
            }
            if self.ask("vector(1)", None).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// The result of a query, at a time in milliseconds or now.
    async fn ask(&self, promql: &str, at_ms: Option<i64>) -> Result<Vec<Value>, Failed> {
        let mut query = vec![("query", promql.to_owned())];
        query.extend(at_ms.map(|at_ms| ("time", format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000))));
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/query", self.url))?;
        url.query_pairs_mut().extend_pairs(query);
        let answer = client()?.get(url).send().await?.text().await?;
        let answer: Value = serde_json::from_str(&answer)?;
        match answer["data"]["result"].as_array() {
            Some(result) => Ok(result.clone()),
            None => Err(format!("{promql}: {answer}").into()),
        }
    }

    /// The one number that a query gives.
    async fn number(&self, promql: &str, at_ms: i64) -> Result<f64, Failed> {
        let result = self.ask(promql, Some(at_ms)).await?;
        let [one] = result.as_slice() else {
            return Err(format!("{promql} gives {result:?}").into());
        };
        Ok(one["value"][1].as_str().ok_or("no value")?.parse()?)
    }
}

fn client() -> Result<reqwest::Client, Failed> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        rustls::crypto::ring::default_provider().install_default().ok();
    }
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// A shop whose counters grow at every scrape by amounts that look random, restart once, and lose a series.
fn workload(scrapes: u64) -> Saying {
    let mut seed = 88_172_645_463_325_252_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let (mut good, mut bad) = (0, 0);
    let mut buckets = [0_u64; 4];
    for scrape in 0..=scrapes {
        // Not a number of scrapes that divides the window: restarts fall anywhere in it.
        if scrape % 13 == 12 {
            (good, bad, buckets) = (3, 1, [1, 1, 2, 0]);
        }
        good += 20 + random(50);
        bad += random(9);
        for bucket in &mut buckets {
            *bucket += random(30);
        }
    }
    let mut lines = format!(
        "r{{job=\"orders\",code=\"200\"}} {good}\nr{{job=\"orders\",code=\"503\"}} {bad}\nr{{job=\"cart\",code=\"200\"}} 1e6\n\
         queue_depth{{job=\"orders\"}} {}\nqueue_depth{{job=\"cart\"}} 2.5\n",
        scrapes % 7
    );
    let mut below = 0;
    for (edge, count) in ["0.1", "0.3", "1", "+Inf"].iter().zip(buckets) {
        below += count;
        writeln!(lines, "h_bucket{{job=\"orders\",le=\"{edge}\"}} {below}").ok();
    }
    text(&lines)
}

fn slis() -> Vec<Sli> {
    let orders = r#"r{job="orders"}"#;
    vec![
        sli("Success", ratio(r#"r{job=~"ord.*",code!~"5.."}"#, orders, 7_000)),
        sli("None good", ratio(r#"r{job="orders",code="418"}"#, orders, 7_000)),
        sli("P95", quantile(0.95, r#"h{job="orders"}"#, 7_000)),
        sli("Median", quantile(0.5, "h", 7_000)),
        sli("Requests", rate(orders, 7_000)),
        sli("Queue", gauge("queue_depth")),
    ]
}

/// Prometheus' raw samples as the texts that a scrape would have read at their times.
fn texts(series: &[Value]) -> Result<Vec<(i64, String)>, Failed> {
    let mut texts: BTreeMap<i64, String> = BTreeMap::new();
    for one in series {
        let labels: Vec<String> = one["metric"]
            .as_object()
            .ok_or("no labels")?
            .iter()
            .filter(|(name, _)| *name != "__name__")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let name = one["metric"]["__name__"].as_str().ok_or("no name")?;
        for sample in one["values"].as_array().ok_or("no samples")? {
            let time_ms = (sample[0].as_f64().ok_or("no time")? * 1_000.0).round() as i64;
            let value = sample[1].as_str().ok_or("no value")?;
            let text = texts.entry(time_ms).or_default();
            writeln!(text, "{name}{{{}}} {value}", labels.join(",")).ok();
        }
    }
    Ok(texts.into_iter().collect())
}

async fn same_numbers() -> Result<(), Failed> {
    let scrapes = AtomicU64::new(0);
    let shop = serve(move |_, _, _| workload(scrapes.fetch_add(1, Ordering::SeqCst))).await;
    let server = Server::start(&shop.url).await?;
    let slis = slis();
    let began = Instant::now();
    let raw = r#"{__name__=~"r|h_bucket|queue_depth"}[1m]"#;
    let all = loop {
        let texts = texts(&server.ask(raw, None).await?)?;
        // Two restarts and more than two windows.
        if texts.len() >= 28 {
            break texts;
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("only {} scrapes", texts.len()).into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };

    let mut compared = 0;
    for (last, (newest_ms, _)) in all.iter().enumerate().skip(9) {
        // Off the samples' times, so that a window open at its begin and one closed there are the same.
        let at_ms = newest_ms + 137;
        let readings = replay(&slis, &all[..=last], at_ms)?;
        for (sli, reading) in slis.iter().zip(&readings) {
            let Reading::Value { value, rate } = reading else {
                return Err(format!("{}: {reading:?}", sli.name).into());
            };
            let theirs = server.number(&explain(sli), at_ms).await?;
            near(&sli.name, *value, theirs)?;
            if let Some(rate) = rate {
                let promql = match &sli.indicator {
                    Indicator::Quantile { .. } => r#"sum(rate(h_bucket{le="+Inf"}[7s]))"#,
                    _ => r#"sum(rate(r{job="orders"}[7s]))"#,
                };
                near(
                    &format!("traffic of {}", sli.name),
                    *rate,
                    server.number(promql, at_ms).await?,
                )?;
            }
            compared += 1;
        }
    }
    if compared < 100 {
        return Err(format!("only {compared} numbers compared").into());
    }
    Ok(())
}

fn near(name: &str, ours: f64, theirs: f64) -> Result<(), Failed> {
    if (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0) {
        return Ok(());
    }
    Err(format!("{name}: ours {ours}, Prometheus' {theirs}").into())
}

async fn sampled_and_checked() -> Result<(), Failed> {
    let scrapes = AtomicU64::new(0);
    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let shop = serve(move |_, _, _| {
        if is_gone.load(Ordering::SeqCst) {
            common::said(503, "text/plain", "gone")
        } else {
            workload(scrapes.fetch_add(1, Ordering::SeqCst))
        }
    })
    .await;
    let server = Server::start(&shop.url).await?;
    let mut slis = slis();
    slis.push(sli(
        "Raw",
        Indicator::Promql("max(queue_depth) # a comment".to_owned()),
    ));
    slis.push(sli(
        "Scalar",
        Indicator::Promql("scalar(sum(queue_depth{job=\"cart\"}))".to_owned()),
    ));
    slis.push(sli("Several", Indicator::Promql("queue_depth".to_owned())));
    slis.push(sli("Wrong", Indicator::Promql("sum(".to_owned())));
    let names: Vec<String> = slis.iter().map(|sli| sli.name.clone()).collect();
    let index = |name: &str| names.iter().position(|other| other == name).unwrap_or(usize::MAX);
    let plan = plan(Source::Prometheus(server.url.clone()), 100, slis);

    let (sampler, mut samples) = Sampler::start(&plan)?;
    for name in [
        "Success",
        "None good",
        "P95",
        "Requests",
        "Queue",
        "Raw",
        "Scalar",
    ] {
        next(&mut samples, index(name), is_value).await;
    }
    let several = next(&mut samples, index("Several"), |sample| {
        why(sample).is_some_and(|why| why.contains("2 series where one is expected"))
    })
    .await;
    if !why(&several).is_some_and(|why| why.contains("job=\"cart\"")) {
        return Err(format!("{several:?} names no series").into());
    }
    next(&mut samples, index("Wrong"), |sample| {
        why(sample).is_some_and(|why| why.contains("\"Wrong\" is refused"))
    })
    .await;
    let scalar = next(&mut samples, index("Scalar"), is_value).await;
    near("Scalar", value(&scalar), 2.5)?;
    // One sample a scrape, though there are ten looks a second.
    let first = next(&mut samples, index("Success"), is_value).await;
    let second = next(&mut samples, index("Success"), is_value).await;
    let apart = second.source_ms - first.source_ms;
    if !(700..=10_000).contains(&apart) {
        return Err(format!("two samples {apart} ms apart from a source with one a second").into());
    }
    if second.age_ms > 2_000 {
        return Err(format!("a new sample is {} ms old", second.age_ms).into());
    }
    drop(sampler);

    let mut good = plan.clone();
    good.slis.truncate(7);
    let notes = check_source(&good).await.map_err(Failed::from)?;
    if !notes
        .iter()
        .any(|note| note.contains("has a new sample every 1 s"))
    {
        return Err(format!("{notes:?}").into());
    }
    let mut bad = plan.clone();
    bad.slis[0].indicator = ratio("r", "r", 3_000);
    bad.slis[5].indicator = gauge("queue_dept");
    let problems = check_source(&bad).await.err().unwrap_or_default();
    for expected in [
        "\"Success\": a window of 3 s is too short: with a sample every 1 s it must be at least 4 s",
        "\"Queue\": no series is chosen by queue_dept",
        "\"Several\": the query of \"Several\" gives 2 series",
        "\"Wrong\": the server refuses the query",
    ] {
        if !problems.contains(expected) {
            return Err(format!("{expected:?} is not in {problems}").into());
        }
    }

    // A target that vanishes is no data, though its rates still have samples in the window.
    let (_sampler, mut samples) = Sampler::start(&good)?;
    next(&mut samples, 0, is_value).await;
    gone.store(true, Ordering::SeqCst);
    let vanished = next(&mut samples, 0, |sample| !is_value(sample)).await;
    if !why(&vanished).is_some_and(|why| why.contains("the target is gone")) {
        return Err(format!("{vanished:?}").into());
    }
    Ok(())
}
