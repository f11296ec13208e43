//! Others who follow: the Share dialog, and a console that only follows another one, in each role.

#![expect(
    clippy::unwrap_used,
    reason = "what panics in a helper of these tests fails the test"
)]

use std::{net::IpAddr, sync::Arc};

use egui::{Key, accesskit::Role as Access};
use egui_kittest::{SnapshotResults, kittest::Queryable as _};
use firedrill_console::{Ask, Scene, Theme, View};
use firedrill_drill::Phase;
use firedrill_scene::{
    AbortSent, AddressKind, ApprovalScene, Contact, DrillScene, LinkScene, Ours, Reach, Role, ShareAsk,
    ShareScene, Viewer, WatchScene, WatcherScene, Wish,
};

use crate::{
    fixture,
    fixture::{Moment, ORIGIN_MS},
    kit::{SIZE, click, console, says, type_into},
    pictures::{LARGE, SMALL, keep},
};

fn link(role: Role) -> String {
    format!(
        "https://192.168.1.5:7443/{}#token-of-{}",
        "a".repeat(64),
        role.word()
    )
}

/// What is shared, with somebody who came from elsewhere.
fn shared() -> Scene {
    let address = |text: &str, reached: Option<(IpAddr, i64)>| {
        let address: std::net::SocketAddr = text.parse().unwrap();
        Reach {
            address,
            kind: AddressKind::of(address.ip()),
            answered: Some(Ok(())),
            reached,
        }
    };
    let from: IpAddr = "192.168.1.77".parse().unwrap();
    let links = Role::ALL.map(|role| LinkScene {
        role,
        link: (role != Role::Approver).then(|| link(role)),
        watchers: usize::from(role == Role::Observer),
    });
    let share = ShareScene {
        listens: Some("0.0.0.0:7443".parse().unwrap()),
        failed: None,
        reach: Arc::new(vec![
            address("192.168.1.5:7443", Some((from, ORIGIN_MS + 60_000))),
            address("10.8.0.2:7443", None),
            address("127.0.0.1:7443", None),
        ]),
        links: links.to_vec(),
        watchers: vec![WatcherScene {
            name: "Grace".to_owned(),
            role: Role::Observer,
            from,
            since_ms: ORIGIN_MS + 60_000,
        }],
        turned_away: 3,
    };
    Scene {
        share: Some(Arc::new(share)),
        ..fixture::scene(Moment::Inject)
    }
}

fn open(scene: Scene, size: [f32; 2], theme: Theme) -> egui_kittest::Harness<'static, crate::kit::State> {
    let mut harness = console(scene, View::Live, theme, size);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, Key::K);
    harness.run();
    harness
        .get_by_role_and_label(Access::TextInput, "Find a command")
        .type_text("Lets others follow");
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
    harness.run();
    harness
}

#[test]
fn nothing_is_shared_until_somebody_chooses_where() {
    let mut harness = open(fixture::scene(Moment::Baseline), SIZE, Theme::Dark);
    assert!(says(&harness, "Nothing is shared") && says(&harness, "No other computer can"));
    click(&mut harness, "Start sharing");
    click(&mut harness, "All its addresses");
    assert!(says(&harness, "Other computers can try to connect"));
    click(&mut harness, "Start sharing");
    let start = |text: &str| Ask::Share(ShareAsk::Start(text.parse().unwrap()));
    assert_eq!(
        harness.state().asks,
        [start("127.0.0.1:7443"), start("0.0.0.0:7443")]
    );
}

#[test]
fn links_are_copied_revoked_and_made_anew_and_nothing_untested_is_claimed() {
    let mut harness = open(shared(), SIZE, Theme::Dark);
    assert!(says(&harness, "reached from 192.168.1.77"));
    assert!(
        says(
            &harness,
            "10.8.0.2:7443: answers when called from this computer itself"
        ) && says(&harness, "not tested")
    );
    // Links are not on the screen: it may be on a projector.
    assert!(!says(&harness, "token-of"));
    click(&mut harness, "Copy link: Responder");
    click(&mut harness, "Revoke: Observer");
    click(&mut harness, "New link: Approver");
    let asks = [ShareAsk::Revoke(Role::Observer), ShareAsk::Renew(Role::Approver)];
    assert_eq!(harness.state().asks, asks.map(Ask::Share));
    assert!(says(&harness, "Grace · Observer · from 192.168.1.77"));
}

/// A console that follows another one.
fn watched(role: Role, moment: Moment, change: impl FnOnce(&mut WatchScene)) -> Scene {
    let mut watch = WatchScene {
        role: Some(role),
        name: "Grace".to_owned(),
        host: "192.168.1.5:7443".to_owned(),
        console: "firedrill on desk".to_owned(),
        contact: Contact::On,
        waiting: 0,
        abort: AbortSent::No,
        predicts: None,
    };
    change(&mut watch);
    let mut scene = fixture::scene(moment);
    if role == Role::Responder {
        let mut sealed = DrillScene::clone(scene.drill.as_ref().unwrap());
        sealed.seal = firedrill_scene::Seal::Sealed;
        scene.drill = Some(Arc::new(sealed));
        scene = scene.told(Viewer::Responder, false).scene.clone();
    }
    if role == Role::AbortOnly {
        scene.drill = None;
    }
    scene.watch = Some(Arc::new(watch));
    scene
}

fn lost(watch: &mut WatchScene) {
    watch.contact = Contact::Lost {
        since_ms: ORIGIN_MS + 100_000,
        why: "the host has said nothing for too long".to_owned(),
    };
    watch.abort = AbortSent::Pressed {
        at_ms: ORIGIN_MS + 101_000,
    };
    watch.waiting = 1;
}

#[test]
fn who_follows_may_do_what_the_role_allows_and_nothing_else() {
    let mut harness = console(
        watched(Role::Observer, Moment::Inject, |_| {}),
        View::Design,
        Theme::Dark,
        SIZE,
    );
    assert!(says(&harness, "Observer") && says(&harness, "connected"));
    for gone in ["Design", "Fleet", "Library"] {
        assert!(
            harness.query_by_role_and_label(Access::Button, gone).is_none(),
            "{gone}"
        );
    }
    // Keys of what is not allowed do nothing.
    harness.key_press_modifiers(egui::Modifiers::COMMAND | egui::Modifiers::SHIFT, Key::F);
    harness.run();
    assert!(harness.state().asks.is_empty());
    harness.key_press(Key::N);
    harness.run();
    type_into(&mut harness, "Note", "it is slow");
    harness.key_press(Key::Enter);
    harness.run();
    assert_eq!(harness.state().asks, [Ask::Note("it is slow".to_owned())]);
    click(&mut harness, "ABORT");
    assert_eq!(harness.state().aborts, 1);
}

#[test]
fn an_approver_gives_or_refuses_the_second_persons_word() {
    let mut scene = watched(Role::Approver, Moment::Arming, |_| {});
    let drill = Arc::make_mut(scene.drill.as_mut().unwrap());
    drill.safety.approval = Some(ApprovalScene { by: None });
    assert_eq!(drill.phase, Phase::Arming);
    let mut harness = console(scene, View::Live, Theme::Dark, SIZE);
    assert!(says(&harness, "Waits for your approval"));
    // The confirmation itself is the host's.
    assert!(
        harness
            .query_by_role_and_label(Access::Button, "Start the fault")
            .is_none()
    );
    click(&mut harness, "Approve the start");
    type_into(&mut harness, "Why not", "the backup still runs");
    click(&mut harness, "Do not approve");
    let refused = Wish::Refuse {
        reason: "the backup still runs".to_owned(),
    };
    assert_eq!(
        harness.state().asks,
        [Ask::Watcher(Wish::Approve), Ask::Watcher(refused)]
    );
}

#[test]
fn an_observer_seals_a_prediction() {
    let scene = watched(Role::Observer, Moment::Baseline, |it| {
        it.predicts = Some("slow".to_owned());
    });
    let mut harness = console(scene, View::Live, Theme::Dark, SIZE);
    click(&mut harness, "Seal it");
    type_into(&mut harness, "In a sentence", "retries will pile up");
    click(&mut harness, "Seal and send");
    let asks = &harness.state().asks;
    let [Ask::Watcher(Wish::Predict { prediction })] = &asks[..] else {
        panic!("{asks:?}");
    };
    assert_eq!(
        (prediction.holds, prediction.words.as_str()),
        (true, "retries will pile up")
    );
}

#[test]
fn roles_with_a_window_of_their_own_have_abort_and_no_more_than_is_theirs() {
    for role in [Role::Responder, Role::Stakeholder, Role::AbortOnly] {
        let mut harness = console(
            watched(role, Moment::Inject, |_| {}),
            View::Live,
            Theme::Dark,
            SIZE,
        );
        click(&mut harness, "ABORT");
        assert_eq!(harness.state().aborts, 1, "{role:?}");
        if role == Role::Responder {
            for spoiler in ["payments-1", "http.latency", "Payment is slow", "fault of ours"] {
                assert!(!says(&harness, spoiler), "{spoiler}");
            }
        }
    }
    let harness = console(
        watched(Role::AbortOnly, Moment::Inject, |_| {}),
        View::Live,
        Theme::Dark,
        SIZE,
    );
    assert!(says(&harness, "1 fault of ours on payments-1"));
}

#[test]
fn a_lost_connection_and_an_abort_that_did_not_arrive_are_said_in_every_role() {
    for role in Role::ALL {
        let harness = console(watched(role, Moment::Inject, lost), View::Live, Theme::Dark, SIZE);
        assert!(says(&harness, "ABORT IS NOT DELIVERED"), "{role:?}");
        assert!(says(&harness, "firedrill-agent abort"), "{role:?}");
    }
    let gone = |it: &mut WatchScene| {
        it.contact = Contact::Ended {
            why: "this link was revoked; ask for a new one".to_owned(),
        };
    };
    let harness = console(
        watched(Role::Observer, Moment::Inject, gone),
        View::Live,
        Theme::Dark,
        SIZE,
    );
    assert!(says(&harness, "will not come back") && says(&harness, "revoked"));
}

#[test]
fn pictures() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    keep(r, &mut open(shared(), LARGE, Theme::Dark), "share");
    keep(
        r,
        &mut open(fixture::scene(Moment::Baseline), SMALL, Theme::Light),
        "share_off_small_light",
    );
    let mut shot = |name: &str, scene: Scene, theme: Theme, size: [f32; 2]| {
        keep(r, &mut console(scene, View::Live, theme, size), name);
    };
    shot(
        "watch_observer",
        watched(Role::Observer, Moment::Inject, |_| {}),
        Theme::Dark,
        LARGE,
    );
    shot(
        "watch_observer_lost_small_light",
        watched(Role::Observer, Moment::Inject, lost),
        Theme::Light,
        SMALL,
    );
    let mut approver = watched(Role::Approver, Moment::Arming, |_| {});
    let drill = Arc::make_mut(approver.drill.as_mut().unwrap());
    drill.safety.approval = Some(ApprovalScene { by: None });
    shot("watch_approver", approver, Theme::Dark, LARGE);
    shot(
        "watch_responder",
        watched(Role::Responder, Moment::Inject, |_| {}),
        Theme::Dark,
        LARGE,
    );
    shot(
        "watch_stakeholder_small",
        watched(Role::Stakeholder, Moment::Inject, lost),
        Theme::Dark,
        SMALL,
    );
    let mut aborting = fixture::aborting(false);
    aborting.watch = watched(Role::AbortOnly, Moment::Inject, |_| {}).watch;
    assert!(matches!(aborting.ours, Ours::On { .. } | Ours::MayBeOn { .. }));
    shot("watch_abort_only_small", aborting, Theme::Dark, SMALL);
}
