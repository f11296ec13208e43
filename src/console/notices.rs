//! What the desktop is told: keep the screen on while a fault is on, and a notice when an indicator goes out or
//! ABORT is pressed. Pure; the glue carries it out.

use firedrill_drill::{Phase, SliState};
use firedrill_scene::{DrillScene, Ours, Outgoing, Redact, Scene};

use crate::messages::Say;

/// A notice of the desktop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub title: String,
    /// One sentence.
    pub words: String,
    /// What is said instead while the drill is sealed, in the language of the rest.
    sealed: String,
}

impl Redact for Notice {
    fn redacted(self) -> Self {
        Self {
            title: "Firedrill".to_owned(),
            words: self.sealed,
            sealed: String::new(),
        }
    }
}

/// What the desktop is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attention {
    /// The computer must not sleep, nor blank its screen.
    pub awake: bool,
    /// New since the last time.
    pub notices: Vec<Outgoing<Notice>>,
}

/// What was told already.
#[derive(Default)]
pub(crate) struct Notices {
    /// The press of ABORT, wall milliseconds.
    abort_ms: Option<i64>,
    drill: String,
    /// Indicators that went out in that drill.
    out: Vec<String>,
}

impl Notices {
    /// What a scene brings. Each press, and each indicator of a drill, is told once.
    pub fn of(&mut self, scene: &Scene, sealed: bool, say: Say) -> Attention {
        let mut notices = Vec::new();
        if let Some(drill) = &scene.drill {
            notices.extend(self.out_of(drill, say));
        }
        let pressed = scene.abort.pressed_ms;
        if pressed.is_some() && pressed != self.abort_ms {
            notices.push(Notice {
                title: say.command_abort().to_owned(),
                words: match scene.abort.who.as_str() {
                    "" => say.notice_abort().to_owned(),
                    who => say.notice_abort_by(who),
                },
                sealed: say.notice_sealed().to_owned(),
            });
        }
        self.abort_ms = pressed.or(self.abort_ms);
        let redaction = scene.redaction(sealed);
        if redaction.hides() {
            notices.truncate(1);
        }
        // While it is sealed it stays awake all the time: staying awake would tell that a fault began.
        let runs = scene.drill.as_ref().is_some_and(|drill| drill.verdict.is_none());
        Attention {
            awake: matches!(scene.ours, Ours::On { .. } | Ours::MayBeOn { .. })
                || (redaction.hides() && runs),
            notices: notices.into_iter().map(|notice| redaction.pass(notice)).collect(),
        }
    }

    fn out_of(&mut self, drill: &DrillScene, say: Say) -> Vec<Notice> {
        if self.drill != drill.id {
            self.drill.clone_from(&drill.id);
            self.out.clear();
        }
        if drill.phase != Phase::Inject {
            return Vec::new();
        }
        let mut notices = Vec::new();
        for sli in &drill.slis {
            if sli.state == SliState::Out && !self.out.contains(&sli.name) {
                self.out.push(sli.name.clone());
                let own = sli.say.out.as_deref().map(|words| format!(" {words}."));
                let left = say.notice_out_words(&drill.experiment);
                notices.push(Notice {
                    title: say.notice_out(&sli.name),
                    words: format!("{left}{}", own.unwrap_or_default()),
                    sealed: say.notice_sealed().to_owned(),
                });
            }
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SAY: Say = Say(crate::Language::English);

    /// A drill whose second indicator is out, made of the gallery's sample.
    fn scene() -> Scene {
        Scene {
            drill: Some(Arc::new(crate::views::gallery::sample::drill(false))),
            ours: Ours::On {
                faults: 1,
                agents: vec!["payments-1".to_owned()],
                ends_in_ms: 1_000,
            },
            ..Scene::default()
        }
    }

    fn pressed(at: i64) -> Scene {
        let mut scene = scene();
        scene.abort.pressed_ms = Some(at);
        scene.abort.who = "Ada".to_owned();
        scene
    }

    #[test]
    fn each_breach_and_each_press_is_told_once() {
        let mut notices = Notices::default();
        let first = notices.of(&scene(), false, SAY);
        assert!(first.awake);
        let titles: Vec<&str> = first.notices.iter().map(|it| it.title.as_str()).collect();
        assert_eq!(titles, ["Out is out"]);
        assert!(notices.of(&scene(), false, SAY).notices.is_empty());
        let abort = notices.of(&pressed(5), false, SAY).notices;
        assert_eq!(abort.len(), 1);
        assert!(abort[0].words.contains("by Ada"), "{abort:?}");
        assert!(notices.of(&pressed(5), false, SAY).notices.is_empty());
        // The panel was closed, and ABORT is pressed again.
        assert!(notices.of(&scene(), false, SAY).notices.is_empty());
        assert_eq!(notices.of(&pressed(9), false, SAY).notices.len(), 1);
    }

    #[test]
    fn sealed_they_say_that_there_is_an_exercise_and_no_more() {
        let told = Notices::default().of(&pressed(5), true, SAY).notices;
        let words: Vec<(&str, &str)> = told
            .iter()
            .map(|it| (it.title.as_str(), it.words.as_str()))
            .collect();
        assert_eq!(words, [("Firedrill", "exercise")]);
        // Sealed by its own drill, the same; and awake from its begin to its end.
        let mut own = scene();
        own.ours = Ours::Nothing { proved_ms: None };
        if let Some(drill) = &mut own.drill {
            Arc::make_mut(drill).seal = firedrill_scene::Seal::Sealed;
        }
        let told = Notices::default().of(&own, false, SAY);
        assert!(told.awake && told.notices.len() == 1 && told.notices[0].words == "exercise");
    }

    #[test]
    fn without_a_fault_the_computer_may_sleep() {
        let idle = Scene {
            ours: Ours::Nothing { proved_ms: Some(1) },
            ..Scene::default()
        };
        assert_eq!(Notices::default().of(&idle, false, SAY), Attention::default());
    }
}
