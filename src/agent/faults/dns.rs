//! `dns.hijack` and `dns.fail`: questions of a cgroup's processes to port 53 are led to a responder in the agent,
//! which answers those for the chosen names wrongly and has all others answered by the resolver that was asked.
//!
//! Names that are found without a resolver on port 53 are not hit: `/etc/hosts`, caches in the process, DNS over
//! TLS or HTTPS, name services that are asked through a socket of their own.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::network::{not_taken, prepare, wrong};
use super::{Failure, Fault, Held, NotHere, Order, Prepared};
use crate::kernel::dns::{Code, Names, Question};
use crate::kernel::on_cgroup::{OnCgroup, Responder, Wanted};
use crate::kernel::redirect::Redirect;
use crate::kernel::responder::{Running, Sockets};
use crate::kernel::select::Selection;
use crate::kernel::{self, netns};
use crate::targets;
use crate::undo::Undo;

/// Where questions go.
const DNS_PORT: u16 = 53;

/// Questions that are forwarded, and connections that are open, at once; those beyond go unanswered.
const MAX_AT_ONCE: usize = 256;

/// Most addresses of one answer.
const MAX_ADDRESSES: usize = 8;

/// How long the victim's resolver is waited for: victims do not wait longer themselves.
const RESOLVER_WITHIN: Duration = Duration::from_secs(5);

/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(30);

const MAX_MESSAGE_BYTES: usize = 65_535;

/// Either of the two.
#[derive(Debug)]
pub struct Dns(pub &'static FaultSpec);

/// What questions for the chosen names get.
#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    Addresses(Vec<IpAddr>),
    Fails(Code),
    Silence,
}

impl How {
    fn of(parameters: &Parameters) -> Result<Self, String> {
        if let Some(text) = parameters.text("answer") {
            let addresses: Vec<IpAddr> = text
                .split(',')
                .map(|part| part.trim().parse())
                .collect::<Result<_, _>>()
                .map_err(|_| format!("\"{text}\" are no addresses such as 10.0.0.9, 2001:db8::9"))?;
            if addresses.len() > MAX_ADDRESSES {
                return Err(format!("{} addresses: at most {MAX_ADDRESSES}", addresses.len()));
            }
            return Ok(Self::Addresses(addresses));
        }
        Ok(match parameters.text("how") {
            Some("servfail") => Self::Fails(Code::ServFail),
            Some("timeout") => Self::Silence,
            _ => Self::Fails(Code::NxDomain),
        })
    }

    fn words(&self) -> String {
        match self {
            Self::Addresses(addresses) => {
                let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                format!("lead to {}", all.join(", "))
            }
            Self::Fails(Code::ServFail) => "fail with SERVFAIL".to_owned(),
            Self::Fails(_) => "are answered with NXDOMAIN".to_owned(),
            Self::Silence => "are not answered".to_owned(),
        }
    }
}

fn read(parameters: &Parameters) -> Result<(Names, How), Problem> {
    let names = Names::parse(parameters.text("names").unwrap_or_default());
    let names = names.map_err(|why| wrong("names", &why))?;
    let how = How::of(parameters).map_err(|why| wrong("answer", &why))?;
    Ok((names, how))
}

impl Fault for Dns {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        kernel::available()
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let (names, how) = read(parameters)?;
        let what = format!("its questions for {} {}", names.words(), how.words());
        prepare(scope, "dns", &what)
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let (names, how) = read(order.parameters).map_err(Failure::nothing)?;
        let cgroup = targets::cgroup(order.scope).map_err(Failure::nothing)?;
        let words = format!("questions of {cgroup} for {} {}", names.words(), how.words());
        let desk = Arc::new(Desk {
            names,
            how,
            share: AtomicU64::new(order.parameters.share("share").to_bits()),
            redirect: OnceLock::new(),
            at_once: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            answered: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            forwarded: AtomicU64::new(0),
        });
        let serving = Arc::clone(&desk);
        let begun = netns::of(&cgroup).and_then(|namespace| {
            let running = Running::start(namespace, move |sockets| serve(serving, sockets))?;
            let redirect = Redirect::new(running.port4, running.port6, true, false)?;
            Ok((running, redirect))
        });
        let (running, redirect) = begun.map_err(|error| not_taken(&error))?;
        let redirect = desk.redirect.get_or_init(|| redirect);
        let selection = Selection {
            port: Some(DNS_PORT),
            peers: Vec::new(),
        };
        let wanted = Wanted {
            cgroup: &cgroup,
            programs: &|settings, counters| redirect.programs(&selection, settings, counters),
            counters: &["redirects"],
            responder: Some(Box::new(Clerk {
                desk: Arc::clone(&desk),
                _running: running,
            })),
            words,
        };
        let (held, evidence) = OnCgroup::begin(order, wanted)?;
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(OnCgroup::adopt(undo))
    }
}

/// The responder, as the fault holds it.
struct Clerk {
    desk: Arc<Desk>,
    _running: Running,
}

impl Responder for Clerk {
    fn counts(&self) -> Vec<(&'static str, f64)> {
        let number = |of: &AtomicU64| of.load(Ordering::Relaxed) as f64;
        vec![
            ("queries_answered", number(&self.desk.answered)),
            ("queries_unanswered", number(&self.desk.unanswered)),
            ("queries_forwarded", number(&self.desk.forwarded)),
        ]
    }

    fn adjust(&self, parameters: &Parameters) {
        let share = parameters.share("share");
        self.desk.share.store(share.to_bits(), Ordering::Relaxed);
    }
}

/// What the responder works on.
struct Desk {
    names: Names,
    how: How,
    /// The bits of a share.
    share: AtomicU64,
    redirect: OnceLock<Redirect>,
    at_once: Arc<Semaphore>,
    answered: AtomicU64,
    unanswered: AtomicU64,
    forwarded: AtomicU64,
}

/// What becomes of a message.
enum Verdict {
    Answer(Vec<u8>),
    Silence,
    /// To the resolver that was asked.
    Forward,
}

impl Desk {
    fn judge(&self, message: &[u8]) -> Verdict {
        let chosen = Question::of(message)
            .filter(|question| self.names.holds(&question.name))
            // A wrong address is for who asks where something is; a failure is for everybody.
            .filter(|question| question.asks_where() || !matches!(self.how, How::Addresses(_)))
            .filter(|_| self.is_hit());
        let Some(question) = chosen else {
            self.forwarded.fetch_add(1, Ordering::Relaxed);
            return Verdict::Forward;
        };
        let answer = match &self.how {
            How::Addresses(addresses) => question.answer(message, Code::NoError, addresses),
            How::Fails(code) => question.answer(message, *code, &[]),
            How::Silence => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                return Verdict::Silence;
            }
        };
        self.answered.fetch_add(1, Ordering::Relaxed);
        Verdict::Answer(answer)
    }

    fn is_hit(&self) -> bool {
        let share = f64::from_bits(self.share.load(Ordering::Relaxed));
        let die = getrandom::u32().unwrap_or(0);
        f64::from(die) < share * f64::from(u32::MAX) || share >= 1.0
    }

    fn resolver(&self, six: bool) -> std::io::Result<SocketAddr> {
        let asked = self.redirect.get().map(|it| it.last(six)).transpose()?;
        asked
            .flatten()
            .ok_or_else(|| std::io::Error::other("nobody was asked"))
    }
}

async fn serve(desk: Arc<Desk>, sockets: Vec<Sockets>) {
    for Sockets { tcp, udp } in sockets {
        let six = tcp.local_addr().is_ok_and(|it| it.is_ipv6());
        tokio::spawn(datagrams(Arc::clone(&desk), Arc::new(udp), six));
        tokio::spawn(connections(Arc::clone(&desk), tcp, six));
    }
    std::future::pending::<()>().await;
}

async fn datagrams(desk: Arc<Desk>, socket: Arc<UdpSocket>, six: bool) {
    let mut buffer = vec![0; MAX_MESSAGE_BYTES];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // Nothing that the next call would not tell again, but a loop must not spin.
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let message = &buffer[..length];
        match desk.judge(message) {
            // Whoever asks again is answered again.
            Verdict::Answer(answer) => drop(socket.send_to(&answer, from).await),
            Verdict::Silence => {}
            Verdict::Forward => {
                let Ok(permit) = Arc::clone(&desk.at_once).try_acquire_owned() else {
                    continue;
                };
                let (desk, socket, message) = (Arc::clone(&desk), Arc::clone(&socket), message.to_vec());
                tokio::spawn(async move {
                    let _permit = permit;
                    if let Ok(Ok(answer)) = timeout(RESOLVER_WITHIN, asked(&desk, six, &message)).await {
                        socket.send_to(&answer, from).await.ok();
                    }
                });
            }
        }
    }
}

/// What the victim's own resolver says to a datagram.
async fn asked(desk: &Desk, six: bool, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let resolver = desk.resolver(six)?;
    let any = if resolver.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(message).await?;
    let mut answer = vec![0; MAX_MESSAGE_BYTES];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

async fn connections(desk: Arc<Desk>, listener: TcpListener, six: bool) {
    loop {
        let Ok(permit) = Arc::clone(&desk.at_once).acquire_owned().await else {
            return;
        };
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            let _permit = permit;
            // It ends when either side has had enough.
            converse(&desk, six, &mut stream).await.ok();
        });
    }
}

/// Questions and answers of one connection, each behind its length.
async fn converse(desk: &Desk, six: bool, stream: &mut TcpStream) -> std::io::Result<()> {
    loop {
        let message = timeout(IDLE, framed(stream)).await??;
        let answer = match desk.judge(&message) {
            Verdict::Answer(answer) => answer,
            Verdict::Silence => continue,
            Verdict::Forward => {
                let forwarded = async {
                    let mut resolver = TcpStream::connect(desk.resolver(six)?).await?;
                    send_framed(&mut resolver, &message).await?;
                    framed(&mut resolver).await
                };
                timeout(RESOLVER_WITHIN, forwarded).await??
            }
        };
        send_framed(stream, &answer).await?;
    }
}

async fn framed(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn send_framed(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}
