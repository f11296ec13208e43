//! What the console says, in the language of who reads it.
//!
//! The texts stand in `assets/messages/`, a file for each language, in the format of Project Fluent; the build
//! script makes a method of [`Say`] of each. A message that a view asks for and that is not there does not compile,
//! one that nobody asks for is dead code, and one that a language lacks stops the build. What a drill or an agent
//! has said stays as it was recorded.

#[cfg(test)]
mod compile;

use egui::{Context, Id, Ui};
use serde::{Deserialize, Serialize};

/// A language that the console speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Simplified Chinese.
    #[serde(rename = "zh-Hans")]
    Chinese,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The language for who has the system's locale `tag` (BCP 47 or POSIX). Traditional Chinese is not simplified
    /// Chinese: like every other language it gets English.
    pub fn of_locale(tag: &str) -> Self {
        let tag = tag
            .split(['.', '@'])
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let mut parts = tag.split(['-', '_']);
        let chinese = parts.next() == Some("zh");
        let parts: Vec<&str> = parts.collect();
        let traditional = parts.iter().any(|part| ["hant", "tw", "hk", "mo"].contains(part));
        if chinese && (!traditional || parts.contains(&"hans")) {
            Self::Chinese
        } else {
            Self::English
        }
    }

    /// Its name, in itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "简体中文",
        }
    }
}

/// What the desktop's own dialogs are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Titles {
    /// Choosing a plan.
    pub open_plan: &'static str,
    /// Where a plan is to be written.
    pub save_plan: &'static str,
    /// The kind of file of both.
    pub plans: &'static str,
    /// Choosing a drill's journal.
    pub open_journal: &'static str,
    /// The kind of file of it.
    pub journals: &'static str,
    /// Where a report is to be written.
    pub report_folder: &'static str,
    /// Choosing a game day's folder.
    pub open_gameday: &'static str,
}

impl Language {
    /// What the desktop's own dialogs are called.
    pub fn titles(self) -> Titles {
        let say = Say(self);
        Titles {
            open_plan: say.dialog_open_plan(),
            save_plan: say.dialog_save_plan(),
            plans: say.dialog_plans(),
            open_journal: say.dialog_open_journal(),
            journals: say.dialog_journals(),
            report_folder: say.dialog_report_folder(),
            open_gameday: say.dialog_open_gameday(),
        }
    }
}

/// Says things in one language: a method for each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Say(pub Language);

impl Say {
    /// As everything in `ui`'s window is said. What has a [`crate::cx::Cx`] takes it from there.
    pub fn of(ui: &Ui) -> Self {
        Self(
            ui.data(|data| data.get_temp(Id::unique(LANGUAGE)))
                .unwrap_or_default(),
        )
    }

    /// From now on everything in the windows of `context` is said in this language.
    pub fn settle(self, context: &Context) {
        context.data_mut(|data| data.insert_temp(Id::unique(LANGUAGE), self.0));
    }
}

/// Where the language is kept in a context.
const LANGUAGE: &str = "language";

#[expect(clippy::match_same_arms, reason = "some words are the same in every language")]
mod made {
    use super::{Language, Say};

    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_has_a_language() {
        for tag in ["zh", "zh-CN", "zh_CN.UTF-8", "zh-Hans", "zh-Hans-HK", "zh-SG"] {
            assert_eq!(Language::of_locale(tag), Language::Chinese, "{tag}");
        }
        for tag in [
            "en",
            "de-DE",
            "C",
            "",
            "POSIX",
            "zh-TW",
            "zh_HK.UTF-8",
            "zh-Hant-CN",
        ] {
            assert_eq!(Language::of_locale(tag), Language::English, "{tag}");
        }
    }
}
