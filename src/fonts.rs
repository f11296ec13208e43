//! Letters that the console's own fonts lack, from the system's fonts: looked for only when a text has such a letter,
//! and never on the window's thread.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use eframe::egui::{
    Context, FallbackRequest, FontFamily,
    epaint::text::{FontInsert, FontProvider},
};
use egui_system_font_provider::SystemFontProvider;

/// Gives `context` the system's fonts when it first needs one.
pub fn install(context: &Context) {
    context.add_font_provider(Arc::new(Later {
        context: context.clone(),
        asked: AtomicBool::new(false),
    }));
}

/// Knows no font yet, and fetches those who do when it is asked.
struct Later {
    context: Context,
    asked: AtomicBool,
}

impl FontProvider for Later {
    fn font_for(&self, _: &FallbackRequest<'_>) -> Option<FontInsert> {
        if !self.asked.swap(true, Ordering::AcqRel) {
            let context = self.context.clone();
            let found = std::thread::Builder::new()
                .name("fonts".to_owned())
                .spawn(move || find(&context));
            if let Err(error) = found {
                tracing::info!("the system's fonts are not looked for: {error}");
            }
        }
        None
    }
}

/// Lists the system's fonts, which takes its time, and has every text laid out anew with them.
fn find(context: &Context) {
    let fonts = SystemFontProvider::new();
    // The first answer comes when the list is there.
    fonts.font_for(&FallbackRequest {
        cluster: "\u{d55c}",
        family: &FontFamily::Proportional,
    });
    context.add_font_provider(Arc::new(fonts));
}
