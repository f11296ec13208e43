//! What is done with the packets that are meant, and whether this kernel can do it.

use std::sync::OnceLock;

use nix::errno::Errno;

use super::expression::{Base, Expression, Meta, QueueBy, RANDOM_BELOW};
use super::netlink::Refused;
use super::nft::{Family, HIT_COUNT, MATCHED, Rule, Table};
use super::queue::Queue;
use super::reader::Pace;
use crate::faults::NotHere;

/// Copies carry it, so that they are not copied again: "FD" and a number.
const COPY: u32 = 0x4644_0001;

/// Where the header of TCP has its flags, and which of them is RST.
const TCP_FLAGS: u32 = 13;
const TCP_RST: u8 = 4;

/// What is done with a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// It waits in a queue.
    Wait(Pace),
    /// It ends, and nobody is told.
    Lose {
        /// Of how many, within (0, 1].
        share: f64,
    },
    /// It arrives twice.
    Duplicate {
        /// Of how many, within (0, 1].
        share: f64,
    },
    /// It ends, and its sender gets a TCP RST.
    Reset,
}

impl Action {
    /// The families of its tables: the kernel copies packets in tables of one family alone.
    pub fn families(self) -> &'static [Family] {
        match self {
            Self::Duplicate { .. } => &[Family::V4, Family::V6],
            _ => &[Family::Both],
        }
    }

    /// What the counter of hits counts, for the evidence.
    pub fn counts(self) -> &'static str {
        match self {
            // Counted by who lets them go.
            Self::Wait(_) => "packets_queued",
            Self::Lose { .. } => "packets_dropped",
            Self::Duplicate { .. } => "packets_duplicated",
            Self::Reset => "packets_reset",
        }
    }

    /// The rules that do it. `queue` is one that this process holds.
    pub fn rules(self, family: Family, queue: Option<(u16, QueueBy)>) -> Vec<Rule> {
        let matched = vec![Expression::Count(MATCHED)];
        let act = match (self, queue) {
            (Self::Lose { .. } | Self::Wait(_), Some((number, by))) => Expression::Queue(number, by),
            // Where the kernel has no queues: the same, but that a sender of UDP on this host is told (EPERM).
            (Self::Lose { .. } | Self::Wait(_), None) => Expression::Drop,
            (Self::Reset, _) => Expression::Reset,
            (Self::Duplicate { .. }, _) => {
                let (offset, length) = if family == Family::V6 { (24, 16) } else { (16, 4) };
                Expression::Duplicate {
                    mark: COPY,
                    offset,
                    length,
                }
            }
        };
        let mut hit = self.share();
        hit.extend([Expression::Count(HIT_COUNT), act]);
        let pass = match self {
            Self::Duplicate { .. } => Some(vec![
                Expression::Meta(Meta::Mark),
                Expression::Is(COPY.to_ne_bytes().to_vec()),
                Expression::Accept,
            ]),
            // The kernel answers no RST with another, but would end it.
            Self::Reset => Some(vec![
                Expression::Payload {
                    base: Base::Transport,
                    offset: TCP_FLAGS,
                    length: 1,
                },
                Expression::Mask(vec![TCP_RST]),
                Expression::Is(vec![TCP_RST]),
                Expression::Accept,
            ]),
            Self::Wait(_) | Self::Lose { .. } => None,
        };
        pass.into_iter().chain([matched, hit]).collect()
    }

    /// Goes on for that share of the packets.
    fn share(self) -> Rule {
        match self {
            Self::Lose { share } | Self::Duplicate { share } if share < 1.0 => {
                let below = (share * f64::from(RANDOM_BELOW)).round() as u32;
                vec![
                    Expression::Random,
                    Expression::IsBelow(below.to_be_bytes().to_vec()),
                ]
            }
            _ => Vec::new(),
        }
    }

    /// Whether this kernel does it for this process; tried once.
    pub fn available(self) -> Result<(), NotHere> {
        static LOSE: OnceLock<Result<(), NotHere>> = OnceLock::new();
        static DUPLICATE: OnceLock<Result<(), NotHere>> = OnceLock::new();
        static RESET: OnceLock<Result<(), NotHere>> = OnceLock::new();
        let known = match self {
            Self::Wait(_) => return queue_by().as_ref().map(drop).map_err(Clone::clone),
            Self::Lose { .. } => &LOSE,
            Self::Duplicate { .. } => &DUPLICATE,
            Self::Reset => &RESET,
        };
        known
            .get_or_init(|| {
                Table::rehearse(self.families(), |family| self.rules(family, None))
                    .map_err(|refused| not_here(&refused))
            })
            .clone()
    }
}

/// How this kernel hands packets to a queue; tried once.
pub fn queue_by() -> &'static Result<QueueBy, NotHere> {
    static KNOWN: OnceLock<Result<QueueBy, NotHere>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let held = Queue::hold().map_err(|refused| not_here(&refused))?;
        let tried = |by| {
            let rules = |_| vec![vec![Expression::Queue(held.number, by)]];
            Table::rehearse(&[Family::Both], rules).map(|()| by)
        };
        tried(QueueBy::Native)
            .or_else(|_| tried(QueueBy::Compatible))
            .map_err(|refused| not_here(&refused))
    })
}

fn not_here(refused: &Refused) -> NotHere {
    let (why, remedy) = match refused.errno {
        Errno::EPERM => (
            "the agent may not change packets".to_owned(),
            "run the agent as root or with CAP_NET_ADMIN",
        ),
        Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT => (
            "this kernel has no nftables".to_owned(),
            "take a kernel with CONFIG_NF_TABLES and CONFIG_NETFILTER_NETLINK",
        ),
        _ => (
            format!("the kernel does not do it: {refused}"),
            "take a kernel with CONFIG_NF_TABLES_INET and, for this fault, NFT_NUMGEN, NFT_REJECT, NFT_DUP_IPV4, or \
             NFT_QUEUE (or NFT_COMPAT with XT_TARGET_NFQUEUE)",
        ),
    };
    NotHere {
        why,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_bound_for_a_random_number() {
        let rules = Action::Lose { share: 0.25 }.rules(Family::Both, None);
        let bound = 250_000_u32.to_be_bytes().to_vec();
        assert_eq!(
            rules[1],
            [
                Expression::Random,
                Expression::IsBelow(bound),
                Expression::Count(HIT_COUNT),
                Expression::Drop
            ]
        );
        let all = Action::Lose { share: 1.0 }.rules(Family::Both, Some((5, QueueBy::Native)));
        assert_eq!(
            all[1],
            [
                Expression::Count(HIT_COUNT),
                Expression::Queue(5, QueueBy::Native)
            ]
        );
    }

    #[test]
    fn copies_and_resets_pass() {
        for action in [Action::Duplicate { share: 0.5 }, Action::Reset] {
            for family in action.families() {
                let rules = action.rules(*family, None);
                assert_eq!(rules[0].last(), Some(&Expression::Accept), "{action:?}");
            }
        }
    }
}
