//! A plan's text, whatever it is: every mistake can be shown, and a plan without one can begin a drill.

#![no_main]

use std::sync::Arc;

use firedrill_drill::{Arming, At, Drill, Setup};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let checked = firedrill_plan::check(text);
    for diagnostic in &checked.diagnostics {
        assert!(!diagnostic.render("fuzz.toml", text).is_empty());
    }
    let Some(plan) = checked.plan else {
        assert!(!checked.diagnostics.is_empty(), "no plan and no reason");
        return;
    };
    let plan = Arc::new(plan);
    for experiment in 0..plan.experiments.len().min(2) {
        let setup = Setup {
            drill: "fuzz".into(),
            plan: plan.clone(),
            plan_text: text.into(),
            version: "fuzz".to_owned(),
            experiment,
            seed: 1,
            console: "fuzz".to_owned(),
            who: "fuzz".to_owned(),
            arming: Arming::AtOnce,
        };
        Drill::new(setup, At::default());
    }
});
