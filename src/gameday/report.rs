//! The game day's report as Markdown: who (by role, by name only where they agreed), what was held, what was
//! predicted, how quick people were, what was decided and found, and what was learned about the exercise.

use jiff::tz::TimeZone;

use crate::{
    GameDay, Names, Needs, QUESTIONS, Remark, Role, RowState, Run, Standing, State, What,
    findings::{due_first, one},
    schedule, score, timeline,
    words::{clock, count, day_and_clock, length, markdown, today, zoned},
};

struct Page<'a> {
    day: &'a GameDay,
    state: &'a State,
    needs: &'a [Needs],
    names: Names,
    zone: TimeZone,
    out: String,
}

/// The report as of `now_ms`. `needs`: of the rows in the order of the file.
pub fn report(day: &GameDay, needs: &[Needs], state: &State, now_ms: i64) -> String {
    let mut page = Page {
        day,
        state,
        needs,
        names: Names::of(day),
        zone: day.start.time_zone(),
        out: String::new(),
    };
    page.head(now_ms);
    page.people();
    page.agenda(now_ms);
    for row in &state.rows {
        page.drill(row);
    }
    page.decisions();
    page.preparation();
    page.findings(now_ms);
    page.answers();
    page.hide();
    page.out.push_str(
        "\nPeople stand here by role; by name only where they agreed. What people wrote is as they wrote it.\n",
    );
    page.out
}

impl Page<'_> {
    fn line(&mut self, line: impl AsRef<str>) {
        self.out.push_str(line.as_ref());
        self.out.push('\n');
    }

    fn heading(&mut self, words: &str) {
        self.line(format!("\n## {words}\n"));
    }

    fn head(&mut self, now_ms: i64) {
        let day = self.day;
        self.line(format!("# {}\n", markdown(&day.title)));
        let planned = day_and_clock(day.start.wall_ms, &self.zone);
        self.line(format!(
            "- Planned: {planned} {}, at the most {}",
            day.start.zone,
            length(day.for_ms)
        ));
        if let Some(started) = self.state.started_ms {
            let until = self.state.ended_ms.map_or_else(
                || format!("not over at {}", clock(now_ms, &self.zone)),
                |ended| format!("over {}", clock(ended, &self.zone)),
            );
            self.line(format!(
                "- Held: started {}, {until}",
                day_and_clock(started, &self.zone)
            ));
        } else {
            self.line("- Held: not started");
        }
        for (what, words) in [
            ("Goal", &day.goal),
            ("Where", &day.place),
            ("What could be hit", &day.segment),
        ] {
            if let Some(words) = words {
                self.line(format!("- {what}: {}", markdown(words)));
            }
        }
        if let Some(stopped) = &self.state.stopped {
            let real = if stopped.is_real() {
                " **There was a real incident.**"
            } else {
                ""
            };
            let words = format!(
                "- Stopped {} by {}: {}.{real}",
                clock(stopped.at_ms, &self.zone),
                self.names.call(&stopped.by),
                markdown(&stopped.reason)
            );
            self.line(words);
        }
    }

    fn people(&mut self) {
        let rows: Vec<String> = Role::ALL
            .iter()
            .filter_map(|(role, _)| {
                let who = self.names.role(self.day, *role)?;
                let several = self
                    .day
                    .people
                    .roles
                    .iter()
                    .any(|(it, names)| it == role && names.len() > 1);
                let word = if several { role.words() } else { role.word() };
                Some(format!("- {word}: {}", markdown(&who)))
            })
            .collect();
        if !rows.is_empty() {
            self.heading("Who took part");
            for row in rows {
                self.line(row);
            }
        }
    }

    fn agenda(&mut self, now_ms: i64) {
        self.heading("Agenda");
        self.line("| drill | from | until | box | needed by its plan | how it went |");
        self.line("| --- | --- | --- | --- | --- | --- |");
        let schedule = schedule(self.day, self.state, now_ms);
        for slot in &schedule.slots {
            let row = self.state.rows.iter().find(|row| row.id == slot.id);
            let sealed = row.is_some_and(RowState::is_sealed);
            let (from, until) = match slot.standing {
                Standing::Skipped(_) => ("–".to_owned(), "–".to_owned()),
                _ => (clock(slot.from_ms, &self.zone), clock(slot.until_ms, &self.zone)),
            };
            let needs = self.day.row(&slot.id).and_then(|(at, _)| self.needs.get(at));
            let needed = needs.map_or_else(|| "–".to_owned(), |it| length(it.planned_ms()));
            let went = match &slot.standing {
                Standing::Planned => "to come".to_owned(),
                Standing::Running => "running".to_owned(),
                Standing::Over(_) if sealed => "over".to_owned(),
                Standing::Over(outcome) => outcome.word().to_owned(),
                Standing::Skipped(None) => "skipped".to_owned(),
                Standing::Skipped(Some(why)) => format!("skipped: {}", markdown(why)),
            };
            let row = format!(
                "| {} | {from} | {until} | {} | {needed} | {went} |",
                markdown(&slot.id),
                length(slot.box_ms)
            );
            self.line(row);
        }
    }

    /// What people wrote may name a drill that is not revealed.
    fn hide(&mut self) {
        for row in self.state.rows.iter().filter(|row| row.is_sealed()) {
            let planned = self.day.row(&row.id).map(|(_, planned)| planned);
            let names = planned.into_iter().flat_map(|it| [&it.experiment, &it.plan]);
            let names: Vec<&String> = names.chain([&row.id]).collect();
            for name in names.into_iter().filter(|name| !name.is_empty()) {
                let hidden = row.redaction().pass(name.clone()).into_inner();
                self.out = self
                    .out
                    .replace(&markdown(name), &hidden)
                    .replace(name.as_str(), &hidden);
            }
        }
    }

    fn drill(&mut self, row: &RowState) {
        if row.is_sealed() {
            if !row.runs.is_empty() {
                self.heading("exercise");
                self.line("Not revealed yet: what it was stands here after its reveal.");
            }
            return;
        }
        for (number, run) in row.runs.iter().enumerate() {
            let again = if number == 0 {
                String::new()
            } else {
                format!(", run {}", number + 1)
            };
            self.heading(&format!("{}{again}", markdown(&row.id)));
            if let Some((_, planned)) = self.day.row(&row.id) {
                self.line(format!(
                    "- Plan: {}, {}",
                    markdown(&planned.plan),
                    markdown(&planned.experiment)
                ));
            }
            self.line(format!("- Journal: journals/{}.jsonl", run.id));
            match &run.found {
                None => self.line("- Verdict: none yet"),
                Some(found) => {
                    self.line(format!("- Verdict: **{}**", found.outcome.word()));
                    for reason in &found.reasons {
                        self.line(format!("  - {}", markdown(reason)));
                    }
                }
            }
            self.timeline(row, number);
            self.clocks(row, number);
            self.notes(row, run);
            self.predictions(row, number);
        }
    }

    /// What happened and what people did, in the order of time.
    fn timeline(&mut self, row: &RowState, run: usize) {
        let all = timeline(row, run);
        if !all.iter().any(|it| matches!(it.what, What::Clock { .. })) {
            return;
        }
        self.line("\n| what | at | after the fault's begin |");
        self.line("| --- | --- | --- |");
        for moment in all {
            let what = match &moment.what {
                What::Clock { clock, who, back } => {
                    let who = who.as_ref().map_or_else(String::new, |who| {
                        format!(" by {}", markdown(&self.names.call(who)))
                    });
                    let back = if *back { ", dated back" } else { "" };
                    format!("{}{who}{back}", clock.word())
                }
                What::Fault => "**the fault begins**".to_owned(),
                What::Out(sli) => format!("{} leaves its tolerance", markdown(sli)),
                What::Off => "**the fault is off**".to_owned(),
            };
            let at = zoned(moment.at_ms, &self.zone, "%H:%M:%S");
            let after = moment.after_words();
            self.line(format!("| {what} | {at} | {after} |"));
        }
    }

    /// Those that were struck.
    fn clocks(&mut self, row: &RowState, run: usize) {
        for stamp in row.clocks.iter().filter(|it| it.run == run) {
            if let Some((by, why)) = &stamp.struck {
                let at = zoned(stamp.when_ms, &self.zone, "%H:%M:%S");
                let why = why
                    .as_ref()
                    .map_or_else(String::new, |why| format!(": {}", markdown(why)));
                let by = self.names.call(by);
                self.line(format!("\nStruck by {by}: {} at {at}{why}.", stamp.clock.word()));
            }
        }
    }

    fn notes(&mut self, row: &RowState, run: &Run) {
        let within = |it: &&Remark| {
            it.drill.as_ref() == Some(&row.id)
                && it.when_ms >= run.began_ms
                && run
                    .ended_ms
                    .is_none_or(|ended| it.when_ms <= ended || row.runs.last() == Some(run))
        };
        let state = self.state;
        let mut all: Vec<&Remark> = state.notes.iter().filter(within).collect();
        if all.is_empty() {
            return;
        }
        all.sort_by_key(|it| it.when_ms);
        self.line("");
        for note in all {
            let at = zoned(note.when_ms, &self.zone, "%H:%M:%S");
            let who = self.names.call(note.who.as_ref().unwrap_or(&note.by));
            self.line(format!("- {at} {}: {}", markdown(&who), markdown(&note.words)));
        }
    }

    fn predictions(&mut self, row: &RowState, run: usize) {
        let all: Vec<_> = row.predictions_of(run).collect();
        if all.is_empty() {
            return;
        }
        if !row.revealed {
            self.line(format!(
                "\n{} sealed, not revealed.",
                count(all.len(), "prediction")
            ));
            return;
        }
        self.line("\n| who | predicted | score | why |");
        self.line("| --- | --- | --- | --- |");
        for sealed in all {
            let said = &sealed.prediction;
            let score = score(row, sealed);
            let points = score.as_ref().map_or_else(|| "–".to_owned(), crate::Score::words);
            let why: Vec<String> = score
                .iter()
                .flat_map(|it| &it.parts)
                .map(|part| format!("{}: {}", part.what, markdown(&part.words)))
                .collect();
            let holds = if said.holds { "held" } else { "broken" };
            let words = if said.words.is_empty() {
                String::new()
            } else {
                format!(": {}", markdown(&said.words))
            };
            let who = markdown(&self.names.call(&said.who));
            self.line(format!(
                "| {who} | {holds}{words} | {points} | {} |",
                why.join("; ")
            ));
        }
    }

    fn decisions(&mut self) {
        if self.state.decisions.is_empty() {
            return;
        }
        self.heading("Decisions");
        let state = self.state;
        for decision in &state.decisions {
            let at = clock(decision.at_ms, &self.zone);
            let by = markdown(&self.names.call(&decision.by));
            self.line(format!("- {at} {by}: {}", markdown(&decision.words)));
        }
    }

    fn preparation(&mut self) {
        let state = self.state;
        if state.checks.is_empty() && state.goes.is_empty() {
            return;
        }
        self.heading("Preparation");
        for check in &state.checks {
            let done = check.done.as_ref().map_or_else(
                || "not ticked".to_owned(),
                |(by, at)| format!("{} by {}", clock(*at, &self.zone), self.names.call(by)),
            );
            self.line(format!("- {}: {}", markdown(&check.name), markdown(&done)));
        }
        for go in &state.goes {
            let said = match &go.said {
                None => "has not said".to_owned(),
                Some((go, at, words)) => {
                    let words = words.as_ref().map_or_else(String::new, |it| format!(", {it}"));
                    format!(
                        "{} {}{words}",
                        if *go { "go" } else { "no-go" },
                        clock(*at, &self.zone)
                    )
                }
            };
            self.line(format!(
                "- {}: {}",
                markdown(&self.names.call(&go.name)),
                markdown(&said)
            ));
        }
    }

    fn findings(&mut self, now_ms: i64) {
        self.heading("Findings");
        if self.state.findings.is_empty() {
            self.line("None.");
        }
        let today = today(now_ms, &self.zone);
        let state = self.state;
        for noted in due_first(&state.findings) {
            let text = one(noted, "###", today, &self.zone, &self.names);
            self.line(text);
        }
    }

    fn answers(&mut self) {
        self.heading("About the exercise");
        let state = self.state;
        for (i, question) in QUESTIONS.iter().enumerate() {
            self.line(format!("- {question}"));
            for answer in state.answers.iter().filter(|it| it.question == i) {
                let who = markdown(&self.names.call(&answer.by));
                self.line(format!("  - {who}: {}", markdown(&answer.words)));
            }
        }
    }
}
