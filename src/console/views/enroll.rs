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
        let t = cx.tokens;
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.label(rich("Add an agent", medium(size::TITLE), t.strong));
        widgets::text(
            ui,
            "On the agent's host run `firedrill-agent enroll`, and paste the line that it prints.",
        );
        ui.add_space(space::XS);
        ui.label(rich("Join string", regular(size::SMALL), t.text));
        let edit = egui::TextEdit::singleline(&mut self.line)
            .id(Id::unique("join string"))
            .password(true)
            .desired_width(ui.available_width())
            .margin(egui::Margin::symmetric(10, 7))
            .hint_text(rich("firedrill1_…", regular(size::BODY), t.dim));
        widgets::named(ui.add(edit), "Join string");
        let pasted = !self.line.trim().is_empty();
        let join = self.line.parse::<Join>();
        match &join {
            Err(error) if pasted => drop(widgets::small(ui, format!("Not possible: {error}."), t.out)),
            Err(_) => drop(widgets::dim(
                ui,
                "It holds tokens: it is shown to nobody, and kept in a file that only you can read.",
            )),
            Ok(join) => trusted(ui, join, cx),
        }
        ui.add_space(space::S);
        let mut done = false;
        ui.horizontal(|ui| {
            let enabled = match &join {
                Ok(_) => Ok(()),
                Err(_) => Err("Paste a whole join string first"),
            };
            if widgets::button_if(ui, enabled, "Trust this agent").clicked() {
                cx.ask(Ask::Enroll(std::mem::take(&mut self.line)));
                done = true;
            }
            done |= widgets::button(ui, "Cancel").clicked();
        });
        done
    }
}

/// What a confirmation means, a line each.
fn trusted(ui: &mut Ui, join: &Join, cx: &Cx<'_>) {
    let t = cx.tokens;
    ui.add_space(space::XS);
    widgets::title(ui, "What will be trusted");
    let whose = join
        .role
        .as_deref()
        .unwrap_or("what the agent allows its token; an agent of an earlier version does not say");
    for (name, value) in [
        ("agent", join.name.clone()),
        ("address", join.url()),
        (
            "aborts",
            format!(
                "the same host, port {}, with a token of their own",
                join.abort_port
            ),
        ),
        ("role", whose.to_owned()),
    ] {
        super::fleet::pair(ui, name, &value, t);
    }
    match &join.pin {
        Some(pin) => {
            ui.label(rich(
                "Its certificate, and no other:",
                regular(size::SMALL),
                t.text,
            ));
            ui.label(rich(pin.to_string(), mono(13.0), t.strong));
        }
        None => drop(widgets::dim(
            ui,
            "No certificate: it speaks without TLS, on this computer alone.",
        )),
    }
}
