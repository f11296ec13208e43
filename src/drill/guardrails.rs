//! Guardrails: what must be so for a drill to start, and what ends it when it no longer is.
//!
//! Pure like the rest: the time of the day is the event's, open alerts and what earlier drills spent come as
//! events, what agents say is already here.

use firedrill_plan::{Guardrails, Indicator, Inject, Rule};
use firedrill_wire::AgentInfo;

use crate::{
    Arming, At, Check, Drill, Effect, Failure, Phase,
    found::{Found, budget_found, clipped, host, is_a, names_fault, tighter, unknown_history, when},
    types::{GuardrailStatus, Overridden, Spent},
    words::{count, show_ms},
};

/// Open alerts are asked for this often, in microseconds.
const ALERTS_EVERY_US: u64 = 15_000_000;

/// While a drill runs, an Alertmanager that does not answer this often in a row is a violation.
const ALERTS_TRIES: u32 = 3;

/// Neighbours that are asked whether they hold a drill.
const NEIGHBOURS: usize = 200;

/// Neighbours are asked this often until the first agent is opened, and while the drill is held, in microseconds: a
/// drill of theirs ends, and another begins.
const NEIGHBOURS_EVERY_US: u64 = 5_000_000;

/// What an agent said of itself, or why it said nothing.
type Word = Result<Box<AgentInfo>, String>;

/// What guardrails are judged by.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Guard {
    /// Agents that this drill does not need and that serve the same targets, with what they said.
    pub neighbours: Vec<(usize, Option<Word>)>,
    pub neighbours_asked_us: u64,
    /// The newest answer of the Alertmanager: the open alerts, or why there is none.
    pub alerts: Option<Result<Vec<String>, String>>,
    /// Answers in a row that were none.
    pub alerts_failed: u32,
    pub alerts_asked_us: u64,
    /// What earlier drills spent.
    pub spent: Option<Result<Spent, String>>,
    pub overrides: Vec<Overridden>,
    /// The second person.
    pub approved: Option<(String, At)>,
    /// What this drill has spent of the error budget, in microseconds during which every event is bad.
    pub error_us: f64,
    /// Violations that a running drill was told of.
    pub stopped: bool,
}

impl Drill {
    pub(crate) fn begin_guardrails(&mut self) {
        let rules = &self.setup.plan.guardrails;
        let history = rules.error_budget.is_some()
            || rules
                .harm_budget
                .is_some_and(|budget| budget.per_day_ms.is_some());
        if history {
            self.out.push(Effect::ReadHistory);
        }
        self.ask_alerts();
        self.guard.neighbours = self.neighbours().into_iter().map(|agent| (agent, None)).collect();
        self.ask_neighbours();
    }

    /// What they said last stands until they answer.
    fn ask_neighbours(&mut self) {
        self.guard.neighbours_asked_us = self.at.mono_us;
        let asked: Vec<usize> = self.guard.neighbours.iter().map(|(agent, _)| *agent).collect();
        for agent in asked {
            self.call(agent, crate::Call::Info);
        }
    }

    /// Neighbours are asked again as long as their answer decides about a start or a resume.
    pub(crate) fn refresh_neighbours(&mut self) {
        let matters = match self.phase {
            Phase::Preflight | Phase::Baseline => true,
            Phase::Inject => self.is_held(),
            Phase::Arming => !self.guards_contact(),
            _ => false,
        };
        let due = self.at.mono_us.saturating_sub(self.guard.neighbours_asked_us) >= NEIGHBOURS_EVERY_US;
        if matters && due && self.ending.is_none() {
            self.ask_neighbours();
        }
    }

    /// Agents that are not hit but sit on the same host, or serve the same service, as one that is.
    fn neighbours(&self) -> Vec<usize> {
        let entries = &self.setup.plan.agents;
        let needed = self.needed();
        let same = |agent: usize| {
            let entry = &entries[agent];
            needed.iter().any(|hit| {
                let hit = &entries[*hit];
                let service = entry.labels.get("service");
                host(&entry.url) == host(&hit.url)
                    || (service.is_some() && service == hit.labels.get("service"))
            })
        };
        let others = (0..entries.len()).filter(|agent| !self.agents[*agent].needed && same(*agent));
        others.take(NEIGHBOURS).collect()
    }

    /// What a neighbour says of itself. A neighbour that does not answer is none of this drill's agents: said,
    /// and not waited for.
    pub(crate) fn neighbour_said(&mut self, agent: usize, result: Result<Box<AgentInfo>, Failure>) {
        if let Some((_, said)) = self.guard.neighbours.iter_mut().find(|(it, _)| *it == agent) {
            *said = Some(result.map_err(|failure| failure.words()));
        }
    }

    fn ask_alerts(&mut self) {
        if let Some(url) = self.setup.plan.guardrails.alertmanager.clone() {
            self.guard.alerts_asked_us = self.at.mono_us;
            self.out.push(Effect::CheckAlerts { url });
        }
    }

    pub(crate) fn alerts_checked(&mut self, result: Result<Vec<String>, String>) {
        self.guard.alerts_failed = match &result {
            Ok(_) => 0,
            Err(_) => self.guard.alerts_failed + 1,
        };
        self.guard.alerts = Some(result);
    }

    /// Alerts that were open at the Alertmanager when it was asked last; `None`: it was not, or did not answer.
    pub fn open_alerts(&self) -> Option<&[String]> {
        self.guard.alerts.as_ref()?.as_deref().ok()
    }

    pub(crate) fn history_read(&mut self, result: Result<Spent, String>) {
        self.guard.spent = Some(result);
    }

    /// A person goes on without a rule, for a reason.
    pub(crate) fn override_rule(&mut self, rule: Rule, reason: &str, by: &str) {
        let (reason, by) = (clipped(reason), clipped(by));
        if !rule.can_be_overridden() {
            let words = "a second person's word is replaced by nothing else";
            self.judge("not overridden", "approval", words);
        } else if reason.is_empty() {
            let words = format!("the guardrail {rule} is overridden for a reason only; give one");
            self.judge("not overridden", rule.word(), words);
        } else {
            self.judge(
                "override",
                rule.word(),
                format!("{by} overrides the guardrail {rule}: {reason}"),
            );
            self.guard.overrides.retain(|it| it.rule != rule);
            self.guard.overrides.push(Overridden {
                rule,
                reason,
                by,
                at: self.at,
            });
        }
    }

    /// The second person.
    pub(crate) fn approve(&mut self, by: &str) {
        let by = clipped(by);
        let same = |name: &str| name.trim().to_lowercase() == by.to_lowercase();
        let operator = self.setup.plan.people.operator.as_deref();
        if by.is_empty() || same(&self.setup.who) || operator.is_some_and(same) {
            let words = format!(
                "an approval is by a second person: \"{by}\" is not another name than that of {}, who drives",
                self.setup.who
            );
            self.judge("not approved", "approval", words);
        } else {
            self.judge("approval", "approval", format!("{by} approves the start"));
            self.guard.approved = Some((by, self.at));
        }
    }

    /// Every guardrail of this drill as it stands, those that the plan does not have left out.
    pub fn guardrails(&self) -> Vec<GuardrailStatus> {
        let found = Rule::ALL
            .into_iter()
            .filter_map(|rule| Some((rule, self.find_rule(rule)?)));
        found
            .map(|(rule, found)| self.guardrail_status(rule, found))
            .collect()
    }

    fn guardrail_status(&self, rule: Rule, found: Found) -> GuardrailStatus {
        let overridden = self.guard.overrides.iter().find(|it| it.rule == rule).cloned();
        let applies = overridden.as_ref().filter(|_| found.ok != Some(true));
        let (ok, words) = match applies {
            Some(it) => (
                Some(true),
                format!("overridden by {}: {} ({})", it.by, it.reason, found.words),
            ),
            None => (found.ok, found.words),
        };
        GuardrailStatus {
            rule,
            ok,
            words,
            remedy: Some(found.remedy).filter(|it| !it.is_empty() && ok == Some(false)),
            overridden,
            left: found.left,
        }
    }

    fn find_rule(&self, rule: Rule) -> Option<Found> {
        let rails = &self.setup.plan.guardrails;
        match rule {
            Rule::Targets => self.targets_rule(rails),
            Rule::Share => rails.max_share.map(|share| self.share_rule(share)),
            Rule::Duration => rails.max_duration_ms.map(|limit| self.duration_rule(limit)),
            Rule::Forbid => Some(self.forbid_rule(rails)),
            Rule::Staffed => rails.staffed.as_ref().map(|hours| {
                let next = hours.next_change(self.at.wall_ms);
                if hours.contains(self.at.wall_ms) {
                    Found::good(format!("staffed ({hours}), until {}", when(next)))
                } else {
                    let remedy = format!("wait for people: the next staffed hours begin {}", when(next));
                    Found::bad(format!("nobody is there now; staffed hours are {hours}"), remedy)
                }
            }),
            Rule::Peak => rails.peak.as_ref().map(|hours| {
                let next = hours.next_change(self.at.wall_ms);
                if hours.contains(self.at.wall_ms) {
                    let remedy = format!("wait until the peak is over: {}", when(next));
                    Found::bad(format!("it is a peak hour ({hours})"), remedy)
                } else {
                    Found::good(format!("no peak ({hours}), the next begins {}", when(next)))
                }
            }),
            Rule::Shared => self.shared_rule(),
            Rule::Alerts => rails.alertmanager.as_ref().map(|url| self.alerts_rule(url)),
            Rule::HarmBudget => self.harm_rule(),
            Rule::ErrorBudget => self.error_rule(),
            Rule::Approval => rails.approval.then(|| self.approval_rule()),
        }
    }

    fn targets_rule(&self, rails: &Guardrails) -> Option<Found> {
        let limit = match (rails.max_targets, rails.max_share) {
            (Some(limit), _) => limit as usize,
            (None, None) => 1,
            (None, Some(_)) => return None,
        };
        let hit = self.needed().len();
        let allowed = if rails.max_targets.is_some() {
            format!("at most {limit}")
        } else {
            "at most 1 where [guardrails] max_targets does not say more".to_owned()
        };
        let words = format!("hits {}, {allowed}", count(hit, "agent"));
        Some(if hit <= limit {
            Found::good(words)
        } else {
            let remedy = format!("choose fewer targets (mode), or set max_targets = {hit} in [guardrails]");
            Found::bad(words, remedy)
        })
    }

    fn share_rule(&self, limit: f64) -> Found {
        let share = |row: &crate::Chosen| row.agents.len() as f64 / row.matching.max(1) as f64;
        let largest = self.chosen.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
        let Some(row) = largest else {
            return Found::good("hits nothing");
        };
        let words = format!(
            "hits {} of {} that match ({:.0} %), at most {:.0} %",
            row.agents.len(),
            row.matching,
            share(row) * 100.0,
            limit * 100.0
        );
        if share(row) <= limit + 1e-9 {
            Found::good(words)
        } else {
            Found::bad(
                words,
                "choose a smaller share (mode), or raise max_share in [guardrails]",
            )
        }
    }

    fn duration_rule(&self, limit_ms: u64) -> Found {
        let longest = self.injects().map(|(_, it)| it.for_ms).max().unwrap_or(0);
        let words = format!(
            "the longest injection is {}, at most {}",
            show_ms(longest),
            show_ms(limit_ms)
        );
        if longest <= limit_ms {
            Found::good(words)
        } else {
            Found::bad(
                words,
                "shorten `for` of that step, or raise max_duration in [guardrails]",
            )
        }
    }

    fn forbid_rule(&self, rails: &Guardrails) -> Found {
        let mut found = Vec::new();
        if let Some(names) = &rails.forbid {
            let forbidden = |fault: &str| names.iter().find(|name| names_fault(name, fault));
            for (_, inject) in self.injects() {
                if let Some(name) = forbidden(&inject.fault) {
                    found.push(format!("{} is forbidden (forbid has \"{name}\")", inject.fault));
                }
            }
        } else {
            for (_, inject) in self.injects().filter(|(_, it)| is_a(&it.fault, "partition")) {
                found.push(format!(
                    "{} is a partition, which is not injected where [guardrails] does not say what to forbid",
                    inject.fault
                ));
            }
            found.extend(self.kills_a_service());
        }
        found.dedup();
        if found.is_empty() {
            Found::good("no fault of this experiment is forbidden")
        } else {
            let remedy =
                "take that step out, or change forbid in [guardrails] (forbid = [] allows every fault)";
            Found::bad(found.join("; "), remedy)
        }
    }

    /// The kills of this experiment together leave no instance of a service.
    fn kills_a_service(&self) -> Option<String> {
        let kills = self.injects().filter(|(_, it)| is_a(&it.fault, "kill"));
        let mut killed: Vec<usize> = kills.flat_map(|(step, _)| self.hit_by(step)).collect();
        killed.sort_unstable();
        killed.dedup();
        let entries = &self.setup.plan.agents;
        let same = |one: usize, other: usize| {
            one == other
                || match entries[one].labels.get("service") {
                    Some(service) => entries[other].labels.get("service") == Some(service),
                    None => false,
                }
        };
        let whole = killed.iter().find(|agent| {
            let mut instances = (0..entries.len()).filter(|other| same(**agent, *other));
            instances.all(|instance| killed.contains(&instance))
        });
        whole.map(|agent| {
            let service = entries[*agent].labels.get("service");
            let service = service.map_or_else(|| self.name(*agent).to_owned(), Clone::clone);
            format!("kills every instance of {service} that the plan knows")
        })
    }

    fn shared_rule(&self) -> Option<Found> {
        if self.guard.neighbours.is_empty() {
            return None;
        }
        let (mut held, mut silent, mut waits) = (Vec::new(), Vec::new(), 0);
        for (agent, said) in &self.guard.neighbours {
            match said {
                None => waits += 1,
                Some(Err(_)) => silent.push(self.name(*agent)),
                Some(Ok(info)) => {
                    let other = info.open.as_ref().filter(|open| open.drill != self.setup.drill);
                    held.extend(other.map(|open| {
                        format!(
                            "{} serves the same targets and is held by {} on {} for \"{}\"",
                            self.name(*agent),
                            open.who,
                            open.console,
                            open.experiment
                        )
                    }));
                }
            }
        }
        Some(if !held.is_empty() {
            Found::bad(held.join("; "), "wait until that drill is over, or end it there")
        } else if waits > 0 && self.phase == Phase::Preflight {
            Found::waiting(format!("asking {} on the same targets", count(waits, "agent")))
        } else if silent.is_empty() {
            let asked = count(self.guard.neighbours.len(), "agent");
            Found::good(format!("{asked} on the same targets, none in a drill"))
        } else {
            Found::good(format!(
                "no drill known on the same targets; no answer from {}",
                silent.join(", ")
            ))
        })
    }

    fn alerts_rule(&self, url: &str) -> Found {
        let runs = self.guards_contact();
        match &self.guard.alerts {
            None => Found::waiting(format!("asking {url} for open alerts")),
            Some(Ok(open)) if open.is_empty() => Found::good(format!("no open alert at {url}")),
            Some(Ok(open)) => Found::bad(
                format!("{} open: {}", count(open.len(), "alert"), open.join(", ")),
                "handle or silence what is open, then begin again",
            ),
            Some(Err(_)) if runs && self.guard.alerts_failed < ALERTS_TRIES => {
                Found::good(format!("{url} did not answer just now; asked again"))
            }
            Some(Err(why)) => Found::bad(
                format!("whether alerts are open is not known: {why}"),
                "see whether the Alertmanager runs and is reachable from here",
            ),
        }
    }

    fn harm_rule(&self) -> Option<Found> {
        let budget = self.setup.plan.guardrails.harm_budget?;
        let mine = self.harm_ms();
        let mut found = None;
        if let Some(limit) = budget.per_drill_ms {
            found = Some(budget_found(
                "of bad time for this drill",
                limit,
                mine,
                "per_drill",
            ));
        }
        let Some(limit) = budget.per_day_ms else {
            return found;
        };
        let day = match &self.guard.spent {
            None => Found::waiting("adding up what earlier drills spent"),
            Some(Err(why)) => unknown_history(why),
            Some(Ok(spent)) => {
                let all = spent.harm_ms.saturating_add(mine);
                budget_found("of bad time for 24 hours", limit, all, "per_day")
            }
        };
        Some(match found {
            Some(drill) => tighter(drill, day),
            None => day,
        })
    }

    fn error_rule(&self) -> Option<Found> {
        let budget = self.setup.plan.guardrails.error_budget.as_ref()?;
        let allowed = budget.allowed_ms();
        Some(match &self.guard.spent {
            None => Found::waiting("adding up what earlier drills spent"),
            Some(Err(why)) => unknown_history(why),
            Some(Ok(spent)) => {
                let used = spent.error_ms + self.error_ms();
                let name = self.setup.plan.slis.get(budget.sli).map_or("?", |it| &it.name);
                let what = format!(
                    "of errors of {name} ({} % of its budget of {})",
                    (budget.spend_at_most * 1e4).round() / 100.0,
                    show_ms(((1.0 - budget.objective) * budget.window_ms as f64) as u64)
                );
                budget_found(&what, allowed as u64, used.ceil() as u64, "spend_at_most")
            }
        })
    }

    fn approval_rule(&self) -> Found {
        match &self.guard.approved {
            Some((by, _)) => Found::good(format!("approved by {by}")),
            None => Found::bad(
                "the plan asks for a second person, who has not approved yet",
                format!(
                    "somebody other than {} approves: --approved-by NAME, or in the window at the start",
                    self.setup.who
                ),
            ),
        }
    }

    fn injects(&self) -> impl Iterator<Item = (usize, &Inject)> {
        self.chosen
            .iter()
            .filter_map(|row| Some((row.step, self.inject_of(row.step)?)))
    }

    /// What this drill has spent of the error budget, in milliseconds during which every event is bad.
    pub fn error_ms(&self) -> f64 {
        self.guard.error_us / 1_000.0
    }

    /// The second person and when.
    pub fn approved(&self) -> Option<&(String, At)> {
        self.guard.approved.as_ref()
    }

    /// Every override, in order.
    pub fn overrides(&self) -> &[Overridden] {
        &self.guard.overrides
    }

    /// Time since the last step, while a fault is on: what it cost of the error budget.
    pub(crate) fn count_errors(&mut self, passed_us: u64) {
        let Some(budget) = &self.setup.plan.guardrails.error_budget else {
            return;
        };
        let (Some(sli), Some(status)) = (self.setup.plan.slis.get(budget.sli), self.slis.get(budget.sli))
        else {
            return;
        };
        if !self.fault_is_on() {
            return;
        }
        let bad = match (status.state, status.value) {
            (crate::SliState::NoData, _) | (_, None) => 1.0,
            (_, Some(value)) if matches!(sli.indicator, Indicator::Ratio { .. }) => {
                (1.0 - value).clamp(0.0, 1.0)
            }
            (crate::SliState::Out, _) => 1.0,
            _ => 0.0,
        };
        self.guard.error_us += bad * passed_us as f64;
    }

    /// As rows of preflight and of the confirmation.
    pub(crate) fn guardrail_checks(&self) -> Vec<Check> {
        let row = |it: GuardrailStatus| Check {
            what: format!("Guardrail {}", it.rule),
            words: it.sentence(),
            ok: it.ok,
        };
        self.guardrails().into_iter().map(row).collect()
    }

    /// Whether a person at the console may still put it right: then preflight goes on, and the start waits.
    pub(crate) fn guardrails_may_wait(&self) -> bool {
        self.setup.arming == Arming::Ask
    }

    /// What stands in the way of the start, a sentence each with the rule.
    pub(crate) fn violations(&self) -> Vec<(Rule, String)> {
        let bad = self.guardrails().into_iter().filter(|it| it.ok != Some(true));
        bad.map(|it| (it.rule, it.sentence())).collect()
    }

    /// Open alerts are asked for again while they matter.
    pub(crate) fn refresh_alerts(&mut self) {
        let matters = matches!(
            self.phase,
            Phase::Preflight | Phase::Baseline | Phase::Arming | Phase::Inject
        );
        let due = self.at.mono_us.saturating_sub(self.guard.alerts_asked_us) >= ALERTS_EVERY_US;
        if matters && due && self.ending.is_none() {
            self.ask_alerts();
        }
    }

    /// From the first opening on: a guardrail that no longer holds ends the drill.
    pub(crate) fn watch_guardrails(&mut self, tick: bool) {
        // While nothing is on they hold up the resuming instead.
        if !self.guards_contact() || self.guard.stopped || self.is_held() {
            return;
        }
        // Budgets drain with every step; the others change slowly.
        let slow: &[Rule] = if tick {
            &[Rule::Alerts, Rule::Staffed, Rule::Peak]
        } else {
            &[]
        };
        for rule in [Rule::HarmBudget, Rule::ErrorBudget].iter().chain(slow).copied() {
            let Some(found) = self.find_rule(rule) else {
                continue;
            };
            let status = self.guardrail_status(rule, found);
            if status.ok == Some(false) {
                self.guard.stopped = true;
                self.stop_guardrail(rule, status.words);
                return;
            }
        }
    }
}

impl GuardrailStatus {
    /// What was found, and what would satisfy it.
    pub fn sentence(&self) -> String {
        let Some(remedy) = &self.remedy else {
            return self.words.clone();
        };
        let overriding = if self.rule.can_be_overridden() {
            format!("; or override it for a reason (--override {}=REASON)", self.rule)
        } else {
            String::new()
        };
        format!("{}; {remedy}{overriding}", self.words)
    }
}
