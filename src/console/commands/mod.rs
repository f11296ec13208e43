//! Every command in one table: what it is called, what it does, its keys, how grave it is, what it is listed under
//! ([`Command::info`]), and when it can be given. Buttons, shortcuts, tooltips, the palette and the help sheet are
//! made from it.

mod table;

use egui::{InputState, Key, KeyboardShortcut, Modifiers, Response, Ui};
use firedrill_drill::{HoldStage, Outcome, Phase};
use firedrill_gameday::Clock;
use firedrill_scene::{Role, Scene, Seal, WatchScene};

use crate::{
    View,
    messages::{Language, Say},
    theme::Tokens,
    views::library,
    widgets,
};

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
    /// Everything in a language.
    Speak(Language),
    /// Everything in the system's language.
    SpeakAsSystem,
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
    /// A plan from the template that is shown.
    UseTemplate,
    /// Run an experiment of that template on the demo.
    TryTemplate,
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
    /// A replay goes on by itself, or stands still.
    Play,
    /// A replay goes to the last event before.
    PreviousEvent,
    /// A replay goes to the next event.
    NextEvent,
    /// Mark the moment that a replay shows.
    Mark,
    /// Write what Review shows to a folder.
    Export,
    /// Open a game day's folder.
    OpenGameDay,
    /// People did something in the drill that is on.
    Clock(Clock),
    /// Confirm the start: the fault begins.
    Arm,
    /// The window for the projector.
    Stage,
    /// The window for who is rehearsed.
    Responder,
    /// What a sealed drill was may be told.
    Reveal,
    /// A line in another's name.
    Enter,
    /// Clocks are of the next person.
    NextPerson,
    /// The Stage gives nothing away, or all again.
    Seal,
    /// Others who follow.
    Share,
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
    /// A drill that is over.
    Review,
    /// The views.
    Views,
    /// Windows, sizes, looks.
    Window,
}

impl Group {
    /// Every group, in the order of the help sheet.
    pub const ALL: [Self; 7] = [
        Self::Drill,
        Self::GameDay,
        Self::Plan,
        Self::Plots,
        Self::Review,
        Self::Views,
        Self::Window,
    ];

    /// Its heading.
    pub fn title(self, say: Say) -> &'static str {
        match self {
            Self::Drill => say.group_drill(),
            Self::GameDay => say.group_gameday(),
            Self::Plan => say.group_plan(),
            Self::Plots => say.group_plots(),
            Self::Review => say.group_review(),
            Self::Views => say.group_views(),
            Self::Window => say.group_window(),
        }
    }
}

/// A message without values.
pub type Words = fn(Say) -> &'static str;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// As on its button.
    pub label: Words,
    /// What it does, in a sentence.
    pub tip: Words,
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
    Command::Reveal,
    Command::OpenGameDay,
    Command::Enter,
    Command::NextPerson,
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
    Command::UseTemplate,
    Command::TryTemplate,
    Command::ZoomIn,
    Command::ZoomOut,
    Command::Earlier,
    Command::Later,
    Command::Follow,
    Command::Play,
    Command::PreviousEvent,
    Command::NextEvent,
    Command::Mark,
    Command::Export,
    Command::Show(View::Welcome),
    Command::Show(View::Design),
    Command::Show(View::Live),
    Command::Show(View::Review),
    Command::Show(View::Fleet),
    Command::Show(View::Agenda),
    Command::Show(View::Library),
    Command::Show(View::Gallery),
    Command::Palette,
    Command::Help,
    Command::Stage,
    Command::Responder,
    Command::Seal,
    Command::Share,
    Command::AbortWindow,
    Command::Theme,
    Command::Speak(Language::English),
    Command::Speak(Language::Chinese),
    Command::SpeakAsSystem,
    Command::Larger,
    Command::Smaller,
    Command::FirstSize,
];

impl Command {
    /// Whether it can be given now, or why not.
    pub fn enabled(self, scene: &Scene, view: View) -> Result<(), Words> {
        if let Some(watch) = &scene.watch
            && !self.for_watchers(watch)
        {
            return Err(Say::why_watching);
        }
        let phase = scene.drill.as_ref().map(|drill| drill.phase);
        match self {
            Self::Finish => match phase {
                Some(Phase::Preflight | Phase::Baseline | Phase::Arming | Phase::Inject) => Ok(()),
                Some(Phase::Recover | Phase::Closing) => Err(Say::why_already_back),
                Some(Phase::Verdict) | None => Err(Say::why_no_drill),
            },
            Self::Hold => match (phase, scene.drill.as_ref().and_then(|it| it.hold.as_ref())) {
                (Some(Phase::Inject), None) => Ok(()),
                (Some(Phase::Inject), Some(_)) => Err(Say::why_held_already),
                _ => Err(Say::why_only_injecting),
            },
            Self::Resume => match scene
                .drill
                .as_ref()
                .and_then(|it| it.hold.as_ref())
                .map(|it| it.stage)
            {
                Some(HoldStage::Held) => Ok(()),
                Some(HoldStage::Reverting) => Err(Say::why_not_read_back),
                Some(HoldStage::Baseline { .. }) => Err(Say::why_baseline_taken),
                None => Err(Say::why_nothing_held),
            },
            Self::Retry => match scene.drill.as_ref().and_then(|it| it.verdict.as_ref()) {
                Some(verdict) if verdict.outcome == Outcome::Inconclusive => Ok(()),
                _ => Err(Say::why_only_inconclusive),
            },
            Self::Note => phase
                .filter(|phase| *phase != Phase::Verdict)
                .map(|_| ())
                .ok_or(Say::why_no_drill as Words),
            Self::Begin | Self::Demo if phase.is_some_and(|phase| phase != Phase::Verdict) => {
                Err(Say::why_drill_runs)
            }
            Self::Save | Self::Begin => {
                in_design(view).and(scene.plan.as_ref().map(|_| ()).ok_or(Say::why_no_plan as Words))
            }
            Self::Undo | Self::Redo => in_design(view),
            Self::Arm => {
                let arming = scene.drill.as_ref().and_then(|drill| drill.arming.as_ref());
                let ready = arming.filter(|arming| arming.ready);
                ready.map(|_| ()).ok_or(Say::why_nothing_waits as Words)
            }
            Self::UseTemplate => library::here(view),
            Self::TryTemplate => library::can_try(scene, view),
            Self::TestAbort if scene.fleet.is_empty() => Err(Say::why_no_agents),
            Self::ZoomIn | Self::ZoomOut | Self::Earlier | Self::Later | Self::Follow => match phase {
                Some(_) if view == View::Live => Ok(()),
                _ if view == View::Review && replayed(scene) => Ok(()),
                _ => Err(Say::why_only_live),
            },
            Self::Play | Self::PreviousEvent | Self::NextEvent | Self::Mark => {
                if view == View::Review && replayed(scene) {
                    Ok(())
                } else {
                    Err(Say::why_only_replay)
                }
            }
            Self::Export => {
                let anything = !scene.reviews.is_empty() || scene.gameday.is_some();
                if view == View::Review && anything {
                    Ok(())
                } else {
                    Err(Say::why_only_review)
                }
            }
            Self::Clock(_) => {
                let gameday = scene.gameday.as_ref();
                let on = gameday.is_some_and(|it| it.state.running().is_some());
                // Without a game day a rehearsal's own journal keeps them.
                let rehearsed = scene.drill.as_ref().filter(|it| it.verdict.is_none());
                let alone = gameday.is_none() && rehearsed.is_some_and(|it| it.seal != Seal::Open);
                if on || alone {
                    Ok(())
                } else {
                    Err(Say::why_no_gameday_drill)
                }
            }
            Self::Reveal => sealed(scene).map(|_| ()).ok_or(Say::why_nothing_sealed as Words),
            Self::Enter | Self::NextPerson => scene
                .gameday
                .as_ref()
                .and_then(|it| it.day.as_ref())
                .map(|_| ())
                .ok_or(Say::why_no_gameday as Words),
            Self::Abort
            | Self::OpenGameDay
            | Self::Responder
            | Self::Show(_)
            | Self::Theme
            | Self::Speak(_)
            | Self::SpeakAsSystem
            | Self::Open
            | Self::Palette
            | Self::CopyOurs
            | Self::Demo
            | Self::TestAbort
            | Self::Stage
            | Self::Seal
            | Self::Share
            | Self::AbortWindow
            | Self::Larger
            | Self::Smaller
            | Self::FirstSize
            | Self::Help => Ok(()),
        }
    }

    /// Whether a console that follows another one has it.
    fn for_watchers(self, watch: &WatchScene) -> bool {
        match self {
            Self::Note => watch.role.is_some_and(Role::may_note),
            Self::Stage | Self::Seal | Self::Share => false,
            Self::Abort | Self::CopyOurs => true,
            _ => matches!(self.info().group, Group::Plots | Group::Window),
        }
    }

    /// Its button, with its sentence and keys on hover.
    pub fn button(self, ui: &mut Ui, scene: &Scene, view: View) -> Response {
        let ink = match self.info().danger {
            Danger::None => Tokens::of(ui).strong,
            Danger::Ends => Tokens::of(ui).fault,
        };
        let say = Say::of(ui);
        let enabled = self.enabled(scene, view).map_err(|why| why(say));
        let response = widgets::button_in(ui, enabled, self.label(say), ink);
        response.on_hover_text(self.tip(ui))
    }

    /// As on its button.
    pub fn label(self, say: Say) -> &'static str {
        (self.info().label)(say)
    }

    /// Its sentence and keys.
    pub fn tip(self, ui: &Ui) -> String {
        let tip = (self.info().tip)(Say::of(ui));
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
        // Space presses what has the focus, and arrows are its own.
        let held = ui.memory(|memory| memory.focused().is_some());
        let mut pressed = Vec::new();
        // Those with more modifiers first: Ctrl+Z would else take Ctrl+Shift+Z too.
        let mut order = ALL.to_vec();
        order.sort_by_key(|command| std::cmp::Reverse(command.modifiers()));
        for command in order {
            let Some(keys) = command.info().keys else { continue };
            let text = typing && !keys.modifiers.command && !matches!(keys.logical_key, Key::F10 | Key::F11);
            // The hot key is looked for in the raw events, by the shell, before everything else.
            let heard = command != Self::Abort && heard(command);
            let taken = held && matches!(keys.logical_key, Key::Space | Key::ArrowLeft | Key::ArrowRight);
            let taken = taken && keys.modifiers.is_none();
            if !heard || text || taken || command.enabled(scene, view).is_err() {
                continue;
            }
            if ui.input_mut(|input| input.consume_shortcut(&keys) || command.second_keys(input)) {
                pressed.push(command);
            }
        }
        pressed
    }
}

/// The drill that a reveal is of: the one on screen, or the newest that is over and sealed.
pub fn sealed(scene: &Scene) -> Option<String> {
    let shown = scene
        .drill
        .as_ref()
        .filter(|it| it.seal.is_sealed())
        .map(|it| &it.id);
    let over = || {
        scene
            .reviews
            .iter()
            .find(|it| it.scene.seal.is_sealed())
            .map(|it| &it.drill)
    };
    shown.or_else(over).cloned()
}

/// A moment of a drill is shown again.
fn replayed(scene: &Scene) -> bool {
    crate::views::review::moment(scene).is_some()
}

fn in_design(view: View) -> Result<(), Words> {
    if view == View::Design {
        Ok(())
    } else {
        Err(Say::why_only_design)
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
