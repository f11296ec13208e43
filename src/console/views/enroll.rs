//! Trusting an agent: its join string pasted, what will be trusted shown, and confirmed.

use egui::{Id, Ui};
use firedrill_scene::Ask;
use firedrill_trust::Join;

use crate::{
    cx::Cx,
    theme::{medium, mono, regular, size, space},
    widgets::{self, rich},
};

/// The panel, while it is open.
#[derive(Default)]
pub struct Enroll {
    /// As pasted: a secret.
    line: String,
}

impl Enroll {
    /// Draws it; whether it is done with.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
        let (t, say) = (cx.tokens, cx.say);
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.label(rich(say.enroll_title(), medium(size::TITLE), t.strong));
        widgets::text(ui, say.enroll_words());
        ui.add_space(space::XS);
        ui.label(rich(say.join_string(), regular(size::SMALL), t.text));
        let edit = egui::TextEdit::singleline(&mut self.line)
            .id(Id::unique("join string"))
            .password(true)
            .desired_width(ui.available_width())
            .margin(egui::Margin::symmetric(10, 7))
            .hint_text(rich("firedrill1_…", regular(size::BODY), t.dim));
        widgets::named(ui.add(edit), say.join_string());
        let pasted = !self.line.trim().is_empty();
        let join = self.line.parse::<Join>();
        match &join {
            Err(error) if pasted => drop(widgets::small(ui, say.enroll_not_possible(error), t.out)),
            Err(_) => drop(widgets::dim(ui, say.enroll_secret())),
            Ok(join) => trusted(ui, join, cx),
        }
        ui.add_space(space::S);
        let mut done = false;
        ui.horizontal(|ui| {
            let enabled = match &join {
                Ok(_) => Ok(()),
                Err(_) => Err(say.enroll_first()),
            };
            if widgets::button_if(ui, enabled, say.enroll_trust()).clicked() {
                cx.ask(Ask::Enroll(std::mem::take(&mut self.line)));
                done = true;
            }
            done |= widgets::button(ui, say.cancel()).clicked();
        });
        done
    }
}

/// What a confirmation means, a line each.
fn trusted(ui: &mut Ui, join: &Join, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    ui.add_space(space::XS);
    widgets::title(ui, say.trusted_title());
    let whose = join.role.as_deref().unwrap_or(say.trusted_role_unknown());
    for (name, value) in [
        (say.trusted_agent(), join.name.clone()),
        (say.fact_address(), join.url()),
        (say.trusted_aborts(), say.trusted_aborts_words(join.abort_port)),
        (say.trusted_role(), whose.to_owned()),
    ] {
        super::fleet::pair(ui, name, &value, t);
    }
    match &join.pin {
        Some(pin) => {
            ui.label(rich(say.trusted_certificate(), regular(size::SMALL), t.text));
            ui.label(rich(pin.to_string(), mono(size::NOTE), t.strong));
        }
        None => drop(widgets::dim(ui, say.trusted_no_certificate())),
    }
}
