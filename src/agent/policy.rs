//! The host's own policy: what may be injected here, how strong, how long, by whom. It beats every console.
//!
//! A TOML file beside the agent's config. Nothing is clamped: what goes too far is refused, with the rule's own
//! words and with what would satisfy it. A file that cannot be read allows no start. `noop`, which changes
//! nothing and tests the abort path, is held to no rule. Without a file an agent that other hosts can reach does
//! what [`FRESH`] says; one on loopback allows every fault, and no command.
//!
//! ```toml
//! faults = ["http.*", "process.pause"]        # absent: all
//! routes = ["payments*"]                      # of the proxy; absent: all
//! processes = ["nginx", "/usr/bin/java"]      # by name, or by the path of the executable; absent: all
//! longest = "10m"
//!
//! [strongest."http.latency"]                  # at most; a rate at least, because a slower link is stronger
//! delay = "500ms"
//! share = "50%"
//!
//! [who.ada]                                   # once somebody is named, nobody else may start
//! faults = ["http.latency"]                   # further rules, for her alone
//! longest = "1m"
//!
//! [command.restart-payments]                  # what emergency actions may run; absent: nothing
//! program = "/usr/bin/systemctl"
//! arguments = ["restart", "payments"]
//! within = "20s"                              # at most 30 s; 10 s where it is not given
//! ```

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use firedrill_catalogue::quantity::{self, Memory};
use firedrill_catalogue::{FAULTS, FaultSpec, ParamKind, Parameters};
use firedrill_wire::{PolicyView, Problem, ProblemKind};
use serde::Deserialize;
use serde_json::Value;

use crate::commands::{self, Allowed};
use crate::faults::{Prepared, Process};
use crate::state::read_small;

/// The fault that changes nothing.
const NOOP: &str = "noop";

/// Entries of one list.
const MAX_ENTRIES: usize = 1_024;

/// What a fresh policy says: faults that are taken back, and not for long. What `install` writes, and what holds off
/// loopback where there is no file.
pub const FRESH: &str = r#"# What may be injected on this host. It beats every console; what goes too far is refused, never clamped.
# Read at the start and on `systemctl reload firedrill-agent`. A mistake in it: nothing may start.
# Without this file the same holds off loopback; on loopback every fault is allowed, and no command.

# Not process.kill, memory.oom and http.lose: what they do is never taken back.
faults = [
    "http.latency", "http.status", "http.reset", "http.headers", "http.body", "http.truncate", "http.slow_body",
    "grpc.*", "tcp.*", "network.*", "dns.*", "tls.*", "packet.*", "cpu.*", "memory.fill", "disk.*", "fd.*",
    "process.pause", "load.http",
]
# routes = ["payments*"]                    # routes of the proxy; absent: all
# processes = ["nginx", "/usr/bin/java"]    # by name, or by the path of the executable; absent: all
longest = "10m"

[strongest."load.http"]                     # to this host alone
url = "http://127.0.0.1:"
rate = 1000

# [strongest."http.latency"]                # at most; rates at least
# delay = "2s"
# share = "50%"

# [who.ada]                                 # once somebody is named, nobody else may start
# faults = ["http.latency"]                 # `firedrill-agent enroll --operator ada` prints her join string

# [command.restart-payments]                # what emergency actions of a plan may run; absent: nothing
# program = "/usr/bin/systemctl"            # no shell; arguments are these and no others
# arguments = ["restart", "payments"]
# within = "20s"                            # at most 30s
"#;

/// Where [`FRESH`] holds without a file, in words.
const BUILT_IN: &str =
    "the built-in policy of an agent off loopback; `serve --policy FILE` gives it one of its own";

/// What the host allows.
#[derive(Debug, Default)]
pub struct Policy {
    /// Where it stands, for people; `None`: there is none.
    source: Option<String>,
    everybody: Limits,
    strongest: BTreeMap<String, BTreeMap<String, Value>>,
    who: BTreeMap<String, Limits>,
    commands: BTreeMap<String, Allowed>,
    /// Why the file could not be read.
    broken: Option<String>,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    faults: Option<Vec<String>>,
    routes: Option<Vec<String>>,
    processes: Option<Vec<String>>,
    longest: Option<String>,
    #[serde(default)]
    strongest: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(default)]
    who: BTreeMap<String, Limits>,
    #[serde(default)]
    command: BTreeMap<String, Allowed>,
}

/// What may be given for everybody and again for one.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    faults: Option<Vec<String>>,
    routes: Option<Vec<String>>,
    processes: Option<Vec<String>>,
    longest: Option<String>,
}

/// An injection that is asked for, or a change of its strength.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The caller's name.
    pub who: &'a str,
    /// The fault.
    pub spec: &'a FaultSpec,
    /// Checked, with defaults.
    pub parameters: &'a Parameters,
    /// The route, for faults on routes.
    pub route: Option<&'a str>,
    /// What it would hit; `None` for a change, whose target has been checked.
    pub prepared: Option<&'a Prepared>,
    /// How long; `None` for a change.
    pub ends_in_ms: Option<u64>,
}

impl Policy {
    /// The file's, if there is one.
    pub fn of(file: Option<&Path>, off_loopback: bool) -> Self {
        match file {
            Some(path) => Self::load(path),
            None if off_loopback => {
                let mut policy = Self::parse(FRESH).unwrap_or_else(Self::broken);
                policy.source = Some(BUILT_IN.to_owned());
                policy
            }
            None => Self::default(),
        }
    }

    fn broken(why: String) -> Self {
        Self {
            broken: Some(why),
            ..Self::default()
        }
    }

    /// Reads the file; one that cannot be read, or that anybody may change, allows nothing.
    fn load(path: &Path) -> Self {
        let read = read_small(path).map_err(|error| error.to_string());
        let parsed = read.and_then(|text| {
            let mode = std::fs::metadata(path).map_or(0, |it| it.permissions().mode());
            if mode & 0o002 != 0 {
                return Err(format!("anybody may change it (mode {:o})", mode & 0o777));
            }
            Self::parse(&text)
        });
        let mut policy = parsed.unwrap_or_else(|why| {
            tracing::error!(path = %path.display(), why, "the policy cannot be read: nothing may start");
            Self::broken(why)
        });
        policy.source = Some(path.display().to_string());
        policy
    }

    fn parse(text: &str) -> Result<Self, String> {
        let rules: Rules =
            toml_edit::de::from_str(text).map_err(|error| error.to_string().trim().to_owned())?;
        let policy = Self {
            source: None,
            everybody: Limits {
                faults: rules.faults,
                routes: rules.routes,
                processes: rules.processes,
                longest: rules.longest,
            },
            strongest: rules.strongest,
            who: rules.who,
            commands: rules.command,
            broken: None,
        };
        policy.check_rules()?;
        commands::check(&policy.commands)?;
        Ok(policy)
    }

    /// A rule that can never match is a mistake, and a mistake here must not open a door.
    fn check_rules(&self) -> Result<(), String> {
        for (name, limits) in self.limits() {
            for pattern in limits.faults.iter().flatten() {
                if !FAULTS.iter().any(|spec| matches(pattern, spec.name)) {
                    return Err(format!("{name}faults: no fault is named \"{pattern}\""));
                }
            }
            let lists = [&limits.faults, &limits.routes, &limits.processes];
            if lists
                .iter()
                .any(|list| list.as_ref().is_some_and(|it| it.len() > MAX_ENTRIES))
            {
                return Err(format!("{name}a list has more than {MAX_ENTRIES} entries"));
            }
            if let Some(longest) = &limits.longest {
                quantity::duration_ms(longest).map_err(|why| format!("{name}longest: {why}"))?;
            }
        }
        for (pattern, bounds) in &self.strongest {
            let mut found = FAULTS
                .iter()
                .filter(|spec| matches(pattern, spec.name))
                .peekable();
            if found.peek().is_none() {
                return Err(format!("strongest.\"{pattern}\": no fault is named so"));
            }
            for spec in found {
                for (key, bound) in bounds {
                    let param = spec.params.iter().find(|param| param.name == key);
                    let param = param.ok_or_else(|| {
                        format!(
                            "strongest.\"{pattern}\".{key}: {} has no such parameter",
                            spec.name
                        )
                    })?;
                    Bound::read(param.kind, bound)
                        .map_err(|why| format!("strongest.\"{pattern}\".{key}: {why}"))?;
                }
            }
        }
        Ok(())
    }

    /// All limits, with how a rule of theirs is called.
    fn limits(&self) -> impl Iterator<Item = (String, &Limits)> {
        let named = self
            .who
            .iter()
            .map(|(name, limits)| (format!("who.{name}."), limits));
        std::iter::once((String::new(), &self.everybody)).chain(named)
    }

    /// Whether this may be done; if not, which rule forbids it and what would satisfy it.
    pub fn check(&self, asked: Asked<'_>) -> Result<(), Problem> {
        if let Some(broken) = self.nothing() {
            return Err(broken);
        }
        if asked.spec.name == NOOP {
            return Ok(());
        }
        self.check_limits("", &self.everybody, asked)?;
        if let Some(limits) = self.named(asked.who)? {
            self.check_limits(&format!("who.{}.", asked.who), limits, asked)?;
        }
        for (pattern, bounds) in &self.strongest {
            if matches(pattern, asked.spec.name) {
                for (key, bound) in bounds {
                    self.check_strength(pattern, key, bound, asked)?;
                }
            }
        }
        Ok(())
    }

    /// The limits of this person alone; once somebody is named, everybody else is refused.
    fn named(&self, who: &str) -> Result<Option<&Limits>, Problem> {
        if self.who.is_empty() {
            return Ok(None);
        }
        self.who.get(who).map(Some).ok_or_else(|| {
            let names: Vec<_> = self.who.keys().map(String::as_str).collect();
            self.forbids(
                "not this person",
                format!("who: the token shown is that of \"{who}\""),
                format!("may start: {}; or add a table [who.{who}]", names.join(", ")),
            )
        })
    }

    /// A command of the allow-list, for this person.
    pub fn command(&self, name: &str, who: &str) -> Result<&Allowed, Problem> {
        if let Some(broken) = self.nothing() {
            return Err(broken);
        }
        self.named(who)?;
        self.commands.get(name).ok_or_else(|| {
            let names: Vec<_> = self.commands.keys().cloned().collect();
            self.forbids(
                "not this command",
                format!("command: {name} is not in it"),
                format!("allowed: {}; or add a table [command.{name}]", words(&names)),
            )
        })
    }

    /// The names of the allow-list.
    pub fn commands(&self) -> Vec<String> {
        self.commands.keys().cloned().collect()
    }

    fn check_limits(&self, of: &str, limits: &Limits, asked: Asked<'_>) -> Result<(), Problem> {
        let name = asked.spec.name;
        if let Some(list) = &limits.faults
            && !any(list, name)
        {
            return Err(self.forbids(
                "not this fault",
                format!("{of}faults: {name} is not in it"),
                format!("allowed: {}", words(list)),
            ));
        }
        if let (Some(list), Some(route)) = (&limits.routes, asked.route)
            && !any(list, route)
        {
            return Err(self.forbids(
                "not this route",
                format!("{of}routes: {route} is not in it"),
                format!("allowed: {}", words(list)),
            ));
        }
        let hit = asked
            .prepared
            .map(|prepared| prepared.process.iter().chain(&prepared.members));
        if let (Some(list), Some(hit)) = (&limits.processes, hit) {
            for process in hit {
                self.check_process(of, list, process)?;
            }
        }
        let longest = limits
            .longest
            .as_ref()
            .and_then(|text| quantity::duration_ms(text).ok());
        if let (Some(longest), Some(asked)) = (longest, asked.ends_in_ms)
            && asked > longest
        {
            return Err(self.forbids(
                "too long",
                format!("{of}longest: {} was asked for", quantity::show_ms(asked)),
                format!("at most {}", quantity::show_ms(longest)),
            ));
        }
        Ok(())
    }

    fn check_strength(
        &self,
        pattern: &str,
        key: &str,
        bound: &Value,
        asked: Asked<'_>,
    ) -> Result<(), Problem> {
        let param = asked.spec.params.iter().find(|param| param.name == key);
        let bound = param.and_then(|param| Bound::read(param.kind, bound).ok());
        let Some((asked_words, allowed)) = bound.and_then(|bound| bound.exceeded(key, asked.parameters))
        else {
            return Ok(());
        };
        Err(self.forbids(
            "too strong",
            format!("strongest.\"{pattern}\".{key}: {asked_words} was asked for"),
            format!("{key} {allowed}"),
        ))
    }

    fn check_process(&self, of: &str, list: &[String], process: &Process) -> Result<(), Problem> {
        let path = std::fs::read_link(format!("/proc/{}/exe", process.pid)).unwrap_or_default();
        let path = path.to_string_lossy();
        if any(list, &process.name) || any(list, &path) {
            return Ok(());
        }
        let (pid, name) = (process.pid, &process.name);
        Err(self.forbids(
            "not this process",
            format!("{of}processes: {pid} {name} {path} is not in it"),
            format!("allowed: {}", words(list)),
        ))
    }

    fn forbids(&self, title: &str, detail: String, remedy: String) -> Problem {
        let source = self
            .source
            .as_deref()
            .unwrap_or("the policy, which this agent has none of");
        Problem::new(
            ProblemKind::Policy,
            format!("the agent's policy forbids it: {title}"),
            detail,
            format!("{remedy}; the rules of this host are in {source}"),
        )
    }

    /// Why nothing at all is allowed, if so.
    fn nothing(&self) -> Option<Problem> {
        let why = self.broken.as_ref()?;
        Some(self.forbids(
            "the policy cannot be read, so nothing may start",
            why.clone(),
            "mend the file".to_owned(),
        ))
    }

    /// Why a fault can never be started here, if so.
    pub fn never(&self, fault: &str) -> Option<Problem> {
        if let Some(broken) = self.nothing() {
            return Some(broken);
        }
        let list = self.everybody.faults.as_ref()?;
        (fault != NOOP && !any(list, fault)).then(|| {
            self.forbids(
                "not this fault",
                format!("faults: {fault} is not in it"),
                format!("allowed: {}", words(list)),
            )
        })
    }

    /// As `GET /v1/agent` shows it.
    pub fn view(&self) -> Option<PolicyView> {
        let file = self.source.clone()?;
        let mut rules = Vec::new();
        for (of, limits) in self.limits() {
            let lists = [
                ("faults", &limits.faults),
                ("routes", &limits.routes),
                ("processes", &limits.processes),
            ];
            for (key, list) in lists {
                rules.extend(list.as_ref().map(|list| format!("{of}{key}: {}", words(list))));
            }
            rules.extend(
                limits
                    .longest
                    .as_ref()
                    .map(|longest| format!("{of}longest: {longest}")),
            );
        }
        for (pattern, bounds) in &self.strongest {
            let bounds = bounds
                .iter()
                .map(|(key, bound)| format!("strongest.\"{pattern}\".{key}: {bound}"));
            rules.extend(bounds);
        }
        if !self.who.is_empty() {
            let names: Vec<_> = self.who.keys().map(String::as_str).collect();
            rules.push(format!("who: {}", names.join(", ")));
        }
        let commands = self.commands.iter();
        rules.extend(commands.map(|(name, allowed)| format!("command.{name}: {}", allowed.words())));
        Some(PolicyView {
            file,
            rules,
            broken: self.broken.clone(),
        })
    }
}

/// The strongest that a parameter may be.
#[derive(Clone, Debug, PartialEq)]
enum Bound {
    AtMostUs(u64),
    AtMostShare(f64),
    AtLeastBytes(u64),
    AtMostCount(u64),
    Memory(Memory),
    Is(String),
    BeginsWith(String),
}

impl Bound {
    fn read(kind: ParamKind, value: &Value) -> Result<Self, String> {
        let text = || {
            value
                .as_str()
                .ok_or_else(|| format!("expected text in quotes, found {value}"))
        };
        Ok(match kind {
            ParamKind::Duration { .. } => Self::AtMostUs(quantity::duration_us(text()?)?),
            ParamKind::Share if value.is_number() => Self::AtMostShare(quantity::share(&value.to_string())?),
            ParamKind::Share => Self::AtMostShare(quantity::share(text()?)?),
            ParamKind::Bandwidth { .. } => Self::AtLeastBytes(quantity::bandwidth(text()?)?),
            ParamKind::Count { .. } => Self::AtMostCount(
                value
                    .as_u64()
                    .ok_or_else(|| format!("expected a whole number, found {value}"))?,
            ),
            ParamKind::Memory { .. } => Self::Memory(quantity::memory(text()?)?),
            ParamKind::Choice(words) if words.contains(&text()?) => Self::Is(text()?.to_owned()),
            ParamKind::Choice(words) => return Err(format!("one of {}", words.join(", "))),
            ParamKind::Text { .. } => Self::BeginsWith(text()?.to_owned()),
        })
    }

    /// What was asked for and what is allowed, in words, where that is more.
    fn exceeded(&self, key: &str, parameters: &Parameters) -> Option<(String, String)> {
        match self {
            Self::AtMostUs(most) => {
                // What arrives late is late by the delay and its jitter.
                let jitter = if key == "delay" {
                    parameters.duration_us("jitter")
                } else {
                    0
                };
                let asked = parameters.duration_us(key).saturating_add(jitter);
                let plus = if jitter > 0 { " with its jitter" } else { "" };
                (asked > *most).then(|| {
                    (
                        format!("{}{plus}", quantity::show_ms(asked / 1_000)),
                        format!("at most {}", quantity::show_ms(most / 1_000)),
                    )
                })
            }
            Self::AtMostShare(most) => {
                let asked = parameters.share(key);
                (asked > *most).then(|| {
                    (
                        format!("{:.1} %", asked * 100.0),
                        format!("at most {:.1} %", most * 100.0),
                    )
                })
            }
            Self::AtLeastBytes(least) => {
                let asked = parameters.bandwidth(key)?;
                (asked < *least).then(|| (format!("{asked} B/s"), format!("at least {least} B/s")))
            }
            Self::AtMostCount(most) => {
                let asked = parameters.count(key)?;
                (asked > *most).then(|| (asked.to_string(), format!("at most {most}")))
            }
            Self::Memory(bound) => {
                let asked = parameters.memory(key)?;
                // What is left to others is a floor, what is taken has a ceiling.
                let floor = key == "keep_free";
                let inside = match (asked, *bound) {
                    (Memory::Bytes(asked), Memory::Bytes(bound)) if floor => asked >= bound,
                    (Memory::Bytes(asked), Memory::Bytes(bound)) => asked <= bound,
                    (Memory::Share(asked), Memory::Share(bound)) if floor => asked >= bound,
                    (Memory::Share(asked), Memory::Share(bound)) => asked <= bound,
                    // How much of the host that is cannot be told from here.
                    _ => false,
                };
                let most = if floor { "at least" } else { "at most" };
                (!inside).then(|| {
                    (
                        amount(asked),
                        format!("{most} {}, written in the same unit", amount(*bound)),
                    )
                })
            }
            Self::Is(only) => {
                let asked = parameters.text(key).unwrap_or_default();
                (asked != only).then(|| (asked.to_owned(), format!("only {only}")))
            }
            Self::BeginsWith(begin) => {
                let asked = parameters.text(key).unwrap_or_default();
                (!asked.starts_with(begin.as_str()))
                    .then(|| (format!("{asked:?}"), format!("must begin with {begin:?}")))
            }
        }
    }
}

fn amount(memory: Memory) -> String {
    match memory {
        Memory::Bytes(bytes) => format!("{bytes} B"),
        Memory::Share(share) => format!("{:.1} %", share * 100.0),
    }
}

fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

/// Whether a pattern with `*` for any text matches all of it.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(begin) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(end)
}

fn words(list: &[String]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    list.join(", ")
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
