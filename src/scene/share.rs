//! Others who follow a drill: on the host what is shared with whom, on the watcher's side who is followed and how well.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use firedrill_gameday::Prediction;
use serde::{Deserialize, Serialize};

use crate::{AbortScene, DrillScene, Ours, Redact, Seal};

/// What a watcher is there for. Everybody may abort; nobody may start or strengthen anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees everything; notes, predictions.
    Observer,
    /// Sees everything; the second person's word on the start.
    Approver,
    /// Sees the symptoms, and nothing that tells what was injected.
    Responder,
    /// Sees the Stage.
    Stakeholder,
    /// Sees whether something is on, and ABORT.
    AbortOnly,
}

impl Role {
    /// Every role, in the order in which they are listed.
    pub const ALL: [Self; 5] = [
        Self::Observer,
        Self::Approver,
        Self::Responder,
        Self::Stakeholder,
        Self::AbortOnly,
    ];

    /// As it is called in a terminal and in the protocol.
    pub fn word(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Approver => "approver",
            Self::Responder => "responder",
            Self::Stakeholder => "stakeholder",
            Self::AbortOnly => "abort-only",
        }
    }

    /// What of a drill is sent to it. A drill of which nothing is known yet counts as sealed.
    pub fn part(self, seal: &Seal) -> Part {
        match (self, seal) {
            (Self::Observer | Self::Approver, _)
            | (Self::Stakeholder, Seal::Open | Seal::Revealed { .. })
            | (Self::Responder, Seal::Revealed { .. }) => Part::Records,
            (Self::Responder, _) => Part::Symptoms,
            (Self::Stakeholder | Self::AbortOnly, _) => Part::Nothing,
        }
    }

    /// It drives the exercise and knows what is done. The others hear of an exercise, as long as it is sealed.
    pub fn is_crew(self) -> bool {
        matches!(self, Self::Observer | Self::Approver)
    }

    /// It may write notes on the timeline.
    pub fn may_note(self) -> bool {
        matches!(self, Self::Observer | Self::Approver)
    }

    /// It may seal predictions.
    pub fn may_predict(self) -> bool {
        self == Self::Observer
    }

    /// It may give or refuse the second person's word.
    pub fn may_approve(self) -> bool {
        self == Self::Approver
    }
}

/// What of a drill is sent to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Its journal, record by record.
    Records,
    /// What users of the system feel.
    Symptoms,
    /// Nothing of it: only how everything stands.
    Nothing,
}

/// What a watcher wishes of the host, besides ABORT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
pub enum Wish {
    /// A note on the timeline.
    Note {
        /// The words.
        text: String,
    },
    /// Approves the start.
    Approve,
    /// Does not approve the start: it is said to everybody, and the start goes on waiting.
    Refuse {
        /// Why.
        reason: String,
    },
    /// Seals a prediction of the game day's drill.
    Predict {
        /// What is expected; who, and the nonce, are the host's to fill in.
        prediction: Prediction,
    },
}

impl Wish {
    /// Whether this role may wish it.
    pub fn allowed(&self, role: Role) -> bool {
        match self {
            Self::Note { .. } => role.may_note(),
            Self::Approve | Self::Refuse { .. } => role.may_approve(),
            Self::Predict { .. } => role.may_predict(),
        }
    }
}

/// What a host shows to everybody besides a drill's records; the newest counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Whether something of ours is on.
    pub ours: Ours,
    /// What its ABORT is doing.
    pub abort: AbortScene,
    /// The drill of the game day that takes predictions now.
    pub predicts: Option<String>,
    /// The drill that runs or ran last, and whether it may be told. Stays with the host.
    #[serde(skip)]
    pub seal: Option<(String, Seal)>,
}

impl Look {
    /// With this drill.
    #[must_use]
    pub fn with(self, drill: Option<&DrillScene>) -> Self {
        Self {
            seal: drill.map(|drill| (drill.id.clone(), drill.seal.clone())),
            ..self
        }
    }

    /// Whether this drill may be told; until that is known it may not.
    pub fn seal_of(&self, drill: &str) -> Seal {
        let known = self.seal.as_ref().filter(|(it, _)| it == drill);
        known.map_or(Seal::Sealed, |(_, seal)| seal.clone())
    }
}

impl Redact for Look {
    /// Whether it was stopped, and nothing of what and where.
    fn redacted(self) -> Self {
        Self {
            ours: Ours::Unknown,
            abort: AbortScene {
                armed: true,
                pressed_ms: self.abort.pressed_ms,
                finished: self.abort.finished,
                ..AbortScene::default()
            },
            predicts: None,
            seal: None,
        }
    }
}

/// What is shared by this console.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareScene {
    /// Where it listens; `None`: nothing is shared.
    pub listens: Option<SocketAddr>,
    /// Why it does not listen, after somebody asked for it.
    pub failed: Option<String>,
    /// Whether this computer can be reached, as far as it was tried.
    pub reach: Arc<Vec<Reach>>,
    /// A row each role.
    pub links: Vec<LinkScene>,
    /// Who follows now.
    pub watchers: Vec<WatcherScene>,
    /// Connections that were turned away because there were too many, since it listens.
    pub turned_away: u64,
}

/// An address at which this computer was tried, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The address.
    pub address: SocketAddr,
    /// Of what kind it is.
    pub kind: AddressKind,
    /// Whether our own listener answered there, with our own certificate, when this computer called; `None`: not tried
    /// yet.
    pub answered: Option<Result<(), String>>,
    /// Somebody who knew a link came in there from another computer: from which address, and when, wall milliseconds.
    /// Only this proves that others can.
    pub reached: Option<(IpAddr, i64)>,
}

/// Of what kind an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// This computer alone.
    Loopback,
    /// One link alone.
    LinkLocal,
    /// A private network.
    Private,
    /// Elsewhere in the world, unless a firewall is before it.
    Public,
}

impl AddressKind {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(it) if it.is_loopback() => Self::Loopback,
            IpAddr::V4(it) if it.is_link_local() => Self::LinkLocal,
            // 100.64.0.0/10 is shared by the customers of a provider: not of the world either.
            IpAddr::V4(it) if it.is_private() || (it.octets()[0] == 100 && it.octets()[1] & 0xc0 == 64) => {
                Self::Private
            }
            IpAddr::V6(it) if it.is_loopback() => Self::Loopback,
            IpAddr::V6(it) if it.is_unicast_link_local() => Self::LinkLocal,
            IpAddr::V6(it) if it.is_unique_local() => Self::Private,
            _ => Self::Public,
        }
    }
}

impl Reach {
    /// In a sentence, for a terminal: what was tried, and what was not. `clock` shows a wall time.
    pub fn words(&self, clock: impl Fn(i64) -> String) -> String {
        let at = self.address;
        if let Some((from, when)) = self.reached {
            let when = clock(when);
            return format!("{at}: reached from {from} at {when}: other computers can connect");
        }
        match (self.kind, &self.answered) {
            (_, None) => format!("{at}: being tried"),
            (_, Some(Err(why))) => format!("{at}: does not answer even to this computer: {why}"),
            (AddressKind::Loopback, Some(Ok(()))) => {
                format!("{at}: answers, to programs on this computer only; no other computer can connect")
            }
            (kind, Some(Ok(()))) => {
                let network = match kind {
                    AddressKind::LinkLocal => "this link",
                    AddressKind::Public => "the internet",
                    AddressKind::Private | AddressKind::Loopback => "this private network",
                };
                let beyond = if kind == AddressKind::Public {
                    ""
                } else {
                    "; from the internet: not tested"
                };
                format!(
                    "{at}: answers when called from this computer itself; from another computer on {network}: not tested, a firewall may stand between{beyond}"
                )
            }
        }
    }
}

/// The link of a role.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkScene {
    /// For whom.
    pub role: Role,
    /// The link itself: a secret. `None`: revoked.
    pub link: Option<String>,
    /// How many follow by it now.
    pub watchers: usize,
}

impl fmt::Debug for LinkScene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = if self.link.is_some() { "a link" } else { "revoked" };
        write!(f, "LinkScene({}, {there}, {})", self.role.word(), self.watchers)
    }
}

/// Who follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatcherScene {
    /// As they call themselves.
    pub name: String,
    /// In which role.
    pub role: Role,
    /// From where.
    pub from: IpAddr,
    /// Since when, wall milliseconds.
    pub since_ms: i64,
}

/// What a person may ask of sharing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareAsk {
    /// Listen there; what was shared before ends.
    Start(SocketAddr),
    /// End it for everybody.
    Stop,
    /// The link of this role is worth nothing any more; who follows by it is sent away.
    Revoke(Role),
    /// A new link for this role; the one before is revoked.
    Renew(Role),
    /// Try again whether this computer can be reached.
    Try,
}

/// On the watcher's side: who is followed and how well.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchScene {
    /// The role, once the host has said it.
    pub role: Option<Role>,
    /// Who watches.
    pub name: String,
    /// The host, as in the link.
    pub host: String,
    /// The host's console, as it calls itself.
    pub console: String,
    /// The connection.
    pub contact: Contact,
    /// What was wished and is not yet acknowledged.
    pub waiting: usize,
    /// What became of the ABORT that was pressed here.
    pub abort: AbortSent,
    /// The drill of the host's game day that takes predictions now.
    pub predicts: Option<String>,
}

/// The connection to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Being made for the first time.
    Connecting,
    /// It stands.
    On,
    /// It was lost, and is tried again: since when, wall milliseconds, and why.
    Lost {
        /// Since when.
        since_ms: i64,
        /// Why.
        why: String,
    },
    /// It will not come back: a wrong or revoked link, another certificate.
    Ended {
        /// Why, and what to do.
        why: String,
    },
}

/// What became of an ABORT that a watcher pressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AbortSent {
    /// Not pressed.
    #[default]
    No,
    /// Pressed, and not yet acknowledged by the host: sent again and again.
    Pressed {
        /// When, wall milliseconds.
        at_ms: i64,
    },
    /// The host has it; its stages are the host's own.
    Delivered,
    /// The host did not take it.
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_never_said_to_be_reachable_before_somebody_came_from_elsewhere() {
        let mut reach = Reach {
            address: "192.168.1.5:7443".parse().unwrap(),
            kind: AddressKind::of("192.168.1.5".parse().unwrap()),
            answered: Some(Ok(())),
            reached: None,
        };
        let words = reach.words(|_| "now".to_owned());
        assert!(
            words.contains("not tested") && words.contains("from the internet: not tested"),
            "{words}"
        );
        reach.reached = Some(("192.168.1.9".parse().unwrap(), 1));
        let words = reach.words(|_| "14:03".to_owned());
        assert!(words.contains("reached from 192.168.1.9 at 14:03"), "{words}");
    }

    #[test]
    fn of_a_sealed_drill_only_the_crew_is_sent_records() {
        let revealed = Seal::Revealed {
            at: firedrill_drill::At::default(),
            by: "Ada".to_owned(),
        };
        for role in Role::ALL {
            let crew = matches!(role, Role::Observer | Role::Approver);
            assert_eq!(role.part(&Seal::Sealed) == Part::Records, crew, "{role:?}");
            assert_eq!(role.is_crew(), crew);
        }
        assert_eq!(Role::Stakeholder.part(&Seal::Open), Part::Records);
        assert_eq!(
            Role::Responder.part(&Seal::Open),
            Part::Symptoms,
            "not told by anybody yet"
        );
        assert_eq!(Role::Responder.part(&revealed), Part::Records);
        assert_eq!(Role::AbortOnly.part(&revealed), Part::Nothing);
    }

    #[test]
    fn kinds_of_addresses() {
        let kind = |text: &str| AddressKind::of(text.parse().unwrap());
        for (text, expected) in [
            ("127.0.0.1", AddressKind::Loopback),
            ("::1", AddressKind::Loopback),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("10.1.2.3", AddressKind::Private),
            ("100.64.0.1", AddressKind::Private),
            ("100.128.0.1", AddressKind::Public),
            ("fd00::1", AddressKind::Private),
            ("fe80::1", AddressKind::LinkLocal),
            ("169.254.3.4", AddressKind::LinkLocal),
            ("8.8.8.8", AddressKind::Public),
            ("2600::1", AddressKind::Public),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn a_link_is_in_no_debug_text() {
        let link = LinkScene {
            role: Role::Observer,
            link: Some("https://h:1/pin#secret".to_owned()),
            watchers: 0,
        };
        assert!(!format!("{link:?}").contains("secret"));
    }

    #[test]
    fn what_is_sealed_names_nothing() {
        let look = Look {
            ours: Ours::On {
                faults: 1,
                agents: vec!["payments-1".to_owned()],
                ends_in_ms: 1,
            },
            abort: AbortScene {
                pressed_ms: Some(5),
                reason: "payments-1 is broken".to_owned(),
                ..AbortScene::default()
            },
            predicts: Some("slow".to_owned()),
            seal: Some(("d".to_owned(), Seal::Sealed)),
        };
        assert_eq!(
            look.seal_of("e"),
            Seal::Sealed,
            "another drill is not known to be open"
        );
        let sealed = look.redacted();
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains("payments-1") && !text.contains("slow"), "{text}");
        assert_eq!(sealed.abort.pressed_ms, Some(5));
    }
}
