//! `firedrill-agent install` and `uninstall`: a service of systemd, its config, policy and tokens; and all of it gone.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::access::Access;
use crate::cli::{InstallArgs, UninstallArgs};
use crate::config::SelfCommand;
use crate::policy::{FRESH, Policy};
use crate::state::{StateFolder, read_small};

const UNIT: &str = "etc/systemd/system/firedrill-agent.service";
const KEEPER_UNIT: &str = "etc/systemd/system/firedrill-agent-keeper.service";
const WANTED: [&str; 2] = [
    "etc/systemd/system/multi-user.target.wants/firedrill-agent.service",
    "etc/systemd/system/multi-user.target.wants/firedrill-agent-keeper.service",
];
const CONFIG: &str = "etc/firedrill-agent";
const STATE: &str = "var/lib/firedrill-agent";

/// How long a proxy that is told to end may take.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// What both units say of their rights and their folder.
const RIGHTS: &str = "StateDirectory=firedrill-agent
StateDirectoryMode=0700
UMask=0077
NoNewPrivileges=yes
ProtectKernelModules=yes
ProtectClock=yes
RestrictSUIDSGID=yes
LockPersonality=yes
";

/// The agent's unit. Kept in one piece, so that it can be read as systemd does.
fn unit(program: &str) -> String {
    format!(
        "[Unit]
Description=Firedrill agent: injects faults and always takes them back
After=network.target firedrill-agent-keeper.service
# Not Requires: an agent whose keeper is stopped takes back what needs one, and starts nothing.
Wants=firedrill-agent-keeper.service

[Service]
Type=exec
ExecStart={program} serve --config /{CONFIG}/agent.toml --state /{STATE} --separate-keeper
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
# Only the agent itself is told to end. Its proxy stays, so that traffic goes on through the routes; control-group
# would kill it too.
KillMode=process
# An end takes everything back first; a read-back may take 30 s.
TimeoutStopSec=45
LimitNOFILE=65536
OOMScoreAdjust=-500
# What stops and takes back comes before others on a busy host.
LimitNICE=-10
# The agent itself gives up what its policy does not need, CAP_SETPCAP included.
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_KILL CAP_SYS_RESOURCE CAP_DAC_OVERRIDE CAP_NET_BIND_SERVICE CAP_BPF CAP_NET_ADMIN CAP_SYS_ADMIN CAP_SETPCAP
{RIGHTS}
[Install]
WantedBy=multi-user.target
"
    )
}

/// The keeper's unit.
fn keeper_unit(program: &str) -> String {
    format!(
        "[Unit]
Description=Firedrill keeper: takes back what is on when the agent cannot
# Stopped after the agent, which takes everything back first.
Before=firedrill-agent.service
# It is there again whatever becomes of it, as often as it takes.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={program} keeper --state /{STATE}
Restart=always
RestartSec=100ms
OOMScoreAdjust=-900
# To end an agent that hangs, and to ask the kernel which programs are on a cgroup.
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_KILL CAP_SYS_RESOURCE CAP_DAC_OVERRIDE CAP_NET_ADMIN
{RIGHTS}
[Install]
WantedBy=multi-user.target
"
    )
}

fn config(listen: SocketAddr) -> String {
    format!(
        r#"# What the agent of this host is started with; see `firedrill-agent serve --help`.
# Off loopback it speaks TLS alone; `firedrill-agent enroll --state /{STATE}` prints the line for a console.

listen = "{listen}"                  # aborts are served on the next port too
# name = "payments-1"                       # the kernel's name for the host if not given
# dns_names = ["payments-1.internal"]       # names that consoles reach it by, besides its own
# labels = {{ env = "staging", service = "payments" }}
# routes = ["payments=127.0.0.1:8081=127.0.0.1:9081:http"]
"#
    )
}

/// Writes everything; what is there already stays, but for the units.
pub fn install(args: &InstallArgs, program: &SelfCommand) -> anyhow::Result<()> {
    let root = &args.root;
    let mut words = vec![program.program.display().to_string()];
    words.extend(program.words.iter().cloned());
    if words
        .iter()
        .any(|word| word.contains(|c: char| c.is_whitespace() || "\"'\\%$".contains(c)))
    {
        bail!(
            "{} cannot stand in a unit file; copy the program to a plain path such as /usr/local/bin",
            words.join(" ")
        );
    }
    folder(&root.join(CONFIG), 0o755)?;
    folder(&root.join("etc/systemd/system"), 0o755)?;
    folder(&root.join("var/lib"), 0o755)?;
    for (path, text) in [
        (root.join(CONFIG).join("agent.toml"), config(args.listen)),
        (root.join(CONFIG).join("policy.toml"), FRESH.to_owned()),
    ] {
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
        {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                println!("written  {}", path.display());
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => println!("kept     {}", path.display()),
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
    // Tokens, for the owner alone, so that a join string can be had before the first start is looked at.
    let state = StateFolder::open(&root.join(STATE))?;
    Access::load(&state, Policy::default())?;
    println!("written  {} (tokens, mode 0600)", state.path().display());
    let program = words.join(" ");
    for (path, text) in [(UNIT, unit(&program)), (KEEPER_UNIT, keeper_unit(&program))] {
        let path = root.join(path);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("written  {}", path.display());
    }
    println!(
        "next:    systemctl daemon-reload && systemctl enable --now firedrill-agent-keeper firedrill-agent\n         firedrill-agent enroll --state /{STATE}"
    );
    Ok(())
}

fn folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("cannot make {}", path.display()))
}

/// Removes everything, and looks whether it is gone.
pub fn uninstall(args: &UninstallArgs) -> anyhow::Result<()> {
    let root = &args.root;
    let state = root.join(STATE);
    if state.exists() {
        let held = StateFolder::open(&state)
            .context("end it first: systemctl disable --now firedrill-agent firedrill-agent-keeper")?;
        let on = held
            .load()
            .records
            .iter()
            .filter(|record| !record.state.is_off())
            .count();
        if on > 0 {
            bail!(
                "{on} injections of {} are not known to be off: `firedrill-agent abort --state {0}` first, then uninstall",
                state.display()
            );
        }
    }
    for process in processes(&state) {
        if process.is_keeper {
            bail!(
                "the keeper still runs, process {}; end it first: systemctl disable --now firedrill-agent-keeper",
                process.pid
            );
        }
        if process.is_proxy {
            kill(Pid::from_raw(process.pid), Signal::SIGTERM).ok();
            let began = Instant::now();
            while crate::faults::process::stat(process.pid).is_ok_and(|it| it.state != 'Z')
                && began.elapsed() < ENDS_WITHIN
            {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    let written = [UNIT, KEEPER_UNIT, CONFIG, STATE];
    let paths: Vec<PathBuf> = written.iter().chain(&WANTED).map(|it| root.join(it)).collect();
    for path in &paths {
        let removed = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(_) => Ok(()),
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let mut left = 0;
    for path in &paths {
        let gone = matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound);
        left += usize::from(!gone);
        println!("{}  {}", if gone { "gone" } else { "LEFT" }, path.display());
    }
    let processes = processes(&state);
    for process in &processes {
        println!("LEFT  process {}: {}", process.pid, process.words);
    }
    if processes.is_empty() {
        println!("gone  processes of {}", state.display());
    }
    if left + processes.len() > 0 {
        bail!("something is left, see above");
    }
    println!("next: systemctl daemon-reload; the program itself is where you put it");
    Ok(())
}

struct Found {
    pid: i32,
    words: String,
    is_proxy: bool,
    is_keeper: bool,
}

/// Processes of the agent that were started with this state folder.
fn processes(state: &Path) -> Vec<Found> {
    let folder = state.to_string_lossy();
    let own = std::process::id().cast_signed();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own)
        .filter_map(|pid| {
            let line = read_small(Path::new(&format!("/proc/{pid}/cmdline"))).ok()?;
            let words: Vec<&str> = line.split('\0').collect();
            let ours = ["serve", "proxy", "keeper"]
                .iter()
                .find(|word| words.contains(word))?;
            let inside = |word: &&str| {
                word.strip_prefix(&*folder)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            words.iter().any(inside).then(|| Found {
                pid,
                words: words.join(" ").trim().to_owned(),
                is_proxy: *ours == "proxy",
                is_keeper: *ours == "keeper",
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn program() -> SelfCommand {
        SelfCommand {
            program: PathBuf::from("/usr/local/bin/firedrill"),
            words: vec!["agent".to_owned()],
        }
    }

    /// Every directive of the units, as systemd knows it, by its section. The services themselves have not been run
    /// by systemd in any test.
    const KNOWN: &[(&str, &[&str])] = &[
        (
            "[Unit]",
            &["Description", "After", "Before", "Wants", "StartLimitIntervalSec"],
        ),
        (
            "[Service]",
            &[
                "Type",
                "ExecStart",
                "ExecReload",
                "Restart",
                "RestartSec",
                "KillMode",
                "TimeoutStopSec",
                "StateDirectory",
                "StateDirectoryMode",
                "UMask",
                "LimitNOFILE",
                "LimitNICE",
                "OOMScoreAdjust",
                "NoNewPrivileges",
                "CapabilityBoundingSet",
                "ProtectKernelModules",
                "ProtectClock",
                "RestrictSUIDSGID",
                "LockPersonality",
            ],
        ),
        ("[Install]", &["WantedBy"]),
    ];

    /// Every directive stands once, in its section.
    fn read_as_systemd_does(text: &str) -> std::collections::BTreeMap<String, String> {
        let mut section = "";
        let mut seen = std::collections::BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let (key, value) = line.split_once('=').unwrap();
            let known = KNOWN.iter().find(|(name, _)| *name == section).unwrap().1;
            assert!(known.contains(&key) && !value.is_empty(), "{section} {line}");
            assert_eq!(seen.insert(key.to_owned(), value.to_owned()), None, "{line}");
        }
        seen
    }

    #[test]
    fn the_units_say_what_systemd_knows() {
        let program = "/usr/local/bin/firedrill agent";
        let agent = read_as_systemd_does(&unit(program));
        let keeper = read_as_systemd_does(&keeper_unit(program));
        assert_eq!(
            agent["ExecStart"],
            "/usr/local/bin/firedrill agent serve --config /etc/firedrill-agent/agent.toml --state /var/lib/firedrill-agent --separate-keeper"
        );
        assert_eq!(
            keeper["ExecStart"],
            "/usr/local/bin/firedrill agent keeper --state /var/lib/firedrill-agent"
        );
        // The agent ends first and leaves its proxy; the keeper outlives it, and is always there again.
        assert!(agent["After"].ends_with("firedrill-agent-keeper.service"));
        assert_eq!(agent["Wants"], "firedrill-agent-keeper.service");
        assert_eq!(agent["KillMode"], "process");
        assert_eq!(keeper["Before"], "firedrill-agent.service");
        assert_eq!(
            (&*keeper["Restart"], &*keeper["StartLimitIntervalSec"]),
            ("always", "0")
        );
        // Both work in the folder that systemd makes for them.
        for unit in [agent, keeper] {
            assert_eq!(format!("var/lib/{}", unit["StateDirectory"]), STATE);
        }
    }

    #[test]
    fn what_the_units_start_is_understood() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Cli {
            #[command(subcommand)]
            command: crate::cli::AgentCommand,
        }
        for text in [unit("/firedrill-agent"), keeper_unit("/firedrill-agent")] {
            let line = read_as_systemd_does(&text).remove("ExecStart").unwrap();
            let parsed = Cli::try_parse_from(line.split(' ')).unwrap();
            match parsed.command {
                crate::cli::AgentCommand::Serve(args) => assert!(args.separate_keeper),
                crate::cli::AgentCommand::Keeper(args) => assert_eq!(args.agent, None),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_was_installed_can_be_read_and_is_gone_after() {
        let root = tempfile::tempdir().unwrap();
        let listen: SocketAddr = "0.0.0.0:7431".parse().unwrap();
        let args = InstallArgs {
            root: root.path().to_owned(),
            listen,
        };
        install(&args, &program()).unwrap();
        let file = crate::config::ConfigFile::read(&root.path().join(CONFIG).join("agent.toml")).unwrap();
        assert_eq!(file.listen, Some(listen));
        let policy = Policy::of(Some(&root.path().join(CONFIG).join("policy.toml")), false)
            .view()
            .unwrap();
        let built_in = Policy::of(None, true).view().unwrap();
        assert_eq!((&policy.broken, &policy.rules), (&None, &built_in.rules));
        assert!(policy.rules.contains(&"longest: 10m".to_owned()), "{policy:?}");
        let token = root.path().join(STATE).join("token");
        assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
        // Again: tokens and what a person wrote stay.
        let before = fs::read_to_string(&token).unwrap();
        fs::write(root.path().join(CONFIG).join("policy.toml"), "longest = \"5m\"\n").unwrap();
        install(&args, &program()).unwrap();
        assert_eq!(fs::read_to_string(&token).unwrap(), before);
        let policy = fs::read_to_string(root.path().join(CONFIG).join("policy.toml")).unwrap();
        assert_eq!(policy, "longest = \"5m\"\n");
        let gone = UninstallArgs {
            root: root.path().to_owned(),
        };
        {
            let _runs = StateFolder::open(&root.path().join(STATE)).unwrap();
            let refusal = format!("{:#}", uninstall(&gone).unwrap_err());
            assert!(refusal.contains("systemctl disable --now"), "{refusal}");
        }
        uninstall(&gone).unwrap();
        for path in [UNIT, KEEPER_UNIT, CONFIG, STATE] {
            assert!(!root.path().join(path).exists(), "{path}");
        }
        uninstall(&gone).unwrap();
    }

    #[test]
    fn a_program_that_no_unit_can_name_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let args = InstallArgs {
            root: root.path().to_owned(),
            listen: "127.0.0.1:7431".parse().unwrap(),
        };
        let program = SelfCommand {
            program: PathBuf::from("/opt/my tools/firedrill-agent"),
            words: Vec::new(),
        };
        assert!(
            install(&args, &program)
                .unwrap_err()
                .to_string()
                .contains("unit file")
        );
        assert!(!root.path().join(UNIT).exists());
    }
}
