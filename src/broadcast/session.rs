//! One connection on the host: who it is, what is sent to it, what it may wish.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill_scene::{Look, Part, Redact as _, Role, Seal};
use tokio::{
    io::{AsyncBufRead, AsyncWrite, BufReader},
    net::TcpStream,
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    frames::{FromHost, FromWatcher, Have, NAME, TEXT, VERSION, WATCHER_LINE, read, write},
    host::{Hub, Length, Place, Shown},
    journal_tail::Lines,
};

/// Who has not shown a token by then leaves.
const PROVE_LIMIT: Duration = Duration::from_secs(5);
/// Who takes longer for one piece is slow: it comes back to where it was.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// Who has not said a word for so long is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(15);
/// The host says that it is there this often.
const PING: Duration = Duration::from_secs(2);
/// A person's wishes: so many at once, and one more each so often.
const AT_ONCE: u32 = 20;
const ONE_EACH: Duration = Duration::from_millis(200);
/// Answers that wait to be sent.
const ANSWERS: usize = 64;

/// Serves a connection to its end.
pub(crate) async fn serve(
    stream: TcpStream,
    from: IpAddr,
    mut place: Place,
    hub: &Arc<Hub>,
) -> io::Result<()> {
    let late = |_| io::Error::other("it did not show a token in time");
    let proving = async {
        let stream = hub.acceptor.accept(stream).await?;
        let (reader, mut writer) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader);
        let hello: Option<FromWatcher> = read(&mut reader, &mut Vec::new(), WATCHER_LINE).await?;
        let Some(FromWatcher::Hello {
            version,
            token,
            name,
            have,
        }) = hello
        else {
            return Err(io::Error::other("it did not say who it is"));
        };
        let role = hub.tokens.lock().role_of(&token);
        let why = match role {
            None => "this link is not, or no longer, worth anything; ask for a new one",
            Some(_) if version != VERSION => "the two consoles are of different versions; use the same one",
            Some(role) => return Ok(Some((reader, writer, role, token, name, have))),
        };
        let refused = FromHost::Refused {
            why: why.to_owned(),
            again: false,
        };
        write(&mut writer, &refused, &[]).await?;
        Ok(None)
    };
    let Some((reader, mut writer, role, token, name, have)) =
        timeout(PROVE_LIMIT, proving).await.map_err(late)??
    else {
        return Ok(());
    };
    place.proved();
    let name = plain(&name, NAME);
    let name = if name.is_empty() {
        "somebody".to_owned()
    } else {
        name
    };
    let present = hub.enter(name.clone(), role, from);
    let (answers, answered) = mpsc::channel(ANSWERS);
    let person = Person {
        hub,
        role,
        name: format!("{name} ({}, by link)", role.word()),
        answers,
    };
    let welcome = FromHost::Welcome {
        version: VERSION,
        role,
        console: hub.console.clone(),
    };
    send(&mut writer, &welcome, &[]).await?;
    let showing = Showing {
        hub,
        role,
        shown: hub.shown.subscribe(),
        length: hub.length.subscribe(),
        look: hub.look.subscribe(),
        revoked: hub.revoked.subscribe(),
        closing: hub.closing.subscribe(),
        part: Part::Nothing,
        at: None,
    };
    let result = tokio::select! {
        result = person.hear(reader) => result,
        result = showing.show(&mut writer, answered, have, &token) => result,
    };
    drop(present);
    result
}

/// Without what is not to be printed, and no longer than that.
fn plain(text: &str, letters: usize) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(letters).collect();
    text.trim().to_owned()
}

async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &FromHost, then: &[u8]) -> io::Result<()> {
    let late = |_| io::Error::other("it is too slow; it may come back to where it was");
    timeout(WRITE_LIMIT, write(to, frame, then)).await.map_err(late)?
}

/// What somebody says.
struct Person<'a> {
    hub: &'a Arc<Hub>,
    role: Role,
    name: String,
    answers: mpsc::Sender<FromHost>,
}

impl Person<'_> {
    async fn hear(&self, mut from: impl AsyncBufRead + Unpin) -> io::Result<()> {
        let (mut allowed, mut counted) = (AT_ONCE, Instant::now());
        let mut line = Vec::new();
        loop {
            let heard = timeout(SILENCE_LIMIT, read(&mut from, &mut line, WATCHER_LINE)).await;
            let silent = |_| io::Error::other("it has said nothing for too long");
            let Some(frame) = heard.map_err(silent)?? else {
                return Ok(());
            };
            let (id, refused) = match frame {
                // First of all, and never counted.
                FromWatcher::Abort { id, drill } => {
                    let refused = self.abort(&id, drill.as_deref()).err();
                    (id, refused)
                }
                FromWatcher::Wish { id, drill, wish } => {
                    let more = (counted.elapsed().as_millis() / ONE_EACH.as_millis()) as u32;
                    if more > 0 {
                        (allowed, counted) = (allowed.saturating_add(more).min(AT_ONCE), Instant::now());
                    }
                    if allowed == 0 {
                        return Err(io::Error::other("it wishes too much at once"));
                    }
                    allowed -= 1;
                    let refused = self.wish(&id, &drill, wish).err();
                    (id, refused)
                }
                FromWatcher::Ping => continue,
                FromWatcher::Hello { .. } => return Err(io::Error::other("it said twice who it is")),
            };
            self.answers.send(FromHost::Ack { id, refused }).await.ok();
        }
    }

    /// The abort's own word is the id: sent again, it is not pressed again.
    fn abort(&self, id: &str, drill: Option<&str>) -> Result<(), String> {
        let shown = self.hub.shown.borrow().as_ref().map(|it| it.drill.clone());
        if drill.is_some() && drill != shown.as_deref() {
            return Err(
                "it was pressed for a drill that is over; press again to abort the one that runs now"
                    .to_owned(),
            );
        }
        if id.len() <= NAME && self.hub.is_new(id) {
            (self.hub.desk.press)(&self.name);
        }
        Ok(())
    }

    fn wish(&self, id: &str, drill: &str, wish: firedrill_scene::Wish) -> Result<(), String> {
        if !wish.allowed(self.role) {
            return Err(format!("a link for {} does not allow that", self.role.word()));
        }
        let shown = self.hub.shown.borrow().as_ref().map(|it| it.drill.clone());
        if shown.as_deref() != Some(drill) {
            return Err("it was for a drill that is over".to_owned());
        }
        if id.is_empty() || id.len() > NAME {
            return Err("it has no id".to_owned());
        }
        if !self.hub.is_new(id) {
            // Done before; its answer was lost on the way.
            return Ok(());
        }
        (self.hub.desk.wish)(&self.name, self.role, cut(wish))
    }
}

/// Texts of people are cut off.
fn cut(wish: firedrill_scene::Wish) -> firedrill_scene::Wish {
    use firedrill_scene::Wish;
    match wish {
        Wish::Note { text } => Wish::Note {
            text: plain(&text, TEXT),
        },
        Wish::Refuse { reason } => Wish::Refuse {
            reason: plain(&reason, TEXT),
        },
        Wish::Predict { mut prediction } => {
            prediction.words = plain(&prediction.words, TEXT);
            Wish::Predict { prediction }
        }
        Wish::Approve => Wish::Approve,
    }
}

/// What is sent to somebody.
struct Showing<'a> {
    hub: &'a Arc<Hub>,
    role: Role,
    shown: watch::Receiver<Option<Shown>>,
    length: watch::Receiver<Length>,
    look: watch::Receiver<Arc<Look>>,
    revoked: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    /// What of the drill is sent.
    part: Part,
    /// The lines that are being sent, and how far.
    at: Option<(Lines, u64)>,
}

impl Showing<'_> {
    async fn show(
        mut self,
        to: &mut (impl AsyncWrite + Unpin),
        mut answers: mpsc::Receiver<FromHost>,
        have: Option<Have>,
        token: &str,
    ) -> io::Result<()> {
        let mut pings = tokio::time::interval(PING);
        self.look(to).await?;
        self.drill(to, have).await?;
        loop {
            // In this order: what was asked and what is on counts before the past.
            tokio::select! {
                biased;
                changed = self.revoked.changed() => {
                    let fits = self.hub.tokens.lock().role_of(token) == Some(self.role);
                    if changed.is_err() || !fits {
                        let why = "this link was revoked; ask for a new one".to_owned();
                        return send(to, &FromHost::Bye { why }, &[]).await;
                    }
                }
                Some(answer) = answers.recv() => send(to, &answer, &[]).await?,
                Ok(()) = self.look.changed() => {
                    self.look(to).await?;
                    if self.part != self.due() {
                        // It was sealed, or revealed.
                        self.drill(to, None).await?;
                    }
                }
                Ok(()) = self.shown.changed() => self.drill(to, None).await?,
                () = more(&mut self.length, self.at.as_ref()) => self.lines(to).await?,
                () = closed(&mut self.closing) => {
                    let why = "the host shares no more".to_owned();
                    return send(to, &FromHost::Bye { why }, &[]).await;
                }
                _ = pings.tick() => send(to, &FromHost::Ping, &[]).await?,
            }
        }
    }

    /// Whether the drill may be told.
    fn seal(&self) -> Seal {
        let shown = self.shown.borrow();
        let drill = shown.as_ref().map_or("", |it| it.drill.as_str());
        self.look.borrow().seal_of(drill)
    }

    fn due(&self) -> Part {
        if self.shown.borrow().is_none() {
            return Part::Nothing;
        }
        self.role.part(&self.seal())
    }

    async fn look(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let look = Look::clone(&self.look.borrow_and_update());
        let nothing_runs = self.shown.borrow().is_none();
        let hides = match self.role {
            role if role.is_crew() => false,
            Role::Responder => self.part != Part::Records,
            _ => !nothing_runs && self.seal().is_sealed(),
        };
        let look = Box::new(if hides { look.redacted() } else { look });
        send(to, &FromHost::Look { look }, &[]).await
    }

    /// Says which drill follows, and begins where the watcher left off if it is the same one.
    async fn drill(&mut self, to: &mut (impl AsyncWrite + Unpin), have: Option<Have>) -> io::Result<()> {
        let shown = self.shown.borrow_and_update().clone();
        self.part = self.due();
        let Some(shown) = shown else {
            self.at = None;
            let none = FromHost::Drill {
                id: None,
                part: self.part,
                resumed: false,
            };
            return send(to, &none, &[]).await;
        };
        let lines = match self.part {
            Part::Symptoms => Some(Lines::Made(Arc::clone(&shown.sealed))),
            Part::Records => Some(Lines::File(Arc::clone(&shown.journal))),
            Part::Nothing => None,
        };
        let chained = self.part == Part::Records;
        let have = have.filter(|have| have.drill == shown.drill && have.hash.is_empty() != chained);
        let mut from = 0;
        if let (Some(lines), Some(have)) = (lines.clone(), have) {
            let bytes = have.bytes;
            let same = tokio::task::spawn_blocking(move || lines.begin_with(&have)).await;
            if same.map_err(io::Error::other)? {
                from = bytes;
            }
        }
        self.at = lines.map(|lines| (lines, from));
        let drill = FromHost::Drill {
            id: Some(shown.drill),
            part: self.part,
            resumed: from > 0,
        };
        send(to, &drill, &[]).await
    }

    async fn lines(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let Some((lines, from)) = self.at.clone() else {
            return Ok(());
        };
        let piece = tokio::task::spawn_blocking(move || lines.piece(from))
            .await
            .map_err(io::Error::other)??;
        if piece.is_empty() {
            // Half a line is on disk; the rest comes with the next look.
            tokio::time::sleep(Duration::from_millis(10)).await;
            return Ok(());
        }
        let bytes = piece.len();
        send(to, &FromHost::Lines { bytes }, &piece).await?;
        if let Some((_, at)) = &mut self.at {
            *at = from + bytes as u64;
        }
        Ok(())
    }
}

/// Ends when there is more to send.
async fn more(length: &mut watch::Receiver<Length>, at: Option<&(Lines, u64)>) {
    let longer = |it: &Length| match at {
        Some((Lines::File(_), from)) => it.journal > *from,
        Some((Lines::Made(_), from)) => it.sealed > *from,
        None => false,
    };
    if length.wait_for(longer).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Ends when nothing new will come.
async fn closed(closing: &mut watch::Receiver<bool>) {
    if closing.wait_for(|closing| *closing).await.is_err() {
        std::future::pending::<()>().await;
    }
}
