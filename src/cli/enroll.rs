//! `enroll`: what an agent's join string says goes into this account's credentials.

use std::{
    io::{IsTerminal as _, Read as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use firedrill_fleet::Credentials;
use firedrill_trust::Join;

use crate::settings;

/// No join string is longer.
const MAX_BYTES: u64 = 16 * 1024;

#[derive(Args)]
pub struct EnrollArguments {
    /// The line; without it, it is read from standard input, and stays out of the shell's history
    #[arg(value_name = "LINE")]
    join: Option<String>,
    /// What the agent is called in plans; the name of its host if not given
    #[arg(long)]
    name: Option<String>,
}

/// Keeps the tokens and the fingerprint, and says what to write into a plan.
pub fn enroll(arguments: EnrollArguments) -> anyhow::Result<ExitCode> {
    let text = match arguments.join {
        Some(text) => text,
        None => from_input()?,
    };
    let join: Join = text.parse()?;
    let path = settings::folders()?.config.join(settings::CREDENTIALS);
    let mut credentials = Credentials::load(&path)?;
    let url = join.url();
    let known = credentials.pin(&url);
    credentials.enroll(&join);
    credentials.save(&path)?;
    let name = arguments.name.unwrap_or_else(|| join.name.clone());
    match (join.pin, known) {
        (Some(pin), Some(before)) if pin != before => {
            println!("{name} is enrolled anew; its certificate was {before}, now it is {pin}");
        }
        (Some(pin), _) => println!("{name} is enrolled; its certificate is {pin}"),
        (None, _) => println!("{name} is enrolled, without TLS: it is on this computer"),
    }
    let answer = super::abort::info(&name, &url, credentials.access(&url));
    match answer {
        Ok(info) => println!("it answers: {} on {}", info.version, info.host),
        Err(why) => println!("it does not answer now: {why}"),
    }
    println!("in a plan:\n\n[[agent]]\nname = {name:?}\nurl = {url:?}");
    Ok(ExitCode::SUCCESS)
}

fn from_input() -> anyhow::Result<String> {
    let input = std::io::stdin();
    let mut text = String::new();
    if input.is_terminal() {
        eprintln!("paste the line that `firedrill-agent enroll` printed:");
        input.read_line(&mut text)
    } else {
        input.lock().take(MAX_BYTES).read_to_string(&mut text)
    }
    .context("standard input cannot be read")?;
    Ok(text)
}
