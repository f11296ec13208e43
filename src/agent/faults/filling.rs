//! What `memory.fill` and `disk.fill` have in common on the agent's side: how much is to be taken of what there is,
//! what stays free whatever is asked for, and the order to the child that takes it ([`super::filling_child`]).

use firedrill_catalogue::Parameters;
use firedrill_catalogue::quantity::show_bytes;
use firedrill_wire::Problem;

use super::process::not_possible;

/// Something that can be filled, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of it.
    pub total: u64,
    /// What programs can still get.
    pub available: u64,
}

/// How much is to be taken of a room.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What is to be held, in bytes.
    pub fill: u64,
    /// What stays free, in bytes.
    pub keep_free: u64,
    /// The growth in bytes per second; 0: at once.
    per_second: u64,
    /// What there is.
    pub room: Room,
}

impl Plan {
    /// From `size`, `keep_free` and `step`.
    pub fn new(parameters: &Parameters, room: Room) -> Self {
        let bytes = |key: &str| parameters.memory(key).map_or(0, |memory| memory.of(room.total));
        Self {
            fill: bytes("size"),
            keep_free: bytes("keep_free"),
            per_second: bytes("step"),
            room,
        }
    }

    /// Whether there is as much; `held` is what the fault holds of it already. `what` is `memory`, `/srv`.
    pub fn check(&self, what: &str, held: u64) -> Result<(), Problem> {
        let room = (self.room.available + held).saturating_sub(self.keep_free);
        if self.fill <= room {
            return Ok(());
        }
        Err(not_possible(
            format!(
                "{} of {what} would be taken, but {} are available and {} of them stay free",
                show_bytes(self.fill),
                show_bytes(self.room.available + held),
                show_bytes(self.keep_free)
            ),
            format!("ask for {} or less, or for a smaller keep_free", show_bytes(room)),
        ))
    }

    /// What it would hit, in words.
    pub fn words(&self, what: &str) -> String {
        let growth = match self.per_second {
            0 => String::new(),
            step => format!(", {} each second", show_bytes(step)),
        };
        format!(
            "{} of {} of {what}{growth}, {} are available and {} are left free",
            show_bytes(self.fill),
            show_bytes(self.room.total),
            show_bytes(self.room.available),
            show_bytes(self.keep_free)
        )
    }

    /// The order to the child.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.fill, self.keep_free, self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_free_is_a_floor() {
        let room = Room {
            total: 1_000,
            available: 600,
        };
        let plan = |fill| Plan {
            fill,
            keep_free: 100,
            per_second: 0,
            room,
        };
        assert!(plan(500).check("memory", 0).is_ok() && plan(501).check("memory", 0).is_err());
        assert!(plan(700).check("memory", 200).is_ok() && plan(701).check("memory", 200).is_err());
    }
}
