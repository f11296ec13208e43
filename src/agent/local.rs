//! `firedrill-agent abort`: on the host itself, without a console, a name or a network; and with the agent dead or
//! hung, without the agent.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use firedrill_trust::{Fingerprint, PinnedTls};
use firedrill_wire::{AbortLine, AbortRequest};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::cli::AbortArgs;
use crate::enroll;
use crate::keeper;
use crate::state::{StateFolder, random_hex, read_secret};
use crate::undo::Record;
use crate::undo::records::Records;

/// How long the agent may be silent: it answers within milliseconds, and tells of a read-back within the time that
/// the ward gives it.
const PATIENCE: Duration = Duration::from_secs(8);

/// Something may still be on.
const NOT_CLEAN: u8 = 5;

/// A connection to the agent.
pub trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// Aborts, prints every line of the answer, and succeeds only if all is off and proved.
pub fn abort(args: &AbortArgs) -> anyhow::Result<ExitCode> {
    let request = AbortRequest {
        abort: Some(random_hex::<8>()?),
        drill: None,
        latch: !args.no_latch,
        reason: Some(args.reason.clone()),
        who: Some(format!("user {} on the host", nix::unistd::getuid())),
    };
    let body = serde_json::to_string(&request)?;
    // An answer that breaks off is tried again: the agent may only have had too many callers.
    let why = match by_socket(args, &body).and_then(begin).and_then(print_lines) {
        Ok(code) => return Ok(code),
        Err(why) => why,
    };
    eprintln!("firedrill-agent: {why:#}; trying its listener");
    let why = match by_listener(args, &body).and_then(begin).and_then(print_lines) {
        Ok(code) => return Ok(code),
        Err(why) => why,
    };
    if why.is::<Refused>() {
        return Err(why);
    }
    eprintln!("firedrill-agent: {why:#}; undoing its records here");
    without_agent(args)
}

/// Takes back what an agent left that is dead, or that hangs: then it is ended first.
fn without_agent(args: &AbortArgs) -> anyhow::Result<ExitCode> {
    if !args.state.join("lock").exists() {
        bail!(
            "{} is not an agent's state folder: give the one that `serve` was given, with --state",
            args.state.display()
        );
    }
    let state = match StateFolder::open(&args.state) {
        Ok(state) => state,
        Err(why) => {
            let hung = StateFolder::holder(&args.state).with_context(|| format!("{why:#}"))?;
            eprintln!(
                "firedrill-agent: process {} holds the folder and answers nothing: it hangs and is ended",
                hung.pid
            );
            hung.kill(Duration::from_secs(5))
                .with_context(|| format!("the agent, process {}", hung.pid))?;
            StateFolder::open(&args.state)?
        }
    };
    let durable = state.path().join("durable.json");
    if !args.no_latch && (durable.exists() || state.path().join("audit.log").exists()) {
        // Before anything else: nothing starts from here on.
        let mut durable = state.load();
        durable.latch_for(&args.reason);
        state.save(&durable)?;
    }
    let records = Records::open(state.path())?;
    // Its keeper may be at work, or have been: what it has seen gone is told too.
    let mut clean = true;
    let told = keeper::clear(state.path(), &records)?;
    for (record, undone) in &told {
        clean &= print_undone(
            record,
            undone.gone,
            &undone.words,
            undone.by_hand.as_deref(),
            &records,
        );
    }
    for record in records.find()?.records {
        if let Some(words) = record
            .undone
            .as_deref()
            .filter(|_| !told.iter().any(|(it, _)| it.key == record.key))
        {
            clean &= print_undone(&record, true, words, None, &records);
        }
    }
    for (path, why) in records.find()?.unreadable {
        clean = false;
        eprintln!(
            "firedrill-agent: {} cannot be read ({why}): look at what was on, in audit.log",
            path.display()
        );
    }
    println!(
        "{}",
        serde_json::json!({ "line": "end", "clean": clean, "agent": "not running" })
    );
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_CLEAN)
    })
}

/// A line of what came of one record, after a second look; whether it is gone.
fn print_undone(record: &Record, gone: bool, words: &str, by_hand: Option<&str>, records: &Records) -> bool {
    let (proved, seen) = record.prove(&records.here);
    println!(
        "{}",
        serde_json::json!({
            "line": "undone", "injection": record.key.id, "fault": record.fault, "gone": gone, "seen": words,
            "by_hand": by_hand, "proved": proved, "proof": seen,
        })
    );
    gone && proved
}

fn by_socket(args: &AbortArgs, body: &str) -> anyhow::Result<Box<dyn Wire>> {
    let path = args.state.join("agent.sock");
    let stream = UnixStream::connect(&path).with_context(|| format!("no agent at {}", path.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream: Box<dyn Wire> = Box::new(stream);
    ask(stream.as_mut(), "localhost", None, body)?;
    Ok(stream)
}

fn by_listener(args: &AbortArgs, body: &str) -> anyhow::Result<Box<dyn Wire>> {
    let file = args.state.join("abort-token");
    let token = read_secret(&file)?.with_context(|| {
        format!(
            "no abort token in {}: is --state the agent's folder?",
            file.display()
        )
    })?;
    let ready = enroll::ready(&args.state).ok();
    let address = args.address.or(ready.as_ref().map(|ready| ready.abort_listen));
    let mut address =
        address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], firedrill_wire::DEFAULT_PORT + 1)));
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv6() {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        });
    }
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(3)).with_context(|| {
        format!("no agent answers on {address}: if its process is gone, so is what it held")
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream: Box<dyn Wire> = match ready.and_then(|ready| ready.fingerprint) {
        Some(pin) => Box::new(over_tls(stream, address, pin)?),
        None => Box::new(stream),
    };
    ask(stream.as_mut(), &address.to_string(), Some(token.trim()), body)?;
    Ok(stream)
}

fn over_tls(
    stream: TcpStream,
    address: SocketAddr,
    pin: Fingerprint,
) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
    let config = PinnedTls::new(pin).config();
    let connection = ClientConnection::new(config, ServerName::from(address.ip()))?;
    Ok(StreamOwned::new(connection, stream))
}

fn ask(stream: &mut dyn Wire, host: &str, token: Option<&str>, body: &str) -> io::Result<()> {
    let token = token
        .map(|token| format!("authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    // HTTP/1.0: the answer is not chunked and ends with the connection.
    let head = format!(
        "POST /v1/abort HTTP/1.0\r\nhost: {host}\r\n{token}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

/// The agent is there and says no.
#[derive(Debug, thiserror::Error)]
#[error("the agent refused: {0}")]
struct Refused(String);

/// Reads up to the first line of the answer: whoever gives none hangs.
fn begin(stream: Box<dyn Wire>) -> anyhow::Result<BufReader<Box<dyn Wire>>> {
    let mut answer = BufReader::new(stream);
    let mut status = String::new();
    let read = answer.read_line(&mut status);
    anyhow::ensure!(
        read.is_ok_and(|read| read > 0),
        "the agent does not answer within {} s",
        PATIENCE.as_secs()
    );
    let mut header = String::new();
    while answer.read_line(&mut header)? > 0 && !header.trim().is_empty() {
        header.clear();
    }
    if !status.contains(" 200") {
        let mut why = String::new();
        answer.take(64 * 1024).read_to_string(&mut why)?;
        return Err(Refused(format!("{} {why}", status.trim())).into());
    }
    Ok(answer)
}

fn print_lines(answer: BufReader<Box<dyn Wire>>) -> anyhow::Result<ExitCode> {
    for line in answer.lines() {
        let line = line.context("the answer broke off: not confirmed")?;
        println!("{line}");
        if let Ok(AbortLine::End { clean, .. }) = serde_json::from_str(&line) {
            return Ok(if clean {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(NOT_CLEAN)
            });
        }
    }
    bail!("the answer has no end: not confirmed")
}
