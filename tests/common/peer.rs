//! Tests with optional peers: ignored with a reason where one is missing, failed where it is required.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Something a test needs that a Rust toolchain does not bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Debian's `prometheus`.
    Prometheus,
    /// Debian's `prometheus-alertmanager`.
    Alertmanager,
    /// `curl`.
    Curl,
    /// A display without a screen, and what presses keys on it and looks at it.
    Xvfb,
    /// A bus for screen readers: `dbus` and `at-spi2-core`.
    AtSpi,
    /// The right to mount a file system.
    Root,
}

impl Peer {
    /// As written in `FIREDRILL_REQUIRE`.
    fn word(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
            Self::Curl => "curl",
            Self::Xvfb => "xvfb",
            Self::AtSpi => "atspi",
            Self::Root => "root",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Prometheus => &["prometheus"],
            Self::Alertmanager => &["prometheus-alertmanager"],
            Self::Curl => &["curl"],
            Self::Xvfb => &["Xvfb", "xdotool", "xwininfo", "import"],
            Self::AtSpi => &["dbus-daemon"],
            Self::Root => &["mount", "umount"],
        }
    }

    /// `None` when it is there, else what is missing.
    pub fn missing(self) -> Option<String> {
        let gone = self.programs().iter().find(|program| on_path(program).is_none());
        if let Some(program) = gone {
            return Some(format!("`{program}` is not installed"));
        }
        let service = Path::new("/usr/share/dbus-1/services/org.a11y.Bus.service");
        if self == Self::AtSpi && !service.is_file() {
            return Some("`at-spi2-core` is not installed".to_owned());
        }
        (self == Self::Root && !nix::unistd::geteuid().is_root()).then(|| "not run by root".to_owned())
    }

    fn required(self) -> bool {
        let list = std::env::var("FIREDRILL_REQUIRE").unwrap_or_default();
        list.split(',').any(|word| word.trim() == self.word())
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// How a test that this machine may not be able to do ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Possible {
    /// It was done.
    Yes,
    /// It cannot be done here, and why.
    No(String),
}

/// A test that needs these peers.
pub fn test(name: &str, needs: &'static [Peer], body: fn() -> anyhow::Result<()>) -> Trial {
    test_if_possible(name, needs, move || body().map(|()| Possible::Yes))
}

/// A test that needs these peers, and finds out by itself whether the machine can do the rest. Where it cannot, it
/// counts as ignored, with the reason.
pub fn test_if_possible(
    name: &str,
    needs: &'static [Peer],
    body: impl FnOnce() -> anyhow::Result<Possible> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        for peer in needs {
            let Some(missing) = peer.missing() else { continue };
            if peer.required() {
                return Err(Failed::from(format!(
                    "{missing}, and FIREDRILL_REQUIRE names {}",
                    peer.word()
                )));
            }
            return Ok(Completion::ignored_with(missing));
        }
        match body() {
            Ok(Possible::Yes) => Ok(Completion::Completed),
            Ok(Possible::No(why)) => Ok(Completion::ignored_with(format!("not possible here: {why}"))),
            Err(error) => Err(Failed::from(format!("{error:#}"))),
        }
    })
}

/// Runs the tests of a file, at most `side_by_side` at a time: those of one file do not disturb each other.
pub fn run(side_by_side: usize, tests: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(side_by_side);
    libtest_mimic::run(&arguments, tests).exit_code()
}
