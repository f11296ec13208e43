//! Reading with every mistake at once, times, edits that keep comments, a new file.

use std::sync::Arc;

use firedrill_gameday::*;
use firedrill_plan::Severity;

use crate::*;

#[test]
fn every_mistake_at_once_with_its_place() {
    let text = DAY
        .replace("title =", "tilte =")
        .replace("10:00 Europe/Berlin", "10:00 Europe/Berlln")
        .replace("box = \"25m\"", "box = 25")
        .replace("\"Payment fails\"", "\"Payment failz\"")
        .replace("named = [\"Ada\", \"Alan\"]", "named = [\"Ada\", \"Allan\"]")
        .replace(
            "id = \"slow again\"\nplan = \"plans/orders.toml\"",
            "plan = \"../orders.toml\"",
        );
    let checked = read(&text);
    assert!(checked.day.is_none());
    let said: Vec<String> = checked.diagnostics.iter().map(ToString::to_string).collect();
    for expected in [
        "1:1: missing \"title\"",
        "2:1: unknown key \"tilte\"; did you mean \"title\"?",
        "4:9: \"Europe/Berlln\" is not a time zone",
        "\"Allan\" has no role here; did you mean \"Alan\"?",
        "plans/orders.toml has no experiment \"Payment failz\"; did you mean \"Payment fails\"?",
        "expected a duration with its unit, such as \"25s\"",
        "\"../orders.toml\" must be a relative path inside this folder",
    ] {
        assert!(
            said.iter().any(|it| it.contains(expected)),
            "{expected}\n{said:#?}"
        );
    }
    assert_eq!(said.len(), 7, "{said:#?}");
}

#[test]
fn no_path_leads_out() {
    for path in [
        "../p.toml",
        "/p.toml",
        "plans/../../p.toml",
        "C:/p.toml",
        "plans\\p.toml",
        "./p.toml",
        "plans//p.toml",
        "..",
    ] {
        let toml_path = path.replace('\\', "\\\\");
        let text = DAY.replacen("plans/orders.toml", &toml_path, 1);
        let checked = check(&text, &|path| {
            assert_eq!(path, "plans/orders.toml", "only what is inside is looked for");
            Ok(Arc::new(plan()))
        });
        assert!(checked.day.is_none(), "{path}");
    }
}

#[test]
fn an_experiment_that_comes_twice_needs_an_id() {
    let checked = read(&DAY.replace("id = \"slow again\"\n", ""));
    let [twice] = &checked.diagnostics[..] else {
        panic!("{:?}", checked.diagnostics)
    };
    assert!(
        twice.message.contains("give this one an id of its own"),
        "{twice}"
    );
    assert!(checked.day.is_none());
}

#[test]
fn times_come_from_the_plan_and_a_box_that_is_too_short_is_said() {
    let checked = read(DAY);
    // 15 s preflight, 60 s baseline, lanes of 150 s and 30 s, 2 min recovery, 5 min between.
    let planned = 15_000 + 60_000 + 150_000 + 120_000 + 300_000;
    assert_eq!(checked.needs[0].planned_ms(), planned);
    assert_eq!(checked.needs[0].most_ms(), planned + 4 * 60_000);
    assert_eq!(checked.needs[0].fit(planned - 1), Fit::TooShort);
    assert_eq!(checked.needs[0].fit(planned), Fit::IfSteady);
    assert_eq!(checked.needs[0].fit(planned + 240_000), Fit::Fits);
    for (old, new, says) in [
        (
            "box = \"20m\"   # generous",
            "box = \"10m\"",
            "has 10 min, but needs 10 min 45 s: preflight 15 s",
        ),
        (
            "for = \"2h\"",
            "for = \"1h\"",
            "the boxes take 5 min longer than the game day",
        ),
        (
            "10:00 Europe",
            "11:00 Europe",
            "is on at 12:04, which its plan calls not staffed",
        ),
    ] {
        let checked = read(&DAY.replace(old, new));
        let said: Vec<_> = checked.diagnostics.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|it| it.contains(says)), "{says}: {said:#?}");
        assert!(
            checked
                .diagnostics
                .iter()
                .all(|it| it.severity == Severity::Warning)
        );
        assert!(checked.day.is_some(), "a warning is none");
    }
}

#[test]
fn changes_of_the_file_keep_its_comments() {
    let day = day();
    let drill = "Payment fails".to_owned();
    let moved = apply(
        DAY,
        &day,
        &Change::Move {
            drill: drill.clone(),
            to: 0,
        },
    )
    .unwrap();
    let (hard, easy) = (
        moved.find("# Then the hard one").unwrap(),
        moved.find("# First the easy one").unwrap(),
    );
    assert!(hard < easy, "{moved}");
    assert_eq!(read(&moved).day.unwrap().drills[0].id, "Payment fails");
    let first = "Payment is slow".to_owned();
    let shorter = apply(
        DAY,
        &day,
        &Change::Box {
            drill: first.clone(),
            box_ms: 15 * 60_000,
        },
    )
    .unwrap();
    assert!(shorter.contains("box = \"15m\"   # generous"), "{shorter}");
    let skipped = apply(
        DAY,
        &day,
        &Change::Skip {
            drill: first.clone(),
            why: None,
        },
    )
    .unwrap();
    assert!(read(&skipped).day.unwrap().drills[0].skip);
    let back = apply(&skipped, &day, &Change::Unskip { drill: first }).unwrap();
    assert_eq!(back, DAY);
    let nobody = apply(
        DAY,
        &day,
        &Change::Unskip {
            drill: "no".to_owned(),
        },
    );
    assert!(nobody.unwrap_err().to_string().contains("\"no\""));
}

#[test]
fn the_schema_knows_the_keys_of_the_reader() {
    let schema = schema();
    let keys = schema["properties"].as_object().unwrap();
    for key in ["title", "start", "for", "drill", "check", "go", "people"] {
        assert!(keys.contains_key(key), "{key}");
    }
    assert_eq!(
        schema["properties"]["drill"]["items"]["additionalProperties"],
        false
    );
}

#[test]
fn a_new_game_day_can_be_read() {
    let plans = [("plans/orders.toml".to_owned(), plan())];
    let text = from_plans(New {
        title: "Game \"day\"",
        id: "1a2b",
        start: "2026-12-03 10:00 Europe/Berlin",
        who: "ada",
        plans: &plans,
    });
    let checked = read(&text);
    let said: Vec<_> = checked
        .diagnostics
        .iter()
        .map(|it| it.render("gameday.toml", &text))
        .collect();
    assert!(said.is_empty(), "{said:#?}\n{text}");
    let day = checked.day.unwrap();
    assert_eq!(day.title, "Game \"day\"");
    assert_eq!(day.drills.len(), 2);
    for (row, needs) in day.drills.iter().zip(&checked.needs) {
        assert_eq!(needs.fit(row.box_ms), Fit::Fits, "{row:?}");
    }
    assert!(day.ends_ms() >= schedule(&day, &State::new(&day), 0).ends_ms);
}
