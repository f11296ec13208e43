//! `firedrill-agent abort`: on the host itself, without a console, a name or a network.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use firedrill_wire::{AbortLine, AbortRequest};

use crate::cli::AbortArgs;
use crate::state::{random_hex, read_small};

/// How long the agent may be silent; it answers within milliseconds, a read-back takes seconds at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something may still be on.
const NOT_CLEAN: u8 = 5;

trait Wire: Read + Write {}
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
    let lines = match by_socket(args, &body) {
        Ok(answer) => answer,
        Err(why) => {
            eprintln!("firedrill-agent: {why:#}; trying {}", args.address);
            by_listener(args, &body)?
        }
    };
    print_lines(lines)
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
    let token = read_small(&file).with_context(|| {
        format!(
            "no abort token in {}: is --state the agent's folder?",
            file.display()
        )
    })?;
    let stream = TcpStream::connect_timeout(&args.address, Duration::from_secs(3)).with_context(|| {
        format!(
            "no agent answers on {}: if its process is gone, so is what it held",
            args.address
        )
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream: Box<dyn Wire> = Box::new(stream);
    ask(
        stream.as_mut(),
        &args.address.to_string(),
        Some(token.trim()),
        body,
    )?;
    Ok(stream)
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

fn print_lines(stream: Box<dyn Wire>) -> anyhow::Result<ExitCode> {
    let mut answer = BufReader::new(stream);
    let mut status = String::new();
    answer
        .read_line(&mut status)
        .context("the agent does not answer")?;
    let mut header = String::new();
    while answer.read_line(&mut header)? > 0 && !header.trim().is_empty() {
        header.clear();
    }
    if !status.contains(" 200") {
        let mut why = String::new();
        answer.take(64 * 1024).read_to_string(&mut why)?;
        bail!("the agent refused: {} {why}", status.trim());
    }
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
    eprintln!("firedrill-agent: the answer has no end: not confirmed");
    Ok(ExitCode::from(NOT_CLEAN))
}
