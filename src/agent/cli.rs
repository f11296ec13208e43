//! `firedrill-agent …`, and the same as `firedrill agent …`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, ConfigFile, SelfCommand, parse_dns_name, parse_label, parse_route};
use crate::faults::child_main::ChildArgs;
use crate::faults::{cpu_burn_child, disk_fill_child, load_http_child, memory_fill_child};
use crate::keeper::process::KeeperArgs;
use crate::policy::Policy;
use crate::{doctor, enroll, install, keeper, local, privileges, proxy, server, urgency};

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
    /// Print one line to paste into a console: address, certificate and tokens of the agent that runs here.
    Enroll(EnrollArgs),
    /// Make a service of systemd of it: unit, config, policy and tokens.
    Install(InstallArgs),
    /// Remove all that `install` has written and the agent has kept, and look whether it is gone.
    Uninstall(UninstallArgs),
    /// The proxy; started by the agent.
    #[command(hide = true)]
    Proxy(proxy::ProxyArgs),
    /// Keep cores busy; started by the agent.
    #[command(hide = true)]
    Burn(ChildArgs),
    /// Hold memory; started by the agent.
    #[command(hide = true)]
    Fill(ChildArgs),
    /// Hold space of a disk; started by the agent.
    #[command(hide = true)]
    FillDisk(ChildArgs),
    /// Send requests; started by the agent.
    #[command(hide = true)]
    Load(ChildArgs),
    /// Ask for memory in a cgroup that has none left; started by the agent.
    #[command(hide = true)]
    Push(ChildArgs),
    /// End what is on when the agent cannot: the service for agents that run with --separate-keeper. Others start
    /// their own.
    Keeper(KeeperArgs),
    /// Print the version of the program and of its protocol.
    Version,
}

/// `serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// The config file, TOML: listen, tls, dns_names, state, name, labels, routes, retire_proxy, separate_keeper. What is given here
    /// comes before it. With a config SIGHUP reads tokens and policy again instead of ending the agent.
    #[arg(long)]
    pub config: Option<PathBuf>,

    /// What may be injected here, TOML; `policy.toml` beside the config if that is there. It cannot be read: no start.
    /// None: on loopback every fault is allowed, off loopback only what can be taken back, for 10 min at the most.
    #[arg(long)]
    pub policy: Option<PathBuf>,

    /// Where to listen [default: 127.0.0.1:7431]. Off loopback always over TLS, with a certificate that is made at the
    /// first start; `enroll` prints the line that makes a console trust it. Aborts are served on the next port too.
    #[arg(long)]
    pub listen: Option<SocketAddr>,

    /// TLS on loopback too.
    #[arg(long)]
    pub tls: bool,

    /// A name that other hosts call this one by, besides its own. May be given again.
    #[arg(long = "dns-name", value_parser = parse_dns_name)]
    pub dns_names: Vec<String>,

    /// The state folder: id, tokens, what is on, audit log, sockets. Made if it is not there.
    /// [default: $STATE_DIRECTORY, or firedrill-agent in the user's state folder]
    #[arg(long)]
    pub state: Option<PathBuf>,

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

    /// The keeper is a service of its own, `firedrill-agent keeper --state …` on the same state folder, and not a
    /// child of the agent. Without it nothing starts.
    #[arg(long)]
    pub separate_keeper: bool,

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

    /// The agent's abort listener, for when its socket is gone; the state folder knows it.
    #[arg(long)]
    pub address: Option<SocketAddr>,

    /// Why, for the latch and the audit log.
    #[arg(long, default_value = "aborted on the host")]
    pub reason: String,

    /// Take back without latching.
    #[arg(long)]
    pub no_latch: bool,
}

/// `enroll`.
#[derive(Args, Clone, Debug)]
pub struct EnrollArgs {
    /// The agent's state folder.
    #[arg(long, default_value_os_t = default_state())]
    pub state: PathBuf,

    /// How consoles reach this host: a name or an address. [default: where it listens, else its name]
    #[arg(long)]
    pub address: Option<String>,

    /// A token of its own for this person, made at the first time: the audit log and the policy know them apart.
    #[arg(long, value_name = "NAME", conflicts_with = "observer")]
    pub operator: Option<String>,

    /// For somebody who only watches.
    #[arg(long)]
    pub observer: bool,
}

/// `install`.
#[derive(Args, Clone, Debug)]
pub struct InstallArgs {
    /// The folder that stands for `/`.
    #[arg(long, default_value = "/")]
    pub root: PathBuf,

    /// Where the agent shall listen.
    #[arg(long, default_value = "0.0.0.0:7431")]
    pub listen: SocketAddr,
}

/// `uninstall`.
#[derive(Args, Clone, Debug)]
pub struct UninstallArgs {
    /// The folder that stands for `/`.
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
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
        AgentCommand::Install(args) => {
            install::install(&args, &SelfCommand::current(words)?).map(|()| ExitCode::SUCCESS)
        }
        AgentCommand::Uninstall(args) => install::uninstall(&args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Enroll(args) => enroll::run(&args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Proxy(args) => proxy::run(args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Burn(args) => cpu_burn_child::run(&args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Fill(args) => memory_fill_child::run(&args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Load(args) => load_http_child::run(&args).map(|()| ExitCode::SUCCESS),
        AgentCommand::Push(args) => memory_fill_child::push(&args).map(|()| ExitCode::SUCCESS),
        AgentCommand::FillDisk(args) => disk_fill_child::run(&args).map(|()| ExitCode::SUCCESS),
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

/// `FIREDRILL_LOG`: a level, or `target=level` with commas between; `info` where it is not given.
fn start_log() {
    let given = std::env::var("FIREDRILL_LOG").ok();
    let filter = given.and_then(|text| text.parse::<Targets>().ok());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("firedrill-agent: {error:#}");
        ExitCode::from(2)
    })
}

fn config(args: ServeArgs, program: SelfCommand) -> anyhow::Result<Config> {
    let file = args.config.as_deref().map(ConfigFile::read).transpose()?;
    let beside = args
        .config
        .as_ref()
        .map(|config| config.with_file_name("policy.toml"));
    let file = file.unwrap_or_default();
    let mut routes = file.routes()?;
    routes.extend(args.routes);
    let mut labels = file.labels;
    labels.extend(args.labels);
    Ok(Config {
        listen: args
            .listen
            .or(file.listen)
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], firedrill_wire::DEFAULT_PORT))),
        tls: args.tls || file.tls,
        dns_names: [file.dns_names, args.dns_names].concat(),
        policy: args.policy.or(beside.filter(|path| path.exists())),
        state: args.state.or(file.state).unwrap_or_else(default_state),
        name: args.name.or(file.name),
        labels,
        routes,
        retire_proxy: args.retire_proxy || file.retire_proxy,
        separate_keeper: args.separate_keeper || file.separate_keeper,
        program,
    })
}

/// Keeps what the faults of this host need, before there is a second thread.
fn give_up_privileges(config: &Config) -> anyhow::Result<()> {
    let policy = Policy::of(config.policy.as_deref(), config.off_loopback());
    let faults = firedrill_catalogue::FAULTS.iter().map(|spec| spec.name);
    let enabled = faults.filter(|name| policy.never(name).is_none());
    let ports = privileges::route_ports(&config.routes).chain([config.listen.port()]);
    privileges::keep(&privileges::needed(enabled, ports)).context("capabilities cannot be given up")
}

fn serve(args: ServeArgs, program: SelfCommand) -> anyhow::Result<ExitCode> {
    let exit_with_stdin = args.exit_with_stdin;
    // A service is told by SIGHUP to read its files again; a terminal tells by it that it is gone.
    let reloads = args.config.is_some() || args.policy.is_some();
    let config = config(args, program)?;
    urgency::allow();
    give_up_privileges(&config)?;
    // A runtime of its own: the signal to end must not wait for those that serve.
    let signals = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let [mut terminate, mut interrupt, mut hangup] = {
        let _inside = signals.enter();
        let caught = |kind| signal(kind).context("the signals to end cannot be caught");
        [
            caught(SignalKind::terminate())?,
            caught(SignalKind::interrupt())?,
            caught(SignalKind::hangup())?,
        ]
    };
    let closed = exit_with_stdin.then(stdin_closes).transpose()?;
    let running = server::start(config)?;
    println!("{}", serde_json::to_string(&running.ready)?);
    signals.block_on(async {
        let closed = async {
            match closed {
                // Also when the thread that reads is gone.
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        let mut closed = std::pin::pin!(closed);
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                () = &mut closed => return,
                _ = hangup.recv() => if reloads { running.reload() } else { return },
            }
        }
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
