//! A row for each command: what it is called, what it does, its keys, how grave it is, what it is listed under.

use egui::{Key, KeyboardShortcut, Modifiers};
use firedrill_gameday::Clock;

use super::{CTRL, CTRL_SHIFT, Command, Danger, Group, Info, Words};
use crate::View;
use crate::messages::{Language, Say};

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
            Self::Share => bare(Group::Window, Say::command_share, Say::command_share_tip),
            Self::Responder => row(
                Group::Window,
                Say::command_responder,
                Say::command_responder_tip,
                Modifiers::NONE,
                Key::F10,
            ),
            Self::Reveal => row(
                Group::Drill,
                Say::command_reveal,
                Say::command_reveal_tip,
                CTRL_SHIFT,
                Key::V,
            ),
            Self::Enter => row(
                Group::GameDay,
                Say::command_enter,
                Say::command_enter_tip,
                Modifiers::NONE,
                Key::E,
            ),
            Self::NextPerson => row(
                Group::GameDay,
                Say::command_next_person,
                Say::command_next_person_tip,
                Modifiers::NONE,
                Key::P,
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
}
