//! What a view gets to see, and the one way it can wish for something.

use firedrill_drill::Phase;
use firedrill_scene::{Ask, DrillScene, Scene};
use jiff::tz::TimeZone;

use crate::{
    View,
    messages::{Language, Say},
    theme::Tokens,
    words,
};

/// Everything a view may look at.
pub struct Cx<'a> {
    /// The newest scene.
    pub scene: &'a Scene,
    /// Milliseconds since it was published.
    pub since_ms: u64,
    /// Where clock times are.
    pub zone: &'a TimeZone,
    /// The colours.
    pub tokens: &'static Tokens,
    /// The words.
    pub say: Say,
    /// The view that is shown.
    pub view: View,
    /// The scene is a moment of the past: nothing can be asked of it, and its clocks stand.
    pub past: bool,
    /// A view that a view wishes to change to, after this frame.
    pub goto: Option<View>,
    /// A language that a person chose in a view, from the next frame on.
    pub language: Option<Language>,
    /// Wishes of this frame, in order.
    pub wishes: &'a mut Vec<Ask>,
}

impl Cx<'_> {
    /// Wishes for something.
    pub fn ask(&mut self, ask: Ask) {
        self.wishes.push(ask);
    }

    /// Now, by the wall clock.
    pub fn now_ms(&self) -> i64 {
        self.scene.wall_ms.saturating_add_unsigned(self.since_ms)
    }

    /// Now, by a drill's clock; a drill that is over stands still.
    pub fn drill_now_us(&self, drill: &DrillScene) -> u64 {
        if drill.phase == Phase::Verdict {
            drill.now.mono_us
        } else {
            drill.now.mono_us + self.since_ms * 1_000
        }
    }

    /// `14:02:53` of a time of a drill.
    pub fn clock_of(&self, drill: &DrillScene, mono_us: u64) -> String {
        let wall_ms = drill.origin_wall_ms.saturating_add_unsigned(mono_us / 1_000);
        words::clock(wall_ms, self.zone)
    }

    /// Nothing can be asked of the drill from here: it is past, or another console's.
    pub fn only_looks(&self) -> bool {
        self.past || self.scene.watch.is_some()
    }

    /// A drill is going on.
    pub fn running(&self) -> bool {
        self.scene
            .drill
            .as_ref()
            .is_some_and(|drill| drill.phase != Phase::Verdict)
    }
}
