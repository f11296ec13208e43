//! Emergency actions that an agent runs from its host's own allow-list: known before the start whether it has them.

use firedrill_plan::{ActionCall, AgentCommand};
use firedrill_wire::AgentInfo;

use crate::{Call, Check, Drill, Failure};

/// An allow-list, or why it is not known.
type Allowed = Result<Vec<String>, String>;

/// What an agent says that runs a command and is not hit: its allow-list, or why that is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Runners(Vec<(usize, Option<Allowed>)>);

impl Drill {
    /// The commands of this experiment with the index of their agent.
    fn agent_commands(&self) -> Vec<(usize, AgentCommand)> {
        let actions = self.experiment().map_or(&[][..], |it| &it.on_stop);
        let agents = &self.setup.plan.agents;
        let commands = actions.iter().filter_map(|action| match &action.call {
            ActionCall::Http(_) => None,
            ActionCall::Command(command) => {
                let agent = agents.iter().position(|it| it.name == command.agent)?;
                Some((agent, command.clone()))
            }
        });
        commands.collect()
    }

    /// Those that are hit are asked anyway.
    pub(crate) fn ask_runners(&mut self) {
        for (agent, _) in self.agent_commands() {
            if !self.agents[agent].needed && self.runners.0.iter().all(|(known, _)| *known != agent) {
                self.runners.0.push((agent, None));
                self.call(agent, Call::Info);
            }
        }
    }

    pub(crate) fn runner_said(&mut self, agent: usize, result: &Result<Box<AgentInfo>, Failure>) {
        if let Some((_, said)) = self.runners.0.iter_mut().find(|(it, _)| *it == agent) {
            let result = result.as_ref();
            *said = Some(result.map(|info| info.commands.clone()).map_err(Failure::words));
        }
    }

    pub(crate) fn command_checks(&self) -> Vec<Check> {
        let checks = self.agent_commands().into_iter().map(|(agent, command)| {
            let (ok, words) = self.command_check(agent, &command);
            Check {
                what: format!("Emergency {command}"),
                ok,
                words,
            }
        });
        checks.collect()
    }

    fn command_check(&self, agent: usize, command: &AgentCommand) -> (Option<bool>, String) {
        let known = self.agents[agent].info.as_ref().map(|it| Ok(it.commands.clone()));
        let runner = self.runners.0.iter().find(|(it, _)| *it == agent);
        match known.or_else(|| runner.and_then(|(_, said)| said.clone())) {
            None => (None, "asking for its allow-list".to_owned()),
            Some(Err(why)) => (Some(false), why),
            Some(Ok(list)) if list.contains(&command.name) => {
                (Some(true), "on the allow-list of its host".to_owned())
            }
            Some(Ok(list)) => {
                let there = if list.is_empty() {
                    "nothing".to_owned()
                } else {
                    list.join(", ")
                };
                let words = format!(
                    "its host does not allow it (it allows {there}); add [command.{}] to the agent's policy file there, or take the action out of the plan",
                    command.name
                );
                (Some(false), words)
            }
        }
    }
}
