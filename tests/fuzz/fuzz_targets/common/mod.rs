//! The plan whose SLIs the sources are read for: one of each kind.

use firedrill_plan::Plan;

const TEXT: &str = include_str!("sli.toml");

std::thread_local! {
    pub static PLAN: Plan = firedrill_plan::parse(TEXT).expect("the fuzzer's own plan is right");
}
