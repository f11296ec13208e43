//! The demo without a window: both builds, then the comparison.

use std::{path::PathBuf, sync::Arc};

use firedrill_analysis::compare;
use firedrill_demo::Build;
use firedrill_drill::Arming;
use firedrill_library::Template;
use firedrill_scene::{ComparisonRow, DrillScene, Review};

use crate::{
    abort::AbortLine,
    demo::{Demo, DemoError},
    headless::{Headless, HeadlessError, abort_on_signals, run, runtime, setup},
    outcome::demo_exit_code,
    signals::listen,
};

/// What the demo is run with.
#[derive(Clone, Debug)]
pub struct DemoJob {
    /// This program, which is the agent too.
    pub program: PathBuf,
    /// The folder for the journals.
    pub journals: PathBuf,
    /// The folder of drills: abort cards, and how each drill ended.
    pub drills: PathBuf,
    /// This console, for the agent.
    pub console: String,
    /// Who drives.
    pub who: String,
    /// The program's version.
    pub version: String,
}

/// Both drills.
#[derive(Clone, Debug)]
pub struct DemoRan {
    /// Without deadlines.
    pub fragile: Review,
    /// With them.
    pub hardened: Review,
    /// A row a measure.
    pub comparison: Vec<ComparisonRow>,
    /// 0 when the fragile one breaks and the hardened one holds.
    pub exit_code: u8,
}

/// Why the demo did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoRunError {
    /// It could not be started.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// A drill of it could not be run.
    #[error(transparent)]
    Drill(#[from] HeadlessError),
    /// A person or a signal aborted the first drill: the second is not begun.
    #[error("aborted")]
    Aborted(Box<Review>),
}

/// What happens in the demo.
#[derive(Clone, Copy, Debug)]
pub enum DemoNews<'a> {
    /// A build was started: what is on this computer now.
    Started(Build, &'a [String]),
    /// Its drill.
    Drill(&'a DrillScene),
    /// Its verdict.
    Finished(&'a Review),
}

/// Runs the fragile build, then the hardened one. Blocks; call it outside of any runtime.
pub fn demo_headless(
    job: &DemoJob,
    mut news: impl FnMut(DemoNews<'_>) + Send,
) -> Result<DemoRan, DemoRunError> {
    let runtime = runtime().map_err(HeadlessError::from)?;
    runtime.block_on(async {
        let line = Arc::new(AbortLine::start().map_err(HeadlessError::from)?);
        let handle = line.handle();
        let listening = listen(|signals| abort_on_signals(signals, handle)).map_err(HeadlessError::from)?;
        let result = both(job, &line, &mut news).await;
        drop(listening);
        result
    })
}

async fn both(
    job: &DemoJob,
    line: &Arc<AbortLine>,
    news: &mut (impl FnMut(DemoNews<'_>) + Send),
) -> Result<DemoRan, DemoRunError> {
    let demo = start(Build::Fragile, job.program.clone()).await?;
    let fragile = half(job, line, demo, news).await?;
    let demo = start(Build::Hardened, job.program.clone()).await?;
    // Also while the second one was being started.
    if line.handle().board().press.is_some_and(|press| press.latch) {
        end(demo).await;
        return Err(DemoRunError::Aborted(Box::new(fragile)));
    }
    let hardened = half(job, line, demo, news).await?;
    Ok(DemoRan {
        comparison: compare(&fragile, &hardened),
        exit_code: demo_exit_code(&fragile.verdict, &hardened.verdict),
        fragile,
        hardened,
    })
}

async fn half(
    job: &DemoJob,
    line: &Arc<AbortLine>,
    demo: Demo,
    news: &mut (impl FnMut(DemoNews<'_>) + Send),
) -> Result<Review, DemoRunError> {
    news(DemoNews::Started(demo.build, &demo.words));
    let headless = Headless {
        plan: Arc::clone(&demo.plan),
        text: demo.text.clone(),
        experiment: demo.experiment,
        credentials: demo.credentials.clone(),
        journals: job.journals.clone(),
        drills: job.drills.clone(),
        first: Vec::new(),
        console: job.console.clone(),
        who: job.who.clone(),
        version: job.version.clone(),
        program: job.program.clone(),
        share: None,
    };
    let setup = setup(&headless, Arming::AtOnce);
    let review = run(&headless, setup, line, &mut |scene: &DrillScene| {
        news(DemoNews::Drill(scene));
    })
    .await;
    end(demo).await;
    let review = review?;
    news(DemoNews::Finished(&review));
    Ok(review)
}

/// Starting and ending wait for processes: not on the runtime's threads.
pub(crate) async fn start(build: Build, program: PathBuf) -> Result<Demo, DemoError> {
    let started = tokio::task::spawn_blocking(move || Demo::start(build, &program)).await;
    started.unwrap_or_else(|error| Err(DemoError::Agent(error.to_string())))
}

/// The same with a template's plan.
pub(crate) async fn start_template(
    template: &'static Template,
    experiment: String,
    program: PathBuf,
) -> Result<Demo, DemoError> {
    let start = move || Demo::start_template(template, Some(&experiment), &program);
    let started = tokio::task::spawn_blocking(start).await;
    started.unwrap_or_else(|error| Err(DemoError::Agent(error.to_string())))
}

pub(crate) async fn end(demo: Demo) {
    if tokio::task::spawn_blocking(move || drop(demo)).await.is_err() {
        tracing::error!("ending the demo panicked");
    }
}
