//! What `GET /metrics` tells Prometheus.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use firedrill_ward::Key;
use firedrill_wire::{DrillId, InjectionState, InjectionView, ProblemKind, Tick};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Sets of labels that are kept apart; experiments beyond them are counted as `other`.
const MAX_LABEL_SETS: usize = 256;

/// Drills whose experiment's name is remembered.
const MAX_DRILLS: usize = 64;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    chaos_experiment_id: String,
    chaos_type: String,
    target_service: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RevertLabels {
    chaos_type: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusalLabels {
    status: u16,
}

/// The counters of one life.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    active: Family<Labels, Gauge>,
    duration: Family<Labels, Histogram, fn() -> Histogram>,
    reverts: Family<RevertLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    lapses: Counter,
    seen: Mutex<Seen>,
    host: String,
}

#[derive(Debug, Default)]
struct Seen {
    /// What is on, since when.
    on: HashMap<Key, (Labels, Tick)>,
    label_sets: HashSet<Labels>,
    experiments: VecDeque<(DrillId, String)>,
}

impl Metrics {
    /// All zero. `labels` are the agent's; `env` and `deployment` among them become labels here.
    pub fn new(host: &str, labels: &BTreeMap<String, String>) -> Self {
        let of_agent = |key: &str| labels.get(key).cloned().unwrap_or_default();
        let constant = [
            ("service_name", "firedrill-agent".to_owned()),
            ("env", of_agent("env")),
            ("deployment", of_agent("deployment")),
            ("job", "chaos".to_owned()),
        ];
        let constant = constant.map(|(key, value)| (key.into(), value.into()));
        let mut metrics = Self {
            registry: Registry::with_labels(constant.into_iter()),
            active: Family::default(),
            duration: Family::new_with_constructor(duration_histogram as fn() -> Histogram),
            reverts: Family::default(),
            refusals: Family::default(),
            lapses: Counter::default(),
            seen: Mutex::default(),
            host: labels.get("service").cloned().unwrap_or_else(|| host.to_owned()),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "chaos_injection_active",
            "Injections that are on, or not yet read back as off",
            metrics.active.clone(),
        );
        registry.register(
            "chaos_injection_duration_seconds",
            "How long injections were on, until their read-back",
            metrics.duration.clone(),
        );
        registry.register(
            "chaos_injection_reverts",
            "Injections that ended, by what the read-back showed",
            metrics.reverts.clone(),
        );
        registry.register(
            "chaos_refusals",
            "Calls that were refused, by HTTP status",
            metrics.refusals.clone(),
        );
        registry.register(
            "chaos_lease_lapses",
            "Drills that ended because nobody renewed them",
            metrics.lapses.clone(),
        );
        metrics
    }

    /// In the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }

    /// A call was refused.
    pub fn refused(&self, kind: ProblemKind) {
        let status = kind.status();
        self.refusals.get_or_create(&RefusalLabels { status }).inc();
    }

    /// A lease lapsed.
    pub fn lapsed(&self) {
        self.lapses.inc();
    }

    /// A drill was opened; its injections are counted under the experiment's name.
    pub fn opened(&self, drill: &DrillId, experiment: &str) {
        let mut seen = self.seen.lock();
        if seen.experiments.len() >= MAX_DRILLS {
            seen.experiments.pop_front();
        }
        let name: String = experiment.chars().take(128).collect();
        seen.experiments.push_back((drill.clone(), name));
    }

    /// An injection changed.
    pub fn injection(&self, view: &InjectionView) {
        let key = Key {
            epoch: view.epoch,
            id: view.id.clone(),
        };
        let mut seen = self.seen.lock();
        match (view.state, view.active_since) {
            (InjectionState::Active, Some(since)) if !seen.on.contains_key(&key) => {
                let labels = self.labels(&mut seen, view);
                self.active.get_or_create(&labels).inc();
                seen.on.insert(key, (labels, since));
            }
            (state, _) if state.is_off() => {
                if let Some((labels, since)) = seen.on.remove(&key) {
                    self.active.get_or_create(&labels).dec();
                    let lasted = view.stamp.tick.0.saturating_sub(since.0) as f64 / 1e6;
                    self.duration.get_or_create(&labels).observe(lasted);
                    self.ended(view, "reverted");
                }
            }
            (InjectionState::Unconfirmed, _) => self.ended(view, "unconfirmed"),
            _ => {}
        }
    }

    fn ended(&self, view: &InjectionView, outcome: &'static str) {
        let chaos_type = view.fault.as_str().to_owned();
        self.reverts
            .get_or_create(&RevertLabels { chaos_type, outcome })
            .inc();
    }

    fn labels(&self, seen: &mut Seen, view: &InjectionView) -> Labels {
        let experiment = seen
            .experiments
            .iter()
            .find(|(drill, _)| *drill == view.drill)
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.clone());
        let target = view.scope.given().into_iter().find(|(key, _)| *key != "pid");
        let target = target.map(|(_, value)| value);
        let labels = Labels {
            chaos_experiment_id: experiment,
            chaos_type: view.fault.as_str().to_owned(),
            target_service: target.unwrap_or_else(|| self.host.clone()),
        };
        if seen.label_sets.len() < MAX_LABEL_SETS || seen.label_sets.contains(&labels) {
            seen.label_sets.insert(labels.clone());
            return labels;
        }
        Labels {
            chaos_experiment_id: "other".to_owned(),
            target_service: "other".to_owned(),
            ..labels
        }
    }
}

fn duration_histogram() -> Histogram {
    Histogram::new([
        0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0,
    ])
}
