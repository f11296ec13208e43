//! "Is this us?", in one sentence: the same in the header, on the clipboard and in a terminal.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// "Is this us?" in one glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ours {
    /// Nobody was asked yet.
    #[default]
    Unknown,
    /// Nothing of ours is on; proved at that wall time, milliseconds since 1970 UTC.
    Nothing {
        /// When it was proved last; `None`: no drill was ever started.
        proved_ms: Option<i64>,
    },
    /// Faults of ours are on.
    On {
        /// How many.
        faults: usize,
        /// On which agents.
        agents: Vec<String>,
        /// Milliseconds until the last of them ends by itself.
        ends_in_ms: u64,
    },
    /// Something is not read back: it may be on.
    MayBeOn {
        /// On which agents.
        agents: Vec<String>,
    },
}

impl Ours {
    /// The sentence; `clock` shows a wall time, milliseconds since 1970 UTC.
    pub fn sentence(&self, clock: impl Fn(i64) -> String) -> String {
        match self {
            Self::Unknown => "no agent was asked yet".to_owned(),
            Self::Nothing { proved_ms: None } => "nothing of ours on".to_owned(),
            Self::Nothing { proved_ms: Some(at) } => format!("nothing of ours on, proved {}", clock(*at)),
            Self::On { faults, agents, .. } => {
                let plural = if *faults == 1 { "" } else { "s" };
                format!("{faults} fault{plural} of ours on {}", names(agents))
            }
            Self::MayBeOn { agents } => {
                format!("a fault of ours may be on {}: not read back", names(agents))
            }
        }
    }

    /// The sentence as it is sent to others: with drill, console and time.
    pub fn told(
        &self,
        drill: Option<(&str, &str)>,
        console: Option<&str>,
        now_ms: i64,
        clock: impl Fn(i64) -> String,
    ) -> String {
        let mut text = self.sentence(&clock);
        if let Self::On { ends_in_ms, .. } = self {
            // Writing to a string does not fail.
            write!(
                text,
                ", ends by itself in {} s at the latest",
                ends_in_ms.div_ceil(1_000)
            )
            .ok();
        }
        if let Some((experiment, id)) = drill {
            write!(text, " \u{b7} drill \"{experiment}\" ({id})").ok();
        }
        if let Some(console) = console {
            write!(text, " \u{b7} console {console}").ok();
        }
        write!(text, " \u{b7} {}", clock(now_ms)).ok();
        text
    }
}

/// `payments-1`, `payments-1 and payments-2`, `payments-1 and 3 more`.
pub fn names(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence_says_whether_this_is_us() {
        let clock = |ms: i64| format!("t{ms}");
        let told = |ours: Ours| ours.told(Some(("Slow", "d1")), Some("desk"), 9, clock);
        let nothing = Ours::Nothing { proved_ms: Some(7) };
        assert_eq!(nothing.sentence(clock), "nothing of ours on, proved t7");
        assert_eq!(
            told(nothing),
            "nothing of ours on, proved t7 \u{b7} drill \"Slow\" (d1) \u{b7} console desk \u{b7} t9"
        );
        let on = |agents: &[&str], faults| Ours::On {
            faults,
            agents: agents.iter().map(|it| (*it).to_owned()).collect(),
            ends_in_ms: 17_200,
        };
        assert_eq!(on(&["a"], 1).sentence(clock), "1 fault of ours on a");
        assert_eq!(on(&["a", "b"], 2).sentence(clock), "2 faults of ours on a and b");
        assert!(
            told(on(&["a"], 1)).starts_with("1 fault of ours on a, ends by itself in 18 s at the latest")
        );
        let may = Ours::MayBeOn {
            agents: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
        };
        assert_eq!(
            may.sentence(clock),
            "a fault of ours may be on a and 2 more: not read back"
        );
        assert_eq!(
            Ours::Unknown.told(None, None, 9, clock),
            "no agent was asked yet \u{b7} t9"
        );
    }
}
