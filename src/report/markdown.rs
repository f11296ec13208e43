//! The report to paste into an issue or a chat.

use std::fmt::Write as _;

use firedrill_scene::Review;

use crate::words;

/// The Markdown of a drill.
pub fn markdown(review: &Review) -> String {
    let scene = &review.scene;
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!(
        "# {}: {}\n",
        plain(&scene.experiment),
        review.verdict.outcome.word()
    ));
    line(format!(
        "{} · {} · {}\n",
        plain(&review.title),
        plain(&review.system),
        words::wall(scene.origin_wall_ms, "%Y-%m-%d %H:%M:%S UTC")
    ));
    line(format!("> {}\n", plain(&scene.hypothesis)));
    if !review.verdict.unconfirmed.is_empty() {
        let ids: Vec<_> = review
            .verdict
            .unconfirmed
            .iter()
            .map(ToString::to_string)
            .collect();
        line(format!("**Something may still be on: {}**\n", ids.join(", ")));
    }
    line("## Why\n".to_owned());
    for reason in &review.verdict.reasons {
        let time = words::clock(scene, reason.at.mono_us);
        line(format!(
            "- {time} ({}) **{}**: {}",
            words::since_start(reason.at),
            plain(&reason.rule),
            plain(&reason.words)
        ));
    }
    line("\n## Times\n\n| what | measured |\n| --- | --- |".to_owned());
    for (name, value) in words::times(review) {
        line(format!("| {name} | {value} |"));
    }
    line(format!("| bad samples | {} |", review.bad_samples));
    line(
        "\n## SLIs\n\n| SLI | lines | before | during | after |\n| --- | --- | --- | --- | --- |".to_owned(),
    );
    for (sli, n) in scene.slis.iter().zip(&review.numbers) {
        let cell = |numbers| plain(&words::numbers(&sli.unit, numbers));
        line(format!(
            "| {} | {} | {} | {} | {} |",
            plain(&sli.name),
            plain(&words::lines(sli).join("; ")),
            cell(n.before.as_ref()),
            cell(n.during.as_ref()),
            cell(n.after.as_ref())
        ));
    }
    line("\n## Injections\n\n| fault | where | strength | what the agent saw | end |\n| --- | --- | --- | --- | --- |".to_owned());
    for injection in &scene.injections {
        line(format!(
            "| {} | {} {} | {} | {} | {} |",
            plain(&injection.fault),
            plain(&injection.agent),
            plain(&injection.scope),
            plain(&injection.strength),
            plain(&injection.evidence),
            plain(&words::ended(injection))
        ));
    }
    if !scene.safety.aborts.is_empty() {
        line(format!(
            "\n## Abort\n\n| {} |\n|{}",
            words::ABORT_HEADS.join(" | "),
            " --- |".repeat(words::ABORT_HEADS.len())
        ));
    }
    for it in &scene.safety.aborts {
        let cells = words::abort_row(scene, it).map(|cell| plain(&cell));
        line(format!("| {} |", cells.join(" | ")));
    }
    let safety = words::safety(scene);
    if !safety.is_empty() {
        line("\n## Safety\n\n| what | found |\n| --- | --- |".to_owned());
    }
    for (name, found) in safety {
        line(format!("| {} | {} |", plain(&name), plain(&found)));
    }
    let seal = match &review.sealed {
        Ok(()) => format!("sealed, chain `{}`", review.hash),
        Err(why) => format!("**not whole**: {}", plain(why)),
    };
    let _infallible = write!(
        out,
        "\nDrill {} · journal {seal} · Firedrill {}\n",
        review.drill,
        env!("CARGO_PKG_VERSION")
    );
    out
}

/// Text from a plan or an agent, so that it can neither break a table nor become markup.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '\\' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
