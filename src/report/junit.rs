//! The verdict for CI: one suite a drill, one case for the hypothesis and one an SLI.

use std::fmt::Write as _;

use firedrill_drill::Outcome;
use firedrill_scene::{Review, SliScene};
use quick_xml::escape::escape;

use crate::words;

/// The JUnit XML of a drill: broken is a failure, inconclusive and aborted are errors.
pub fn junit(review: &Review) -> String {
    let scene = &review.scene;
    let seconds = scene.now.mono_us as f64 / 1e6;
    let reasons: Vec<_> = review
        .verdict
        .reasons
        .iter()
        .map(|reason| format!("{}: {}", reason.rule, reason.words))
        .collect();
    let reasons = escape(reasons.join("\n"));
    let word = review.verdict.outcome.word();
    let result = match review.verdict.outcome {
        Outcome::Held => String::new(),
        Outcome::Broken => format!("<failure message=\"{word}\">{reasons}</failure>"),
        Outcome::Inconclusive | Outcome::Aborted => format!("<error message=\"{word}\">{reasons}</error>"),
    };
    let slis: Vec<_> = scene
        .slis
        .iter()
        .map(|sli| (sli, violated(review, sli)))
        .collect();
    let failures = slis.iter().filter(|(_, violated)| violated.is_some()).count()
        + usize::from(review.verdict.outcome == Outcome::Broken);
    let errors = usize::from(matches!(
        review.verdict.outcome,
        Outcome::Inconclusive | Outcome::Aborted
    ));
    let suite = escape(format!("{} / {}", review.title, scene.experiment)).into_owned();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{suite}\" tests=\"{}\" \
         failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.3}\" timestamp=\"{}\">\n    \
         <testcase classname=\"{suite}\" name=\"{}\" time=\"{seconds:.3}\">{result}</testcase>\n",
        slis.len() + 1,
        words::wall(scene.origin_wall_ms, "%Y-%m-%dT%H:%M:%S"),
        escape(&scene.hypothesis),
    );
    for (sli, violated) in slis {
        let failure = violated.map_or_else(String::new, |why| {
            format!("<failure message=\"out\">{}</failure>", escape(why))
        });
        let name = escape(&sli.name);
        let _infallible = writeln!(
            out,
            "    <testcase classname=\"{suite}\" name=\"{name}\">{failure}</testcase>"
        );
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// Whether the SLI left tolerance while a fault was on, in words.
fn violated(review: &Review, sli: &SliScene) -> Option<String> {
    let during = review
        .numbers
        .iter()
        .find(|numbers| numbers.name == sli.name)?
        .during?;
    let inside = sli.tolerate.contains(during.min) && sli.tolerate.contains(during.max);
    (!inside).then(|| {
        format!(
            "{}; {}",
            words::numbers(&sli.unit, Some(&during)),
            words::lines(sli)[1]
        )
    })
}
