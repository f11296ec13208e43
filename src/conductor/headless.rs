//! A drill without a window: `firedrill run`, and each half of `firedrill demo --headless`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use firedrill_analysis::{Record, review};
use firedrill_broadcast::ShareError;
use firedrill_drill::{Arming, Command, Drill, ReplayError, Setup};
use firedrill_fleet::Credentials;
use firedrill_journal::JournalError;
use firedrill_plan::Plan;
use firedrill_scene::{DrillScene, Review};
use tokio::sync::{mpsc, watch};

use crate::{
    abort::{AbortHandle, AbortLine, random_id},
    clock::wall_ms,
    conduct::{BeginError, Finished, Job, conduct},
    ledger::card_path,
    log::JournalFile,
    reveal::with_reveal,
    sharing::{Shared, Sharing},
    signals::{EndSignals, listen},
};

/// Wishes of those who follow that wait for the drill.
const COMMANDS: usize = 16;

/// How long those who follow wait for the proofs of an abort when the drill is over. What takes longer goes on without
/// this process.
const PROVED_WITHIN: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Debug)]
pub struct Headless {
    /// The plan as read, without errors.
    pub plan: Arc<Plan>,
    /// Its text, for the journal.
    pub text: String,
    /// Index of the experiment.
    pub experiment: usize,
    /// Agents' tokens.
    pub credentials: Credentials,
    /// The folder for the journal, which gets the drill's name.
    pub journals: PathBuf,
    /// The folder of drills: abort cards, written at arming, and how each drill ended.
    pub drills: PathBuf,
    /// What was commanded before the beginning: overrides, an approval.
    pub first: Vec<Command>,
    /// This console, for the agents.
    pub console: String,
    /// Who drives.
    pub who: String,
    /// The program's version.
    pub version: String,
    /// The program itself, to leave one behind that goes on aborting.
    pub program: PathBuf,
    /// Others may follow it.
    pub share: Option<Sharing>,
}

/// Why a drill could not be run or reviewed. What was injected is aborted or on its lease all the same.
#[derive(Debug, thiserror::Error)]
pub enum HeadlessError {
    /// No thread or runtime.
    #[error("the engine cannot be started: {0}; is the limit of threads or of memory reached?")]
    Engine(#[from] std::io::Error),
    /// It could not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// Nobody could follow it.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The journal could not be made or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal does not replay.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Runs one experiment to its verdict and reviews it from its journal. SIGINT, SIGTERM and SIGHUP abort.
/// `progress` gets the newest scene whenever it has taken the one before. Blocks; call it outside of any runtime.
pub fn run_headless(
    job: &Headless,
    mut progress: impl FnMut(&DrillScene) + Send,
) -> Result<Review, HeadlessError> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let line = Arc::new(AbortLine::start()?);
        let handle = line.handle();
        let listening = listen(|signals| abort_on_signals(signals, handle))?;
        let setup = setup(job, Arming::AtOnce);
        let card = card_path(&job.drills, setup.drill.as_str());
        let result = run(job, setup, &line, &mut progress).await;
        drop(listening);
        if line.handle().board().is_aborting() {
            leave_aborter(&job.program, &card);
        }
        result
    })
}

/// Runs on the caller's runtime and abort line.
pub(crate) async fn run(
    job: &Headless,
    setup: Setup,
    line: &Arc<AbortLine>,
    progress: &mut (impl FnMut(&DrillScene) + Send),
) -> Result<Review, HeadlessError> {
    let journal = journal_path(&job.journals, &setup);
    let log = JournalFile::create(&journal)?;
    let work = Job {
        card: card_path(&job.drills, setup.drill.as_str()),
        journal: Some(std::path::absolute(&journal).unwrap_or_else(|_| journal.clone())),
        first: job.first.clone(),
        setup,
        credentials: job.credentials.clone(),
        line: Arc::clone(line),
        log: Box::new(log),
    };
    // Only those who follow command: signals go by the abort line.
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let sharing = job.share.clone();
    let shared = sharing
        .map(|it| Shared::start(it, &job.console, &job.who, line.handle(), commands))
        .transpose()?;
    if let Some(shared) = &shared {
        shared.drill(work.setup.drill.as_str(), &journal);
    }
    // A terminal that takes nothing holds this, and not the drill.
    let (show, mut shown) = watch::channel(None);
    let conducting = conduct(work, receiver, move |drill: &Drill, builder, at| {
        show.send_replace(Some(Arc::new(builder.scene(drill, at))));
    });
    let showing = async {
        while shown.changed().await.is_ok() {
            let scene = shown.borrow_and_update().clone();
            if let Some(scene) = scene {
                if let Some(shared) = &shared {
                    shared.show(&scene);
                }
                progress(&scene);
            }
        }
    };
    let telling = async {
        match &shared {
            Some(shared) => shared.tell().await,
            None => std::future::pending().await,
        }
    };
    let (finished, ()) = tokio::select! {
        done = async { tokio::join!(conducting, showing) } => done,
        () = telling => return Err(BeginError::BrokeOff.into()),
    };
    if let Some(shared) = shared {
        // The verdict too is theirs to see, and what an abort has come to: its proofs may be a moment behind.
        tokio::time::timeout(PROVED_WITHIN, proved(line)).await.ok();
        shared.end().await;
    }
    reviewed(&journal, &finished?)
}

/// Returns when no abort is under way.
async fn proved(line: &AbortLine) {
    let mut version = line.handle().version();
    while line.handle().board().is_aborting() {
        if version.changed().await.is_err() {
            return;
        }
    }
}

/// A finished drill from its journal, as everybody will read it.
pub(crate) fn reviewed(journal: &Path, finished: &Finished) -> Result<Review, HeadlessError> {
    let read = firedrill_journal::read(journal)?;
    let sealed = match &finished.hash {
        Ok(_) => read.whole(),
        Err(why) => Err(format!("it could not be closed: {why}")),
    };
    let record = Record {
        path: Some(journal.to_owned()),
        sealed,
        hash: read.hash.clone(),
    };
    let mut review = review(&read.entries, record)?;
    // A journal that broke off says less than we know.
    if let Some(verdict) = finished.drill.verdict() {
        review.verdict = verdict.clone();
    }
    Ok(with_reveal(review))
}

/// What a drill of this job is made from.
pub(crate) fn setup(job: &Headless, arming: Arming) -> Setup {
    Setup {
        drill: drill_id().into(),
        plan: Arc::clone(&job.plan),
        plan_text: job.text.as_str().into(),
        version: job.version.clone(),
        experiment: job.experiment,
        seed: seed(),
        console: job.console.clone(),
        who: job.who.clone(),
        arming,
    }
}

pub(crate) fn journal_path(folder: &Path, setup: &Setup) -> PathBuf {
    folder.join(format!("{}.jsonl", setup.drill))
}

/// The time, for people, and random digits.
fn drill_id() -> String {
    let now = jiff::Timestamp::from_millisecond(wall_ms()).unwrap_or_default();
    let random = random_id();
    format!(
        "{}-{}",
        now.strftime("%Y%m%d-%H%M%S"),
        random.get(..6).unwrap_or_default()
    )
}

fn seed() -> u64 {
    let random = random_id();
    random
        .get(..16)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or(1)
}

/// The main runtime. It leaves a core to the drill's thread and the abort line where there are two: with every worker
/// busy a stop is as quick as without.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.saturating_sub(1).clamp(1, 2))
        .thread_name("conductor")
        .enable_all()
        .build()
}

/// Aborts by the abort line when somebody wants this process to end.
pub(crate) async fn abort_on_signals(mut signals: EndSignals, handle: AbortHandle) {
    let name = signals.next().await;
    handle.press_by_signal(name);
    // A second Ctrl-C does not cut an abort short.
    loop {
        signals.next().await;
    }
}

/// Leaves a process behind that goes on aborting until every agent on the card has proved it clean.
pub(crate) fn leave_aborter(program: &Path, card: &Path) {
    let mut command = std::process::Command::new(program);
    command
        .args(["abort", "--until-confirmed", "--card"])
        .arg(card)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // A Ctrl-C in this terminal is not meant for it.
        command.process_group(0);
    }
    if let Err(error) = command.spawn() {
        tracing::error!("no process could be left behind to go on aborting: {error}; run: firedrill abort");
    }
}
