//! Colours, sizes and fonts: the only place where a raw colour stands. Views take them from [`Tokens`].

use std::sync::Arc;

use egui::{
    Color32, CornerRadius, FallbackRequest, FontData, FontDefinitions, FontFamily, FontId, FontInsert,
    Margin, Shadow, Stroke, Style, TextStyle, Theme, Ui, Visuals, epaint::text::FontProvider, vec2,
};

/// Every colour of the console. Text reaches 4.5 : 1 on every ground in both themes, edges 3 : 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Behind everything.
    pub ground: Color32,
    /// Header and navigation.
    pub panel: Color32,
    /// Cards.
    pub card: Color32,
    /// Buttons, chosen rows.
    pub raised: Color32,
    /// Borders.
    pub line: Color32,
    /// Titles and numbers.
    pub strong: Color32,
    /// Running text.
    pub text: Color32,
    /// Secondary text.
    pub dim: Color32,
    /// Steady; tolerated too, hollow and dashed.
    pub steady: Color32,
    /// The band's ground on plots.
    pub band: Color32,
    /// A fault of ours is on.
    pub fault: Color32,
    /// Text on an area of `fault`.
    pub on_fault: Color32,
    /// Outside tolerance: outline, word and marker, never a filled area.
    pub out: Color32,
    /// No data; hatched.
    pub no_data: Color32,
    /// People's marks and notes.
    pub people: Color32,
    /// The series itself, chosen things, focus.
    pub series: Color32,
    /// ABORT while something can be stopped.
    pub abort: Color32,
    /// ABORT while there is nothing to stop.
    pub abort_calm: Color32,
    /// Text on the calm button.
    pub on_abort_calm: Color32,
    /// The calm button's border.
    pub abort_calm_line: Color32,
    /// Text on `abort`.
    pub on_abort: Color32,
    /// Laid over what a dialog puts aside.
    pub veil: Color32,
    /// Text fields.
    pub field: Color32,
    /// The hatch over injection windows.
    pub hatch: Color32,
}

const fn hex(rgb: u32) -> Color32 {
    #[expect(clippy::disallowed_methods, reason = "tokens are made here and nowhere else")]
    Color32::from_rgb((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
}

const fn premultiplied(rgb: u32, alpha: u8) -> Color32 {
    const fn scaled(channel: u32, alpha: u8) -> u8 {
        ((channel & 0xff) * alpha as u32 / 255) as u8
    }
    #[expect(clippy::disallowed_methods, reason = "tokens are made here and nowhere else")]
    Color32::from_rgba_premultiplied(
        scaled(rgb >> 16, alpha),
        scaled(rgb >> 8, alpha),
        scaled(rgb, alpha),
        alpha,
    )
}

const DARK: Tokens = Tokens {
    ground: hex(0x0d1117),
    panel: hex(0x131920),
    card: hex(0x1a222c),
    raised: hex(0x222c38),
    line: hex(0x2c3846),
    strong: hex(0xeef3f8),
    text: hex(0xbcc8d4),
    dim: hex(0x8695a5),
    steady: hex(0x35c08e),
    band: hex(0x1d3a38),
    fault: hex(0xf0b13c),
    on_fault: hex(0x1d1503),
    out: hex(0xff5d5a),
    no_data: hex(0xc3ccd6),
    people: hex(0xa895f5),
    series: hex(0x5aa9f5),
    abort: hex(0xd92b3f),
    abort_calm: hex(0x3a1a20),
    on_abort_calm: hex(0xff9a9c),
    abort_calm_line: hex(0xb04150),
    on_abort: hex(0xffffff),
    veil: premultiplied(0x0a0e13, 205),
    field: hex(0x0d1117),
    hatch: premultiplied(0xf0b13c, 34),
};

const LIGHT: Tokens = Tokens {
    ground: hex(0xe9eef3),
    panel: hex(0xf3f6f9),
    card: hex(0xffffff),
    raised: hex(0xe3e9ef),
    line: hex(0xcdd6df),
    strong: hex(0x10161d),
    text: hex(0x33404d),
    dim: hex(0x5b6876),
    steady: hex(0x0a744e),
    band: hex(0xe2f3eb),
    fault: hex(0x8f5b00),
    on_fault: hex(0xffffff),
    out: hex(0xc01f2e),
    no_data: hex(0x4a5663),
    people: hex(0x5b3fc4),
    series: hex(0x0f62b8),
    abort: hex(0xc2182c),
    abort_calm: hex(0xf6d9dc),
    on_abort_calm: hex(0x8f1522),
    abort_calm_line: hex(0xb4626d),
    on_abort: hex(0xffffff),
    veil: premultiplied(0xe9eef3, 215),
    field: hex(0xf8fafc),
    hatch: premultiplied(0x8f5b00, 40),
};

impl Tokens {
    /// The tokens of a theme.
    pub const fn of_theme(theme: Theme) -> &'static Self {
        match theme {
            Theme::Dark => &DARK,
            Theme::Light => &LIGHT,
        }
    }

    /// The tokens of the theme that `ui` is drawn in.
    pub fn of(ui: &Ui) -> &'static Self {
        Self::of_theme(if ui.visuals().dark_mode {
            Theme::Dark
        } else {
            Theme::Light
        })
    }
}

/// Spaces between things, in points.
pub mod space {
    /// Inside a word group.
    pub const XS: f32 = 4.0;
    /// Between lines that belong together.
    pub const S: f32 = 8.0;
    /// Between cards.
    pub const M: f32 = 12.0;
    /// Inside cards.
    pub const L: f32 = 16.0;
    /// Between groups.
    pub const XL: f32 = 24.0;
    /// Around a view's main thing.
    pub const XXL: f32 = 32.0;
}

/// Corner radii, in points.
pub mod radius {
    /// Pills' insides, bars.
    pub const SMALL: u8 = 6;
    /// Buttons and fields.
    pub const MEDIUM: u8 = 8;
    /// Cards and dialogs.
    pub const LARGE: u8 = 10;
}

/// Type sizes, in points.
pub mod size {
    /// Secondary text.
    pub const SMALL: f32 = 12.0;
    /// The plan's file in the editor.
    pub const CODE: f32 = 12.5;
    /// Rows, second lines.
    pub const NOTE: f32 = 13.0;
    /// Text.
    pub const BODY: f32 = 14.0;
    /// Names in lists, first sentences.
    pub const LEAD: f32 = 15.0;
    /// The large button of a dialog.
    pub const LARGE: f32 = 16.0;
    /// The drill's name, its verdict.
    pub const HEADING: f32 = 17.0;
    /// Titles.
    pub const TITLE: f32 = 18.0;
    /// A view's or dialog's first line.
    pub const HEADLINE: f32 = 24.0;
    /// ABORT's letters.
    pub const ABORT: f32 = 25.0;
    /// The number of a card, a dialog's title.
    pub const NUMBER: f32 = 30.0;
    /// On the Stage at 1920 × 1080: what is read at ten metres. Nothing is smaller but clock, ABORT and names of
    /// lines.
    pub const STAGE: f32 = 46.0;
    /// The Stage's sentence.
    pub const STAGE_TITLE: f32 = 56.0;
    /// The Stage's numbers.
    pub const STAGE_NUMBER: f32 = 110.0;
    /// The Stage's clock and names of lines.
    pub const STAGE_SMALL: f32 = 26.0;
}

/// What moves, and how. Nothing slides or fades: numbers and clocks go on, that is all.
pub mod motion {
    use std::time::Duration;

    /// Clocks, ages and what is left of leases are drawn anew this often.
    pub const TICK: Duration = Duration::from_millis(100);
    /// Seconds that egui's own widgets take to change.
    pub const CHANGE_S: f32 = 0.0;
}

/// The text font.
pub fn regular(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// Its medium weight, for titles and buttons.
pub fn medium(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("medium".into()))
}

/// Its bold weight, for ABORT.
pub fn bold(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("bold".into()))
}

/// The font of times, files and commands.
pub fn mono(size: f32) -> FontId {
    FontId::new(size, FontFamily::Monospace)
}

/// Gives `ctx` the console's fonts and both themes' styles. Once, before the first frame.
pub fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    ctx.set_font_providers(vec![Arc::new(Chinese)]);
    // Sizes are commands, and kept.
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
    for theme in [Theme::Dark, Theme::Light] {
        ctx.set_style_of(theme, style(theme));
    }
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    let files: [(&str, &'static [u8]); 4] = [
        ("regular", include_bytes!("../../assets/fonts/Roboto-Regular.ttf")),
        ("medium", include_bytes!("../../assets/fonts/Roboto-Medium.ttf")),
        ("bold", include_bytes!("../../assets/fonts/Roboto-Bold.ttf")),
        (
            "mono",
            include_bytes!("../../assets/fonts/JetBrainsMono-Regular.ttf"),
        ),
    ];
    for (name, bytes) in files {
        fonts
            .font_data
            .insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    // The monospaced font has arrows that the text font lacks.
    let families = [
        (FontFamily::Proportional, ["regular", "mono"]),
        (FontFamily::Monospace, ["mono", "regular"]),
        (FontFamily::Name("medium".into()), ["medium", "mono"]),
        (FontFamily::Name("bold".into()), ["bold", "mono"]),
    ];
    for (family, chain) in families {
        fonts.families.insert(family, chain.map(str::to_owned).to_vec());
    }
    fonts
}

/// The fonts of Chinese text. They are asked for letters that the others lack, and so are not read while there are
/// none.
struct Chinese;

impl FontProvider for Chinese {
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        let first = request.cluster.chars().next()?;
        let ours = matches!(
            first,
            // Han, its marks, full-width letters.
            '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}'
        );
        let (name, bytes) = match request.family {
            _ if !ours => return None,
            FontFamily::Name(_) => ("chinese medium", CHINESE_MEDIUM),
            FontFamily::Proportional | FontFamily::Monospace => ("chinese", CHINESE),
        };
        Some(FontInsert::new(name, FontData::from_static(bytes), Vec::new()))
    }
}

const CHINESE: &[u8] = include_bytes!("../../assets/fonts/NotoSansSC-Regular.ttf");
const CHINESE_MEDIUM: &[u8] = include_bytes!("../../assets/fonts/NotoSansSC-Medium.ttf");

fn style(theme: Theme) -> Style {
    let tokens = Tokens::of_theme(theme);
    let mut style = Style {
        visuals: visuals(theme, tokens),
        ..Style::default()
    };
    style.text_styles = [
        (TextStyle::Small, regular(size::SMALL)),
        (TextStyle::Body, regular(size::BODY)),
        (TextStyle::Button, regular(size::BODY)),
        (TextStyle::Heading, medium(size::TITLE)),
        (TextStyle::Monospace, mono(size::NOTE)),
    ]
    .into();
    style.animation_time = motion::CHANGE_S;
    style.spacing.item_spacing = vec2(space::S, space::S);
    style.spacing.button_padding = vec2(space::M, space::S);
    style.spacing.interact_size = vec2(40.0, 32.0);
    style.spacing.scroll.floating = true;
    style.spacing.scroll.bar_width = 8.0;
    style.spacing.menu_margin = Margin::same(8);
    style.spacing.tooltip_width = 360.0;
    style.interaction.selectable_labels = false;
    style.url_in_tooltip = false;
    #[cfg(debug_assertions)]
    {
        // The Stage's sizes are shares of its window: they need not end on whole pixels.
        style.debug.show_unaligned = false;
    }
    style
}

fn visuals(theme: Theme, tokens: &Tokens) -> Visuals {
    let mut visuals = match theme {
        Theme::Dark => Visuals::dark(),
        Theme::Light => Visuals::light(),
    };
    visuals.panel_fill = tokens.panel;
    visuals.window_fill = tokens.panel;
    visuals.window_stroke = Stroke::new(1.0, tokens.line);
    visuals.window_corner_radius = CornerRadius::same(radius::LARGE);
    visuals.menu_corner_radius = CornerRadius::same(radius::MEDIUM);
    visuals.window_shadow = Shadow::NONE;
    visuals.popup_shadow = Shadow::NONE;
    visuals.extreme_bg_color = tokens.field;
    visuals.text_edit_bg_color = Some(tokens.field);
    visuals.faint_bg_color = tokens.card;
    visuals.code_bg_color = tokens.raised;
    visuals.override_text_color = None;
    visuals.weak_text_color = Some(tokens.dim);
    visuals.hyperlink_color = tokens.series;
    visuals.warn_fg_color = tokens.fault;
    visuals.error_fg_color = tokens.out;
    visuals.selection.bg_fill = tokens.series.gamma_multiply(0.35);
    visuals.selection.stroke = Stroke::new(2.0, tokens.series);
    visuals.text_cursor.stroke = Stroke::new(2.0, tokens.series);
    visuals.disabled_alpha = 0.55;
    let widgets = &mut visuals.widgets;
    for state in [
        &mut widgets.noninteractive,
        &mut widgets.inactive,
        &mut widgets.hovered,
        &mut widgets.active,
        &mut widgets.open,
    ] {
        state.corner_radius = CornerRadius::same(radius::MEDIUM);
        state.expansion = 0.0;
        state.bg_fill = tokens.raised;
        state.weak_bg_fill = tokens.raised;
        state.bg_stroke = Stroke::new(1.0, tokens.line);
        state.fg_stroke = Stroke::new(1.0, tokens.strong);
    }
    widgets.noninteractive.bg_fill = tokens.panel;
    widgets.noninteractive.weak_bg_fill = tokens.panel;
    widgets.noninteractive.fg_stroke = Stroke::new(1.0, tokens.text);
    widgets.hovered.bg_fill = tokens.line;
    widgets.hovered.weak_bg_fill = tokens.line;
    widgets.active.bg_fill = tokens.line;
    widgets.active.weak_bg_fill = tokens.line;
    widgets.active.bg_stroke = Stroke::new(2.0, tokens.series);
    visuals
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every letter of the Chinese messages in every font that a view may use; what is said with it stays readable.
    #[test]
    fn every_letter_of_every_message_is_in_the_fonts() {
        let files = [
            include_str!("../../assets/messages/en.ftl"),
            include_str!("../../assets/messages/zh-Hans.ftl"),
        ];
        let context = egui::Context::default();
        install(&context);
        let mut missing = String::new();
        let mut output = context.run_ui(egui::RawInput::default(), |ui| {
            ui.fonts_mut(|fonts| {
                let lines = files.iter().flat_map(|file| file.lines());
                let texts = lines.filter(|line| !line.starts_with('#'));
                for letter in texts.flat_map(str::chars) {
                    for font in [regular(14.0), medium(14.0), bold(14.0), mono(14.0)] {
                        if !fonts.has_glyph(&font, letter) && !missing.contains(letter) {
                            missing.push(letter);
                        }
                    }
                }
            });
        });
        output.textures_delta.clear();
        assert!(
            missing.is_empty(),
            "run assets/fonts/noto-sans-sc.sh: it lacks {missing}"
        );
    }

    #[test]
    fn a_window_without_chinese_reads_no_chinese_font() {
        let read = |words: &str| {
            let context = egui::Context::default();
            install(&context);
            let mut output = context.run_ui(egui::RawInput::default(), |ui| drop(ui.label(words)));
            output.textures_delta.clear();
            context.fonts(|fonts| fonts.discovered_fonts().len())
        };
        assert_eq!((read("steady ≥ 99.95 % · ends in 8 s …"), read("稳定")), (0, 1));
    }

    fn luminance(colour: Color32) -> f32 {
        let linear = |channel: u8| {
            let c = f32::from(channel) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(colour.r()) + 0.7152 * linear(colour.g()) + 0.0722 * linear(colour.b())
    }

    fn contrast(a: Color32, b: Color32) -> f32 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_is_readable_on_every_ground_it_stands_on() {
        for theme in [Theme::Dark, Theme::Light] {
            let t = Tokens::of_theme(theme);
            let inks = [
                t.strong, t.text, t.dim, t.steady, t.fault, t.out, t.no_data, t.people, t.series,
            ];
            let grounds = [t.ground, t.panel, t.card, t.raised, t.field];
            let plain = grounds
                .into_iter()
                .flat_map(|ground| inks.into_iter().map(move |ink| (ink, ground)));
            let others = [
                (t.on_fault, t.fault),
                (t.on_abort, t.abort),
                (t.on_abort_calm, t.abort_calm),
                (t.strong, t.band),
                (t.steady, t.band),
                (t.fault, t.band),
                (t.ground, t.series),
            ];
            for (text, ground) in plain.chain(others) {
                let ratio = contrast(text, ground);
                assert!(ratio >= 4.5, "{theme:?} {text:?} on {ground:?}: {ratio}");
            }
        }
    }

    #[test]
    fn edges_and_marks_are_seen() {
        for theme in [Theme::Dark, Theme::Light] {
            let t = Tokens::of_theme(theme);
            let seen = [
                // The band's edge on both of its sides, the series on the band, the injection's bar.
                (t.steady, t.card),
                (t.steady, t.band),
                (t.series, t.band),
                (t.series, t.card),
                (t.fault, t.card),
                (t.fault, t.band),
                (t.out, t.card),
                (t.out, t.band),
                // The focus ring wherever there is a control.
                (t.series, t.ground),
                (t.series, t.panel),
                (t.series, t.raised),
                (t.series, t.abort_calm),
                // ABORT, armed and calm.
                (t.abort, t.panel),
                (t.abort, t.ground),
                (t.abort_calm_line, t.panel),
                (t.abort_calm_line, t.ground),
            ];
            for (edge, ground) in seen {
                let ratio = contrast(edge, ground);
                assert!(ratio >= 3.0, "{theme:?} {edge:?} on {ground:?}: {ratio}");
            }
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        let t = Tokens::of_theme(Theme::Light);
        assert!(
            (contrast(t.card, t.on_abort) - 1.0).abs() < 1e-6,
            "white on white"
        );
        // Published examples: #767676 on white is 4.54, #949494 is 3.03.
        assert!((contrast(hex(0x76_7676), hex(0xff_ffff)) - 4.54).abs() < 0.01);
        assert!((contrast(hex(0x94_9494), hex(0xff_ffff)) - 3.03).abs() < 0.01);
    }
}
