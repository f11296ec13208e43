//! A schedule as text, so that one that failed can be kept; and how a failing one is made short.

use std::fmt;
use std::str::FromStr;

use crate::report::{Options, Violation};
use crate::{run_once, world::HEALED_US};

/// Kinds of trouble that can be taken away from a schedule, by name.
const TROUBLES: [&str; 8] = [
    "loss", "double", "slow", "hang", "fail", "crash", "replays", "timely",
];
/// Most runs to make one violation shorter.
const MOST_RUNS: u32 = 600;

/// One schedule: all of it comes from its seed. What is taken away makes it shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Where chance begins.
    pub seed: u64,
    /// Consoles, if not as the seed has it.
    pub(crate) consoles: Option<usize>,
    /// Agents, if not as the seed has it.
    pub(crate) agents: Option<usize>,
    /// When all trouble is over, in simulated microseconds.
    pub(crate) healed_us: u64,
    /// Bits of [`TROUBLES`] that are taken away.
    troubles: u8,
    /// Bits of the misfortunes that are taken away, in the order they are drawn.
    fates: u32,
}

impl Schedule {
    /// As the seed has it.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            consoles: None,
            agents: None,
            healed_us: HEALED_US,
            troubles: 0,
            fates: 0,
        }
    }

    pub(crate) fn has(&self, trouble: &str) -> bool {
        let place = TROUBLES.iter().position(|it| *it == trouble);
        place.is_none_or(|place| self.troubles & (1 << place) == 0)
    }

    pub(crate) fn has_fate(&self, number: usize) -> bool {
        number >= 32 || self.fates & (1 << number) == 0
    }

    /// One step shorter, in every way there is.
    fn shorter(&self, fates: usize) -> Vec<Self> {
        let mut all = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut other = self.clone();
            change(&mut other);
            if other != *self {
                all.push(other);
            }
        };
        for cut in [2, 4, 8] {
            with(&|it| it.healed_us = it.healed_us * (cut - 1) / cut);
        }
        with(&|it| it.consoles = Some(1));
        for agents in 1..=2 {
            with(&|it| it.agents = Some(it.agents.unwrap_or(agents).min(agents)));
        }
        with(&|it| it.troubles = u8::MAX);
        with(&|it| it.fates = u32::MAX);
        for place in 0..TROUBLES.len() {
            with(&|it| it.troubles |= 1 << place);
        }
        for fate in 0..fates.min(32) {
            with(&|it| it.fates |= 1 << fate);
        }
        all
    }
}

/// `seed=17 without=loss,slow,fate-3 agents=3 consoles=1 healed_us=4000000`: only what differs from the seed's own.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed={}", self.seed)?;
        let mut without: Vec<String> = (0..TROUBLES.len())
            .filter(|place| self.troubles & (1 << place) != 0)
            .map(|place| TROUBLES[place].to_owned())
            .collect();
        if self.fates == u32::MAX {
            without.push("fates".to_owned());
        } else {
            let taken = (0..32).filter(|fate| self.fates & (1 << fate) != 0);
            without.extend(taken.map(|fate| format!("fate-{fate}")));
        }
        if !without.is_empty() {
            write!(f, " without={}", without.join(","))?;
        }
        if let Some(agents) = self.agents {
            write!(f, " agents={agents}")?;
        }
        if let Some(consoles) = self.consoles {
            write!(f, " consoles={consoles}")?;
        }
        if self.healed_us != HEALED_US {
            write!(f, " healed_us={}", self.healed_us)?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut schedule = Self::new(0);
        for word in text.split_whitespace() {
            let wrong =
                || format!("{word:?} is no part of a schedule, expected for instance seed=17 without=loss");
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            let number = || value.parse::<u64>().map_err(|_| wrong());
            match key {
                "seed" => schedule.seed = number()?,
                "agents" => schedule.agents = Some(number()? as usize),
                "consoles" => schedule.consoles = Some(number()? as usize),
                "healed_us" => schedule.healed_us = number()?,
                "without" => {
                    for name in value.split(',') {
                        schedule.take_away(name).ok_or_else(wrong)?;
                    }
                }
                _ => return Err(wrong()),
            }
        }
        Ok(schedule)
    }
}

impl Schedule {
    fn take_away(&mut self, name: &str) -> Option<()> {
        if name == "fates" {
            self.fates = u32::MAX;
        } else if let Some(number) = name.strip_prefix("fate-") {
            self.fates |= 1_u32.checked_shl(number.parse().ok()?)?;
        } else {
            self.troubles |= 1 << TROUBLES.iter().position(|it| *it == name)?;
        }
        Some(())
    }
}

/// The shortest schedule found that breaks the same rule, with its trace: consoles, agents, people's acts and faults
/// of the world are left out one by one, and the time of trouble is halved, as long as the rule still breaks and
/// fewer events lead there. Bounded.
pub fn shortest(violation: Violation, options: Options) -> Violation {
    let mut best = violation;
    let mut runs = 0;
    'again: loop {
        for candidate in best.schedule.shorter(crate::people::FATES) {
            runs += 1;
            if runs > MOST_RUNS {
                break 'again;
            }
            let Err(found) = run_once(&candidate, options, false) else {
                continue;
            };
            let simpler = found.events < best.events
                || (found.events == best.events && found.schedule.troubles > best.schedule.troubles);
            if found.rule == best.rule && simpler {
                best = found;
                continue 'again;
            }
        }
        break;
    }
    // The same once more, this time written down.
    match run_once(&best.schedule, options, true) {
        Err(written) => written,
        Ok(_) => best,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_is_written() {
        for text in [
            "seed=17",
            "seed=3 without=loss,crash,fate-3 agents=2 consoles=1 healed_us=500000",
            "seed=18446744073709551615 without=fates",
        ] {
            let schedule: Schedule = text.parse().unwrap();
            assert_eq!(schedule.to_string(), text);
        }
        for wrong in ["seed", "seed=x", "without=rain", "colour=red"] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }
}
