//! A host and those who follow it, over TLS on loopback: every role, connections that are cut, storms.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what panics in a helper of these tests fails the test"
)]

/// The drill's own world in virtual time: agents, a source, an abort line, a journal.
#[expect(dead_code, reason = "the drill's tests use all of it")]
#[path = "../../drill/tests/drill/world/mod.rs"]
mod world;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use firedrill_broadcast::{Desk, Follower, Link, MAX_CONNECTIONS, Share};
use firedrill_drill::{Arming, Phase};
use firedrill_journal::Encoder;
use firedrill_scene::{AbortScene, AbortSent, Contact, Look, Ours, Role, Scene, Seal, WatchScene, Wish};
use firedrill_trust::PinnedTls;
use parking_lot::Mutex;
use proptest::prelude::*;
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use world::{PLAN, World};

const PATIENCE: Duration = Duration::from_mins(1);

fn clock() -> i64 {
    7
}

/// A console that shares, with a journal that grows when the test wants it to.
struct Host {
    share: Option<Share>,
    folder: tempfile::TempDir,
    lines: Vec<String>,
    written: usize,
    wishes: Arc<Mutex<Vec<(String, Wish)>>>,
    presses: Arc<Mutex<Vec<(String, Instant)>>>,
    look: Arc<Mutex<Look>>,
}

impl Host {
    fn new() -> Self {
        let mut world = World::new(PLAN, Arming::AtOnce);
        world.run_to(Phase::Verdict);
        let mut encoder = Encoder::new();
        let mut lines: Vec<_> = world
            .journal
            .iter()
            .map(|it| encoder.encode(it).unwrap())
            .collect();
        lines.push(encoder.seal(world.at()).unwrap());
        let (wishes, presses) = (Arc::default(), Arc::default());
        let look = Arc::new(Mutex::new(Look {
            seal: Some(("d".to_owned(), Seal::Open)),
            ..Look::default()
        }));
        let mut host = Self {
            share: None,
            folder: tempfile::tempdir().unwrap(),
            lines,
            written: 0,
            wishes,
            presses,
            look,
        };
        let desk = host.desk();
        let share = Share::start("127.0.0.1:0".parse().unwrap(), "desk".to_owned(), desk).unwrap();
        File::create(host.journal()).unwrap();
        share.drill("d", &host.journal());
        host.share = Some(share);
        host
    }

    fn desk(&self) -> Desk {
        let (wishes, presses, look) = (
            Arc::clone(&self.wishes),
            Arc::clone(&self.presses),
            Arc::clone(&self.look),
        );
        Desk {
            wish: Arc::new(move |who, _, wish| {
                if matches!(&wish, Wish::Note { text } if text == "refuse me") {
                    return Err("it is full".to_owned());
                }
                wishes.lock().push((who.to_owned(), wish));
                Ok(())
            }),
            press: Arc::new(move |who| presses.lock().push((who.to_owned(), Instant::now()))),
            look: Arc::new(move || look.lock().clone()),
            changed: Arc::new(|| {}),
            wall_ms: clock,
        }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("d.jsonl")
    }

    fn share(&self) -> &Share {
        self.share.as_ref().unwrap()
    }

    /// The next records are written.
    fn write(&mut self, records: usize) {
        let end = (self.written + records).min(self.lines.len());
        let text = self.lines[self.written..end].concat();
        let mut file = File::options().append(true).open(self.journal()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.written = end;
    }

    fn write_all(&mut self) {
        self.write(usize::MAX / 2);
    }

    fn link(&self, role: Role) -> Link {
        let scene = self.share().scene();
        let link = scene.links.iter().find(|it| it.role == role).unwrap();
        link.link.as_ref().unwrap().parse().unwrap()
    }
}

/// Somebody who follows, with the newest scene.
struct Watcher {
    follower: Follower,
    scene: Arc<Mutex<Scene>>,
}

impl Watcher {
    fn new(link: Link) -> Self {
        let scene: Arc<Mutex<Scene>> = Arc::default();
        let newest = Arc::clone(&scene);
        let follower = Follower::start(link, "Ada", clock, move |scene| *newest.lock() = scene).unwrap();
        Self { follower, scene }
    }

    fn until<T>(&self, what: &str, is: impl Fn(&Scene) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = is(&self.scene.lock()) {
                return found;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: {:?}",
                self.scene.lock().watch
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn until_watch(&self, what: &str, is: impl Fn(&WatchScene) -> bool) -> WatchScene {
        self.until(what, |scene| scene.watch.as_deref().filter(|it| is(it)).cloned())
    }

    fn until_on(&self) -> WatchScene {
        self.until_watch("a connection", |it| it.contact == Contact::On)
    }

    /// The log is as long as the whole journal's, and the verdict stands.
    fn until_verdict(&self) -> String {
        self.until("the verdict", |scene| {
            let drill = scene.drill.as_ref()?;
            drill.verdict.as_ref()?;
            Some(format!("{:?}", drill.log))
        })
    }

    fn note(&self, text: &str) {
        assert!(self.follower.wish(Wish::Note {
            text: text.to_owned()
        }));
    }
}

fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A way to the host that can be cut: after so many bytes of the host, each connection in its turn.
struct Way {
    at: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Way {
    fn to(host: SocketAddr, cuts: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::Builder::new()
            .spawn(move || {
                for near in listener.incoming() {
                    let Ok(near) = near else { return };
                    let Ok(far) = TcpStream::connect(host) else { return };
                    let cut = cuts.get(count.fetch_add(1, Ordering::SeqCst)).copied();
                    let (near2, far2) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                    std::thread::Builder::new()
                        .spawn(move || pass(near2, far2, usize::MAX))
                        .unwrap();
                    std::thread::Builder::new()
                        .spawn(move || pass(far, near, cut.unwrap_or(usize::MAX)))
                        .unwrap();
                }
            })
            .unwrap();
        Self { at, connections }
    }

    fn link(&self, link: &Link) -> Link {
        let mut link = link.clone();
        link.port = self.at.port();
        link
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut left: usize) {
    let mut buffer = [0; 4_096];
    while left > 0 {
        let most = left.min(buffer.len());
        match from.read(&mut buffer[..most]) {
            Ok(0) | Err(_) => break,
            Ok(read) => {
                left -= read;
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}

/// A connection by hand, after its hello.
fn raw(link: &Link, hello: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let socket = TcpStream::connect((link.host.as_str(), link.port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let client = ClientConnection::new(PinnedTls::new(link.pin).config(), name).unwrap();
    let mut stream = StreamOwned::new(client, socket);
    stream.write_all(format!("{hello}\n").as_bytes()).unwrap();
    stream
}

fn hello(link: &Link) -> String {
    let text = link.to_string();
    let token = text.split_once('#').unwrap().1;
    format!(r#"{{"frame":"hello","version":1,"token":"{token}","name":"raw"}}"#)
}

#[test]
fn who_reads_along_sees_what_the_journal_says_as_it_grows() {
    let mut host = Host::new();
    host.write(10);
    let watcher = Watcher::new(host.link(Role::Observer));
    watcher.until("the first records", |scene| scene.drill.as_ref().map(|_| ()));
    host.write_all();
    let seen = watcher.until_verdict();
    let whole = firedrill_journal::read(&host.journal()).unwrap();
    let expected = firedrill_analysis::scene_at(&whole.entries, None).unwrap();
    assert_eq!(seen, format!("{:?}", expected.drill.unwrap().log));
    let watch = watcher.until_on();
    assert_eq!(
        (watch.role, watch.console.as_str()),
        (Some(Role::Observer), "desk")
    );
    let who = host.share().scene().watchers;
    assert_eq!(
        (who.len(), who[0].name.as_str(), who[0].role),
        (1, "Ada", Role::Observer)
    );
}

#[test]
fn a_wrong_a_revoked_and_a_renewed_link_and_another_certificate() {
    let host = Host::new();
    let other = Host::new();
    let why = |watcher: &Watcher| {
        watcher.until("an end", |scene| match &scene.watch.as_ref()?.contact {
            Contact::Ended { why } => Some(why.clone()),
            _ => None,
        })
    };
    // Of another host: its token is worth nothing here, and its certificate is another one.
    let here = host.link(Role::Observer).to_string();
    let there = other.link(Role::Observer).to_string();
    let token = there.split_once('#').unwrap().1;
    let wrong_token: Link = format!("{}#{token}", here.split_once('#').unwrap().0)
        .parse()
        .unwrap();
    assert!(why(&Watcher::new(wrong_token)).contains("not, or no longer"));
    let mut wrong_pin = host.link(Role::Observer);
    wrong_pin.pin = other.link(Role::Observer).pin;
    let said = why(&Watcher::new(wrong_pin));
    assert!(
        said.contains("certificate") && said.contains("ask for a new link"),
        "{said}"
    );

    let link = host.link(Role::Approver);
    let watcher = Watcher::new(link.clone());
    let observer = Watcher::new(host.link(Role::Observer));
    watcher.until_on();
    observer.until_on();
    host.share().revoke(Role::Approver);
    assert!(why(&watcher).contains("revoked"));
    assert!(why(&Watcher::new(link.clone())).contains("not, or no longer"));
    host.share().renew(Role::Approver).unwrap();
    assert!(why(&Watcher::new(link)).contains("not, or no longer"));
    Watcher::new(host.link(Role::Approver)).until_on();
    assert_eq!(
        observer.until_on().contact,
        Contact::On,
        "only the approvers' link was revoked"
    );
}

#[test]
fn a_responders_bytes_give_nothing_away() {
    let mut host = Host::new();
    host.look.lock().ours = Ours::On {
        faults: 1,
        agents: vec!["agent-a".to_owned()],
        ends_in_ms: 5,
    };
    host.look.lock().abort = AbortScene {
        pressed_ms: Some(5),
        reason: "http.latency is too much".to_owned(),
        ..AbortScene::default()
    };
    host.write_all();
    let link = host.link(Role::Responder);
    let mut stream = raw(&link, &hello(&link));
    let mut all = Vec::new();
    let mut buffer = [0; 4_096];
    // Until the last sample of the drill has come.
    let last = host
        .lines
        .iter()
        .rev()
        .find(|it| it.contains("\"samples\""))
        .unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    let sample = &last["payload"]["event"]["samples"][0];
    let taken = last["mono_us"].as_u64().unwrap() - sample["age_ms"].as_u64().unwrap() * 1_000;
    let taken = format!("\"taken_us\":{taken}");
    while !String::from_utf8_lossy(&all).contains(&taken) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&buffer[..read]);
    }
    let text = String::from_utf8_lossy(&all);
    assert!(
        text.contains("Success") && text.contains("\"value\":0.999"),
        "{text}"
    );
    for spoiler in [
        "http.latency",
        "latency\"",
        "slow",
        "it holds",
        "Shop",
        "shop",
        "payments",
        "127.0.0.1",
        "400ms",
        "agent-a",
        "inject",
        "experiment",
        "plan",
        "verdict",
        "hypothesis",
        "fault",
        "0.95",
        "0.9,",
        "too much",
        "http_requests",
    ] {
        assert!(!text.contains(spoiler), "{spoiler} in {text}");
    }
    let watcher = Watcher::new(link);
    let drill = watcher.until("symptoms", |scene| {
        scene
            .drill
            .clone()
            .filter(|it| it.slis.iter().all(|sli| !sli.series.is_empty()))
    });
    assert!(drill.injections.is_empty() && drill.experiment == "exercise" && drill.log.is_empty());
    assert_eq!(drill.slis[0].name, "Success");
}

#[test]
fn of_a_sealed_drill_a_stakeholder_is_sent_nothing_before_the_reveal() {
    let mut host = Host::new();
    host.look.lock().seal = Some(("d".to_owned(), Seal::Sealed));
    host.look.lock().ours = Ours::MayBeOn {
        agents: vec!["agent-a".to_owned()],
    };
    host.write_all();
    let link = host.link(Role::Stakeholder);
    let stakeholder = Watcher::new(link.clone());
    let responder = Watcher::new(host.link(Role::Responder));
    let observer = Watcher::new(host.link(Role::Observer));
    // All that came by then was sealed.
    observer.until_verdict();
    responder.until("symptoms", |scene| scene.drill.as_ref().map(|_| ()));
    let mut stream = raw(&link, &hello(&link));
    let mut all = Vec::new();
    let mut buffer = [0; 4_096];
    while String::from_utf8_lossy(&all).lines().count() < 6 {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0);
        all.extend_from_slice(&buffer[..read]);
    }
    let text = String::from_utf8_lossy(&all);
    assert!(!text.contains("lines") && !text.contains("agent-a"), "{text}");
    assert!(stakeholder.scene.lock().drill.is_none());
    // A drill that is not known counts as sealed.
    host.look.lock().seal = Some(("another".to_owned(), Seal::Open));
    host.look.lock().seal = Some((
        "d".to_owned(),
        Seal::Revealed {
            at: firedrill_drill::At::default(),
            by: "Ada".to_owned(),
        },
    ));
    stakeholder.until_verdict();
    responder.until_verdict();
}

#[test]
fn abort_only_is_sent_no_record_and_a_stakeholder_may_not_note() {
    let mut host = Host::new();
    host.write_all();
    host.look.lock().ours = Ours::Nothing { proved_ms: None };
    let watcher = Watcher::new(host.link(Role::AbortOnly));
    watcher.until("what is on", |scene| {
        (scene.ours == Ours::Nothing { proved_ms: None }).then_some(())
    });
    assert!(watcher.scene.lock().drill.is_none());
    watcher.note("let me");
    watcher.until("a refusal", |scene| {
        scene
            .messages
            .iter()
            .any(|it| it.words.contains("does not allow"))
            .then_some(())
    });
    // Who does not ask its own console is refused by the host.
    let link = host.link(Role::Stakeholder);
    let mut stream = raw(&link, &hello(&link));
    let wish = r#"{"frame":"wish","id":"1","drill":"d","wish":{"wish":"approve"}}"#;
    stream.write_all(format!("{wish}\n").as_bytes()).unwrap();
    let mut all = String::new();
    let mut buffer = [0; 4_096];
    while !all.contains("does not allow that") {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{all}");
        all += &String::from_utf8_lossy(&buffer[..read]);
    }
    assert!(host.wishes.lock().is_empty());
}

/// Reads on until these words have come.
fn read_until(stream: &mut impl std::io::Read, words: &str) {
    let mut all = String::new();
    let mut buffer = [0; 4_096];
    while !all.contains(words) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{all}");
        all += &String::from_utf8_lossy(&buffer[..read]);
    }
}

#[test]
fn what_is_sent_again_after_its_answer_was_lost_is_done_once() {
    let host = Host::new();
    let link = host.link(Role::Observer);
    let note = r#"{"frame":"wish","id":"one","drill":"d","wish":{"wish":"note","text":"hm"}}"#;
    let abort = r#"{"frame":"abort","id":"two","drill":"d"}"#;
    for _ in 0..3 {
        let mut stream = raw(&link, &hello(&link));
        stream.write_all(format!("{note}\n{abort}\n").as_bytes()).unwrap();
        read_until(&mut stream, r#"{"frame":"ack","id":"two","refused":null}"#);
    }
    assert_eq!(host.wishes.lock().len(), 1);
    assert_eq!(host.presses.lock().len(), 1);
    // An abort for a drill that is over does not latch the next one's agents.
    let mut stream = raw(&link, &hello(&link));
    let late = r#"{"frame":"abort","id":"three","drill":"c"}"#;
    stream.write_all(format!("{late}\n").as_bytes()).unwrap();
    read_until(&mut stream, "press again to abort the one that runs now");
    assert_eq!(host.presses.lock().len(), 1);
}

#[test]
fn an_abort_is_pressed_once_however_often_its_answer_is_lost() {
    let mut host = Host::new();
    host.write(40);
    let link = host.link(Role::AbortOnly);
    // Each connection is cut somewhere between the welcome and the answers.
    let way = Way::to(host.share().listens(), vec![1_700, 1_900, 2_100, 2_300, 2_500]);
    let watcher = Watcher::new(way.link(&link));
    watcher.follower.press();
    watcher.until_watch("the answer", |it| it.abort == AbortSent::Delivered);
    let presses = host.presses.lock();
    assert_eq!(presses.len(), 1, "{presses:?}");
    assert_eq!(presses[0].0, "Ada (abort-only, by link)");
}

#[test]
fn without_a_connection_an_abort_says_so_and_is_sent_when_there_is_one() {
    let mut host = Host::new();
    host.write(10);
    let link = host.link(Role::Observer);
    let watcher = Watcher::new(link);
    watcher.until_on();
    drop(host.share.take());
    let watch = watcher.until_watch("a loss", |it| !matches!(it.contact, Contact::On));
    watcher.follower.press();
    let watch = watcher.until_watch("a press", |it| it.abort != watch.abort);
    assert!(matches!(watch.abort, AbortSent::Pressed { .. }), "{watch:?}");
    assert!(host.presses.lock().is_empty());
}

#[test]
fn notes_are_taken_once_and_refusals_are_said() {
    let mut host = Host::new();
    host.write(30);
    let link = host.link(Role::Observer);
    let way = Way::to(host.share().listens(), vec![9_000, 2_200, 2_400]);
    let watcher = Watcher::new(way.link(&link));
    watcher.until("the drill", |scene| scene.drill.as_ref().map(|_| ()));
    for text in ["one", "two", "refuse me", "three"] {
        watcher.note(text);
    }
    until("every note arrives", || host.wishes.lock().len() >= 3);
    watcher.until_watch("every answer", |it| it.waiting == 0);
    let taken: Vec<_> = host.wishes.lock().iter().map(|(_, wish)| wish.clone()).collect();
    let note = |text: &str| Wish::Note {
        text: text.to_owned(),
    };
    assert_eq!(taken, [note("one"), note("two"), note("three")]);
    watcher.until("the refusal", |scene| {
        scene
            .messages
            .iter()
            .any(|it| it.words.contains("refuse me") && it.words.contains("full"))
            .then_some(())
    });
    assert!(way.connections.load(Ordering::SeqCst) > 1, "nothing was cut");
}

#[test]
fn the_next_drill_is_said_and_not_mixed_with_the_one_before() {
    let mut host = Host::new();
    host.write_all();
    let watcher = Watcher::new(host.link(Role::Observer));
    watcher.until_verdict();
    let next = host.folder.path().join("e.jsonl");
    std::fs::write(&next, host.lines[..20].concat()).unwrap();
    host.share().drill("e", &next);
    watcher.until("the next drill", |scene| {
        let said = scene
            .messages
            .iter()
            .any(|it| it.words.contains("another drill now: e"));
        let fresh = scene.drill.as_ref().is_some_and(|it| it.verdict.is_none());
        (said && fresh).then_some(())
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 8, ..ProptestConfig::default() })]
    /// Wherever a connection is cut, in the middle of a handshake, a line, a record.
    #[test]
    fn cut_anywhere_the_same_is_seen(cuts in proptest::collection::vec(0_usize..120_000, 1..5)) {
        let mut host = Host::new();
        host.write_all();
        let whole = firedrill_journal::read(&host.journal()).unwrap();
        let expected = firedrill_analysis::scene_at(&whole.entries, None).unwrap();
        let way = Way::to(host.share().listens(), cuts.clone());
        let watcher = Watcher::new(way.link(&host.link(Role::Observer)));
        prop_assert_eq!(watcher.until_verdict(), format!("{:?}", expected.drill.unwrap().log));
        prop_assert!(watcher.scene.lock().messages.is_empty());
    }
}

#[test]
fn a_storm_is_turned_away_and_those_who_follow_go_on() {
    let mut host = Host::new();
    host.write(10);
    let watcher = Watcher::new(host.link(Role::Observer));
    watcher.until_on();
    let at = host.share().listens();
    // Some say nothing, some talk nonsense.
    let mut held = Vec::new();
    for number in 0..400 {
        let mut stream = TcpStream::connect(at).unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").ok();
        }
        held.push(stream);
    }
    let pressed = Instant::now();
    watcher.follower.press();
    until("the press arrives", || !host.presses.lock().is_empty());
    let took = host.presses.lock()[0].1 - pressed;
    assert!(took < Duration::from_secs(2), "{took:?}");
    host.write_all();
    watcher.until_verdict();
    let scene = host.share().scene();
    assert!(scene.turned_away > 300, "{}", scene.turned_away);
    assert_eq!(scene.watchers.len(), 1);
    assert!(scene.watchers.len() <= MAX_CONNECTIONS);
}

#[test]
fn who_does_not_read_holds_nobody() {
    let mut host = Host::new();
    let link = host.link(Role::Observer);
    let mut stalled: Vec<_> = (0..5).map(|_| raw(&link, &hello(&link))).collect();
    let mut byte = [0; 1];
    for stream in &mut stalled {
        // In, and from now on silent.
        stream.read_exact(&mut byte).unwrap();
    }
    let watcher = Watcher::new(link);
    watcher.until_on();
    host.write_all();
    watcher.until_verdict();
}

#[test]
fn it_is_tried_whether_this_computer_answers() {
    let host = Host::new();
    until("the try", || {
        host.share()
            .scene()
            .reach
            .iter()
            .all(|it| it.answered == Some(Ok(())))
    });
    let reach = Arc::clone(&host.share().scene().reach);
    assert_eq!(reach.len(), 1);
    let words = reach[0].words(|_| "now".to_owned());
    assert!(words.contains("no other computer can connect"), "{words}");
}
