//! `firedrill-agent …`, and the same as `firedrill agent …`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, SelfCommand, parse_label, parse_route};
use crate::faults::child_main::ChildArgs;
use crate::faults::{cpu_burn_child, memory_fill_child};
use crate::keeper::process::KeeperArgs;
use crate::{doctor, keeper, local, proxy, server};

/// Something may still be on.
const NOT_CLEAN: u8 = 5;

/// What an agent's program does.
#[derive(Clone, Debug, Subcommand)]
pub enum AgentCommand {
    /// Serve consoles on this host, until SIGTERM takes everything back.
    Serve(ServeArgs),
    /// Take back everything on this host and latch, without the console.
    Abort(AbortArgs),
    /// What is on or left on this host, and what can be done here; also with the agent dead.
    Doctor(DoctorArgs),
    /// The proxy; started by the agent.
    #[command(hide = true)]
    Proxy(proxy::ProxyArgs),
    /// Keep cores busy; started by the agent.
    #[command(hide = true)]
    Burn(ChildArgs),
    /// Hold memory; started by the agent.
    #[command(hide = true)]
    Fill(ChildArgs),
    /// End what is on when the agent cannot; started by the agent.
    #[command(hide = true)]
    Keeper(KeeperArgs),
    /// Print the version of the program and of its protocol.
    Version,
}

/// `serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Where to listen; loopback only in this version. Aborts are served on the next port too.
    #[arg(long, default_value = "127.0.0.1:7431")]
    pub listen: SocketAddr,

    /// The state folder: id, tokens, what is on, audit log, sockets. Made if it is not there.
    #[arg(long, default_value_os_t = default_state())]
    pub state: PathBuf,

    /// What this host is called; the kernel's name for it if not given.
    #[arg(long)]
    pub name: Option<String>,

    /// A label that plans choose agents by, `key=value`. May be given again.
    #[arg(long = "label", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,

    /// A path of traffic, `name=listen=upstream[:http|tcp]`. May be given again.
    #[arg(long = "route", value_parser = parse_route)]
    pub routes: Vec<firedrill_wire::Route>,

    /// End the proxy with the agent: its routes close.
    #[arg(long)]
    pub retire_proxy: bool,

    /// End as by SIGTERM when standard input closes: the agent ends with whoever started it, however that ends.
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// `doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// The agent's state folder.
    #[arg(long, default_value_os_t = default_state())]
    pub state: PathBuf,
}

/// `abort`.
#[derive(Args, Clone, Debug)]
pub struct AbortArgs {
    /// The agent's state folder.
    #[arg(long, default_value_os_t = default_state())]
    pub state: PathBuf,

    /// The agent's abort listener, for when its socket is gone.
    #[arg(long, default_value = "127.0.0.1:7432")]
    pub address: SocketAddr,

    /// Why, for the latch and the audit log.
    #[arg(long, default_value = "aborted on the host")]
    pub reason: String,

    /// Take back without latching.
    #[arg(long)]
    pub no_latch: bool,
}

#[derive(Debug, Parser)]
#[command(
    name = "firedrill-agent",
    version,
    about = "Injects real faults on this host and always takes them back"
)]
struct Cli {
    #[command(subcommand)]
    command: AgentCommand,
}

/// `$STATE_DIRECTORY` (systemd), else a folder of the user's.
fn default_state() -> PathBuf {
    if let Some(folder) = std::env::var_os("STATE_DIRECTORY").filter(|it| !it.is_empty()) {
        return PathBuf::from(folder);
    }
    let base = std::env::var_os("XDG_STATE_HOME")
        .filter(|it| !it.is_empty())
        .map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")));
    base.unwrap_or_else(|| PathBuf::from("/var/lib"))
        .join("firedrill-agent")
}

/// `firedrill-agent`'s whole main.
pub fn main() -> ExitCode {
    start_log();
    finish(run_as(Cli::parse().command, &[]))
}

/// `firedrill agent …`; the caller has set up its log.
pub fn run(command: AgentCommand) -> anyhow::Result<ExitCode> {
    run_as(command, &["agent"])
}

/// Runs a command of a program whose own subcommands come after `words`.
pub fn run_as(command: AgentCommand, words: &[&str]) -> anyhow::Result<ExitCode> {
    match command {
        AgentCommand::Serve(args) => serve(args, SelfCommand::current(words)?),
        AgentCommand::Abort(args) => local::abort(&args),
        AgentCommand::Doctor(args) => doctor::run(&args.state, &SelfCommand::current(words)?),
        AgentCommand::Proxy(args) => proxy::run(args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Burn(args) => cpu_burn_child::run(&args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Fill(args) => memory_fill_child::run(&args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Keeper(args) => keeper::process::run(&args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Version => {
            println!(
                "firedrill-agent {}, protocol {}",
                env!("CARGO_PKG_VERSION"),
                firedrill_wire::PROTOCOL_VERSION
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("FIREDRILL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("firedrill-agent: {error:#}");
        ExitCode::from(2)
    })
}

fn serve(args: ServeArgs, program: SelfCommand) -> anyhow::Result<ExitCode> {
    let config = Config {
        listen: args.listen,
        state: args.state,
        name: args.name,
        labels: args.labels.into_iter().collect(),
        routes: args.routes,
        retire_proxy: args.retire_proxy,
        program,
    };
    // A runtime of its own: the signal to end must not wait for those that serve.
    let signals = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut end = {
        let _inside = signals.enter();
        [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
        ]
        .into_iter()
        .map(signal)
        .collect::<Result<Vec<_>, _>>()
        .context("the signals to end cannot be caught")?
    };
    let closed = args.exit_with_stdin.then(stdin_closes).transpose()?;
    let running = server::start(config)?;
    println!("{}", serde_json::to_string(&running.ready)?);
    signals.block_on(async {
        let waits = end.iter_mut().map(|signal| Box::pin(signal.recv()));
        let signalled = futures_util::future::select_all(waits);
        let closed = async {
            match closed {
                // Also when the thread that reads is gone.
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        futures_util::future::select(signalled, std::pin::pin!(closed)).await;
    });
    tracing::info!("told to end: everything is taken back");
    Ok(if running.stop() {
        ExitCode::SUCCESS
    } else {
        eprintln!("firedrill-agent: not everything is confirmed to be off; see the audit log");
        ExitCode::from(NOT_CLEAN)
    })
}

/// Tells when standard input has ended.
fn stdin_closes() -> anyhow::Result<tokio::sync::oneshot::Receiver<()>> {
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            // An error is an end too. What is written there is nothing to us.
            drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
            drop(tell);
        })
        .context("no thread to watch standard input with")?;
    Ok(told)
}
