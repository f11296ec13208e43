//! The console's program, with a home of its own.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::{Agent, Folder, Process, Programs};

/// Where in an account its programs put what is temporary: what one leaves there when it is killed goes with the
/// account.
const TEMPORARY: &str = "tmp";

/// `firedrill` as one person on one computer starts it: all its calls share settings, tokens and abort cards.
#[derive(Debug)]
pub struct Firedrill {
    programs: Programs,
    /// Ends what the program leaves behind on purpose, such as a process that goes on aborting.
    home: Folder,
}

/// A `firedrill` that runs.
#[derive(Debug)]
pub struct Console {
    /// Its process.
    pub process: Process,
}

/// A `firedrill` that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code; `None`: ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Finished {
    /// Itself if it ended with this code.
    pub fn expect_code(self, code: i32) -> anyhow::Result<Self> {
        anyhow::ensure!(
            self.code == Some(code),
            "exit code {:?} instead of {code}\n--- standard output\n{}\n--- standard error\n{}",
            self.code,
            self.out,
            self.err
        );
        Ok(self)
    }

    /// Both outputs.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }
}

impl Firedrill {
    /// A person's account with nothing in it.
    pub fn new(programs: Programs) -> anyhow::Result<Self> {
        let home = Folder::new()?;
        fs::create_dir(home.path().join(TEMPORARY))?;
        Ok(Self { programs, home })
    }

    /// A folder that is gone with this account.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file in it.
    pub fn file(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.home().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Writes the tokens of these agents where the program looks for them.
    pub fn know(&self, agents: &[&Agent]) -> anyhow::Result<()> {
        let agents: Vec<_> = agents.iter().map(|agent| (agent.url(), *agent)).collect();
        self.know_at(&agents)
    }

    /// The same for agents that plans give these addresses.
    pub fn know_at(&self, agents: &[(String, &Agent)]) -> anyhow::Result<()> {
        let entry = |(url, agent): &(String, &Agent)| -> anyhow::Result<(String, Value)> {
            let abort_token = fs::read_to_string(agent.state.join("abort-token"))?;
            Ok((
                url.clone(),
                json!({ "token": agent.token, "abort_token": abort_token.trim(), "pin": agent.fingerprint }),
            ))
        };
        let entries: Map<_, _> = agents.iter().map(entry).collect::<anyhow::Result<_>>()?;
        let folder = self.home().join("config/firedrill");
        fs::create_dir_all(&folder)?;
        let path = folder.join("credentials.json");
        fs::remove_file(&path).ok();
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path)?;
        serde_json::to_writer(file, &entries).context("the credentials cannot be written")
    }

    /// The newest abort card.
    pub fn abort_card(&self) -> PathBuf {
        let drills = self.home().join("data/firedrill/drills");
        let files = fs::read_dir(&drills).into_iter().flatten().flatten();
        let cards = files
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|it| it == "json"));
        // Their names begin with their time. Without any: a name that is not there.
        cards.max().unwrap_or_else(|| drills.join("none.json"))
    }

    /// Every journal of this account, wherever it was written.
    pub fn journals(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![self.home().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "jsonl") {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }

    /// The only journal of this account.
    pub fn journal(&self) -> anyhow::Result<PathBuf> {
        let mut journals = self.journals()?;
        anyhow::ensure!(journals.len() == 1, "not one journal: {journals:?}");
        journals.pop().context("no journal")
    }

    /// The command, in this account, without a display.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.firedrill);
        let home = self.home();
        command
            .args(words)
            .current_dir(home)
            .env("HOME", home)
            .env("TMPDIR", home.join(TEMPORARY))
            .env("USER", "tests");
        for (name, folder) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "runtime"),
        ] {
            command.env(name, home.join(folder));
        }
        for gone in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
            command.env_remove(gone);
        }
        command
    }

    /// Starts it.
    pub fn start(&self, words: &[&str]) -> anyhow::Result<Console> {
        self.start_command(words[0], self.command(words))
    }

    /// Starts a command made by [`Self::command`].
    pub fn start_command(&self, name: &str, command: Command) -> anyhow::Result<Console> {
        let process = Process::start(&format!("firedrill-{name}"), command, self.home())?;
        Ok(Console { process })
    }

    /// Runs it to its end.
    pub fn run(&self, words: &[&str], limit: Duration) -> anyhow::Result<Finished> {
        self.start(words)?.finish(limit)
    }
}

impl Console {
    /// Waits for its end.
    pub fn finish(mut self, limit: Duration) -> anyhow::Result<Finished> {
        let ended = self.process.wait(limit)?;
        Ok(Finished {
            code: ended.code(),
            out: self.process.rest(),
            err: self.process.stderr(),
        })
    }
}
