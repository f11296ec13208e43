//! `watch`: follow another console's drill by its link, in the window or line by line in a terminal.

use std::{io::BufRead as _, process::ExitCode, sync::mpsc::sync_channel};

use anyhow::Context as _;
use clap::Args;
use firedrill_broadcast::{Follower, Link};
use firedrill_conductor::{time_of_day, wall_ms};
use firedrill_drill::show_value;
use firedrill_scene::{AbortScene, AbortSent, Contact, Ours, Role, Scene, WatchScene, Wish};

use super::{USAGE, abort::who};

/// Scenes and lines that wait to be told.
const NEWS: usize = 64;

/// What may still be on is looked after by the host; a watcher that could not say what it was told to says so.
const NOT_DELIVERED: u8 = 5;

#[derive(Args)]
pub struct WatchArguments {
    /// The link, in quotes, as the console that shares shows it: https://HOST:PORT/FINGERPRINT#TOKEN
    link: String,
    /// How you are called there
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// In this terminal, without a window; it reads lines: abort, note TEXT, approve, refuse REASON
    #[arg(long)]
    headless: bool,
}

/// `firedrill watch LINK`.
pub fn watch(arguments: WatchArguments) -> anyhow::Result<ExitCode> {
    // Read here and not with the arguments: what is said of a wrong one there would quote its token.
    let link: Link = arguments.link.parse()?;
    let name = arguments.name.unwrap_or_else(who);
    if !arguments.headless {
        return crate::window::watch(link, name);
    }
    follow(link, &name)
}

enum News {
    Scene(Box<Scene>),
    Line(String),
}

fn follow(link: Link, name: &str) -> anyhow::Result<ExitCode> {
    let (tell, news) = sync_channel(NEWS);
    let lines = tell.clone();
    let follower = Follower::start(link, name, wall_ms, move |scene| {
        // A terminal that takes nothing holds this thread's connection, and nothing of the host.
        tell.send(News::Scene(Box::new(scene))).ok();
    })
    .context("the connection's thread cannot be started")?;
    std::thread::Builder::new()
        .name("lines".to_owned())
        .spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if lines.send(News::Line(line)).is_err() {
                    return;
                }
            }
        })
        .context("standard input cannot be read")?;
    let mut told = Told::default();
    loop {
        match news.recv() {
            Ok(News::Scene(scene)) => {
                told.tell(&scene);
                if let Some(code) = told.end(&scene) {
                    return Ok(ExitCode::from(code));
                }
            }
            Ok(News::Line(line)) => say(&follower, line.trim()),
            Err(_) => anyhow::bail!("the connection's thread is gone"),
        }
    }
}

/// What somebody typed.
fn say(follower: &Follower, line: &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let wish = match (word, rest.trim()) {
        ("", _) => return,
        ("abort", _) => {
            follower.press();
            return;
        }
        ("approve", _) => Wish::Approve,
        ("note", text) if !text.is_empty() => Wish::Note {
            text: text.to_owned(),
        },
        ("refuse", reason) if !reason.is_empty() => Wish::Refuse {
            reason: reason.to_owned(),
        },
        _ => {
            eprintln!("firedrill: not understood; say: abort, note TEXT, approve, refuse REASON");
            return;
        }
    };
    if !follower.wish(wish) {
        eprintln!("firedrill: too much waits for the host; that was not taken");
    }
}

/// What was told already.
#[derive(Default)]
struct Told {
    watch: Option<WatchScene>,
    drill: String,
    logged: usize,
    messages: u64,
    ours: Option<Ours>,
    abort: AbortScene,
    slis: Vec<String>,
    verdict: bool,
    connected: bool,
}

impl Told {
    fn tell(&mut self, scene: &Scene) {
        let watch = scene.watch.as_deref();
        let (ended, going) = match watch {
            Some(watch) if matches!(watch.contact, Contact::Ended { .. }) => (Some(watch), None),
            going => (None, going),
        };
        if let Some(watch) = going {
            self.contact(watch);
        }
        for message in scene.messages.iter().filter(|it| it.id > self.messages) {
            println!("{}  {}", time_of_day(message.wall_ms), message.words);
        }
        self.messages = scene.messages.last().map_or(self.messages, |it| it.id);
        self.drill(scene);
        let role = scene.watch.as_ref().and_then(|it| it.role);
        let sealed = role == Some(Role::Responder) || scene.ours == Ours::Unknown;
        if !sealed && self.ours.as_ref().map(word) != Some(word(&scene.ours)) {
            println!("is this them? {}", scene.ours.sentence(time_of_day));
            self.ours = Some(scene.ours.clone());
        }
        self.abort(&scene.abort);
        // What there was at the end comes before it.
        if let Some(watch) = ended {
            self.contact(watch);
        }
    }

    fn contact(&mut self, watch: &WatchScene) {
        let before = self.watch.replace(watch.clone());
        let was = before.as_ref().map(|it| &it.contact);
        if was != Some(&watch.contact) {
            match &watch.contact {
                Contact::Connecting => println!("connecting to {} as {}", watch.host, watch.name),
                Contact::On => {
                    self.connected = true;
                    let role = watch.role.map_or("", Role::word);
                    println!(
                        "connected to {} ({}) in the role: {role}",
                        watch.console, watch.host
                    );
                }
                Contact::Lost { why, .. } => {
                    println!("CONNECTION LOST: {why}; trying again, nothing is lost by it");
                }
                Contact::Ended { why } => println!("ended: {why}"),
            }
        }
        let lost = !matches!(watch.contact, Contact::On);
        if before.as_ref().map(|it| &it.abort) == Some(&watch.abort) && was == Some(&watch.contact) {
            return;
        }
        match &watch.abort {
            AbortSent::No => {}
            AbortSent::Pressed { .. } if lost => {
                println!(
                    "ABORT IS NOT DELIVERED: there is no connection to the host. It is sent as soon as there is one. Meanwhile: on the host run `firedrill abort`; on each target run `firedrill-agent abort`; leases end what nobody renews"
                );
            }
            AbortSent::Pressed { .. } => println!("ABORT is sent to the host"),
            AbortSent::Delivered => println!("ABORT is delivered: the host has pressed it"),
            AbortSent::Refused(why) => println!("ABORT was not taken by the host: {why}"),
        }
    }

    fn drill(&mut self, scene: &Scene) {
        let Some(drill) = &scene.drill else { return };
        if self.drill != drill.id {
            self.drill.clone_from(&drill.id);
            (self.logged, self.verdict) = (0, false);
            self.slis.clear();
            println!("drill {}: {}", drill.id, drill.experiment);
        }
        for line in drill.log.iter().skip(self.logged) {
            println!(
                "{:>7.1} s  {:<14} {}",
                line.at.mono_us as f64 / 1e6,
                line.title,
                line.words
            );
        }
        self.logged = drill.log.len();
        let states: Vec<_> = drill
            .slis
            .iter()
            .map(|sli| format!("{} {}", sli.name, sli.state.word()))
            .collect();
        if self.slis != states {
            let values = drill.slis.iter().map(|sli| {
                let value = sli
                    .value
                    .map_or_else(|| "–".to_owned(), |value| show_value(&sli.unit, value));
                format!("{} {value} {}", sli.name, sli.state.word())
            });
            println!("now: {}", values.collect::<Vec<_>>().join(" · "));
            self.slis = states;
        }
        if let Some(verdict) = drill.verdict.as_ref().filter(|_| !self.verdict) {
            self.verdict = true;
            println!("verdict: {}", verdict.outcome.word());
            for reason in &verdict.reasons {
                println!("  {}: {}", reason.rule, reason.words);
            }
        }
    }

    fn abort(&mut self, abort: &AbortScene) {
        let before = std::mem::replace(&mut self.abort, abort.clone());
        if abort.pressed_ms.is_some() && before.pressed_ms != abort.pressed_ms {
            println!("ABORT was pressed by {}: {}", abort.who, abort.reason);
        }
        for row in &abort.rows {
            let same = |it: &&firedrill_scene::AbortRow| it.agent == row.agent;
            if before.rows.iter().find(same).map(|it| it.stage) != Some(row.stage) {
                println!("  {:<24} {}", row.agent, super::abort::word(row.stage));
            }
        }
        if abort.finished && !before.finished {
            println!("ABORT is finished");
        }
    }

    /// The exit code, when nothing follows.
    fn end(&self, scene: &Scene) -> Option<u8> {
        let watch = scene.watch.as_ref()?;
        if !matches!(watch.contact, Contact::Ended { .. }) {
            return None;
        }
        Some(match &watch.abort {
            AbortSent::Pressed { .. } | AbortSent::Refused(_) => NOT_DELIVERED,
            _ if self.connected => 0,
            _ => USAGE,
        })
    }
}

/// Which of its sentences, without what counts down.
fn word(ours: &Ours) -> (u8, usize) {
    match ours {
        Ours::Unknown => (0, 0),
        Ours::Nothing { .. } => (1, 0),
        Ours::On { faults, .. } => (2, *faults),
        Ours::MayBeOn { agents } => (3, agents.len()),
    }
}
