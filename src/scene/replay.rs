//! A finished drill, shown as it was at a moment of it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Scene;

/// The drill that is replayed.
#[derive(Clone, Debug)]
pub struct ReplayScene {
    /// Its id.
    pub drill: String,
    /// How far it is.
    pub stage: ReplayStage,
}

/// How far a replay is.
#[derive(Clone, Debug)]
pub enum ReplayStage {
    /// Its journal is being read and stepped through.
    Reading,
    /// It cannot be replayed: why, and what to do about it.
    Failed(String),
    /// It stands at a moment, or goes on from there.
    Open(ReplayMoment),
}

/// A moment of a replay.
#[derive(Clone, Debug)]
pub struct ReplayMoment {
    /// Microseconds since the drill was made.
    pub at_us: u64,
    /// The last moment that the journal knows.
    pub end_us: u64,
    /// It goes on by itself.
    pub playing: bool,
    /// So many times as fast as it was.
    pub speed: ReplaySpeed,
    /// What people marked, in order of time.
    pub bookmarks: Arc<Vec<Bookmark>>,
    /// What the window showed at that moment.
    pub scene: Arc<Scene>,
}

/// How fast a replay goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplaySpeed {
    /// As it was.
    #[default]
    Once,
    /// Twice as fast.
    Twice,
    /// Five times.
    Five,
    /// Ten times.
    Ten,
    /// Thirty times.
    Thirty,
}

impl ReplaySpeed {
    /// Every speed, the slowest first.
    pub const ALL: [Self; 5] = [Self::Once, Self::Twice, Self::Five, Self::Ten, Self::Thirty];

    /// How many times as fast as it was.
    pub fn times(self) -> u64 {
        match self {
            Self::Once => 1,
            Self::Twice => 2,
            Self::Five => 5,
            Self::Ten => 10,
            Self::Thirty => 30,
        }
    }
}

impl fmt::Display for ReplaySpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×", self.times())
    }
}

/// A moment that somebody marked. Kept beside the console's own files: the journal is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookmark {
    /// When, microseconds since the drill was made.
    pub at_us: u64,
    /// What is to be seen there.
    pub words: String,
}

/// What a person may ask of a replay. Nothing of it reaches an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayAsk {
    /// Replay this finished drill from its beginning.
    Open(String),
    /// Show another moment, microseconds since the drill was made.
    Seek(u64),
    /// Go on by itself, or stand still.
    Play(bool),
    /// Go on as fast as that.
    Speed(ReplaySpeed),
    /// Mark a moment. One mark a moment: a second one replaces the words.
    Mark(Bookmark),
    /// Take the mark of this moment away.
    Unmark(u64),
    /// Close it.
    Close,
}
