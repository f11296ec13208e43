//! Every command in one table: what it is called, what it does, its keys, when it can be given, how grave it is,
//! and what it is listed under. Buttons, shortcuts, tooltips, the palette and the help sheet are made from it.

use egui::{InputState, Key, KeyboardShortcut, Modifiers, Response, Ui};
use firedrill_drill::{HoldStage, Outcome, Phase};
use firedrill_gameday::Clock;
use firedrill_scene::Scene;

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
    Command::Seal,
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
    /// Its row.
    pub fn info(self) -> Info {
        let row = |group, label: Words, tip: Words, modifiers, key| Info {
            label,
            tip,
            keys: Some(KeyboardShortcut::new(modifiers, key)),
            danger: Danger::None,
            group,
        };
        let bare = |group, label: Words, tip: Words| Info {
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
                    Say::command_abort,
                    Say::command_abort_tip,
                    CTRL_SHIFT,
                    Key::X,
                )
            },
            Self::Finish => Info {
                danger: Danger::Ends,
                ..row(
                    Group::Drill,
                    Say::command_finish,
                    Say::command_finish_tip,
                    CTRL_SHIFT,
                    Key::F,
                )
            },
            Self::Hold => Info {
                danger: Danger::Ends,
                ..row(
                    Group::Drill,
                    Say::command_hold,
                    Say::command_hold_tip,
                    CTRL_SHIFT,
                    Key::H,
                )
            },
            Self::Resume => row(
                Group::Drill,
                Say::command_resume,
                Say::command_resume_tip,
                CTRL_SHIFT,
                Key::R,
            ),
            Self::Retry => row(
                Group::Drill,
                Say::command_retry,
                Say::command_retry_tip,
                Modifiers::NONE,
                Key::R,
            ),
            Self::CopyOurs => row(
                Group::Drill,
                Say::command_copy_ours,
                Say::command_copy_ours_tip,
                CTRL,
                Key::I,
            ),
            Self::Begin => row(
                Group::Drill,
                Say::command_begin,
                Say::command_begin_tip,
                CTRL,
                Key::Enter,
            ),
            // Three keys that nobody holds down by accident; Enter alone must not start a fault.
            Self::Arm => row(
                Group::Drill,
                Say::command_arm,
                Say::command_arm_tip,
                CTRL_SHIFT,
                Key::Enter,
            ),
            Self::Note => row(
                Group::Drill,
                Say::command_note,
                Say::command_note_tip,
                Modifiers::NONE,
                Key::N,
            ),
            Self::Demo => bare(Group::Drill, Say::command_demo, Say::command_demo_tip),
            Self::TestAbort => bare(Group::Drill, Say::command_test_abort, Say::command_test_abort_tip),
            Self::UseTemplate => bare(
                Group::Plan,
                Say::command_use_template,
                Say::command_use_template_tip,
            ),
            Self::TryTemplate => bare(
                Group::Plan,
                Say::command_try_template,
                Say::command_try_template_tip,
            ),
            Self::OpenGameDay => bare(
                Group::GameDay,
                Say::command_open_gameday,
                Say::command_open_gameday_tip,
            ),
            Self::Clock(clock) => {
                let (label, tip, key): (Words, Words, Key) = match clock {
                    Clock::Noticed => (Say::command_noticed, Say::command_noticed_tip, Key::Num1),
                    Clock::Paged => (Say::command_paged, Say::command_paged_tip, Key::Num2),
                    Clock::Acknowledged => (
                        Say::command_acknowledged,
                        Say::command_acknowledged_tip,
                        Key::Num3,
                    ),
                    Clock::Hypothesis => (Say::command_hypothesis, Say::command_hypothesis_tip, Key::Num4),
                    Clock::Mitigated => (Say::command_mitigated, Say::command_mitigated_tip, Key::Num5),
                    Clock::Recovered => (Say::command_recovered, Say::command_recovered_tip, Key::Num6),
                };
                row(Group::GameDay, label, tip, Modifiers::NONE, key)
            }
            Self::Open => row(
                Group::Plan,
                Say::command_open,
                Say::command_open_tip,
                CTRL,
                Key::O,
            ),
            Self::Save => row(
                Group::Plan,
                Say::command_save,
                Say::command_save_tip,
                CTRL,
                Key::S,
            ),
            Self::Undo => row(
                Group::Plan,
                Say::command_undo,
                Say::command_undo_tip,
                CTRL,
                Key::Z,
            ),
            Self::Redo => row(
                Group::Plan,
                Say::command_redo,
                Say::command_redo_tip,
                CTRL_SHIFT,
                Key::Z,
            ),
            Self::ZoomIn => row(
                Group::Plots,
                Say::command_zoom_in,
                Say::command_zoom_in_tip,
                Modifiers::NONE,
                Key::Plus,
            ),
            Self::ZoomOut => row(
                Group::Plots,
                Say::command_zoom_out,
                Say::command_zoom_out_tip,
                Modifiers::NONE,
                Key::Minus,
            ),
            Self::Earlier => row(
                Group::Plots,
                Say::command_earlier,
                Say::command_earlier_tip,
                Modifiers::ALT,
                Key::ArrowLeft,
            ),
            Self::Later => row(
                Group::Plots,
                Say::command_later,
                Say::command_later_tip,
                Modifiers::ALT,
                Key::ArrowRight,
            ),
            Self::Follow => row(
                Group::Plots,
                Say::command_follow,
                Say::command_follow_tip,
                Modifiers::NONE,
                Key::Home,
            ),
            Self::Play => row(
                Group::Review,
                Say::command_play,
                Say::command_play_tip,
                Modifiers::NONE,
                Key::Space,
            ),
            Self::PreviousEvent => row(
                Group::Review,
                Say::command_previous_event,
                Say::command_previous_event_tip,
                Modifiers::NONE,
                Key::ArrowLeft,
            ),
            Self::NextEvent => row(
                Group::Review,
                Say::command_next_event,
                Say::command_next_event_tip,
                Modifiers::NONE,
                Key::ArrowRight,
            ),
            Self::Mark => row(
                Group::Review,
                Say::command_mark,
                Say::command_mark_tip,
                Modifiers::NONE,
                Key::B,
            ),
            Self::Export => row(
                Group::Review,
                Say::command_export,
                Say::command_export_tip,
                CTRL,
                Key::E,
            ),
            Self::Show(view) => Self::show(view),
            Self::Palette => row(
                Group::Window,
                Say::command_palette,
                Say::command_palette_tip,
                CTRL,
                Key::K,
            ),
            Self::Help => row(
                Group::Window,
                Say::command_help,
                Say::command_help_tip,
                Modifiers::NONE,
                Key::Questionmark,
            ),
            Self::Stage => row(
                Group::Window,
                Say::command_stage,
                Say::command_stage_tip,
                Modifiers::NONE,
                Key::F11,
            ),
            Self::Seal => row(
                Group::Window,
                Say::command_seal,
                Say::command_seal_tip,
                CTRL_SHIFT,
                Key::E,
            ),
            Self::AbortWindow => bare(
                Group::Window,
                Say::command_abort_window,
                Say::command_abort_window_tip,
            ),
            Self::Theme => row(
                Group::Window,
                Say::command_theme,
                Say::command_theme_tip,
                CTRL_SHIFT,
                Key::L,
            ),
            // A language is called what it calls itself: who needs it may read no other.
            Self::Speak(language) => bare(
                Group::Window,
                match language {
                    Language::English => |_| Language::English.name(),
                    Language::Chinese => |_| Language::Chinese.name(),
                },
                Say::command_speak_tip,
            ),
            Self::SpeakAsSystem => bare(
                Group::Window,
                Say::command_speak_as_system,
                Say::command_speak_as_system_tip,
            ),
            Self::Larger => row(
                Group::Window,
                Say::command_larger,
                Say::command_larger_tip,
                CTRL,
                Key::Plus,
            ),
            Self::Smaller => row(
                Group::Window,
                Say::command_smaller,
                Say::command_smaller_tip,
                CTRL,
                Key::Minus,
            ),
            Self::FirstSize => row(
                Group::Window,
                Say::command_first_size,
                Say::command_first_size_tip,
                CTRL,
                Key::Num0,
            ),
        }
    }

    fn show(view: View) -> Info {
        let row = |label: Words, tip: Words, key| Info {
            label,
            tip,
            keys: Option::map(key, |key| KeyboardShortcut::new(CTRL, key)),
            danger: Danger::None,
            group: Group::Views,
        };
        match view {
            View::Welcome => row(Say::command_welcome, Say::command_welcome_tip, Some(Key::Num1)),
            View::Design => row(Say::command_design, Say::command_design_tip, Some(Key::Num2)),
            View::Live => row(Say::command_live, Say::command_live_tip, Some(Key::Num3)),
            View::Review => row(Say::command_review, Say::command_review_tip, Some(Key::Num4)),
            View::Fleet => row(Say::command_fleet, Say::command_fleet_tip, Some(Key::Num5)),
            View::Agenda => row(Say::command_agenda, Say::command_agenda_tip, Some(Key::Num6)),
            View::Library => row(Say::command_library, Say::command_library_tip, Some(Key::Num7)),
            View::Gallery => row(Say::command_gallery, Say::command_gallery_tip, None),
        }
    }

    /// Whether it can be given now, or why not.
    pub fn enabled(self, scene: &Scene, view: View) -> Result<(), Words> {
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
                if on {
                    Ok(())
                } else {
                    Err(Say::why_no_gameday_drill)
                }
            }
            Self::Abort
            | Self::OpenGameDay
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
            let text = typing && !keys.modifiers.command && keys.logical_key != Key::F11;
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
