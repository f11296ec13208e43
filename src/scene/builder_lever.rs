//! The levers of what is on.

use std::{collections::BTreeMap, sync::Arc};

use firedrill_catalogue::Lever;
use firedrill_drill::{Drill, Injection, Phase};
use firedrill_wire::InjectionState;

use crate::LeverScene;

/// One lever a step: on a thousand agents it is the same.
#[derive(Default)]
pub(crate) struct Levers(BTreeMap<usize, Option<Arc<Lever>>>);

impl Levers {
    pub(crate) fn of(&mut self, drill: &Drill, injection: &Injection) -> Option<LeverScene> {
        let can = drill.phase() == Phase::Inject && !drill.is_ending() && drill.hold().is_none();
        if !can || injection.state != Some(InjectionState::Active) {
            return None;
        }
        let lever = self.0.entry(injection.step);
        let lever = lever
            .or_insert_with(|| drill.lever(injection).map(Arc::new))
            .clone()?;
        let strength = &injection.strength;
        let asked = strength.next.as_ref().map(|(parameters, _)| parameters);
        let asked = asked.or(strength.asked.as_ref().map(|it| &it.parameters));
        Some(LeverScene {
            on: lever.position(&strength.now).ok(),
            on_words: lever.words(&strength.now),
            asked: asked.and_then(|it| Some((lever.position(it).ok()?, lever.words(it)))),
            lever,
        })
    }
}
