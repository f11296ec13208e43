//! What a person may do about a guardrail before the start: give a reason, approve as the second person.

use std::collections::HashMap;

use egui::Ui;
use firedrill_scene::{Ask, SafetyScene};

use crate::{
    messages::Say,
    theme::{Tokens, size, space},
    widgets,
};

/// What was typed and not sent.
#[derive(Default)]
pub struct Safety {
    /// A reason a rule, by the rule's word.
    reasons: HashMap<&'static str, String>,
    by: String,
}

impl Safety {
    /// A line for each guardrail in the way that a reason overrides, and one for the second person; gives what was
    /// asked for.
    pub fn ui(&mut self, ui: &mut Ui, safety: &SafetyScene) -> Vec<Ask> {
        let say = Say::of(ui);
        let mut asks = Vec::new();
        ui.add_space(space::S);
        for row in &safety.guardrails {
            let word = row.rule.word();
            if let Some(why) = &row.overridden {
                widgets::dim(ui, say.safety_overridden(word, why));
            } else if row.ok == Some(false) {
                if let Some(remedy) = &row.remedy {
                    widgets::small(ui, format!("{word}: {remedy}"), Tokens::of(ui).fault);
                }
                if row.can_be_overridden {
                    let reason = self.reasons.entry(word).or_default();
                    let label = say.safety_reason(word);
                    if line(
                        ui,
                        &label,
                        reason,
                        say.safety_journaled(),
                        &say.safety_override(word),
                    ) {
                        asks.push(Ask::Override {
                            rule: row.rule,
                            reason: std::mem::take(reason).trim().to_owned(),
                        });
                    }
                }
            }
        }
        match &safety.approval {
            Some(approval) if approval.by.is_none() => {
                let label = say.safety_approved_by();
                if line(ui, label, &mut self.by, say.safety_other(), say.safety_approve()) {
                    asks.push(Ask::Approve {
                        by: std::mem::take(&mut self.by).trim().to_owned(),
                    });
                }
            }
            _ => {}
        }
        asks
    }
}

/// A field with a button behind it; whether the button was pressed with something in the field.
fn line(ui: &mut Ui, label: &str, typed: &mut String, hint: &str, button: &str) -> bool {
    ui.add_space(space::XS);
    let mut pressed = false;
    ui.horizontal(|ui| {
        let width = (ui.available_width() - 190.0).max(120.0);
        ui.allocate_ui(egui::vec2(width, size::BODY * 3.0), |ui| {
            ui.vertical(|ui| {
                widgets::dim(ui, label);
                widgets::field(ui, label, typed, hint);
            });
        });
        let filled = if typed.trim().is_empty() {
            Err(Say::of(ui).write_first())
        } else {
            Ok(())
        };
        pressed = widgets::button_if(ui, filled, button).clicked();
    });
    pressed
}
