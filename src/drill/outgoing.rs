//! What leaves the console goes through here, so that a sealed drill gives nothing away.
//!
//! Every exit (alerts, desktop notices, the clipboard, the terminal's `status`, opening an agent, windows that others
//! see, followers) takes an [`Outgoing`] value, and the only way to one is [`Redaction::pass`]: a new exit that forgets
//! the seal does not compile. What is left of a value while it is sealed is decided once, by its type's [`Redact`],
//! not by each exit.

use std::ops::Deref;

use crate::Seal;

/// The one word that may be said of a sealed drill.
pub const EXERCISE: &str = "exercise";

/// Whether what leaves the console is to be redacted. From [`crate::Drill::seal`] or a scene's, by [`Seal::redaction`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redaction {
    /// Everything may be told.
    #[default]
    Nothing,
    /// Only that there is an exercise.
    ToExercise,
}

/// What may be told of a value while its drill is sealed.
pub trait Redact {
    /// It, without anything that tells what is injected, where, by which plan or experiment, or when.
    #[must_use]
    fn redacted(self) -> Self;
}

/// A value that may leave the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<T>(T);

impl Seal {
    /// What it asks of everything that leaves the console.
    pub fn redaction(&self) -> Redaction {
        if self.is_sealed() {
            Redaction::ToExercise
        } else {
            Redaction::Nothing
        }
    }
}

impl Redaction {
    /// Of somebody who sealed by hand, too.
    #[must_use]
    pub fn or(self, sealed: bool) -> Self {
        if sealed { Self::ToExercise } else { self }
    }

    /// Something is hidden.
    pub fn hides(self) -> bool {
        self == Self::ToExercise
    }

    /// The only way out.
    pub fn pass<T: Redact>(self, value: T) -> Outgoing<T> {
        Outgoing(match self {
            Self::Nothing => value,
            Self::ToExercise => value.redacted(),
        })
    }
}

impl<T> Outgoing<T> {
    /// The value, on its way out.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Outgoing<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl Redact for String {
    fn redacted(self) -> Self {
        EXERCISE.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::At;

    #[test]
    fn sealed_words_are_one_word_and_revealed_ones_are_all() {
        let words = || "http.latency on payments-1".to_owned();
        let revealed = Seal::Revealed {
            at: At::default(),
            by: "Ada".to_owned(),
        };
        for seal in [Seal::Open, revealed] {
            assert_eq!(seal.redaction().pass(words()).into_inner(), words());
            // Sealed by hand as well: the stricter wins.
            assert_eq!(*seal.redaction().or(true).pass(words()), EXERCISE);
        }
        assert_eq!(*Seal::Sealed.redaction().pass(words()), EXERCISE);
        assert_eq!(*Seal::Sealed.redaction().or(false).pass(words()), EXERCISE);
    }
}
