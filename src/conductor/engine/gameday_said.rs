//! What people say of a drill of the game day, as records: clocks, predictions, reveals, lines in another's name.

use firedrill_gameday::{Entered, Entry, Event, GameDay, Known, Prediction, entry, parse_clock};

use super::gameday::{OpenDay, TEXT};
use crate::{abort::random_id, clock::wall_ms};

pub(super) fn some(text: &str) -> Option<String> {
    let text: String = text.trim().chars().take(TEXT).collect();
    (!text.is_empty()).then_some(text)
}

pub(super) fn short_id() -> String {
    random_id().chars().take(12).collect()
}

pub(super) fn predicted(open: &OpenDay, drill: String, mut said: Prediction) -> Result<Event, String> {
    said.who = some(&said.who).ok_or("say who predicts")?;
    said.words = some(&said.words).unwrap_or_default();
    said.nonce = random_id();
    let row = open.state.rows.iter().find(|row| row.id == drill);
    let row = row.ok_or_else(|| format!("no drill of the agenda is called \"{drill}\""))?;
    if row.revealed {
        return Err("the predictions of this drill are revealed already".to_owned());
    }
    Ok(Event::Predicted {
        drill,
        seal: said.seal(),
        prediction: said,
    })
}

/// Nobody sees what others expect before the drill is over.
pub(super) fn reveal(open: &OpenDay, drill: String) -> Result<Event, String> {
    let row = open.state.rows.iter().find(|row| row.id == drill);
    let over = row
        .and_then(|row| row.runs.last())
        .is_some_and(|run| run.found.is_some());
    if over {
        Ok(Event::Revealed { drill })
    } else {
        Err("predictions are revealed when the drill is over".to_owned())
    }
}

pub(super) fn clocked(
    open: &OpenDay,
    day: &GameDay,
    clock: firedrill_gameday::Clock,
    drill: Option<String>,
    when: &str,
    who: Option<String>,
) -> Result<Event, String> {
    let now_ms = wall_ms();
    let when_ms = match when.trim() {
        "" => now_ms,
        typed => parse_clock(typed, now_ms, &day.start.time_zone())?,
    };
    let drill = of_drill(open, drill).ok_or("no drill of the game day is on")?;
    Ok(Event::Clock {
        id: short_id(),
        drill,
        clock,
        when_ms,
        who,
    })
}

/// The row that is meant: the one that is on, or the rehearsal that is over and not revealed.
pub(super) fn of_drill(open: &OpenDay, named: Option<String>) -> Option<String> {
    let over = || {
        let ran = open.state.rows.iter().filter(|row| row.is_sealed());
        ran.max_by_key(|row| row.runs.last().map(|run| run.began_ms))
            .filter(|row| !row.runs.is_empty())
    };
    let meant = || open.state.running().or_else(over).map(|row| row.id.clone());
    named.or_else(meant)
}

/// A line that was typed in somebody's name.
pub(super) fn entered(
    open: &OpenDay,
    day: &GameDay,
    line: &str,
    drill: Option<String>,
) -> Result<Event, String> {
    let on = of_drill(open, drill);
    let slis = on.as_ref().map_or_else(Vec::new, |row| slis(open, day, row));
    let known = Known {
        day,
        slis: &slis,
        now_ms: wall_ms(),
    };
    let Entry { who, what } = entry(line, &known)?;
    let row = || {
        on.clone()
            .ok_or("no drill of the game day is on; choose its row first")
    };
    Ok(match what {
        Entered::Clock { clock, when_ms } => Event::Clock {
            id: short_id(),
            drill: row()?,
            clock,
            when_ms,
            who: Some(who),
        },
        Entered::Note { when_ms, words } => Event::Note {
            id: short_id(),
            drill: on,
            when_ms,
            who: Some(who),
            words,
        },
        Entered::Predict(said) => predicted(open, row()?, said)?,
        Entered::Strike(clock) => {
            let row = row()?;
            let rows = open.state.rows.iter().find(|it| it.id == row);
            let stamps = rows.into_iter().flat_map(|row| &row.clocks);
            let newest = stamps
                .filter(|it| it.clock == clock && it.struck.is_none() && it.who.as_ref() == Some(&who))
                .max_by_key(|it| it.at_ms);
            let id = newest
                .map(|it| it.id.clone())
                .ok_or_else(|| format!("{who} has no clock \"{}\" that counts", clock.word()))?;
            Event::Struck { id, why: None }
        }
    })
}

/// The indicators of a row's plan, name and unit.
pub(super) fn slis(open: &OpenDay, day: &GameDay, row: &str) -> Vec<(String, String)> {
    let plan = day
        .row(row)
        .and_then(|(_, row)| open.read.checked.plans.get(&row.plan));
    let slis = plan.into_iter().flat_map(|plan| &plan.slis);
    slis.map(|sli| (sli.name.clone(), sli.unit.clone())).collect()
}
