//! The plan's agents while no drill runs: who they are, their latch, the test of the abort path.

use std::{sync::Arc, time::Instant};

use firedrill_drill::{Call, Failure, Reply};
use firedrill_fleet::{Credentials, Gate, Token, driver};
use firedrill_scene::{AgentHealth, AgentScene, Level};
use firedrill_trust::Join;
use firedrill_wire::{AgentInfo, ReleaseRequest};

use super::app::{App, Work};
use crate::{abort::random_id, calls::tested, clock::wall_ms};

impl App {
    /// The open plan's agents, not asked yet.
    pub(crate) fn new_fleet(&self) {
        let agents = self.plan.plan.as_ref().map(|plan| plan.agents.clone());
        let fleet = agents.unwrap_or_default().into_iter().map(|entry| AgentScene {
            name: entry.name,
            url: entry.url,
            health: AgentHealth::Unknown,
            rtt_us: None,
            heard_ms: None,
            info: None,
            latch: None,
            abort_test: None,
        });
        let fleet = Arc::new(fleet.collect());
        self.publisher.update(|scene| scene.fleet = fleet);
        if self.plan.plan.is_none() && !self.plan.text.is_empty() {
            tracing::debug!("the open plan has mistakes: its agents are not known");
        }
    }

    /// Asks every agent who it is.
    pub(crate) fn refresh(&mut self) {
        self.check_plan_on_disk();
        let Some(plan) = self.plan.plan.clone() else {
            self.rest();
            return;
        };
        let credentials = self.credentials();
        let revision = self.plan.revision;
        for (index, entry) in plan.agents.iter().enumerate() {
            let driver = match driver(entry, credentials.access(&entry.url)) {
                Ok(driver) => driver,
                Err(error) => {
                    self.heard(revision, index, Err((true, error.to_string())));
                    continue;
                }
            };
            self.spawn(async move {
                let begun = Instant::now();
                let reply = driver.call(Call::Info, &Gate::new()).await;
                let rtt_us = begun.elapsed().as_micros() as u64;
                let Reply::Info { result } = reply else {
                    return None;
                };
                let result = match result {
                    Ok(info) => Ok((info, rtt_us)),
                    Err(Failure::Refused { problem }) => Err((true, problem.to_string())),
                    Err(Failure::NoAnswer { why }) => Err((false, why)),
                };
                Some(Work::Heard(revision, index, result))
            });
        }
        self.rest();
    }

    pub(crate) fn heard(
        &mut self,
        revision: u64,
        index: usize,
        result: Result<(Box<AgentInfo>, u64), (bool, String)>,
    ) {
        if revision != self.plan.revision {
            return;
        }
        let mut moved = false;
        self.change_agent(index, |agent| match result {
            Ok((info, rtt_us)) => {
                let known = agent.info.as_ref().and_then(|info| info.abort_port);
                moved = info.abort_port.is_some() && info.abort_port != known;
                agent.rtt_us = Some(rtt_us);
                agent.heard_ms = Some(wall_ms());
                agent.latch.clone_from(&info.latch);
                agent.health = match &info.open {
                    Some(open) => AgentHealth::Unusable(format!(
                        "held by \"{}\" of {} on {}; it is free when that drill ends",
                        open.experiment, open.who, open.console
                    )),
                    None => AgentHealth::Healthy,
                };
                agent.info = Some(info);
            }
            Err((unusable, why)) => {
                agent.health = if unusable {
                    AgentHealth::Unusable(why)
                } else {
                    AgentHealth::Unreachable(why)
                };
            }
        });
        if moved {
            self.rest();
        }
    }

    fn change_agent(&self, index: usize, change: impl FnOnce(&mut AgentScene)) {
        self.publisher.update(|scene| {
            if let Some(agent) = Arc::make_mut(&mut scene.fleet).get_mut(index) {
                change(agent);
            }
        });
    }

    pub(crate) fn release(&self, name: &str, latch: u64, reason: String) {
        let plan = self.plan.plan.clone();
        let entry = plan
            .iter()
            .flat_map(|plan| &plan.agents)
            .find(|entry| entry.name == name)
            .cloned();
        let Some(entry) = entry else {
            self.publisher
                .say(Level::Error, format!("the plan has no agent {name}"));
            return;
        };
        let access = self.credentials().access(&entry.url);
        let request = ReleaseRequest {
            latch,
            reason,
            who: self.options.who.clone(),
        };
        let work = self.work.clone();
        self.spawn(async move {
            let released = match driver(&entry, access) {
                Ok(driver) => driver.release(request).await.map_err(|failure| match failure {
                    Failure::Refused { problem } => problem.to_string(),
                    Failure::NoAnswer { why } => why,
                }),
                Err(error) => Err(error.to_string()),
            };
            // Whatever came of it: how it stands now is asked.
            work.send(Work::Ask(firedrill_scene::Ask::RefreshFleet))
                .await
                .ok();
            Some(match released {
                Ok(released) => Work::Say(
                    Level::Info,
                    format!("latch {} of {} is released", released.latch, entry.name),
                ),
                Err(why) => Work::Say(Level::Error, format!("{} is not released: {why}", entry.name)),
            })
        });
    }

    pub(crate) fn set_token(&mut self, url: &str, token: &str) {
        let mut credentials = self.credentials();
        credentials.set_token(url, Token::new(token));
        self.keep(credentials, &format!("the token for {url} is kept"));
    }

    /// Takes in an agent's join string.
    pub(crate) fn enroll(&mut self, line: &str) {
        let join: Join = match line.parse() {
            Ok(join) => join,
            Err(error) => {
                self.publisher.say(Level::Error, format!("not enrolled: {error}"));
                return;
            }
        };
        let mut credentials = self.credentials();
        credentials.enroll(&join);
        let url = join.url();
        let agents = self.plan.plan.as_ref().map(|plan| &plan.agents);
        let in_plan = agents.is_some_and(|agents| agents.iter().any(|agent| agent.url == url));
        let next = if in_plan {
            String::new()
        } else {
            format!("; a plan names it by url = \"{url}\"")
        };
        self.keep(credentials, &format!("{} is enrolled{next}; kept", join.name));
    }

    fn keep(&mut self, credentials: Credentials, words: &str) {
        let file = self.options.credentials();
        if let Some(tokens) = &mut self.plan.tokens {
            *tokens = credentials;
        } else if let Err(error) = credentials.save(&file) {
            self.publisher.say(Level::Error, error.to_string());
            return;
        }
        self.publisher
            .say(Level::Info, format!("{words} in {}", file.display()));
        self.refresh();
    }

    /// Exercises the abort path on every agent of the plan.
    pub(crate) fn test_abort(&mut self) {
        if self.running.is_some() {
            self.publisher.say(
                Level::Info,
                "a drill runs: its preflight exercises the abort path",
            );
            return;
        }
        let Some(plan) = self.plan.plan.clone() else {
            return;
        };
        let credentials = self.credentials();
        let revision = self.plan.revision;
        for (index, entry) in plan.agents.iter().enumerate() {
            let Ok(driver) = driver(entry, credentials.access(&entry.url)) else {
                continue;
            };
            let line = Arc::clone(&self.line);
            let gate = self.gate.clone();
            let (console, who) = (self.options.console.clone(), self.options.who.clone());
            self.spawn(async move {
                let drill = format!("abort-test-{}", random_id()).into();
                let result = tested(&*driver, &gate, &line, index, drill, console, who).await;
                Some(Work::Tested(revision, index, result))
            });
        }
    }

    pub(crate) fn tested(&mut self, revision: u64, index: usize, result: Result<u64, String>) {
        if revision == self.plan.revision {
            self.change_agent(index, |agent| agent.abort_test = Some(result));
        }
    }
}
