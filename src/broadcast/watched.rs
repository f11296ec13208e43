//! What a watcher knows, pure: frames of the host in, a scene out, and what is not acknowledged yet.

use std::{collections::VecDeque, sync::Arc};

use firedrill_analysis::Following;
use firedrill_journal::Decoder;
use firedrill_scene::{
    AbortSent, Contact, Level, Look, Message, Ours, Part, Role, Scene, Seal, WatchScene, Wish,
};

use crate::{
    Link,
    frames::{FromHost, FromWatcher, Have, NAME, VERSION},
    symptoms::Symptoms,
};

/// Wishes that wait for the host.
const OUTBOX: usize = 100;
/// Messages that are kept.
const MESSAGES: usize = 50;

/// A connection that is not to be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Off {
    /// It is made again.
    Again(String),
    /// It is not.
    Never(String),
}

/// What was sent of the drill.
enum Past {
    /// Nothing yet.
    None,
    /// Its records.
    Records(Box<Records>),
    /// Its symptoms.
    Symptoms(Symptoms),
}

struct Records {
    decoder: Decoder,
    following: Option<Following>,
}

/// A wish on its way.
#[derive(Clone, Debug, PartialEq)]
struct Pending {
    id: String,
    drill: String,
    wish: Wish,
}

/// Everything that a watcher knows.
pub(crate) struct Watched {
    token: String,
    name: String,
    host: String,
    role: Option<Role>,
    console: String,
    contact: Contact,
    drill: Option<String>,
    /// What of it is sent.
    part: Part,
    past: Past,
    have: Have,
    look: Look,
    outbox: VecDeque<Pending>,
    /// The id of an abort on its way, and the drill that was seen.
    abort: Option<(String, Option<String>)>,
    sent: AbortSent,
    messages: Vec<Message>,
    number: u64,
}

impl Watched {
    pub(crate) fn new(link: &Link, name: &str) -> Self {
        Self {
            token: link.token.reveal().to_owned(),
            name: name.chars().take(NAME).collect(),
            host: link.address(),
            role: None,
            console: String::new(),
            contact: Contact::Connecting,
            drill: None,
            part: Part::Nothing,
            past: Past::None,
            have: Have::default(),
            look: Look::default(),
            outbox: VecDeque::new(),
            abort: None,
            sent: AbortSent::No,
            messages: Vec::new(),
            number: 0,
        }
    }

    /// What a new connection begins with.
    pub(crate) fn hello(&self) -> FromWatcher {
        FromWatcher::Hello {
            version: VERSION,
            token: self.token.clone(),
            name: self.name.clone(),
            have: (self.have.bytes > 0).then(|| self.have.clone()),
        }
    }

    /// What the host has not acknowledged: sent again on every new connection. ABORT comes first.
    pub(crate) fn unacknowledged(&self) -> Vec<FromWatcher> {
        let wishes = self.outbox.iter().map(|it| FromWatcher::Wish {
            id: it.id.clone(),
            drill: it.drill.clone(),
            wish: it.wish.clone(),
        });
        self.abort_frame().into_iter().chain(wishes).collect()
    }

    fn abort_frame(&self) -> Option<FromWatcher> {
        let (id, drill) = self.abort.clone()?;
        Some(FromWatcher::Abort { id, drill })
    }

    /// A person presses ABORT. What is to be sent; `None`: the press before is on its way.
    pub(crate) fn press(&mut self, id: String, wall_ms: i64) -> Option<FromWatcher> {
        if self.abort.is_some() {
            return None;
        }
        self.abort = Some((id, self.drill.clone()));
        self.sent = AbortSent::Pressed { at_ms: wall_ms };
        self.abort_frame()
    }

    /// A person wishes something. What is to be sent.
    pub(crate) fn wish(&mut self, id: String, wish: Wish, wall_ms: i64) -> Option<FromWatcher> {
        if let Some(role) = self.role.filter(|role| !wish.allowed(*role)) {
            let words = format!("a link for {} does not allow that", role.word());
            self.say(Level::Warning, words, wall_ms);
            return None;
        }
        let Some(drill) = self.drill.clone() else {
            self.say(Level::Warning, "the host runs no drill".to_owned(), wall_ms);
            return None;
        };
        if self.outbox.len() >= OUTBOX {
            let words = "too much waits for the host already; that was not taken".to_owned();
            self.say(Level::Error, words, wall_ms);
            return None;
        }
        self.outbox.push_back(Pending {
            id: id.clone(),
            drill: drill.clone(),
            wish: wish.clone(),
        });
        Some(FromWatcher::Wish { id, drill, wish })
    }

    /// A connection was lost, or could not be made.
    pub(crate) fn lost(&mut self, off: Off, wall_ms: i64) {
        self.contact = match off {
            Off::Never(why) => Contact::Ended { why },
            Off::Again(why) => {
                let since_ms = match self.contact {
                    Contact::Lost { since_ms, .. } => since_ms,
                    _ => wall_ms,
                };
                Contact::Lost { since_ms, why }
            }
        };
    }

    /// It will not be tried again.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.contact, Contact::Ended { .. })
    }

    /// A person dismissed a message.
    pub(crate) fn dismiss(&mut self, id: u64) {
        self.messages.retain(|it| it.id != id);
    }

    /// A frame of the host, with the bytes that followed it.
    pub(crate) fn heard(&mut self, frame: FromHost, bytes: &[u8], wall_ms: i64) -> Result<(), Off> {
        match frame {
            FromHost::Welcome {
                version,
                role,
                console,
            } => {
                if version != VERSION {
                    return Err(Off::Never(
                        "the two consoles are of different versions; use the same one".to_owned(),
                    ));
                }
                self.role = Some(role);
                self.console = console;
                self.contact = Contact::On;
            }
            FromHost::Refused { why, again } => {
                return Err(if again { Off::Again(why) } else { Off::Never(why) });
            }
            FromHost::Bye { why } => return Err(Off::Never(why)),
            FromHost::Drill { id, part, resumed } => {
                let told = self.part != part && self.drill == id;
                self.part = part;
                self.drill_is(id, resumed, told, wall_ms);
            }
            FromHost::Lines { .. } => self.lines(bytes).map_err(|why| {
                // What does not fit is not shown, and not built upon: from the beginning, then.
                self.begin_anew();
                Off::Again(why)
            })?,
            FromHost::Look { look } => self.look = *look,
            FromHost::Ack { id, refused } => self.acknowledged(&id, refused, wall_ms),
            FromHost::Ping => {}
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        self.past = Past::None;
        self.have = Have::default();
    }

    /// `told`: of the same drill more, or less, is sent from now on.
    fn drill_is(&mut self, id: Option<String>, resumed: bool, told: bool, wall_ms: i64) {
        if resumed && id == self.drill {
            return;
        }
        let had = self.have.bytes > 0 && !told;
        if had && id == self.drill {
            let words = "the host's journal is another one than before: it is read anew, and nothing of the one before is shown";
            self.say(Level::Warning, words.to_owned(), wall_ms);
        } else if had {
            let before = self.drill.clone().unwrap_or_default();
            let words = match &id {
                Some(id) => format!("the host shows another drill now: {id}; the one before was {before}"),
                None => format!("the host shows no drill now; the one before was {before}"),
            };
            self.say(Level::Info, words, wall_ms);
        }
        if id != self.drill && self.abort.is_none() {
            self.sent = AbortSent::No;
        }
        self.begin_anew();
        self.drill = id;
    }

    fn lines(&mut self, bytes: &[u8]) -> Result<(), String> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line(line)?;
            self.have.drill = self.drill.clone().unwrap_or_default();
            self.have.bytes += line.len() as u64;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        if self.part == Part::Symptoms {
            if !matches!(self.past, Past::Symptoms(_)) {
                self.past = Past::Symptoms(Symptoms::default());
            }
            if let Past::Symptoms(symptoms) = &mut self.past {
                symptoms.take(line)?;
            }
            self.have.records += 1;
            return Ok(());
        }
        if !matches!(self.past, Past::Records(_)) {
            self.past = Past::Records(Box::new(Records {
                decoder: Decoder::new(),
                following: None,
            }));
        }
        let Past::Records(records) = &mut self.past else {
            return Ok(());
        };
        if !records.decoder.line(line) {
            let broken = records.decoder.journal().broken.as_ref();
            let why = broken.map_or_else(|| "half a record was sent".to_owned(), |it| it.why.clone());
            return Err(format!(
                "record {} of the host's journal does not fit the ones before: {why}",
                records.decoder.records()
            ));
        }
        for entry in records.decoder.take() {
            match &mut records.following {
                Some(following) => following.take(&entry),
                None => records.following = Some(Following::new(&entry).map_err(|error| error.to_string())?),
            }
        }
        self.have.records = records.decoder.records();
        self.have.hash.clone_from(&records.decoder.journal().hash);
        Ok(())
    }

    fn acknowledged(&mut self, id: &str, refused: Option<String>, wall_ms: i64) {
        if self.abort.as_ref().is_some_and(|(it, _)| it == id) {
            self.abort = None;
            self.sent = match refused {
                None => AbortSent::Delivered,
                Some(why) => AbortSent::Refused(why),
            };
            return;
        }
        let place = self.outbox.iter().position(|it| it.id == id);
        let wish = place
            .and_then(|place| self.outbox.remove(place))
            .map(|it| it.wish);
        if let (Some(wish), Some(why)) = (wish, refused) {
            let what = match wish {
                Wish::Note { text } => format!("the note \u{201c}{text}\u{201d}"),
                Wish::Approve => "the approval".to_owned(),
                Wish::Refuse { .. } => "the refusal".to_owned(),
                Wish::Predict { .. } => "the prediction".to_owned(),
            };
            self.say(
                Level::Warning,
                format!("{what} was not taken by the host: {why}"),
                wall_ms,
            );
        }
    }

    fn say(&mut self, level: Level, words: String, wall_ms: i64) {
        self.number += 1;
        self.messages.push(Message {
            id: self.number,
            wall_ms,
            level,
            words,
        });
        if self.messages.len() > MESSAGES {
            self.messages.remove(0);
        }
    }

    /// What is shown of it now.
    pub(crate) fn scene(&self, wall_ms: i64) -> Scene {
        let drill = self.drill.as_deref().unwrap_or_default();
        let mut scene = match &self.past {
            Past::Records(records) => records
                .following
                .as_ref()
                .map_or_else(Scene::default, Following::scene),
            Past::Symptoms(symptoms) => Scene {
                wall_ms,
                drill: Some(Arc::new(symptoms.scene(drill, wall_ms))),
                ..Scene::default()
            },
            Past::None => Scene {
                wall_ms,
                ..Scene::default()
            },
        };
        if scene.drill.is_none() {
            scene.wall_ms = wall_ms;
        }
        if self.part == Part::Records
            && self.role.is_some_and(|role| !role.is_crew())
            && let Some(drill) = scene.drill.as_mut().filter(|it| it.seal.is_sealed())
        {
            // The host sends records to them only of what may be told; a reveal after the end is not in the journal.
            Arc::make_mut(drill).seal = Seal::Open;
        }
        scene.abort = self.look.abort.clone();
        // Everybody but a responder is told; a watcher that reads along knows it from the records as well.
        if self.look.ours != Ours::Unknown {
            scene.ours = self.look.ours.clone();
        }
        scene.messages = Arc::new(self.messages.clone());
        scene.watch = Some(Arc::new(WatchScene {
            role: self.role,
            name: self.name.clone(),
            host: self.host.clone(),
            console: self.console.clone(),
            contact: self.contact.clone(),
            waiting: self.outbox.len(),
            abort: self.sent.clone(),
            predicts: self.look.predicts.clone(),
        }));
        scene
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use firedrill_drill::{Arming, Phase};
    use firedrill_journal::Encoder;

    use super::*;
    use crate::{
        journal_tail::Lines,
        tokens::Token,
        world::{PLAN, World},
    };

    fn link() -> Link {
        Link {
            host: "127.0.0.1".to_owned(),
            port: 1,
            pin: firedrill_trust::Fingerprint::of(b"certificate"),
            token: Token::random().unwrap(),
        }
    }

    /// Lines of a drill in virtual time.
    fn journal() -> Vec<String> {
        let mut world = World::new(PLAN, Arming::AtOnce);
        world.run_to(Phase::Verdict);
        let mut encoder = Encoder::new();
        let mut lines: Vec<_> = world
            .journal
            .iter()
            .map(|entry| encoder.encode(entry).unwrap())
            .collect();
        lines.push(encoder.seal(world.at()).unwrap());
        lines
    }

    fn welcome(watched: &mut Watched, role: Role, drill: &str, resumed: bool) {
        let welcome = FromHost::Welcome {
            version: VERSION,
            role,
            console: "desk".to_owned(),
        };
        watched.heard(welcome, &[], 0).unwrap();
        let drill = FromHost::Drill {
            id: Some(drill.to_owned()),
            part: role.part(&Seal::Open),
            resumed,
        };
        watched.heard(drill, &[], 0).unwrap();
    }

    fn feed(watched: &mut Watched, bytes: &[u8]) -> Result<(), Off> {
        watched.heard(FromHost::Lines { bytes: bytes.len() }, bytes, 0)
    }

    fn shown(watched: &Watched) -> String {
        format!("{:?}", watched.scene(0).drill)
    }

    fn have(watched: &Watched) -> Have {
        match watched.hello() {
            FromWatcher::Hello { have, .. } => have.unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn cut_after_every_single_record_nothing_is_lost_and_nothing_comes_twice() {
        let lines = journal();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for line in &lines {
            file.write_all(line.as_bytes()).unwrap();
        }
        let host = Lines::File(file.path().into());
        let mut whole = Watched::new(&link(), "Ada");
        welcome(&mut whole, Role::Observer, "d", false);
        feed(&mut whole, lines.concat().as_bytes()).unwrap();
        let mut cut = Watched::new(&link(), "Ada");
        welcome(&mut cut, Role::Observer, "d", false);
        let mut sent = 0;
        for (record, line) in lines.iter().enumerate() {
            feed(&mut cut, line.as_bytes()).unwrap();
            sent += line.len() as u64;
            cut.lost(Off::Again("cut".to_owned()), 1);
            let have = have(&cut);
            assert_eq!(have.bytes, sent, "after record {record}");
            assert!(host.begin_with(&have), "after record {record}");
            welcome(&mut cut, Role::Observer, "d", true);
        }
        assert_eq!(shown(&cut), shown(&whole));
        assert!(shown(&cut).contains("verdict: Some"), "{}", shown(&cut));
        assert!(cut.scene(0).messages.is_empty(), "nothing had to be said");
    }

    #[test]
    fn a_record_that_does_not_fit_is_not_shown_and_all_is_read_anew() {
        let lines = journal();
        for odd in 1..40 {
            let mut watched = Watched::new(&link(), "Ada");
            welcome(&mut watched, Role::Observer, "d", false);
            feed(&mut watched, lines[..odd].concat().as_bytes()).unwrap();
            // One is left out.
            let off = feed(&mut watched, lines[odd + 1].as_bytes()).unwrap_err();
            assert!(matches!(off, Off::Again(_)), "{off:?}");
            assert_eq!(have(&watched), Have::default());
            assert!(watched.scene(0).drill.is_none());
        }
    }

    #[test]
    fn another_journal_is_said_and_not_mixed() {
        let lines = journal();
        let mut watched = Watched::new(&link(), "Ada");
        welcome(&mut watched, Role::Observer, "d", false);
        feed(&mut watched, lines[..30].concat().as_bytes()).unwrap();
        // The same name, another journal: the host did not find our hash in it.
        welcome(&mut watched, Role::Observer, "d", false);
        let scene = watched.scene(0);
        assert!(scene.drill.is_none(), "nothing of the one before");
        assert!(
            scene.messages[0].words.contains("read anew"),
            "{:?}",
            scene.messages
        );
        feed(&mut watched, lines[..9].concat().as_bytes()).unwrap();
        assert_eq!(have(&watched).records, 9);
        welcome(&mut watched, Role::Observer, "e", false);
        let said = watched.scene(0).messages[1].words.clone();
        assert!(
            said.contains("another drill now: e; the one before was d"),
            "{said}"
        );
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_with_the_same_id_abort_first() {
        let mut watched = Watched::new(&link(), "Ada");
        welcome(&mut watched, Role::Observer, "d", false);
        let note = |text: &str| Wish::Note {
            text: text.to_owned(),
        };
        assert!(watched.wish("1".to_owned(), note("one"), 5).is_some());
        assert!(watched.wish("2".to_owned(), note("two"), 5).is_some());
        assert!(watched.press("3".to_owned(), 6).is_some());
        assert!(
            watched.press("4".to_owned(), 6).is_none(),
            "one press is on its way"
        );
        let ids = |watched: &Watched| -> Vec<String> {
            let frames = watched.unacknowledged().into_iter();
            let id = frames.map(|frame| match frame {
                FromWatcher::Wish { id, .. } | FromWatcher::Abort { id, .. } => id,
                other => panic!("{other:?}"),
            });
            id.collect()
        };
        assert_eq!(ids(&watched), ["3", "1", "2"]);
        let ack = |id: &str, refused: Option<&str>| FromHost::Ack {
            id: id.to_owned(),
            refused: refused.map(str::to_owned),
        };
        watched.heard(ack("1", None), &[], 7).unwrap();
        watched.lost(Off::Again("cut".to_owned()), 8);
        assert_eq!(ids(&watched), ["3", "2"]);
        assert_eq!(
            watched.scene(9).watch.unwrap().abort,
            AbortSent::Pressed { at_ms: 6 }
        );
        watched.heard(ack("3", None), &[], 10).unwrap();
        watched
            .heard(ack("2", Some("the drill is over")), &[], 10)
            .unwrap();
        let scene = watched.scene(11);
        assert_eq!(scene.watch.as_ref().unwrap().abort, AbortSent::Delivered);
        assert_eq!(scene.watch.as_ref().unwrap().waiting, 0);
        assert!(scene.messages[0].words.contains("two") && scene.messages[0].words.contains("over"));
    }

    #[test]
    fn a_role_is_refused_what_it_may_not_before_anything_is_sent() {
        let mut watched = Watched::new(&link(), "Ada");
        welcome(&mut watched, Role::Stakeholder, "d", false);
        assert!(watched.wish("1".to_owned(), Wish::Approve, 1).is_none());
        assert_eq!(watched.scene(1).messages.len(), 1);
        assert!(watched.unacknowledged().is_empty());
    }
}
