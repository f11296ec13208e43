//! A file or folder for each view, and the dialogs that stand above them.

pub mod aborting;
pub mod agenda;
pub mod arming;
pub mod design;
pub mod enroll;
pub mod fleet;
pub mod gallery;
pub mod help;
pub mod leave;
pub mod library;
pub mod live;
pub mod open;
pub mod palette;
pub mod responder;
pub mod reveal;
pub mod review;
pub mod safety;
pub mod share;
pub mod stage;
pub mod watch;
pub mod welcome;
