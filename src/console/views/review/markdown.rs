//! The little Markdown that the game day's report is made of, drawn: headings, lists, tables, bold words.

use egui::{Align2, Rect, Role, Sense, Stroke, Ui, WidgetInfo, text::LayoutJob, vec2};

use crate::theme::{Tokens, medium, regular, size, space};

/// A line of the text, as what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// How deep, and its words.
    Heading(usize, Line),
    /// How far it is moved in, and its words.
    Item(usize, Line),
    /// A row of a table; the first one of a table is its head.
    Row(bool, Vec<Line>),
    /// Running text.
    Text(Line),
}

/// Words, each piece bold or not.
pub type Line = Vec<(String, bool)>;

/// Reads it. Whatever it does not know is running text.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // A table ends with the line after it.
    let mut in_table = false;
    for line in text.lines() {
        let inner = line.trim_start();
        let moved = line.len() - inner.len();
        let was_table = std::mem::take(&mut in_table);
        if inner.is_empty() {
            continue;
        }
        let depth = inner.chars().take_while(|c| *c == '#').count();
        if (1..=6).contains(&depth) && inner[depth..].starts_with(' ') {
            blocks.push(Block::Heading(depth, inline(inner[depth..].trim())));
        } else if let Some(item) = inner.strip_prefix("- ") {
            blocks.push(Block::Item(moved / 2, inline(item)));
        } else if inner.starts_with('|') {
            in_table = true;
            let is_rule = inner.chars().all(|c| matches!(c, '|' | '-' | ' ' | ':'));
            if !(was_table && is_rule) {
                blocks.push(Block::Row(!was_table, cells(inner)));
            }
        } else {
            blocks.push(Block::Text(inline(inner)));
        }
    }
    blocks
}

fn cells(row: &str) -> Vec<Line> {
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for c in row.trim().trim_start_matches('|').chars() {
        if c == '|' && !escaped {
            cells.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(cell) = cells.last_mut() {
            cell.push(c);
        }
    }
    // After the last bar there is nothing.
    if cells.last().is_some_and(|it| it.trim().is_empty()) {
        cells.pop();
    }
    cells.iter().map(|cell| inline(cell.trim())).collect()
}

fn inline(text: &str) -> Line {
    let mut line: Line = Vec::new();
    let (mut piece, mut bold) = (String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek().is_some_and(char::is_ascii_punctuation) => piece.extend(chars.next()),
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                if !piece.is_empty() {
                    line.push((std::mem::take(&mut piece), bold));
                }
                bold = !bold;
            }
            // Around an address.
            '<' | '>' => {}
            c => piece.push(c),
        }
    }
    if !piece.is_empty() {
        line.push((piece, bold));
    }
    line
}

fn plain(line: &Line) -> String {
    line.iter().map(|(piece, _)| piece.as_str()).collect()
}

/// Draws it as wide as there is room.
pub fn ui(ui: &mut Ui, blocks: &[Block]) {
    let width = ui.available_width();
    ui.spacing_mut().item_spacing.y = 3.0;
    let mut i = 0;
    while let Some(block) = blocks.get(i) {
        i += 1;
        match block {
            Block::Heading(depth, line) => {
                let points = match depth {
                    1 => size::HEADLINE,
                    2 => size::LARGE,
                    _ => size::BODY,
                };
                ui.add_space(if *depth == 1 { 0.0 } else { space::M });
                heading(ui, line, points, width);
            }
            Block::Item(moved, line) => item(ui, *moved, line, width),
            Block::Text(line) => paragraph(ui, line, 0.0, width),
            Block::Row(..) => {
                let rest = blocks[i..].iter();
                let more = rest.take_while(|it| matches!(it, Block::Row(false, _))).count();
                table(ui, &blocks[i - 1..i + more], width);
                i += more;
            }
        }
    }
}

fn job(line: &Line, points: f32, strong: bool, t: &Tokens, width: f32) -> LayoutJob {
    let mut job = LayoutJob::default();
    job.wrap.max_width = width.max(40.0);
    for (piece, bold) in line {
        let (font, ink) = if *bold || strong {
            (medium(points), t.strong)
        } else {
            (regular(points), t.text)
        };
        job.append(piece, 0.0, egui::TextFormat::simple(font, ink));
    }
    job
}

fn heading(ui: &mut Ui, line: &Line, points: f32, width: f32) {
    let t = Tokens::of(ui);
    let response = ui.label(job(line, points, true, t, width));
    let words = plain(line);
    response.widget_info(|| WidgetInfo::labeled(Role::Heading, true, &words));
}

fn paragraph(ui: &mut Ui, line: &Line, left: f32, width: f32) {
    let t = Tokens::of(ui);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        ui.add_space(left);
        ui.label(job(line, size::BODY, false, t, width - left));
    });
}

fn item(ui: &mut Ui, moved: usize, line: &Line, width: f32) {
    let left = 16.0 + moved as f32 * 18.0;
    let top = ui.cursor().min + vec2(left - 9.0, 9.0);
    ui.painter().circle_filled(top, 2.0, Tokens::of(ui).dim);
    paragraph(ui, line, left, width);
}

/// Columns as wide as their longest cell asks for, within what there is; cells wrap.
fn table(ui: &mut Ui, rows: &[Block], width: f32) {
    const GAP: f32 = 14.0;
    let t = Tokens::of(ui);
    let rows: Vec<(bool, &Vec<Line>)> = rows
        .iter()
        .filter_map(|row| match row {
            Block::Row(head, cells) => Some((*head, cells)),
            _ => None,
        })
        .collect();
    let columns = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    if columns == 0 {
        return;
    }
    let wide = |line: &Line, head: bool| {
        let galley = ui
            .painter()
            .layout_job(job(line, size::NOTE, head, t, f32::INFINITY));
        galley.size().x + GAP
    };
    let mut wanted = vec![0.0_f32; columns];
    for (head, cells) in &rows {
        for (column, cell) in cells.iter().enumerate() {
            wanted[column] = wanted[column].max(wide(cell, *head).ceil());
        }
    }
    let share = shares(&wanted, width);
    ui.add_space(space::XS);
    for (head, cells) in rows {
        let jobs = cells.iter().zip(&share).map(|(cell, wide)| {
            ui.painter()
                .layout_job(job(cell, size::NOTE, head, t, wide - GAP))
        });
        let galleys: Vec<_> = jobs.collect();
        let height = galleys.iter().map(|it| it.size().y).fold(16.0, f32::max) + 9.0;
        let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
        let words: Vec<String> = cells.iter().map(plain).collect();
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words.join(", ")));
        line_below(ui, rect, t);
        let mut x = rect.left();
        for (galley, wide) in galleys.into_iter().zip(&share) {
            let at = Align2::LEFT_TOP.anchor_size(egui::pos2(x, rect.top() + 4.0), galley.size());
            ui.painter().galley(at.min, galley, t.text);
            x += wide;
        }
    }
    ui.add_space(space::XS);
}

fn line_below(ui: &Ui, rect: Rect, t: &Tokens) {
    ui.painter()
        .hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, t.line));
}

/// Narrow columns get what they want; wide ones share what is left.
fn shares(wanted: &[f32], width: f32) -> Vec<f32> {
    let sum: f32 = wanted.iter().sum();
    if sum <= width {
        return wanted.to_vec();
    }
    let fair = width / wanted.len() as f32;
    let narrow: f32 = wanted.iter().filter(|it| **it <= fair).sum();
    let wide: f32 = wanted.iter().filter(|it| **it > fair).sum();
    wanted
        .iter()
        .map(|it| {
            if *it <= fair {
                *it
            } else {
                (width - narrow) * it / wide
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Line {
        vec![(text.to_owned(), false)]
    }

    #[test]
    fn the_report_is_read_as_what_it_is() {
        let text = "# Day\n\n- Goal: **all** of it\n  - inner\n\n| a | b |\n| --- | --- |\n| 1 \\| 2 | – |\n\n\
                    What people wrote\n#no heading\n";
        let bold = vec![
            ("Goal: ".to_owned(), false),
            ("all".to_owned(), true),
            (" of it".to_owned(), false),
        ];
        assert_eq!(
            blocks(text),
            [
                Block::Heading(1, words("Day")),
                Block::Item(0, bold),
                Block::Item(1, words("inner")),
                Block::Row(true, vec![words("a"), words("b")]),
                Block::Row(false, vec![words("1 | 2"), words("–")]),
                Block::Text(words("What people wrote")),
                Block::Text(words("#no heading")),
            ]
        );
    }

    #[test]
    fn what_people_wrote_is_never_markup() {
        assert_eq!(
            blocks("\\*\\*not bold\\*\\* \\# \\\\"),
            [Block::Text(words("**not bold** # \\"))]
        );
        assert_eq!(blocks("**open"), [Block::Text(vec![("open".to_owned(), true)])]);
        assert!(blocks("\n\n").is_empty());
    }

    #[test]
    fn columns_fit() {
        assert_eq!(shares(&[50.0, 60.0], 200.0), [50.0, 60.0]);
        let shared = shares(&[50.0, 600.0, 200.0], 400.0);
        assert!((shared.iter().sum::<f32>() - 400.0).abs() < 0.01 && shared[0] == 50.0);
    }
}
