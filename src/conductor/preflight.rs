//! A preflight without a drill: agents answer and can do it, the source is fresh, the abort path is exercised.
//! Nothing is injected but `noop`.

use std::{path::PathBuf, sync::Arc};

use firedrill_drill::{Arming, Command, Drill, Phase};
use firedrill_plan::Rule;
use firedrill_scene::{CheckRow, DrillScene, GuardrailRow};
use tokio::sync::{mpsc, watch};

use crate::{
    abort::AbortLine,
    conduct::{Job, conduct},
    headless::{Headless, HeadlessError, abort_on_signals, journal_path, leave_aborter, runtime, setup},
    ledger::card_path,
    log::JournalFile,
    signals::listen,
};

/// What a preflight found.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// Its checks.
    pub checks: Vec<CheckRow>,
    /// The guardrails as they are now; hours, alerts, budgets and the approval are judged again at the drill.
    pub guardrails: Vec<GuardrailRow>,
    /// The record of it.
    pub journal: PathBuf,
    /// Everything that will not change by itself is good.
    pub passed: bool,
}

/// Rules whose judgement depends on when one asks.
pub const JUDGED_AGAIN: [Rule; 6] = [
    Rule::Staffed,
    Rule::Peak,
    Rule::Alerts,
    Rule::HarmBudget,
    Rule::ErrorBudget,
    Rule::Approval,
];

/// Runs one experiment's preflight and ends it before its baseline. SIGINT, SIGTERM and SIGHUP abort. `progress` gets
/// the newest scene whenever it has taken the one before. Blocks; call it outside of any runtime.
pub fn preflight(
    job: &Headless,
    mut progress: impl FnMut(&DrillScene) + Send,
) -> Result<Preflight, HeadlessError> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let line = Arc::new(AbortLine::start()?);
        let handle = line.handle();
        let listening = listen(|signals| abort_on_signals(signals, handle))?;
        // A person is asked to confirm the start, and nobody does: nothing is armed.
        let setup = setup(job, Arming::Ask);
        let card = card_path(&job.drills, setup.drill.as_str());
        std::fs::create_dir_all(&job.journals)?;
        let journal = journal_path(&job.journals, &setup);
        let work = Job {
            card: card.clone(),
            journal: Some(journal.clone()),
            first: job.first.clone(),
            setup,
            credentials: job.credentials.clone(),
            line: Arc::clone(&line),
            log: Box::new(JournalFile::create(&journal)?),
        };
        let (commands, receiver) = mpsc::channel(1);
        let (show, mut shown) = watch::channel(None);
        let mut last = None;
        let conducting = conduct(work, receiver, move |drill: &Drill, builder, at| {
            // What comes after the preflight has checks of its own.
            if last.is_none() {
                let scene = Arc::new(builder.scene(drill, at));
                if drill.phase() != Phase::Preflight {
                    last = Some(Arc::clone(&scene));
                    // The queue is empty: this is the only command there is.
                    commands.try_send(Command::Finish).ok();
                }
                show.send_replace(Some(scene));
            }
        });
        let mut newest: Option<Arc<DrillScene>> = None;
        let showing = async {
            while shown.changed().await.is_ok() {
                let scene = shown.borrow_and_update().clone();
                if let Some(scene) = scene {
                    progress(&scene);
                    newest = Some(scene);
                }
            }
        };
        let (finished, ()) = tokio::join!(conducting, showing);
        drop(listening);
        if line.handle().board().is_aborting() {
            leave_aborter(&job.program, &card);
        }
        finished?;
        Ok(judged(newest.as_deref(), journal))
    })
}

fn judged(scene: Option<&DrillScene>, journal: PathBuf) -> Preflight {
    let guardrails = scene.map_or_else(Vec::new, |it| it.safety.guardrails.clone());
    // Guardrails come last among the checks.
    let mut checks = scene.map_or_else(Vec::new, |it| it.checks.clone());
    checks.truncate(checks.len().saturating_sub(guardrails.len()));
    let stands = |row: &GuardrailRow| row.ok == Some(true) || JUDGED_AGAIN.contains(&row.rule);
    Preflight {
        passed: !checks.is_empty()
            && checks.iter().all(|row| row.ok == Some(true))
            && guardrails.iter().all(stands),
        checks,
        guardrails,
        journal,
    }
}
