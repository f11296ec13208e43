//! The help sheet (?): every command with its keys, by group, from the table of commands.

use egui::{Align2, Key, Modifiers, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::{
    commands::{ALL, Command, Group},
    messages::Say,
    shell::{Places, dialog},
    theme::{Tokens, medium, regular, size, space},
    widgets,
};

/// Whether it is open.
#[derive(Default)]
pub struct Help {
    open: bool,
}

/// So many groups stand in the left column: about as many rows as in the right.
const LEFT: usize = 4;
const ROW: f32 = 23.0;

impl Help {
    /// Opens it.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Whether it is shown.
    pub fn wanted(&self) -> bool {
        self.open
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, places: &Places) {
        let say = Say::of(ui);
        let again = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Questionmark));
        let (close, escape) = dialog(ui, places, Command::Help.label(say), 1180.0, |ui| {
            let mut close = false;
            widgets::ends(
                ui,
                36.0,
                |ui| drop(widgets::headline(ui, say.help_title())),
                |ui| close = widgets::button(ui, say.close()).clicked(),
            );
            ui.add_space(space::S);
            let room = ui.available_height() - space::S;
            ScrollArea::vertical()
                .id_salt("help")
                .max_height(room)
                .show(ui, sheet);
            close
        });
        if close || escape || again {
            self.open = false;
        }
    }
}

fn sheet(ui: &mut Ui) {
    let whole = ui.available_rect_before_wrap();
    let width = (whole.width() - space::XXL) / 2.0;
    let (first, second) = Group::ALL.split_at(LEFT);
    for (groups, left) in [(first, whole.left()), (second, whole.right() - width)] {
        let rows: usize = groups.iter().map(|group| commands(*group).count()).sum();
        let height = rows as f32 * ROW + groups.len() as f32 * (ROW + space::M);
        let column = Rect::from_min_size(pos2(left, whole.top()), vec2(width, height));
        widgets::region(ui, column, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for group in groups {
                heading(ui, *group);
                for command in commands(*group) {
                    row(ui, command);
                }
                ui.add_space(space::M);
            }
        });
    }
}

fn commands(group: Group) -> impl Iterator<Item = Command> {
    ALL.iter()
        .copied()
        .filter(move |command| command.info().group == group)
}

fn heading(ui: &mut Ui, group: Group) {
    let t = Tokens::of(ui);
    let title = group.title(Say::of(ui));
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Heading, true, title));
    let painter = ui.painter();
    painter.text(
        rect.left_center(),
        Align2::LEFT_CENTER,
        title,
        medium(size::BODY),
        t.strong,
    );
    painter.hline(rect.x_range(), rect.bottom(), egui::Stroke::new(1.0, t.line));
}

/// `Save   Writes the plan to its file; comments stay   Ctrl+S`; the sentence ends where the keys begin.
fn row(ui: &mut Ui, command: Command) {
    let t = Tokens::of(ui);
    let say = Say::of(ui);
    let (label, sentence) = (command.label(say), (command.info().tip)(say));
    let keys = command.keys(ui).unwrap_or_default();
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let name = format!("{label}: {sentence}. {keys}");
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
    let painter = ui.painter();
    painter.text(
        rect.left_center(),
        Align2::LEFT_CENTER,
        label,
        regular(size::BODY),
        t.strong,
    );
    let keys = painter.text(
        rect.right_center(),
        Align2::RIGHT_CENTER,
        keys,
        medium(size::SMALL),
        t.text,
    );
    let mut tip = egui::text::LayoutJob::simple_singleline(sentence.to_owned(), regular(size::SMALL), t.dim);
    let left = rect.left() + 132.0;
    let right = keys.left().min(rect.right() - 96.0) - space::M;
    tip.wrap.max_width = (right - left).max(0.0);
    tip.wrap.max_rows = 1;
    tip.wrap.break_anywhere = true;
    let tip = painter.layout_job(tip);
    let at = pos2(left, rect.center().y - tip.size().y / 2.0);
    painter.galley(at, tip, t.dim);
    response.on_hover_text(sentence);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_it_with_its_keys() {
        let context = egui::Context::default();
        crate::install(&context);
        let input = egui::RawInput {
            screen_rect: Some(Rect::from_min_size(egui::Pos2::ZERO, vec2(1_100.0, 1_200.0))),
            ..egui::RawInput::default()
        };
        let mut keys = Vec::new();
        let mut output = context.run_ui(input, |ui| {
            keys = ALL.iter().map(|command| command.keys(ui)).collect();
            sheet(ui);
        });
        output.textures_delta.clear();
        let words: Vec<String> = output
            .shapes
            .into_iter()
            .filter_map(|clipped| match clipped.shape {
                egui::Shape::Text(text) => Some(text.galley.text().to_owned()),
                _ => None,
            })
            .collect();
        for (command, keys) in ALL.iter().zip(keys) {
            let label = command.label(Say::default());
            let row = words.iter().position(|it| it == label);
            let row = row.unwrap_or_else(|| panic!("{command:?} is missing"));
            assert!(
                keys.is_none() || words.get(row + 1) == keys.as_ref(),
                "{command:?}: {:?}",
                words.get(row + 1)
            );
        }
    }
}
