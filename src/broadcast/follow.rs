//! The watcher's side: a connection that is made again until the link is worth nothing any more.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use firedrill_scene::{Scene, Wish};
use firedrill_trust::{PinnedTls, wrong_pin};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, BufReader, ReadHalf, WriteHalf},
    net::TcpStream,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Link,
    frames::{FromHost, FromWatcher, HOST_LINE, read, write},
    tokens::Token,
    watched::{Off, Watched},
};

/// A connection is made within this, or not.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A host that has not said a word for so long is gone: it speaks every two seconds.
const SILENCE_LIMIT: Duration = Duration::from_secs(7);
/// A line that does not go out for so long never will.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// The watcher says that it is there this often.
const PING: Duration = Duration::from_secs(4);
/// Between two tries: the first time, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A scene is shown at most this often.
const SHOW: Duration = Duration::from_millis(30);
/// Of a person, not yet taken up.
const ASKS: usize = 64;
/// Pieces that were read and not yet taken up.
const PIECES: usize = 4;
/// Largest piece that is taken: one line of a journal may be as long.
const PIECE: usize = 2 * firedrill_journal::MAX_LINE_BYTES;

/// Follows a host. Dropping it ends the connection.
pub struct Follower {
    asks: mpsc::Sender<Ask>,
    /// How often ABORT was pressed: needs no room in a queue.
    presses: watch::Sender<u64>,
}

enum Ask {
    Wish(Wish),
    Dismiss(u64),
}

impl Follower {
    /// Follows by this link, as this person; `show` is given every new scene, and `wall_ms` is the wall clock,
    /// milliseconds since 1970 UTC.
    pub fn start(
        link: Link,
        name: &str,
        wall_ms: fn() -> i64,
        show: impl FnMut(Scene) + Send + 'static,
    ) -> io::Result<Self> {
        let (asks, queue) = mpsc::channel(ASKS);
        let (presses, pressed) = watch::channel(0);
        let watched = Watched::new(&link, name);
        let follow = Follow {
            tls: PinnedTls::new(link.pin),
            link,
            watched,
            queue,
            pressed,
            show: Show {
                show: Box::new(show),
                shown: None,
            },
            wall_ms,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || {
                runtime.block_on(follow.run());
                // A name that is being looked up is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self { asks, presses })
    }

    /// Wishes something of the host. `false`: too much waits, it was not taken.
    pub fn wish(&self, wish: Wish) -> bool {
        self.asks.try_send(Ask::Wish(wish)).is_ok()
    }

    /// A message was read.
    pub fn dismiss(&self, id: u64) {
        // It is only hidden: what is not taken is pressed again.
        self.asks.try_send(Ask::Dismiss(id)).ok();
    }

    /// Presses the host's ABORT; sent until the host has it.
    pub fn press(&self) {
        self.presses.send_modify(|it| *it += 1);
    }
}

/// Shows scenes, not too many.
struct Show {
    show: Box<dyn FnMut(Scene) + Send>,
    shown: Option<Instant>,
}

impl Show {
    fn now(&mut self, watched: &Watched, wall_ms: i64) {
        self.shown = Some(Instant::now());
        (self.show)(watched.scene(wall_ms));
    }

    fn is_due(&self) -> bool {
        self.shown.is_none_or(|shown| shown.elapsed() >= SHOW)
    }
}

struct Follow {
    link: Link,
    tls: PinnedTls,
    watched: Watched,
    queue: mpsc::Receiver<Ask>,
    pressed: watch::Receiver<u64>,
    show: Show,
    wall_ms: fn() -> i64,
}

/// Sends; gives up where nothing goes out.
async fn send<T: serde::Serialize>(to: &mut WriteHalf<TlsStream<TcpStream>>, frame: &T) -> Result<(), Off> {
    match timeout(WRITE_LIMIT, write(to, frame, &[])).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Off::Again(error.to_string())),
        Err(_) => Err(Off::Again("nothing goes out to the host any more".to_owned())),
    }
}

/// Ends its task when it is dropped.
struct Reading(JoinHandle<()>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Follow {
    async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        self.show.now(&self.watched, (self.wall_ms)());
        loop {
            let mut welcomed = false;
            let off = match self.connect().await {
                Ok(stream) => self.talk(stream, &mut welcomed).await,
                Err(off) => Some(off),
            };
            let Some(off) = off else { return };
            self.watched.lost(off, (self.wall_ms)());
            self.show.now(&self.watched, (self.wall_ms)());
            wait = if welcomed {
                FIRST_WAIT
            } else {
                (wait * 2).min(LONGEST_WAIT)
            };
            let again = Instant::now() + wait;
            while self.watched.has_ended() || Instant::now() < again {
                let ended = self.watched.has_ended();
                tokio::select! {
                    ask = self.queue.recv() => {
                        let Some(ask) = ask else { return };
                        self.asked(ask);
                    }
                    Ok(()) = self.pressed.changed() => drop(self.press()),
                    () = tokio::time::sleep_until(again), if !ended => {}
                }
                self.show.now(&self.watched, (self.wall_ms)());
            }
        }
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, Off> {
        let connecting = async {
            let stream = TcpStream::connect((self.link.host.as_str(), self.link.port))
                .await
                .map_err(|error| Off::Again(self.unreached(&error)))?;
            stream.set_nodelay(true).ok();
            let name = ServerName::try_from(self.link.host.clone());
            // The fingerprint decides, whatever the name.
            let name = name.or_else(|_| ServerName::try_from("firedrill"));
            let name = name.map_err(|error| Off::Never(error.to_string()))?;
            let connector = TlsConnector::from(self.tls.config());
            connector
                .connect(name, stream)
                .await
                .map_err(|error| match wrong_pin(&error) {
                    Some(wrong) => Off::Never(format!(
                        "the certificate shown by {} is {}, the link is for {}: either its console shares anew, or somebody else answers there; ask for a new link",
                        self.link.address(),
                        wrong.shown,
                        wrong.enrolled
                    )),
                    None => Off::Again(format!("no TLS with {}: {error}", self.link.address())),
                })
        };
        match timeout(CONNECT_LIMIT, connecting).await {
            Ok(result) => result,
            Err(_) => Err(Off::Again(format!(
                "no answer from {} within {} s",
                self.link.address(),
                CONNECT_LIMIT.as_secs()
            ))),
        }
    }

    fn unreached(&self, error: &io::Error) -> String {
        let hint = if self.link.is_loopback() {
            "; this link leads to the very computer it is opened on: from another one it cannot work"
        } else {
            ""
        };
        format!("{} cannot be reached: {error}{hint}", self.link.address())
    }

    /// Until the connection is lost; `None`: nobody watches any more.
    async fn talk(&mut self, stream: TlsStream<TcpStream>, welcomed: &mut bool) -> Option<Off> {
        let (reader, mut writer) = tokio::io::split(stream);
        let hello = self.watched.hello();
        if let Err(off) = send(&mut writer, &hello).await {
            return Some(off);
        }
        let (pieces, mut taken) = mpsc::channel(PIECES);
        let _reading = Reading(tokio::spawn(read_all(reader, pieces)));
        let mut pings = tokio::time::interval(PING);
        let mut heard = Instant::now();
        let mut behind = false;
        loop {
            let show_at = self.show.shown.unwrap_or_else(Instant::now) + SHOW;
            let done: Result<(), Off> = tokio::select! {
                biased;
                Ok(()) = self.pressed.changed() => match self.press() {
                    // Before the welcome it waits: it is sent with what is unacknowledged.
                    Some(frame) if *welcomed => send(&mut writer, &frame).await,
                    _ => Ok(()),
                },
                ask = self.queue.recv() => {
                    let ask = ask?;
                    match self.asked(ask) {
                        Some(frame) if *welcomed => send(&mut writer, &frame).await,
                        _ => Ok(()),
                    }
                }
                () = tokio::time::sleep_until(show_at), if behind => {
                    behind = false;
                    self.show.now(&self.watched, (self.wall_ms)());
                    continue;
                }
                piece = taken.recv() => match piece {
                    None => Err(Off::Again("the host closed the connection".to_owned())),
                    Some(Err(why)) => Err(Off::Again(why)),
                    Some(Ok((frame, bytes))) => {
                        heard = Instant::now();
                        let first = matches!(frame, FromHost::Welcome { .. });
                        let mut done = self.watched.heard(frame, &bytes, (self.wall_ms)());
                        if done.is_ok() && first {
                            *welcomed = true;
                            for frame in self.watched.unacknowledged() {
                                if done.is_ok() {
                                    done = send(&mut writer, &frame).await;
                                }
                            }
                        }
                        done
                    }
                },
                _ = pings.tick() => send(&mut writer, &FromWatcher::Ping).await,
                () = tokio::time::sleep_until(heard + SILENCE_LIMIT) => {
                    Err(Off::Again("the host has said nothing for too long".to_owned()))
                }
            };
            if let Err(off) = done {
                return Some(off);
            }
            behind = !self.show.is_due();
            if !behind {
                self.show.now(&self.watched, (self.wall_ms)());
            }
        }
    }

    fn press(&mut self) -> Option<FromWatcher> {
        self.watched.press(random_id(), (self.wall_ms)())
    }

    fn asked(&mut self, ask: Ask) -> Option<FromWatcher> {
        match ask {
            Ask::Wish(wish) => self.watched.wish(random_id(), wish, (self.wall_ms)()),
            Ask::Dismiss(id) => {
                self.watched.dismiss(id);
                None
            }
        }
    }
}

/// Reads frames with the bytes that follow them, one after the other, no faster than they are taken.
async fn read_all(
    reader: ReadHalf<TlsStream<TcpStream>>,
    pieces: mpsc::Sender<Result<(FromHost, Vec<u8>), String>>,
) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        let piece = async {
            let Some(frame) = read::<FromHost>(&mut reader, &mut line, HOST_LINE).await? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            if let FromHost::Lines { bytes: length } = frame {
                if length > PIECE {
                    return Err(io::Error::other("the host sent more at once than any host does"));
                }
                (&mut reader).take(length as u64).read_to_end(&mut bytes).await?;
                if bytes.len() < length {
                    return Ok(None);
                }
            }
            Ok(Some((frame, bytes)))
        };
        let piece = match piece.await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return,
            Err(error) => Err(error.to_string()),
        };
        let failed = piece.is_err();
        if pieces.send(piece).await.is_err() || failed {
            return;
        }
    }
}

/// Chance, as much as in a token; without any, a number: two at once are not sent from one console.
fn random_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    match Token::random() {
        Ok(token) => token.reveal().to_owned(),
        Err(_) => format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)),
    }
}
