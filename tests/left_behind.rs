//! What these tests themselves leave behind: nothing. Programs of ours outlive the one that started them on
//! purpose; whatever a test did, and however it ended, they and their folders go with its handles.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_testing::{
    Agent, Firedrill, PATIENCE, Trial, Upstream, programs, test, wait_until, working_in,
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("a_killed_demo", &[], a_killed_demo),
        test("an_abort_that_goes_on", &[], an_abort_that_goes_on),
        test("the_proxy_of_a_killed_agent", &[], the_proxy_of_a_killed_agent),
    ]
}

/// Uses `handle` in a test that panics.
fn panic_with<T>(handle: T) -> anyhow::Result<()> {
    let ended = catch_unwind(AssertUnwindSafe(move || {
        let _handle = handle;
        // Says nothing on standard error, unlike `panic!`: it is no failure here.
        std::panic::resume_unwind(Box::new("on purpose"))
    }));
    ensure!(ended.is_err(), "it did not panic");
    Ok(())
}

fn expect_nothing_left(folder: &Path) -> anyhow::Result<()> {
    ensure!(!folder.exists(), "{} is still there", folder.display());
    let left = working_in(folder);
    ensure!(left.is_empty(), "{left:?} still work in {}", folder.display());
    Ok(())
}

fn a_killed_demo() -> anyhow::Result<()> {
    let firedrill = Firedrill::new(programs!())?;
    let home = firedrill.home().to_owned();
    let mut console = firedrill.start(&["demo", "--headless"])?;
    // The demo's agent, and the agent's proxy.
    wait_until(PATIENCE, "two programs of the demo are there", || {
        Ok((working_in(&home).len() >= 2).then_some(()))
    })?;
    console.process.kill()?;
    panic_with(firedrill)?;
    expect_nothing_left(&home)
}

fn an_abort_that_goes_on() -> anyhow::Result<()> {
    let firedrill = Firedrill::new(programs!())?;
    let home = firedrill.home().to_owned();
    // On an address where nobody answers: the port is taken by nobody who listens.
    let card = firedrill.file(
        "card.json",
        r#"{"version":1,"drill":"d","experiment":"e","wall_ms":0,"agents":[{"name":"a","address":"127.0.0.1:1","host":"127.0.0.1:1"}]}"#,
    )?;
    let card = card.to_str().context("the path is UTF-8")?;
    // As the console leaves it: nobody holds a handle to it.
    let mut left = firedrill
        .command(&["abort", "--until-confirmed", "--card", card])
        .stdout(Stdio::null())
        .spawn()?;
    wait_until(PATIENCE, "it aborts", || Ok(working_in(&home).first().copied()))?;
    std::thread::sleep(Duration::from_millis(200));
    ensure!(left.try_wait()?.is_none(), "it has given up");
    panic_with(firedrill)?;
    let ended = left.wait()?;
    ensure!(!ended.success(), "it ended by itself: {ended}");
    expect_nothing_left(&home)
}

fn the_proxy_of_a_killed_agent() -> anyhow::Result<()> {
    let upstream = Upstream::start()?;
    let mut agent = Agent::build(programs!())
        .http_route("web", upstream.address())?
        .start()?;
    let state = agent.state.clone();
    let proxy = agent.proxy_pid().context("no proxy")?;
    agent.process.kill()?;
    let orphans = working_in(&state);
    ensure!(
        orphans.iter().any(|pid| pid.as_raw().cast_unsigned() == proxy),
        "the proxy did not outlive its agent: {orphans:?}"
    );
    panic_with(agent)?;
    expect_nothing_left(state.parent().context("no folder around the state")?)
}
