//! Every command in one table: what it is called, what it does, its keys, when it can be given, how grave it is.
//! Buttons, shortcuts and tooltips are made from it.

use egui::{Key, KeyboardShortcut, Modifiers, Response, Ui};
use firedrill_drill::{HoldStage, Outcome, Phase};
use firedrill_gameday::Clock;
use firedrill_scene::Scene;

use crate::{View, theme::Tokens, widgets};

/// Something a person can do from anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Stop everything.
    Abort,
    /// Show a view.
    Show(View),
    /// Write a note.
    Note,
    /// End early and politely.
    Finish,
    /// Take everything back and stop the clock of the steps.
    Hold,
    /// Go on after a hold.
    Resume,
    /// Begin the same drill again.
    Retry,
    /// Copy the sentence that says whether this is us.
    CopyOurs,
    /// The other look.
    Theme,
    /// Open a plan.
    Open,
    /// Save the plan.
    Save,
    /// Take back the last edit.
    Undo,
    /// Make it again.
    Redo,
    /// Find a command by its name.
    Palette,
    /// Begin a drill of the chosen experiment: everything up to the confirmation.
    Begin,
    /// Start the demo.
    Demo,
    /// Exercise the abort path.
    TestAbort,
    /// Less time on the plots.
    ZoomIn,
    /// More time on the plots.
    ZoomOut,
    /// To the past.
    Earlier,
    /// To the present.
    Later,
    /// The plots follow now again.
    Follow,
    /// Open a game day's folder.
    OpenGameDay,
    /// People did something in the drill that is on.
    Clock(Clock),
}

/// How grave a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Changes nothing outside the window.
    None,
    /// Ends or holds a drill.
    Ends,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// As on its button.
    pub label: &'static str,
    /// What it does, in a sentence.
    pub tip: &'static str,
    /// Its keys.
    pub keys: Option<KeyboardShortcut>,
    /// How grave it is.
    pub danger: Danger,
}

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers {
    shift: true,
    ..Modifiers::COMMAND
};

/// Every command, those with more modifiers first: Ctrl+Z would else take Ctrl+Shift+Z too.
pub const ALL: [Command; 34] = [
    Command::Abort,
    Command::Redo,
    Command::Undo,
    Command::Open,
    Command::Save,
    Command::Theme,
    Command::Note,
    Command::Finish,
    Command::Hold,
    Command::Resume,
    Command::Retry,
    Command::CopyOurs,
    Command::Show(View::Welcome),
    Command::Show(View::Design),
    Command::Show(View::Live),
    Command::Show(View::Review),
    Command::Show(View::Fleet),
    Command::Show(View::Agenda),
    Command::Palette,
    Command::Begin,
    Command::Demo,
    Command::TestAbort,
    Command::ZoomIn,
    Command::ZoomOut,
    Command::Earlier,
    Command::Later,
    Command::Follow,
    Command::OpenGameDay,
    Command::Clock(Clock::Noticed),
    Command::Clock(Clock::Paged),
    Command::Clock(Clock::Acknowledged),
    Command::Clock(Clock::Hypothesis),
    Command::Clock(Clock::Mitigated),
    Command::Clock(Clock::Recovered),
];

impl Command {
    /// Its row.
    pub fn info(self) -> Info {
        let row = |label, tip, modifiers, key| Info {
            label,
            tip,
            keys: Some(KeyboardShortcut::new(modifiers, key)),
            danger: Danger::None,
        };
        let bare = |label, tip| Info {
            label,
            tip,
            keys: None,
            danger: Danger::None,
        };
        match self {
            Self::Abort => Info {
                danger: Danger::Ends,
                ..row(
                    "ABORT",
                    "Takes every fault back at once and latches the agents",
                    CTRL_SHIFT,
                    Key::X,
                )
            },
            Self::Finish => Info {
                danger: Danger::Ends,
                ..row(
                    "Finish",
                    "Takes the faults back and goes on to recovery; nothing is latched",
                    CTRL_SHIFT,
                    Key::F,
                )
            },
            Self::Hold => Info {
                danger: Danger::Ends,
                ..row(
                    "Hold",
                    "Takes the faults back and stops the clock of the steps; nothing is latched, and a resume takes a \
                     new baseline, then goes on for the time that was left",
                    CTRL_SHIFT,
                    Key::H,
                )
            },
            Self::Resume => row(
                "Resume",
                "Takes a new baseline, then puts what was interrupted on again for the time that it had left",
                CTRL_SHIFT,
                Key::R,
            ),
            Self::Retry => row(
                "Retry",
                "Begins the same experiment again: preflight, baseline, then it asks you before the first fault",
                Modifiers::NONE,
                Key::R,
            ),
            Self::CopyOurs => row(
                "Copy: is this us?",
                "Copies the sentence that says what of ours is on, with drill, console and time",
                CTRL,
                Key::I,
            ),
            Self::Show(View::Welcome) => row("Welcome", "Start the demo, open a plan", CTRL, Key::Num1),
            Self::Show(View::Design) => row("Design", "Write the plan", CTRL, Key::Num2),
            Self::Show(View::Live) => row("Live", "Watch the drill", CTRL, Key::Num3),
            Self::Show(View::Review) => row("Review", "Drills that are over", CTRL, Key::Num4),
            Self::Show(View::Fleet) => row("Fleet", "The agents", CTRL, Key::Num5),
            Self::Show(View::Agenda) => row(
                "Agenda",
                "The game day: its drills, preparation, people, findings",
                CTRL,
                Key::Num6,
            ),
            Self::OpenGameDay => bare("Open a game day …", "Opens the folder that gameday.toml is in"),
            Self::Clock(clock) => {
                let (label, tip, key) = match clock {
                    Clock::Noticed => ("Noticed", "Somebody noticed that something is wrong", Key::Num1),
                    Clock::Paged => ("Paged", "Somebody was paged", Key::Num2),
                    Clock::Acknowledged => ("Acknowledged", "The page was acknowledged", Key::Num3),
                    Clock::Hypothesis => ("Right hypothesis", "Somebody said what it really is", Key::Num4),
                    Clock::Mitigated => ("Mitigated", "It hurts no longer", Key::Num5),
                    Clock::Recovered => ("Recovered", "All is as before", Key::Num6),
                };
                row(label, tip, Modifiers::NONE, key)
            }
            Self::Note => row("Note", "Writes a note on the timeline", Modifiers::NONE, Key::N),
            Self::Theme => row(
                "Theme",
                "Dark for a desk, light for a projector",
                CTRL_SHIFT,
                Key::L,
            ),
            Self::Open => row("Open a plan …", "Opens a plan file", CTRL, Key::O),
            Self::Save => row("Save", "Writes the plan to its file; comments stay", CTRL, Key::S),
            Self::Undo => row("Undo", "Takes the last edit back", CTRL, Key::Z),
            Self::Redo => row("Redo", "Makes it again", CTRL_SHIFT, Key::Z),
            Self::Palette => row("Find a command …", "Finds a command by its name", CTRL, Key::K),
            Self::Begin => row(
                "Start …",
                "Checks everything, waits for the steady state, then asks you before the first fault",
                CTRL,
                Key::Enter,
            ),
            Self::Demo => bare(
                "Start the demo",
                "Starts the order system on this computer and runs a drill on it",
            ),
            Self::TestAbort => bare(
                "Test abort",
                "Starts the fault noop, which changes nothing, and aborts it on every agent",
            ),
            Self::ZoomIn => row("Zoom in", "Less time on the plots", Modifiers::NONE, Key::Plus),
            Self::ZoomOut => row("Zoom out", "More time on the plots", Modifiers::NONE, Key::Minus),
            Self::Earlier => row(
                "Earlier",
                "Moves the plots to the past",
                Modifiers::ALT,
                Key::ArrowLeft,
            ),
            Self::Later => row(
                "Later",
                "Moves the plots to the present",
                Modifiers::ALT,
                Key::ArrowRight,
            ),
            Self::Follow => row("Follow", "The plots follow now again", Modifiers::NONE, Key::Home),
        }
    }

    /// Whether it can be given now, or why not.
    pub fn enabled(self, scene: &Scene, view: View) -> Result<(), &'static str> {
        let phase = scene.drill.as_ref().map(|drill| drill.phase);
        match self {
            Self::Finish => match phase {
                Some(Phase::Preflight | Phase::Baseline | Phase::Arming | Phase::Inject) => Ok(()),
                Some(Phase::Recover | Phase::Closing) => Err("The faults are already being taken back"),
                Some(Phase::Verdict) | None => Err("No drill runs"),
            },
            Self::Hold => match (phase, scene.drill.as_ref().and_then(|it| it.hold.as_ref())) {
                (Some(Phase::Inject), None) => Ok(()),
                (Some(Phase::Inject), Some(_)) => Err("It is held already"),
                _ => Err("Only while the drill injects: before and after it nothing is on"),
            },
            Self::Resume => match scene
                .drill
                .as_ref()
                .and_then(|it| it.hold.as_ref())
                .map(|it| it.stage)
            {
                Some(HoldStage::Held) => Ok(()),
                Some(HoldStage::Reverting) => Err("Not before everything is read back as off"),
                Some(HoldStage::Baseline { .. }) => Err("The new baseline is being taken"),
                None => Err("Nothing is held"),
            },
            Self::Retry => match scene.drill.as_ref().and_then(|it| it.verdict.as_ref()) {
                Some(verdict) if verdict.outcome == Outcome::Inconclusive => Ok(()),
                _ => Err("Only after a drill of which nothing can be said"),
            },
            Self::Note => phase
                .filter(|phase| *phase != Phase::Verdict)
                .map(|_| ())
                .ok_or("No drill runs"),
            Self::Begin | Self::Demo if phase.is_some_and(|phase| phase != Phase::Verdict) => {
                Err("A drill is running")
            }
            Self::Save | Self::Begin => {
                in_design(view).and(scene.plan.as_ref().map(|_| ()).ok_or("No plan is open"))
            }
            Self::Undo | Self::Redo => in_design(view),
            Self::TestAbort if scene.fleet.is_empty() => Err("No plan with agents is open"),
            Self::ZoomIn | Self::ZoomOut | Self::Earlier | Self::Later | Self::Follow => match phase {
                Some(_) if view == View::Live => Ok(()),
                _ => Err("Only in Live, with a drill"),
            },
            Self::Clock(_) => {
                let gameday = scene.gameday.as_ref();
                let on = gameday.is_some_and(|it| it.state.running().is_some());
                if on {
                    Ok(())
                } else {
                    Err("No drill of a game day is on")
                }
            }
            Self::Abort
            | Self::OpenGameDay
            | Self::Show(_)
            | Self::Theme
            | Self::Open
            | Self::Palette
            | Self::CopyOurs
            | Self::Demo
            | Self::TestAbort => Ok(()),
        }
    }

    /// Its button, with its sentence and keys on hover.
    pub fn button(self, ui: &mut Ui, scene: &Scene, view: View) -> Response {
        let ink = match self.info().danger {
            Danger::None => Tokens::of(ui).strong,
            Danger::Ends => Tokens::of(ui).fault,
        };
        let response = widgets::button_in(ui, self.enabled(scene, view), self.info().label, ink);
        response.on_hover_text(self.tip(ui))
    }

    /// Its sentence and keys.
    pub fn tip(self, ui: &Ui) -> String {
        let info = self.info();
        match info.keys {
            Some(keys) => format!("{} ({})", info.tip, ui.ctx().format_shortcut(&keys)),
            None => info.tip.to_owned(),
        }
    }

    /// The commands whose keys were pressed, taken out of the input. While text is typed, only keys with
    /// Ctrl are commands.
    pub fn pressed(ui: &Ui, scene: &Scene, view: View) -> Vec<Self> {
        let typing = ui.ctx().egui_wants_keyboard_input();
        let mut pressed = Vec::new();
        for command in ALL {
            let Some(keys) = command.info().keys else { continue };
            let text = typing && !keys.modifiers.command;
            // The hot key is looked for in the raw events, by the shell, before everything else.
            if command == Self::Abort || text || command.enabled(scene, view).is_err() {
                continue;
            }
            if ui.input_mut(|input| input.consume_shortcut(&keys)) {
                pressed.push(command);
            }
        }
        pressed
    }
}

fn in_design(view: View) -> Result<(), &'static str> {
    if view == View::Design {
        Ok(())
    } else {
        Err("Only in Design")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_commands_share_keys_and_abort_comes_first() {
        assert_eq!(ALL[0], Command::Abort);
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                let same = a.info().keys.is_some() && a.info().keys == b.info().keys;
                assert!(!same, "{a:?} and {b:?}");
            }
        }
    }
}
