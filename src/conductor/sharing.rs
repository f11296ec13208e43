//! What this console does for those who follow it: by the window's engine or by a drill in a terminal.

use std::{net::SocketAddr, sync::Arc};

use firedrill_broadcast::{Desk, Share, ShareError};
use firedrill_drill::{Command, Phase};
use firedrill_scene::{DrillScene, Look, Ours, Role, ShareScene, Wish};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::{abort::AbortHandle, clock::wall_ms};

/// A press within this time of another one is the same press.
const SAME_PRESS: std::time::Duration = std::time::Duration::from_secs(2);

/// Presses ABORT, unless it works already or was pressed a moment ago.
pub(crate) fn press_once(handle: &AbortHandle, reason: &str, who: &str) {
    let board = handle.board();
    let latches = board.press.as_ref().is_some_and(|press| press.latch);
    let works = board.is_aborting() && latches;
    let just_now = board
        .pressed
        .is_some_and(|pressed| pressed.elapsed() < SAME_PRESS);
    if !(works || just_now && latches) {
        handle.press(reason, who);
    }
}

/// The reason of an abort that came by a link.
pub(crate) const BY_LINK: &str = "ABORT was pressed by somebody who follows";

/// What a wish is for the drill; `None`: it is not for the drill.
pub(crate) fn command(who: &str, wish: &Wish) -> Option<Command> {
    match wish {
        Wish::Note { text } => Some(Command::Note {
            author: who.to_owned(),
            text: text.clone(),
        }),
        Wish::Approve => Some(Command::Approve { by: who.to_owned() }),
        Wish::Refuse { reason } => Some(Command::Note {
            author: who.to_owned(),
            text: format!("does not approve the start: {reason}"),
        }),
        Wish::Predict { .. } => None,
    }
}

/// Why a wish is not for this drill as it stands.
pub(crate) fn in_the_way(
    wish: &Wish,
    who: &str,
    operator: &str,
    drill: Option<&DrillScene>,
) -> Result<(), String> {
    let drill = drill.filter(|drill| drill.phase != Phase::Verdict);
    let drill = drill.ok_or("the drill is over")?;
    let answers = matches!(wish, Wish::Approve | Wish::Refuse { .. });
    if !answers {
        return Ok(());
    }
    if who.split(" (").next() == Some(operator) {
        return Err(format!("a second person approves, not {operator}, who drives"));
    }
    let Some(approval) = &drill.safety.approval else {
        return Err("the plan asks for nobody's approval".to_owned());
    };
    if !matches!(drill.phase, Phase::Preflight | Phase::Baseline | Phase::Arming) {
        return Err("the start is decided already".to_owned());
    }
    match &approval.by {
        Some(by) => Err(format!("{by} has approved it already")),
        None => Ok(()),
    }
}

/// A drill in a terminal that others follow.
#[derive(Clone)]
pub struct Sharing {
    /// Where to listen.
    pub address: SocketAddr,
    /// Is told how it stands whenever that changes: links, who follows, whether this computer can be reached.
    pub told: Arc<dyn Fn(&ShareScene) + Send + Sync>,
}

impl std::fmt::Debug for Sharing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sharing({})", self.address)
    }
}

/// Its listener, with what the drill puts on its desk.
pub(crate) struct Shared {
    share: Share,
    told: Sharing,
    changed: Arc<Notify>,
    desk: Arc<OnDesk>,
}

struct OnDesk {
    operator: String,
    commands: mpsc::Sender<Command>,
    drill: Mutex<Option<Arc<DrillScene>>>,
}

impl OnDesk {
    fn wish(&self, who: &str, wish: &Wish) -> Result<(), String> {
        let drill = self.drill.lock().clone();
        in_the_way(wish, who, &self.operator, drill.as_deref())?;
        let command = command(who, wish).ok_or("no game day is open on the host")?;
        self.commands
            .try_send(command)
            .map_err(|_| "the drill is over or busy and did not take that".to_owned())
    }
}

impl Shared {
    pub(crate) fn start(
        sharing: Sharing,
        console: &str,
        operator: &str,
        handle: AbortHandle,
        commands: mpsc::Sender<Command>,
    ) -> Result<Self, ShareError> {
        let changed = Arc::new(Notify::new());
        let desk = Arc::new(OnDesk {
            operator: operator.to_owned(),
            commands,
            drill: Mutex::default(),
        });
        let share = {
            let (for_wish, for_look, board) = (Arc::clone(&desk), Arc::clone(&desk), handle.clone());
            let changed = Arc::clone(&changed);
            let desk = Desk {
                wish: Arc::new(move |who, _: Role, wish| for_wish.wish(who, &wish)),
                press: Arc::new(move |who| press_once(&handle, BY_LINK, who)),
                look: Arc::new(move || {
                    let drill = for_look.drill.lock().clone();
                    let ours = drill.as_ref().map_or(Ours::Unknown, |drill| drill.ours());
                    let armed = matches!(ours, Ours::On { .. } | Ours::MayBeOn { .. });
                    let look = Look {
                        ours,
                        abort: board.board().scene(armed),
                        ..Look::default()
                    };
                    look.with(drill.as_deref())
                }),
                changed: Arc::new(move || changed.notify_one()),
                wall_ms,
            };
            Share::start(sharing.address, console.to_owned(), desk)?
        };
        Ok(Self {
            share,
            told: sharing,
            changed,
            desk,
        })
    }

    pub(crate) fn drill(&self, id: &str, journal: &std::path::Path) {
        self.share.drill(id, journal);
    }

    /// As the drill is shown now.
    pub(crate) fn show(&self, drill: &Arc<DrillScene>) {
        *self.desk.drill.lock() = Some(Arc::clone(drill));
    }

    /// Ends it when everybody has seen what there is, or some seconds later.
    pub(crate) async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.share.end()).await;
        if ended.is_err() {
            tracing::error!("sharing did not end well");
        }
    }

    /// Tells how it stands, whenever that changes.
    pub(crate) async fn tell(&self) {
        loop {
            (self.told.told)(&self.share.scene());
            self.changed.notified().await;
        }
    }
}
