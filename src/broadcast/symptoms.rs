//! What a responder is sent: what users of the system feel, and nothing of what was done to it. Made on the host,
//! before anything is sent.

use std::{collections::VecDeque, path::Path, sync::Arc};

use firedrill_drill::{At, Entry, Event, Phase, Reading, Setup, SliState, Stamped};
use firedrill_journal::Decoder;
use firedrill_plan::{Range, Stop};
use firedrill_scene::{DrillScene, EXERCISE, Fired, MAX_FIRED, SafetyScene, Seal, SliScene};
use firedrill_series::Series;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::journal_tail::Lines;

/// As much as this is kept of one drill for responders, bytes: days.
const MOST: usize = 32 << 20;
/// Letters of a name that is shown.
const NAME: usize = 200;

/// A line of a responder's stream. There is no more than this in any of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "symptom", rename_all = "snake_case")]
pub enum Symptom {
    /// Somebody began to look: wall time of the zero of all times below, milliseconds since 1970 UTC.
    Began {
        /// When.
        origin_wall_ms: i64,
    },
    /// What is looked at; they are counted from 0 as they come.
    Indicator {
        /// Its name.
        name: String,
        /// Its unit.
        unit: String,
        /// Where it is when all is well.
        band: Range,
    },
    /// What was seen.
    Sample {
        /// Of which indicator.
        indicator: usize,
        /// When it was taken, microseconds.
        taken_us: u64,
        /// In the base unit; `None`: no data.
        value: Option<f64>,
    },
}

impl Symptom {
    /// What may be told of a record.
    fn of(stamped: &Stamped) -> Vec<Self> {
        let at = stamped.at;
        match &stamped.entry {
            made @ Entry::Made { .. } => {
                let Ok(setup) = Setup::from_made(made) else {
                    return Vec::new();
                };
                let began = Self::Began {
                    origin_wall_ms: at.wall_ms - (at.mono_us / 1_000).cast_signed(),
                };
                let indicators = setup.plan.slis.iter().map(|sli| Self::Indicator {
                    name: sli.name.chars().take(NAME).collect(),
                    unit: sli.unit.chars().take(NAME).collect(),
                    band: sli.band,
                });
                std::iter::once(began).chain(indicators).collect()
            }
            Entry::Event {
                event: Event::Samples { samples },
            } => {
                let sample = |it: &firedrill_drill::Sample| Self::Sample {
                    indicator: it.sli,
                    taken_us: at.mono_us.saturating_sub(it.age_ms.saturating_mul(1_000)),
                    value: match it.reading {
                        Reading::Value { value, .. } => Some(value),
                        Reading::NoData { .. } => None,
                    },
                };
                samples.iter().map(sample).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Makes symptoms of a journal as it grows.
pub(crate) struct Sealer {
    journal: Lines,
    offset: u64,
    decoder: Decoder,
    made: Arc<Mutex<Vec<u8>>>,
}

impl Sealer {
    /// Of this journal, into `made`.
    pub(crate) fn new(journal: Arc<Path>, made: Arc<Mutex<Vec<u8>>>) -> Self {
        Self {
            journal: Lines::File(journal),
            offset: 0,
            decoder: Decoder::new(),
            made,
        }
    }

    /// Takes what the journal has by now; how many bytes were made in all. Blocks.
    pub(crate) fn go_on(&mut self) -> std::io::Result<u64> {
        loop {
            let piece = self.journal.piece(self.offset)?;
            self.offset += piece.len() as u64;
            for line in piece.split_inclusive(|byte| *byte == b'\n') {
                self.decoder.line(line);
            }
            let mut made = self.made.lock();
            for symptom in self.decoder.take().iter().flat_map(Symptom::of) {
                if made.len() < MOST {
                    serde_json::to_writer(&mut *made, &symptom)?;
                    made.push(b'\n');
                }
            }
            if piece.is_empty() {
                return Ok(made.len() as u64);
            }
        }
    }
}

/// On the responder's side: what was seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symptoms {
    origin_wall_ms: i64,
    slis: Vec<SliScene>,
    /// What left the band, or vanished.
    fired: Arc<Vec<Fired>>,
}

/// So many indicators are taken.
const INDICATORS: usize = 1_000;

impl Symptoms {
    /// Takes a line.
    pub(crate) fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let symptom: Symptom =
            serde_json::from_slice(line).map_err(|error| format!("a line is no symptom: {error}"))?;
        match symptom {
            Symptom::Began { origin_wall_ms } => self.origin_wall_ms = origin_wall_ms,
            Symptom::Indicator { name, unit, band } => {
                if self.slis.len() >= INDICATORS {
                    return Err("it has too many indicators".to_owned());
                }
                self.slis.push(indicator(name, unit, band));
            }
            Symptom::Sample {
                indicator,
                taken_us,
                value,
            } => {
                let sli = self.slis.get_mut(indicator).ok_or("a sample of no indicator")?;
                let value = value.filter(|it| it.is_finite());
                if sli.series.push(taken_us, value) {
                    let before = sli.state;
                    sli.value = value.or(sli.value);
                    sli.state = match value {
                        None => SliState::NoData,
                        Some(value) if sli.band.contains(value) => SliState::Steady,
                        Some(_) => SliState::Out,
                    };
                    // No data at the very first is no news.
                    let rings = sli.state == SliState::Out || before == SliState::Steady;
                    if sli.state != before && sli.state != SliState::Steady && rings {
                        let fired = Fired {
                            at_us: taken_us,
                            what: sli.name.clone(),
                            state: Some(sli.state),
                        };
                        if self.fired.len() < MAX_FIRED {
                            Arc::make_mut(&mut self.fired).push(fired);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What is shown: indicators and their past.
    pub(crate) fn scene(&self, drill: &str, wall_ms: i64) -> DrillScene {
        let now = At {
            wall_ms,
            mono_us: u64::try_from(wall_ms.saturating_sub(self.origin_wall_ms)).unwrap_or(0) * 1_000,
        };
        let mut slis = self.slis.clone();
        for sli in &mut slis {
            let newest = sli.series.last();
            sli.age_ms = newest.map(|it| now.mono_us.saturating_sub(it.time_us) / 1_000);
        }
        DrillScene {
            id: drill.to_owned(),
            experiment: EXERCISE.to_owned(),
            console: String::new(),
            hypothesis: String::new(),
            say: None,
            now,
            origin_wall_ms: self.origin_wall_ms,
            // The same all the time: a phase would tell when the fault begins.
            phase: Phase::Baseline,
            phases: Vec::new(),
            progress: None,
            slis,
            injections: Vec::new(),
            planned: Vec::new(),
            holds: Vec::new(),
            hold: None,
            log: Arc::new(VecDeque::new()),
            lease_left_ms: None,
            agents: 0,
            people: None,
            checks: Vec::new(),
            safety: SafetyScene::default(),
            arming: None,
            verdict: None,
            seal: Seal::Sealed,
            fired: Arc::clone(&self.fired),
        }
    }
}

fn indicator(name: String, unit: String, band: Range) -> SliScene {
    SliScene {
        name,
        unit,
        say: firedrill_plan::Say::default(),
        band,
        // What the plan allows, and where it would stop, tell of the plan.
        tolerate: Range::default(),
        stop: Stop::Never { after: 0 },
        state: SliState::NoData,
        value: None,
        age_ms: None,
        why_no_data: None,
        bad_in_row: 0,
        series: Series::new(),
        bad: Arc::default(),
    }
}
