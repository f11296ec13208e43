//! Share: where to listen, a link for each role, who follows, and whether this computer can be reached at all.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use egui::{Align2, Id, Role as Access, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};
use firedrill_scene::{AddressKind, Ask, LinkScene, Reach, Role, ShareAsk, ShareScene};

use crate::{
    cx::Cx,
    messages::Say,
    shell::{Places, dialog},
    theme::{Tokens, medium, mono, regular, size, space},
    widgets::{self, State, choice, rich},
    words,
};

/// The port that is offered at first.
const PORT: &str = "7443";
/// Height of a role's row, points.
const ROW: f32 = 38.0;

/// The dialog.
pub struct Share {
    open: bool,
    /// All addresses; else loopback alone.
    everywhere: bool,
    port: String,
    /// Whose link was copied last.
    copied: Option<Role>,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            open: false,
            everywhere: false,
            port: PORT.to_owned(),
            copied: None,
        }
    }
}

/// What a role is called.
pub fn role_name(role: Role, say: Say) -> &'static str {
    match role {
        Role::Observer => say.role_observer(),
        Role::Approver => say.role_approver(),
        Role::Responder => say.role_responder(),
        Role::Stakeholder => say.role_stakeholder(),
        Role::AbortOnly => say.role_abort_only(),
    }
}

fn role_words(role: Role, say: Say) -> &'static str {
    match role {
        Role::Observer => say.role_observer_words(),
        Role::Approver => say.role_approver_words(),
        Role::Responder => say.role_responder_words(),
        Role::Stakeholder => say.role_stakeholder_words(),
        Role::AbortOnly => say.role_abort_only_words(),
    }
}

impl Share {
    /// Opens it.
    pub fn open(&mut self) {
        (self.open, self.copied) = (true, None);
    }

    /// Whether it is shown.
    pub fn wanted(&self) -> bool {
        self.open
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, places: &Places, cx: &mut Cx<'_>) {
        let say = cx.say;
        let share = cx.scene.share.clone();
        let (close, escape) = dialog(ui, places, say.share_title(), 940.0, |ui| {
            let mut close = false;
            widgets::ends(
                ui,
                36.0,
                |ui| drop(widgets::headline(ui, say.share_title())),
                |ui| close = widgets::button(ui, say.close()).clicked(),
            );
            match share.as_deref().filter(|it| it.listens.is_some()) {
                Some(share) => self.on(ui, share, cx),
                None => self.off(ui, share.as_deref(), cx),
            }
            close
        });
        if close || escape {
            self.open = false;
        }
    }

    fn off(&mut self, ui: &mut Ui, share: Option<&ShareScene>, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        widgets::text(ui, say.share_off_words());
        ui.add_space(space::S);
        if let Some(why) = share.and_then(|it| it.failed.as_ref()) {
            widgets::small(ui, why, t.out);
        }
        ui.horizontal(|ui| {
            for (everywhere, label) in [(false, say.share_this_computer()), (true, say.share_everywhere())] {
                if choice(ui, self.everywhere == everywhere, label).clicked() {
                    self.everywhere = everywhere;
                }
            }
        });
        widgets::dim(
            ui,
            if self.everywhere {
                say.share_everywhere_words()
            } else {
                say.share_this_computer_words()
            },
        );
        ui.add_space(space::XS);
        let port = self.port.trim().parse::<u16>();
        ui.horizontal(|ui| {
            ui.label(rich(say.share_port(), regular(size::NOTE), t.text));
            ui.allocate_ui(vec2(110.0, size::BODY * 3.0), |ui| {
                widgets::field(ui, say.share_port(), &mut self.port, PORT);
            });
            let enabled = port.as_ref().map(|_| ()).map_err(|_| say.share_port_wrong());
            if widgets::button_if(ui, enabled, say.share_start()).clicked()
                && let Ok(port) = port
            {
                let ip = if self.everywhere {
                    Ipv4Addr::UNSPECIFIED
                } else {
                    Ipv4Addr::LOCALHOST
                };
                cx.ask(Ask::Share(ShareAsk::Start(SocketAddr::new(IpAddr::V4(ip), port))));
            }
        });
    }

    fn on(&mut self, ui: &mut Ui, share: &ShareScene, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        let listens = share.listens.map_or_else(String::new, |it| it.to_string());
        widgets::ends(
            ui,
            34.0,
            |ui| drop(widgets::text(ui, say.share_listens(listens))),
            |ui| {
                if widgets::button_in(ui, Ok(()), say.share_stop(), t.fault).clicked() {
                    cx.ask(Ask::Share(ShareAsk::Stop));
                }
                if widgets::button(ui, say.share_try()).clicked() {
                    cx.ask(Ask::Share(ShareAsk::Try));
                }
            },
        );
        let room = (ui.available_height() - space::S).max(80.0);
        ScrollArea::vertical()
            .id_salt("share")
            .max_height(room)
            .show(ui, |ui| {
                for it in share.reach.iter() {
                    reach(ui, it, cx);
                }
                ui.add_space(space::S);
                widgets::rule(ui);
                for it in &share.links {
                    self.link(ui, it, cx);
                    widgets::rule(ui);
                }
                ui.add_space(space::S);
                watchers(ui, share, cx);
            });
    }

    /// `Observer  sees everything …   2 follow   [Copy link] [Revoke]`
    fn link(&mut self, ui: &mut Ui, it: &LinkScene, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        let name = role_name(it.role, say);
        ui.add_space(space::XS);
        widgets::ends(
            ui,
            ROW,
            |ui| {
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    ui.label(rich(name, medium(size::BODY), t.strong));
                    widgets::one_line(ui, rich(role_words(it.role, say), regular(size::SMALL), t.text));
                });
            },
            |ui| {
                let named = |ui: &mut Ui, label: &str| {
                    let response = widgets::button(ui, label);
                    widgets::named(response, &format!("{label}: {name}")).clicked()
                };
                if let Some(link) = &it.link {
                    if named(ui, say.share_revoke()) {
                        cx.ask(Ask::Share(ShareAsk::Revoke(it.role)));
                    }
                    let copied = self.copied == Some(it.role);
                    if named(ui, if copied { say.copied() } else { say.share_copy() }) {
                        // As it is typed: the shell must not see the `#`.
                        ui.ctx().copy_text(format!("firedrill watch '{link}'"));
                        self.copied = Some(it.role);
                    }
                    ui.label(rich(say.share_follow(it.watchers), regular(size::SMALL), t.dim));
                } else {
                    if named(ui, say.share_renew()) {
                        cx.ask(Ask::Share(ShareAsk::Renew(it.role)));
                    }
                    ui.label(rich(say.share_revoked(), regular(size::SMALL), t.fault));
                }
            },
        );
        ui.add_space(space::XS);
    }
}

/// What was tried of an address, and what was not: shape and words.
fn reach(ui: &mut Ui, it: &Reach, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    let (state, words) = match (&it.answered, it.reached, it.kind) {
        (_, Some((from, at)), _) => (State::Good, say.reach_reached(from, words::clock(at, cx.zone))),
        (None, None, _) => (State::Waiting, say.reach_trying().to_owned()),
        (Some(Err(why)), None, _) => (State::Bad, say.reach_fails(why)),
        (Some(Ok(())), None, AddressKind::Loopback) => (State::Good, say.reach_loopback().to_owned()),
        (Some(Ok(())), None, AddressKind::Public) => (State::Tolerated, say.reach_public().to_owned()),
        (Some(Ok(())), None, AddressKind::Private | AddressKind::LinkLocal) => {
            (State::Tolerated, say.reach_private().to_owned())
        }
    };
    let address = it.address.to_string();
    let galley = ui.painter().layout(
        words.clone(),
        regular(size::NOTE),
        t.text,
        ui.available_width() - 222.0,
    );
    let height = galley.size().y.max(22.0) + 4.0;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    let named = format!("{address}: {words}");
    response.widget_info(|| WidgetInfo::labeled(Access::Label, true, &named));
    let middle = rect.top() + 11.0;
    widgets::shape(ui.painter(), pos2(rect.left() + 8.0, middle), 5.0, state, t);
    let at = pos2(rect.left() + 22.0, middle);
    ui.painter()
        .text(at, Align2::LEFT_CENTER, address, mono(size::NOTE), t.strong);
    ui.painter()
        .galley(pos2(rect.left() + 214.0, rect.top() + 2.0), galley, t.text);
}

fn watchers(ui: &mut Ui, share: &ShareScene, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    if share.watchers.is_empty() {
        widgets::dim(ui, say.share_nobody());
    }
    for it in &share.watchers {
        let since = words::clock(it.since_ms, cx.zone);
        let line = say.share_watcher(&it.name, role_name(it.role, say), it.from, since);
        ui.label(rich(line, regular(size::NOTE), t.text));
    }
    if share.turned_away > 0 {
        widgets::small(
            ui,
            say.share_turned_away(share.turned_away as usize),
            Tokens::of(ui).fault,
        );
    }
    // Keeps its place when a row is added above.
    ui.push_id(Id::unique("share end"), |_| {});
}
