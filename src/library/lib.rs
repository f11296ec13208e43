//! Plans to start from: each file of `profiles/`, with what a form asks to make it one's own.
//!
//! A profile is a plan like any other, readable and good as it is. Beside it, `profiles/templates/` has a file of the
//! same name: the parameters that a form asks for, each with the places of the plan it goes to, and the mapping to the
//! demo's order system. Both are built into the program.
//!
//! Contract: filling is an edit of the plan's text by its parts (`plan::edit`), never of characters, so that a value can
//! break out of nothing; comments stay. What comes out was read by the plan's own reader, and all that is wrong is
//! told, each mistake with the parameter that it belongs to where there is one. Pure: no I/O, no clock. Uses `plan` and
//! `catalogue`.

mod demo;
mod fill;
mod places;
mod shipped;
mod template;
mod values;

use std::sync::LazyLock;

pub use demo::{Demo, DemoPlaces, LeftOut};
pub use fill::{Filled, Values, Wrong};
pub use template::{LoadError, Parameter, Template};
pub use values::Kind;

/// Every template that ships, in the order in which they are shown.
pub fn library() -> &'static [Template] {
    static LIBRARY: LazyLock<Vec<Template>> = LazyLock::new(|| {
        let read = shipped::FILES.iter().map(|(name, plan, about)| {
            let read = Template::read(name, plan, about);
            read.inspect_err(|error| tracing::error!("a template that ships is a defect: {error}"))
        });
        read.filter_map(Result::ok).collect()
    });
    &LIBRARY
}

/// The template of this name.
pub fn find(name: &str) -> Option<&'static Template> {
    library().iter().find(|template| template.name == name)
}
