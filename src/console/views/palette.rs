//! Every command by its name (Ctrl+K).

use egui::{Align2, Id, Key, Modifiers, ScrollArea, Sense, Ui, pos2, vec2};

use crate::{
    commands::{ALL, Command},
    cx::Cx,
    messages::Say,
    shell::{Places, dialog},
    theme::{medium, regular, size, space},
    widgets,
};

/// What the palette remembers while it is open.
#[derive(Default)]
pub struct Palette {
    open: bool,
    fresh: bool,
    wanted: String,
    chosen: usize,
}

impl Palette {
    /// Opens it.
    pub fn open(&mut self) {
        *self = Self {
            open: true,
            fresh: true,
            ..Self::default()
        };
    }

    /// Whether it is shown.
    pub fn wanted(&self) -> bool {
        self.open
    }

    /// Draws it; gives the command that was chosen.
    pub fn ui(&mut self, ui: &mut Ui, places: &Places, cx: &Cx<'_>) -> Option<Command> {
        let mut found = self.found(cx.say);
        // What can be done now comes first.
        found.sort_by_key(|command| command.enabled(cx.scene, cx.view).is_err());
        let (down, up, enter) = ui.input_mut(|input| {
            let mut key = |key| input.consume_key(Modifiers::NONE, key);
            (key(Key::ArrowDown), key(Key::ArrowUp), key(Key::Enter))
        });
        let last = found.len().saturating_sub(1);
        self.chosen = (self.chosen + usize::from(down))
            .saturating_sub(usize::from(up))
            .min(last);
        let mut picked = found.get(self.chosen).copied().filter(|_| enter);
        let ((), escape) = dialog(ui, places, cx.say.palette_title(), 560.0, |ui| {
            let hint = cx.say.palette_hint();
            let field = widgets::field(ui, cx.say.palette_field(), &mut self.wanted, hint);
            if std::mem::take(&mut self.fresh) {
                field.request_focus();
            }
            ui.add_space(space::S);
            ScrollArea::vertical()
                .id_salt("commands")
                .max_height(360.0)
                .show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    for (i, command) in found.iter().enumerate() {
                        if row(ui, *command, i == self.chosen, cx) {
                            picked = Some(*command);
                        }
                    }
                    if found.is_empty() {
                        widgets::dim(ui, cx.say.palette_none());
                    }
                });
        });
        let picked = picked.filter(|command| command.enabled(cx.scene, cx.view).is_ok());
        if picked.is_some() || escape {
            self.open = false;
        }
        picked
    }

    fn found(&self, say: Say) -> Vec<Command> {
        let wanted = self.wanted.to_lowercase();
        let matches = |command: &Command| {
            let tip = (command.info().tip)(say);
            command.label(say).to_lowercase().contains(&wanted) || tip.to_lowercase().contains(&wanted)
        };
        // ABORT has its own keys and its own button; it is not something to look for in a list. A start is confirmed
        // in its own dialog, above which no palette stands.
        ALL.iter()
            .copied()
            .filter(|command| !matches!(command, Command::Abort | Command::Palette | Command::Arm))
            .filter(matches)
            .collect()
    }
}

fn row(ui: &mut Ui, command: Command, chosen: bool, cx: &Cx<'_>) -> bool {
    let t = cx.tokens;
    let (label, tip) = (command.label(cx.say), command.info().tip);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 34.0), Sense::hover());
    let response = ui.interact(rect, Id::unique(("command", label)), Sense::click());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, chosen, label));
    if chosen || response.hovered() {
        ui.painter().rect_filled(rect, 8.0, t.raised);
    }
    let enabled = command.enabled(cx.scene, cx.view);
    let ink = if enabled.is_ok() { t.strong } else { t.dim };
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    let name = painter.text(
        pos2(rect.left() + 10.0, rect.center().y),
        Align2::LEFT_CENTER,
        label,
        medium(size::BODY),
        ink,
    );
    let tip = enabled.err().unwrap_or(tip)(cx.say);
    let keys = command.keys(ui).unwrap_or_default();
    let keys = painter.text(
        pos2(rect.right() - 10.0, rect.center().y),
        Align2::RIGHT_CENTER,
        keys,
        regular(size::SMALL),
        t.text,
    );
    let clip = egui::Rect::from_min_max(
        pos2(name.right() + 12.0, rect.top()),
        pos2(keys.left() - 10.0, rect.bottom()),
    );
    painter.with_clip_rect(clip.intersect(painter.clip_rect())).text(
        clip.left_center(),
        Align2::LEFT_CENTER,
        tip,
        regular(size::SMALL),
        t.dim,
    );
    response.clicked()
}
