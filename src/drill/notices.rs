//! Who is told of a stop, and what is sent after it: alerts and emergency actions. Nothing here is waited for by
//! a stop; only the verdict waits, and not for long, so that the journal has the results.

use firedrill_plan::{ActionCall, AlertTarget};

use crate::{
    Drill, Effect, Phase,
    types::{Notice, NoticeKind, StopNews},
};

/// An alert or an action has this long, in milliseconds, to be answered; the verdict waits no longer.
pub const NOTICE_MS: u64 = 10_000;

/// The same for a command of an agent: its host's time limit, and the way there and back.
pub const COMMAND_MS: u64 = firedrill_wire::ACTION_MS + 4_000;

/// Actions follow the reverts; where an agent's revert cannot even be sent, they follow after this long, in
/// microseconds.
const ACTIONS_WAIT_US: u64 = 2_000_000;

/// Notices kept of one drill.
const NOTICES: usize = 200;

/// What kind of stop it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopKind {
    /// A stop condition, or lost sight: automatic.
    Breach,
    /// A guardrail: automatic.
    Guardrail,
    /// A person, a signal, somebody elsewhere.
    Person,
}

impl Drill {
    /// After the abort line was told: tells those who are to know, and remembers what is to follow.
    pub(crate) fn notify(&mut self, kind: StopKind, rule: &str, words: &str) {
        if kind != StopKind::Person {
            self.alert(rule, words);
        }
        let actions = self.experiment().map_or(0, |it| it.on_stop.len());
        for action in 0..actions {
            let wanted = self
                .experiment()
                .and_then(|it| it.on_stop.get(action))
                .is_some_and(|it| {
                    if kind == StopKind::Breach {
                        it.on_breach
                    } else {
                        it.on_abort
                    }
                });
            let known = self
                .notices
                .iter()
                .any(|it| it.kind == NoticeKind::Action(action) && it.by.is_none());
            if wanted && !known {
                self.push_notice(NoticeKind::Action(action), None);
            }
        }
    }

    fn alert(&mut self, rule: &str, words: &str) {
        let alerts: Vec<AlertTarget> = self.setup.plan.alerts.clone();
        for (index, _) in alerts.iter().enumerate() {
            let kind = NoticeKind::Alert(index);
            if self.notices.iter().any(|it| it.kind == kind) {
                continue;
            }
            self.push_notice(kind, None);
            if let Some(notice) = self.notices.last_mut() {
                notice.asked = Some(self.at);
            }
            let stop = StopNews {
                drill: self.setup.drill.clone(),
                experiment: self.experiment().map_or_else(String::new, |it| it.name.clone()),
                rule: rule.to_owned(),
                words: words.to_owned(),
                at: self.at,
            };
            self.out.push(Effect::Alert { alert: index, stop });
        }
    }

    fn push_notice(&mut self, kind: NoticeKind, by: Option<String>) {
        if self.notices.len() < NOTICES {
            self.notices.push(Notice {
                kind,
                by,
                asked: None,
                done: None,
            });
        }
    }

    /// A person sends an action while the drill runs.
    pub(crate) fn act(&mut self, action: usize, by: &str) {
        let Some(call) = self
            .experiment()
            .and_then(|it| it.on_stop.get(action))
            .map(|it| it.call.to_string())
        else {
            return;
        };
        let over = matches!(self.phase, Phase::Preflight | Phase::Baseline | Phase::Verdict);
        if over || self.notices.len() >= NOTICES {
            self.judge("not sent", "action", format!("{call}: only while a drill runs"));
            return;
        }
        self.judge("action", "by hand", format!("{by} sends {call}"));
        self.push_notice(NoticeKind::Action(action), Some(by.to_owned()));
        self.send_actions(true);
    }

    /// Sends what is to follow the reverts, once they are sent.
    pub(crate) fn advance_actions(&mut self) {
        let Some(ending) = &self.ending else { return };
        if !ending.abort {
            return;
        }
        let waited_us = self.at.mono_us.saturating_sub(ending.since_us);
        let sent = |it: &crate::AgentStatus| {
            it.abort
                .as_ref()
                .is_some_and(|abort| abort.sent > 0 || abort.received_us.is_some())
        };
        let all_sent = self.agents.iter().all(|it| !it.needed || sent(it));
        if all_sent || waited_us >= ACTIONS_WAIT_US {
            self.send_actions(false);
        }
    }

    fn send_actions(&mut self, by_hand: bool) {
        for notice in 0..self.notices.len() {
            let it = &self.notices[notice];
            let NoticeKind::Action(action) = it.kind else {
                continue;
            };
            if it.asked.is_none() && it.by.is_some() == by_hand {
                self.notices[notice].asked = Some(self.at);
                self.out.push(Effect::Act { action, notice });
            }
        }
    }

    /// An alert was posted, or not.
    pub(crate) fn alerted(&mut self, alert: usize, result: Result<String, String>) {
        let place = self
            .notices
            .iter()
            .position(|it| it.kind == NoticeKind::Alert(alert));
        let to = self
            .setup
            .plan
            .alerts
            .get(alert)
            .map_or_else(String::new, |it| it.url.clone());
        self.noticed(place, "alert", &to, result);
    }

    /// An action was answered, or not.
    pub(crate) fn acted(&mut self, notice: usize, result: Result<String, String>) {
        let Some(NoticeKind::Action(action)) = self.notices.get(notice).map(|it| it.kind) else {
            return;
        };
        let to = self
            .experiment()
            .and_then(|it| it.on_stop.get(action))
            .map_or_else(String::new, |it| it.call.to_string());
        self.noticed(Some(notice), "action", &to, result);
    }

    fn noticed(&mut self, place: Option<usize>, rule: &str, to: &str, result: Result<String, String>) {
        let Some(notice) = place.filter(|place| self.notices[*place].done.is_none()) else {
            return;
        };
        let (what, words) = match &result {
            Ok(answer) => (rule.to_owned(), format!("{to}: {answer}")),
            Err(why) => (format!("{rule} failed"), format!("{to}: {why}")),
        };
        self.judge(&what, rule, words);
        self.notices[notice].done = Some((self.at, result));
    }

    /// Whether every notice is answered, or has had its time.
    pub(crate) fn notices_are_done(&self) -> bool {
        let open = |it: &Notice| match (it.asked, &it.done) {
            (_, Some(_)) => false,
            (Some(asked), None) => self.at.ms_since(asked) < self.patience_ms(it.kind),
            // Not sent: only an abort sends it, and that decides when.
            (None, None) => self.ending.as_ref().is_some_and(|it| it.abort),
        };
        !self.notices.iter().any(open)
    }

    fn patience_ms(&self, kind: NoticeKind) -> u64 {
        let NoticeKind::Action(action) = kind else {
            return NOTICE_MS;
        };
        match self.experiment().and_then(|it| it.on_stop.get(action)) {
            Some(it) if matches!(it.call, ActionCall::Command(_)) => COMMAND_MS,
            _ => NOTICE_MS,
        }
    }

    /// Alerts and actions of this drill, in the order they were asked for.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}
