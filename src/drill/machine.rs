//! The state, the dispatch of events, and what every concern shares.

use std::collections::VecDeque;

use firedrill_plan::{Action, Inject};
use firedrill_wire::{Stamp, Tick};

use crate::{
    AbortedBy, AgentStatus, Arming, At, BadSample, Call, Check, Chosen, Command, Effect, Entry, Event,
    Injection, Judgement, Notice, Outcome, Phase, Reason, Reply, Seal, Setup, SliStatus, Surprise, Verdict,
    guardrails::Guard, targets,
};

/// One run of one experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Drill {
    pub(crate) setup: Setup,
    pub(crate) at: At,
    pub(crate) phase: Phase,
    pub(crate) phases: Vec<(Phase, At)>,
    pub(crate) chosen: Vec<Chosen>,
    pub(crate) checks: Vec<Check>,
    pub(crate) source: Option<Result<(), String>>,
    pub(crate) source_notes: Vec<String>,
    pub(crate) slis: Vec<SliStatus>,
    pub(crate) gauges: Vec<Gauge>,
    pub(crate) agents: Vec<AgentStatus>,
    pub(crate) links: Vec<Link>,
    pub(crate) arming: ArmingStage,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) injections: Vec<Injection>,
    pub(crate) reverts: Vec<RevertTrack>,
    pub(crate) pause: crate::hold::Pause,
    pub(crate) judging_since_us: Option<u64>,
    /// When the record of a revert last waited for the disk.
    pub(crate) synced_us: u64,
    pub(crate) judgements: Vec<Judgement>,
    pub(crate) bad: Vec<BadSample>,
    pub(crate) harm_us: u64,
    pub(crate) recover_since_us: Option<u64>,
    pub(crate) back_us: Option<u64>,
    pub(crate) guard: Guard,
    pub(crate) runners: crate::commands::Runners,
    pub(crate) notices: Vec<Notice>,
    /// The recovery is judged; only notices are waited for.
    pub(crate) recovery_over: bool,
    pub(crate) ending: Option<Ending>,
    pub(crate) reasons: Reasons,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) seal: Seal,
    pub(crate) surprise: Option<Surprise>,
    /// Effects of the step that runs; empty between steps.
    pub(crate) out: Vec<Effect>,
}

/// What is known of an SLI besides its status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Gauge {
    /// The newest value's source time, and when it was taken by our clock.
    pub newest: Option<(i64, u64)>,
    /// The newest gaps between source times, in milliseconds.
    pub gaps_ms: VecDeque<u64>,
    /// The newest reading, judged: a value, or why there is none.
    pub reading: Option<Result<f64, String>>,
    /// When the last observation was counted.
    pub counted_us: u64,
    /// When the next missing sample is counted as bad.
    pub next_missing_us: u64,
    /// Samples inside the band in a row, in the phase that counts them.
    pub good: u32,
    /// Bad samples in the current row that had a value.
    pub bad_values: u32,
    /// Leaving tolerance was said.
    pub broke: bool,
}

/// What is known of an agent besides its status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Link {
    /// The newest tick of the life that we deal with, and when it was heard.
    pub tick: Option<(Tick, u64)>,
    /// When the last `Info` was asked for, until it is answered.
    pub info_asked_us: Option<u64>,
    /// When to ask again.
    pub info_again_us: Option<u64>,
    /// The abort test that runs: since when.
    pub test_sent_us: Option<u64>,
    /// Abort tests so far; each needs a drill id of its own.
    pub tests: u32,
    /// When the last heartbeat was answered.
    pub beat_us: Option<u64>,
    /// The opening that runs: since when.
    pub open_sent_us: Option<u64>,
    /// How often it was sent.
    pub open_tries: u32,
    /// The renewal that runs: since when.
    pub renew_sent_us: Option<u64>,
    /// When the last renewal (or the opening) was sent.
    pub renewed_us: u64,
    /// The close that runs: since when.
    pub close_sent_us: Option<u64>,
    /// How often it was sent.
    pub close_tries: u32,
}

impl Link {
    /// The agent's clock now, as far as we know: the newest tick and the time since.
    pub(crate) fn tick_at(&self, now_us: u64) -> Tick {
        let (tick, heard_us) = self.tick.unwrap_or_default();
        Tick(tick.0.saturating_add(now_us.saturating_sub(heard_us)))
    }
}

/// Where the phase `Arming` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArmingStage {
    /// For a person.
    Waiting,
    /// The abort test is repeated.
    Testing,
    /// Agents are opened, one after the other: those still to come, the next one last.
    Opening(Vec<usize>),
    /// All are open.
    Done,
}

/// Steps that run one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lane {
    pub name: String,
    /// Indices of its steps in the experiment.
    pub steps: Vec<usize>,
    /// Which of them runs.
    pub place: usize,
    /// When the step began.
    pub began_us: Option<u64>,
    /// Runs of the step begun.
    pub runs: u32,
    /// When the last of them began.
    pub run_began_us: u64,
    /// A start is due and held up because an SLI has no data: since when.
    pub held_since_us: Option<u64>,
}

/// How far the taking back of an injection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RevertTrack {
    /// The call that runs: since when.
    pub sent_us: Option<u64>,
    /// Not before this.
    pub again_us: u64,
    /// How often it was asked.
    pub tries: u32,
}

/// A decided end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// What it makes of the drill, unless more is known.
    pub outcome: Option<Outcome>,
    /// When.
    pub since_us: u64,
    /// The abort line was told.
    pub abort: bool,
    /// And told to latch.
    pub latched: bool,
    /// SLIs are watched until they recover.
    pub recover: bool,
}

/// What a verdict will say, by kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reasons {
    pub aborted: Vec<Reason>,
    pub broken: Vec<Reason>,
    pub inconclusive: Vec<Reason>,
    pub held: Vec<Reason>,
}

impl Drill {
    /// A drill at its beginning, and what it asks for first.
    pub fn new(setup: Setup, at: At) -> (Self, Vec<Effect>) {
        let plan = setup.plan.clone();
        let experiment = plan.experiments.get(setup.experiment);
        let chosen = experiment.map_or_else(Vec::new, |it| targets::choose_all(&plan, it, setup.seed));
        let mut agents = vec![AgentStatus::default(); plan.agents.len()];
        for agent in chosen.iter().flat_map(|it| &it.agents) {
            agents[*agent].needed = true;
        }
        let mut drill = Self {
            at,
            phase: Phase::Preflight,
            phases: vec![(Phase::Preflight, at)],
            chosen,
            checks: Vec::new(),
            source: None,
            source_notes: Vec::new(),
            slis: vec![SliStatus::default(); plan.slis.len()],
            gauges: vec![Gauge::default(); plan.slis.len()],
            links: vec![Link::default(); agents.len()],
            agents,
            arming: ArmingStage::Waiting,
            lanes: experiment.map_or_else(Vec::new, |it| lanes(&it.steps)),
            injections: Vec::new(),
            reverts: Vec::new(),
            pause: crate::hold::Pause::default(),
            judging_since_us: None,
            synced_us: 0,
            judgements: Vec::new(),
            bad: Vec::new(),
            harm_us: 0,
            recover_since_us: None,
            back_us: None,
            guard: Guard::default(),
            runners: crate::commands::Runners::default(),
            notices: Vec::new(),
            recovery_over: false,
            ending: None,
            reasons: Reasons::default(),
            verdict: None,
            seal: if experiment.is_some_and(|it| it.rehearsal) {
                Seal::Sealed
            } else {
                Seal::Open
            },
            surprise: None,
            out: Vec::new(),
            setup,
        };
        drill.record_made();
        drill.begin_preflight();
        let effects = std::mem::take(&mut drill.out);
        (drill, effects)
    }

    /// One event at one time; a time before the last one counts as the last one. After the verdict nothing
    /// changes any more.
    pub fn step(&mut self, at: At, event: Event) -> Vec<Effect> {
        if self.phase == Phase::Verdict {
            return Vec::new();
        }
        let before_us = self.at.mono_us;
        self.at = At {
            mono_us: at.mono_us.max(before_us),
            wall_ms: at.wall_ms,
        };
        self.count_harm(self.at.mono_us - before_us);
        self.count_errors(self.at.mono_us - before_us);
        let tick = matches!(event, Event::Tick);
        let strength = match &event {
            Event::Command {
                command: command @ Command::Strength { .. },
            } => Some(command.clone()),
            _ => None,
        };
        match event {
            Event::Tick => {}
            Event::Command { command } => self.command(command),
            Event::Samples { samples } => {
                for sample in &samples {
                    self.take_sample(sample);
                }
            }
            Event::SourceChecked { result } => self.source_checked(result),
            Event::Agent { agent, reply } => {
                if self.agents.get(agent).is_some_and(|it| it.needed) {
                    self.reply(agent, reply);
                } else if let Reply::Info { result } = reply {
                    self.runner_said(agent, &result);
                    self.neighbour_said(agent, result);
                }
            }
            Event::AlertsChecked { result } => self.alerts_checked(result),
            Event::HistoryRead { result } => self.history_read(result),
            Event::Alerted { alert, result } => self.alerted(alert, result),
            Event::Acted { notice, result } => self.acted(notice, result),
            Event::JournalFailed { why } => self.stop_blind("journal", why),
        }
        self.judge_freshness();
        self.advance(tick);
        // Behind everything that this step may have stopped.
        if let Some(Command::Strength {
            injection,
            parameters,
            by,
        }) = strength
        {
            self.change_strength(&injection, &parameters, &by);
        }
        std::mem::take(&mut self.out)
    }

    /// Whatever is due by now, in the order of the phases: one step may pass several.
    fn advance(&mut self, tick: bool) {
        if tick {
            self.watch_contact();
            self.watch_leases();
            self.refresh_alerts();
            self.refresh_neighbours();
        }
        self.watch_guardrails(tick);
        if self.phase == Phase::Preflight {
            self.advance_preflight(tick);
        }
        if self.phase == Phase::Baseline {
            self.advance_baseline();
        }
        if self.phase == Phase::Arming {
            self.advance_arming();
        }
        if self.phase == Phase::Inject {
            self.watch_injections();
            self.advance_hold();
            self.advance_lanes();
        }
        self.advance_actions();
        if self.phase == Phase::Closing {
            self.advance_closing();
        }
        if self.phase == Phase::Recover {
            self.advance_recover();
        }
        if tick && self.verdict.is_none() {
            self.renew();
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Arm => self.arm(),
            Command::ArmBetween {
                earliest_ms,
                latest_ms,
                blind,
                by,
            } => self.arm_between(earliest_ms, latest_ms, blind, &by),
            Command::Finish => self.finish(),
            Command::Abort { by, reason } => self.abort(by, reason),
            Command::Override { rule, reason, by } => self.override_rule(rule, &reason, &by),
            Command::Approve { by } => self.approve(&by),
            Command::Act { action, by } => self.act(action, &by),
            Command::Hold { by } => self.begin_hold(&by),
            Command::Resume { by } => self.resume(&by),
            Command::Seal { by } => self.seal_now(&by),
            Command::Reveal { by } => self.reveal(&by),
            Command::Strength { .. } | Command::Note { .. } => {}
        }
    }

    fn reply(&mut self, agent: usize, reply: Reply) {
        match reply {
            Reply::Info { result } => self.info(agent, result),
            Reply::Heartbeat { rtt_us, stamp } => self.heartbeat(agent, rtt_us, stamp.as_ref()),
            Reply::AbortTested { result } => self.abort_tested(agent, result),
            Reply::Opened { result } => self.opened(agent, result),
            Reply::Renewed { result } => self.renewed(agent, result),
            Reply::Started { id, result } => self.started(agent, &id, result),
            Reply::Changed { id, revision, result } => self.changed(agent, &id, revision, result),
            Reply::Reverted { id, result } => self.reverted(agent, &id, result),
            Reply::Injection { view } => self.merge(agent, &view),
            Reply::Latch { latch } => self.latch(agent, latch),
            Reply::Closed { result } => self.closed(agent, result),
            Reply::Abort { status } => self.abort_status(agent, status),
        }
    }

    fn record_made(&mut self) {
        let made = Entry::Made {
            drill: self.setup.drill.clone(),
            plan: self.setup.plan_text.to_string(),
            experiment: self.setup.experiment,
            seed: self.setup.seed,
            console: self.setup.console.clone(),
            who: self.setup.who.clone(),
            arming: self.setup.arming,
            version: self.setup.version.clone(),
        };
        self.record(made, true);
    }

    pub(crate) fn record(&mut self, entry: Entry, durable: bool) {
        self.out.push(Effect::Record { entry, durable });
    }

    pub(crate) fn call(&mut self, agent: usize, call: Call) {
        self.out.push(Effect::Call { agent, call });
    }

    /// Says and keeps a judgement; returns its reason.
    pub(crate) fn judge(&mut self, what: &str, rule: &str, words: impl Into<String>) -> Reason {
        let reason = Reason {
            at: self.at,
            rule: rule.to_owned(),
            words: words.into(),
        };
        self.judgements.push(Judgement {
            what: what.to_owned(),
            reason: reason.clone(),
        });
        let entry = Entry::Judged {
            what: what.to_owned(),
            reason: reason.clone(),
        };
        // A stop is on disk, with all that led to it, before anything else follows from it; what stops was sent.
        self.record(entry, what == "stop");
        reason
    }

    /// Begins a phase and says why.
    pub(crate) fn enter(&mut self, phase: Phase, words: impl Into<String>) {
        self.phase = phase;
        self.phases.push((phase, self.at));
        self.judge("phase", phase.word(), words);
    }

    /// The agents that take part, by index.
    pub(crate) fn needed(&self) -> Vec<usize> {
        let all = self.agents.iter().enumerate();
        all.filter(|(_, it)| it.needed).map(|(index, _)| index).collect()
    }

    /// An agent's name in the plan.
    pub(crate) fn name(&self, agent: usize) -> &str {
        self.setup.plan.agents.get(agent).map_or("?", |it| &it.name)
    }

    /// The injection that a step asks for.
    pub(crate) fn inject_of(&self, step: usize) -> Option<&Inject> {
        match &self.experiment()?.steps.get(step)?.action {
            Action::Inject(inject) => Some(inject),
            Action::Wait(_) => None,
        }
    }

    /// The agents that a step hits.
    pub(crate) fn hit_by(&self, step: usize) -> Vec<usize> {
        let row = self.chosen.iter().find(|it| it.step == step);
        row.map_or_else(Vec::new, |it| it.agents.clone())
    }

    /// Whether leases are held and renewed: openings are asked for, and no abort has killed them.
    pub(crate) fn holds_leases(&self) -> bool {
        self.ending.as_ref().is_none_or(|it| !it.abort)
    }

    /// Takes the stamp of an answer: the newest tick of the life that we deal with.
    pub(crate) fn heard(&mut self, agent: usize, stamp: &Stamp) {
        self.agents[agent].heard_us = Some(self.at.mono_us);
        let life = self.agents[agent].opened.as_ref().map(|it| &it.stamp);
        let life = life.or(self.agents[agent].info.as_ref().map(|it| &it.stamp));
        let same = life.is_none_or(|it| it.instance == stamp.instance);
        let link = &mut self.links[agent];
        if same && link.tick.is_none_or(|(tick, _)| stamp.tick > tick) {
            link.tick = Some((stamp.tick, self.at.mono_us));
        }
    }

    /// Whether everything asks for a person's start.
    pub(crate) fn waits_for_arm(&self) -> bool {
        self.phase == Phase::Arming
            && self.arming == ArmingStage::Waiting
            && self.setup.arming == Arming::Ask
            && self.ending.is_none()
    }

    /// A person, a signal, or somebody elsewhere.
    fn abort(&mut self, by: AbortedBy, reason: String) {
        self.reveal_if_real(&by, &reason);
        let (latch, words) = match by {
            AbortedBy::Person(name) => (true, format!("{name} aborted: {reason}")),
            AbortedBy::Signal(signal) => (true, format!("{signal} aborted: {reason}")),
            AbortedBy::Elsewhere => (false, format!("aborted from elsewhere: {reason}")),
        };
        self.stop_aborted(latch, words);
    }
}

impl Phase {
    /// In one word, as the log shows it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Baseline => "baseline",
            Self::Arming => "arming",
            Self::Inject => "inject",
            Self::Recover => "recover",
            Self::Closing => "closing",
            Self::Verdict => "verdict",
        }
    }
}

/// Steps by lane, in the order of the file.
fn lanes(steps: &[firedrill_plan::Step]) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match lanes.iter_mut().find(|lane| lane.name == step.lane) {
            Some(lane) => lane.steps.push(index),
            None => lanes.push(Lane {
                name: step.lane.clone(),
                steps: vec![index],
                ..Lane::default()
            }),
        }
    }
    lanes
}
