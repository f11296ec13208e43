//! People at the levers of consoles: they turn faults up and down, hold drills and go on.

use firedrill_catalogue::Lever;
use firedrill_drill::{Command, Drill, Event, HoldStage, Injection, Phase};
use firedrill_wire::{InjectionId, InjectionState, PatchRequest};
use serde_json::Value;

use crate::report::Rule;
use crate::world::World;

impl World {
    /// With each tick of a console whose drill injects.
    pub(crate) fn at_the_lever(&mut self, life: u32) {
        let healed = self.healed;
        let Some(console) = self.console(life) else { return };
        if console.drill.phase() != Phase::Inject || console.drill.is_ending() {
            // Somebody who has not seen it yet.
            let late = console.turns && console.drill.phase() == Phase::Closing;
            if late && self.hands.chance(2_000) {
                self.turns(life);
            }
            return;
        }
        let (turns, holds) = (console.turns, console.holds);
        let stage = console.drill.hold().map(|it| it.stage);
        match stage {
            None if holds > 0 && self.hands.chance(1_500) => {
                if let Some(console) = self.console(life) {
                    console.holds -= 1;
                }
                self.says(life, Command::Hold { by: "ann".to_owned() });
            }
            None if turns && self.hands.chance(3_500) => self.turns(life),
            // Two held drills on the same targets stand in each other's way: somebody ends one of them.
            Some(_) if healed && self.hands.chance(500) => self.says(life, Command::Finish),
            // Too early and twice now and then; after all trouble somebody does go on.
            Some(stage) if self.hands.chance(if healed { 5_000 } else { 1_500 }) => {
                self.says(life, Command::Resume { by: "ann".to_owned() });
                self.has_resumed(life, stage);
            }
            _ => {}
        }
    }

    fn has_resumed(&mut self, life: u32, before: HoldStage) {
        let now = self.now;
        let Some(console) = self.console(life) else { return };
        let after = console.drill.hold().map(|it| it.stage);
        if before == HoldStage::Held && matches!(after, Some(HoldStage::Baseline { .. })) {
            console.sight.resumed_us = Some(now);
            self.counts.resumed += 1;
        }
    }

    fn says(&mut self, life: u32, command: Command) {
        self.console_event(life, Event::Command { command });
    }

    /// Any injection, to anything between nothing and the whole; now and then to more than the plan has.
    fn turns(&mut self, life: u32) {
        let (pick, to, wrong) = (
            self.hands.next(),
            self.hands.between(0, 100),
            self.hands.chance(500),
        );
        let Some(console) = self.console(life) else { return };
        let on: Vec<&Injection> = console
            .drill
            .injections()
            .iter()
            .filter(|it| it.state == Some(InjectionState::Active))
            .collect();
        if on.is_empty() {
            return;
        }
        let injection = on[(pick % on.len() as u64) as usize];
        let Some(lever) = console.drill.lever(injection) else {
            return;
        };
        let parameters = if wrong {
            serde_json::json!({ "delay": "1h" })
        } else {
            lever.parameters(to as f64 / 100.0)
        };
        let command = Command::Strength {
            injection: injection.id.clone(),
            parameters,
            by: "ann".to_owned(),
        };
        self.says(life, command);
    }

    /// A change is about to be sent: never more than the plan has; and if it is more than is on, then with the contact
    /// and the sight that a start needs, and with its intent on disk.
    pub(crate) fn changes(&mut self, life: u32, id: &InjectionId, request: &PatchRequest) {
        let now = self.now;
        let Some(console) = self.console(life) else { return };
        let Some(position) = position_of(&console.drill, id, &request.parameters) else {
            let words = format!(
                "{id} is changed to more than the plan has: {}",
                request.parameters
            );
            return self.broken(Rule::AbortWins, words);
        };
        let now_on = console.drill.injections().iter().find(|it| it.id == *id);
        let on = now_on.and_then(|it| position_of(&console.drill, id, &it.strength.now));
        if !Lever::is_more(position, on.unwrap_or(0.0)) {
            self.counts.turned_down += 1;
            return;
        }
        let may = console.sight.starts(now, &console.drill);
        if !console.paper.has_change(id, request.revision) {
            let words = format!("{id} is made stronger before that is on disk");
            self.broken(Rule::JournalFirst, words);
        }
        if let Err((rule, words)) = may {
            self.broken(rule, format!("console {life}: {words}"));
        }
        self.counts.turned_up += 1;
    }
}

/// Where the lever of an injection would be.
fn position_of(drill: &Drill, id: &InjectionId, parameters: &Value) -> Option<f64> {
    let injection = drill.injections().iter().find(|it| it.id == *id)?;
    drill.lever(injection)?.position(parameters).ok()
}
