//! Every command in one table: what it is called, what it does, its keys, when it can be given, how grave it is,
//! and what it is listed under. Buttons, shortcuts, tooltips, the palette and the help sheet are made from it.

use egui::{InputState, Key, KeyboardShortcut, Modifiers, Response, Ui};
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
    /// Confirm the start: the fault begins.
    Arm,
    /// The window for the projector.
    Stage,
    /// The Stage gives nothing away, or all again.
    Seal,
    /// The small window above other programs.
    AbortWindow,
    /// Everything larger.
    Larger,
    /// Everything smaller.
    Smaller,
    /// The first size again.
    FirstSize,
    /// Every command with its keys.
    Help,
}

/// How grave a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Changes nothing outside the window.
    None,
    /// Ends or holds a drill.
    Ends,
}

/// What commands are listed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Starts, ends and marks a drill.
    Drill,
    /// A game day's people and their clocks.
    GameDay,
    /// The plan's file.
    Plan,
    /// What the plots show.
    Plots,
    /// The views.
    Views,
    /// Windows, sizes, looks.
    Window,
}

impl Group {
    /// Every group, in the order of the help sheet.
    pub const ALL: [Self; 6] = [
        Self::Drill,
        Self::GameDay,
        Self::Plan,
        Self::Plots,
        Self::Views,
        Self::Window,
    ];

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Drill => "The drill",
            Self::GameDay => "The game day",
            Self::Plan => "The plan",
            Self::Plots => "The plots in Live",
            Self::Views => "Views",
            Self::Window => "Windows and looks",
        }
    }
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
    /// What it is listed under.
    pub group: Group,
}

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers {
    shift: true,
    ..Modifiers::COMMAND
};

/// Every command, in the order in which they are listed.
pub const ALL: &[Command] = &[
    Command::Abort,
    Command::Begin,
    Command::Arm,
    Command::Hold,
    Command::Resume,
    Command::Finish,
    Command::Retry,
    Command::Note,
    Command::CopyOurs,
    Command::TestAbort,
    Command::Demo,
    Command::OpenGameDay,
    Command::Clock(Clock::Noticed),
    Command::Clock(Clock::Paged),
    Command::Clock(Clock::Acknowledged),
    Command::Clock(Clock::Hypothesis),
    Command::Clock(Clock::Mitigated),
    Command::Clock(Clock::Recovered),
    Command::Open,
    Command::Save,
    Command::Undo,
    Command::Redo,
    Command::ZoomIn,
    Command::ZoomOut,
    Command::Earlier,
    Command::Later,
    Command::Follow,
    Command::Show(View::Welcome),
    Command::Show(View::Design),
    Command::Show(View::Live),
    Command::Show(View::Review),
    Command::Show(View::Fleet),
    Command::Show(View::Agenda),
    Command::Show(View::Gallery),
    Command::Palette,
    Command::Help,
    Command::Stage,
    Command::Seal,
    Command::AbortWindow,
    Command::Theme,
    Command::Larger,
    Command::Smaller,
    Command::FirstSize,
];

impl Command {
    /// Its row.
    pub fn info(self) -> Info {
        let row = |group, label, tip, modifiers, key| Info {
            label,
            tip,
            keys: Some(KeyboardShortcut::new(modifiers, key)),
            danger: Danger::None,
            group,
        };
        let bare = |group, label, tip| Info {
            label,
            tip,
            keys: None,
            danger: Danger::None,
            group,
        };
        match self {
            Self::Abort => Info {
                danger: Danger::Ends,
                ..row(
                    Group::Drill,
                    "ABORT",
                    "Takes every fault back at once and latches the agents",
                    CTRL_SHIFT,
                    Key::X,
                )
            },
            Self::Finish => Info {
                danger: Danger::Ends,
                ..row(
                    Group::Drill,
                    "Finish",
                    "Takes the faults back and goes on to recovery; nothing is latched",
                    CTRL_SHIFT,
                    Key::F,
                )
            },
            Self::Hold => Info {
                danger: Danger::Ends,
                ..row(
                    Group::Drill,
                    "Hold",
                    "Takes the faults back and stops the clock of the steps; nothing is latched, and a resume takes a \
                     new baseline, then goes on for the time that was left",
                    CTRL_SHIFT,
                    Key::H,
                )
            },
            Self::Resume => row(
                Group::Drill,
                "Resume",
                "Takes a new baseline, then puts what was interrupted on again for the time that it had left",
                CTRL_SHIFT,
                Key::R,
            ),
            Self::Retry => row(
                Group::Drill,
                "Retry",
                "Begins the same experiment again: preflight, baseline, then it asks you before the first fault",
                Modifiers::NONE,
                Key::R,
            ),
            Self::CopyOurs => row(
                Group::Drill,
                "Copy: is this us?",
                "Copies the sentence that says what of ours is on, with drill, console and time",
                CTRL,
                Key::I,
            ),
            Self::Begin => row(
                Group::Drill,
                "Start …",
                "Checks everything, waits for the steady state, then asks you before the first fault",
                CTRL,
                Key::Enter,
            ),
            // Three keys that nobody holds down by accident; Enter alone must not start a fault.
            Self::Arm => row(
                Group::Drill,
                "Start the fault",
                "Confirms the start, when every check has passed",
                CTRL_SHIFT,
                Key::Enter,
            ),
            Self::Note => row(
                Group::Drill,
                "Note",
                "Writes a note on the timeline",
                Modifiers::NONE,
                Key::N,
            ),
            Self::Demo => bare(
                Group::Drill,
                "Start the demo",
                "Starts the order system on this computer and runs a drill on it",
            ),
            Self::TestAbort => bare(
                Group::Drill,
                "Test abort",
                "Starts the fault noop, which changes nothing, and aborts it on every agent",
            ),
            Self::OpenGameDay => bare(
                Group::GameDay,
                "Open a game day …",
                "Opens the folder that gameday.toml is in",
            ),
            Self::Clock(clock) => {
                let (label, tip, key) = match clock {
                    Clock::Noticed => ("Noticed", "Somebody noticed that something is wrong", Key::Num1),
                    Clock::Paged => ("Paged", "Somebody was paged", Key::Num2),
                    Clock::Acknowledged => ("Acknowledged", "The page was acknowledged", Key::Num3),
                    Clock::Hypothesis => ("Right hypothesis", "Somebody said what it really is", Key::Num4),
                    Clock::Mitigated => ("Mitigated", "It hurts no longer", Key::Num5),
                    Clock::Recovered => ("Recovered", "All is as before", Key::Num6),
                };
                row(Group::GameDay, label, tip, Modifiers::NONE, key)
            }
            Self::Open => row(Group::Plan, "Open a plan …", "Opens a plan file", CTRL, Key::O),
            Self::Save => row(
                Group::Plan,
                "Save",
                "Writes the plan to its file; comments stay",
                CTRL,
                Key::S,
            ),
            Self::Undo => row(Group::Plan, "Undo", "Takes the last edit back", CTRL, Key::Z),
            Self::Redo => row(Group::Plan, "Redo", "Makes it again", CTRL_SHIFT, Key::Z),
            Self::ZoomIn => row(
                Group::Plots,
                "Zoom in",
                "Less time on the plots",
                Modifiers::NONE,
                Key::Plus,
            ),
            Self::ZoomOut => row(
                Group::Plots,
                "Zoom out",
                "More time on the plots",
                Modifiers::NONE,
                Key::Minus,
            ),
            Self::Earlier => row(
                Group::Plots,
                "Earlier",
                "Moves the plots to the past",
                Modifiers::ALT,
                Key::ArrowLeft,
            ),
            Self::Later => row(
                Group::Plots,
                "Later",
                "Moves the plots to the present",
                Modifiers::ALT,
                Key::ArrowRight,
            ),
            Self::Follow => row(
                Group::Plots,
                "Follow",
                "The plots follow now again",
                Modifiers::NONE,
                Key::Home,
            ),
            Self::Show(view) => Self::show(view),
            Self::Palette => row(
                Group::Window,
                "Find a command …",
                "Finds a command by its name",
                CTRL,
                Key::K,
            ),
            Self::Help => row(
                Group::Window,
                "Help",
                "Every command with its keys",
                Modifiers::NONE,
                Key::Questionmark,
            ),
            Self::Stage => row(
                Group::Window,
                "Stage",
                "A window for the projector; a double click there fills the screen, Escape closes it",
                Modifiers::NONE,
                Key::F11,
            ),
            Self::Seal => row(
                Group::Window,
                "Seal the Stage",
                "The Stage says only that there is an exercise; again, and it shows all",
                CTRL_SHIFT,
                Key::E,
            ),
            Self::AbortWindow => bare(
                Group::Window,
                "ABORT window",
                "A small window with ABORT above other programs; by itself while a fault is on",
            ),
            Self::Theme => row(
                Group::Window,
                "Theme",
                "Dark for a desk, light for a projector",
                CTRL_SHIFT,
                Key::L,
            ),
            Self::Larger => row(Group::Window, "Larger", "Everything larger", CTRL, Key::Plus),
            Self::Smaller => row(Group::Window, "Smaller", "Everything smaller", CTRL, Key::Minus),
            Self::FirstSize => row(
                Group::Window,
                "First size",
                "Everything as large as at first",
                CTRL,
                Key::Num0,
            ),
        }
    }

    fn show(view: View) -> Info {
        let row = |label, tip, key| Info {
            label,
            tip,
            keys: Option::map(key, |key| KeyboardShortcut::new(CTRL, key)),
            danger: Danger::None,
            group: Group::Views,
        };
        match view {
            View::Welcome => row("Welcome", "Start the demo, open a plan", Some(Key::Num1)),
            View::Design => row("Design", "Write the plan", Some(Key::Num2)),
            View::Live => row("Live", "Watch the drill", Some(Key::Num3)),
            View::Review => row("Review", "Drills that are over", Some(Key::Num4)),
            View::Fleet => row("Fleet", "The agents", Some(Key::Num5)),
            View::Agenda => row(
                "Agenda",
                "The game day: its drills, preparation, people, findings",
                Some(Key::Num6),
            ),
            View::Gallery => row(
                "Gallery",
                "The console's own widgets in each of their states, for who builds on them",
                None,
            ),
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
            Self::Arm => {
                let arming = scene.drill.as_ref().and_then(|drill| drill.arming.as_ref());
                let ready = arming.filter(|arming| arming.ready);
                ready.map(|_| ()).ok_or("Nothing waits to be confirmed")
            }
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
            | Self::TestAbort
            | Self::Stage
            | Self::Seal
            | Self::AbortWindow
            | Self::Larger
            | Self::Smaller
            | Self::FirstSize
            | Self::Help => Ok(()),
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
        let tip = self.info().tip;
        match self.keys(ui) {
            Some(keys) => format!("{tip} ({keys})"),
            None => tip.to_owned(),
        }
    }

    /// Its keys, as this platform writes them.
    pub fn keys(self, ui: &Ui) -> Option<String> {
        let keys = ui.ctx().format_shortcut(&self.info().keys?);
        // As on the key, not as it is called.
        let signs = [("Questionmark", "?"), ("Plus", "+"), ("Minus", "−")];
        let said = signs.into_iter().find(|(name, _)| keys.ends_with(name));
        Some(match said {
            Some((name, sign)) => keys.replace(name, sign),
            None => keys,
        })
    }

    /// How many keys are held down for it.
    fn modifiers(self) -> usize {
        let held = self.info().keys.map_or(Modifiers::NONE, |keys| keys.modifiers);
        [held.alt, held.shift, held.command || held.ctrl]
            .into_iter()
            .filter(|held| *held)
            .count()
    }

    /// Where plus needs Shift, its key without is named equals.
    fn second_keys(self, input: &mut InputState) -> bool {
        self == Self::Larger && input.consume_key(CTRL, Key::Equals)
    }

    /// Whether it is heard while a dialog stands above the view: it changes only windows and looks.
    pub fn above_dialogs(self) -> bool {
        self.info().group == Group::Window && !matches!(self, Self::Palette | Self::Help)
    }

    /// The commands of those that are `heard` whose keys were pressed, taken out of the input. While text is typed,
    /// only keys with Ctrl are commands.
    pub fn pressed(ui: &Ui, scene: &Scene, view: View, heard: impl Fn(Self) -> bool) -> Vec<Self> {
        let typing = ui.ctx().egui_wants_keyboard_input();
        let mut pressed = Vec::new();
        // Those with more modifiers first: Ctrl+Z would else take Ctrl+Shift+Z too.
        let mut order = ALL.to_vec();
        order.sort_by_key(|command| std::cmp::Reverse(command.modifiers()));
        for command in order {
            let Some(keys) = command.info().keys else { continue };
            let text = typing && !keys.modifiers.command && keys.logical_key != Key::F11;
            // The hot key is looked for in the raw events, by the shell, before everything else.
            let heard = command != Self::Abort && heard(command);
            if !heard || text || command.enabled(scene, view).is_err() {
                continue;
            }
            if ui.input_mut(|input| input.consume_shortcut(&keys) || command.second_keys(input)) {
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
    fn every_command_is_listed_once() {
        for (i, command) in ALL.iter().enumerate() {
            assert!(!ALL[i + 1..].contains(command), "{command:?} twice");
        }
        for view in View::ALL {
            assert!(ALL.contains(&Command::Show(view)), "{view:?} has no command");
        }
    }

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
