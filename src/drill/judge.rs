//! Bands, fresh data, bad samples, stop conditions, the hypothesis.

use firedrill_plan::Stop;

use crate::{
    At, BadSample, Drill, Phase, Reading, Sample, SliState,
    machine::Gauge,
    words::{show_ms, show_range, show_value},
};

/// Gaps between source times that the interval is estimated from.
const GAPS: usize = 9;

/// A longer gap says nothing of the source's interval: the times are the source's own words, and may be anything.
const LONGEST_GAP_MS: u64 = 3_600_000;

/// A baseline or a recovery needs this many samples in a row inside the band.
pub(crate) const GOOD_SAMPLES: u32 = 3;

/// And a recovery this long.
const RECOVERED_US: u64 = 2_000_000;

/// A baseline that takes this many times as long as asked for is none.
pub const BASELINE_TIMES: u64 = 5;

impl Gauge {
    /// Whether a value of this source time is new. A source whose clock was set back goes on with new samples:
    /// they were taken later all the same, by their age.
    fn take_time(&mut self, source_ms: i64, sampled_us: u64, every_ms: u64) -> bool {
        let half_us = self.interval_ms(every_ms) * 500;
        if let Some((last_ms, last_us)) = self.newest {
            let set_back = source_ms < last_ms && sampled_us >= last_us.saturating_add(half_us);
            if source_ms <= last_ms && !set_back {
                return false;
            }
            if !set_back {
                self.gaps_ms
                    .push_back(last_ms.abs_diff(source_ms).min(LONGEST_GAP_MS));
            }
            if self.gaps_ms.len() > GAPS {
                self.gaps_ms.pop_front();
            }
        }
        self.newest = Some((source_ms, sampled_us));
        true
    }

    /// The source's interval: the lower median of the gaps seen, so that an outage does not stretch it.
    fn interval_ms(&self, every_ms: u64) -> u64 {
        let mut sorted = [0; GAPS];
        let gaps = &mut sorted[..self.gaps_ms.len().min(GAPS)];
        for (place, gap) in gaps.iter_mut().zip(&self.gaps_ms) {
            *place = *gap;
        }
        gaps.sort_unstable();
        let median = gaps.get(gaps.len().saturating_sub(1) / 2).copied();
        median.unwrap_or(0).max(every_ms).max(1)
    }
}

/// How old a sample may be: two intervals and a little, for the way from the source to here.
fn fresh_us(interval_ms: u64) -> u64 {
    let slack_ms = (interval_ms / 4).clamp(100, 1_000);
    (interval_ms * 2 + slack_ms) * 1_000
}

impl Drill {
    /// One new observation at the source. A repeated or older one is nothing new.
    pub(crate) fn take_sample(&mut self, sample: &Sample) {
        let plan = self.setup.plan.clone();
        let Some(sli) = plan.slis.get(sample.sli) else {
            return;
        };
        let now_us = self.at.mono_us;
        let sampled_us = now_us.saturating_sub(sample.age_ms.saturating_mul(1_000));
        let reading = judge_reading(&sample.reading, sli.min_rate);
        // An answer without data does not make up for what was missed before it, for instance in a suspension.
        if let (Err(_), Some(since)) = (&reading, self.judging_since_us) {
            self.count_missing(sample.sli, since);
        }
        let gauge = &mut self.gauges[sample.sli];
        let status = &mut self.slis[sample.sli];
        // A time without data may be of another clock: only values tell the source's interval.
        if reading.is_ok() && !gauge.take_time(sample.source_ms, sampled_us, plan.metrics.every_ms) {
            return;
        }
        let interval_ms = gauge.interval_ms(plan.metrics.every_ms);
        let old = now_us.saturating_sub(sampled_us) >= fresh_us(interval_ms);
        // A source without data may be asked more often than it has samples.
        let counts = reading.is_ok() || now_us.saturating_sub(gauge.counted_us) >= interval_ms * 750;
        gauge.reading = Some(reading.clone());
        // Counted from the newest sample with the interval as it is estimated now: one that an outage had stretched
        // must not hold up what is missed later.
        if !old && Some(sampled_us) >= status.sampled_us {
            gauge.next_missing_us = sampled_us + fresh_us(interval_ms);
        }
        if counts && !old {
            gauge.counted_us = now_us;
        }
        status.sampled_us = status.sampled_us.max(Some(sampled_us));
        status.interval_ms = Some(interval_ms);
        match &reading {
            Ok(value) => {
                status.value = Some(*value);
                status.why_no_data = None;
            }
            Err(why) => status.why_no_data = Some(why.clone()),
        }
        self.refresh(sample.sli);
        if old {
            return;
        }
        self.count_good(sample.sli);
        if self.fault_is_on() {
            if counts {
                self.judge_sample(sample.sli, reading.ok());
            }
        } else {
            self.slis[sample.sli].bad_in_row = 0;
            self.gauges[sample.sli].bad_values = 0;
        }
    }

    /// The state of an SLI by its newest reading and its age.
    fn refresh(&mut self, index: usize) {
        let sli = &self.setup.plan.slis[index];
        let state = match &self.gauges[index].reading {
            Some(Ok(value)) if self.is_fresh(index) => {
                if sli.band.contains(*value) {
                    SliState::Steady
                } else if sli.tolerate.contains(*value) {
                    SliState::Tolerated
                } else {
                    SliState::Out
                }
            }
            _ => SliState::NoData,
        };
        self.slis[index].state = state;
    }

    fn is_fresh(&self, index: usize) -> bool {
        let interval_ms = self.gauges[index].interval_ms(self.setup.plan.metrics.every_ms);
        let sampled_us = self.slis[index].sampled_us;
        sampled_us.is_some_and(|it| self.at.mono_us < it + fresh_us(interval_ms))
    }

    fn count_good(&mut self, index: usize) {
        let status = &mut self.slis[index];
        let gauge = &mut self.gauges[index];
        if status.state == SliState::Steady {
            gauge.good += 1;
            status.good_since_us.get_or_insert(self.at.mono_us);
        } else {
            gauge.good = 0;
            status.good_since_us = None;
        }
    }

    pub(crate) fn count_good_anew(&mut self) {
        for (status, gauge) in self.slis.iter_mut().zip(&mut self.gauges) {
            status.good_since_us = None;
            gauge.good = 0;
        }
    }

    /// One sample while a fault is on: the hypothesis, then the stop condition. `None`: no data.
    fn judge_sample(&mut self, index: usize, value: Option<f64>) {
        let plan = self.setup.plan.clone();
        let sli = &plan.slis[index];
        if let Some(value) = value
            && !sli.tolerate.contains(value)
            && !self.gauges[index].broke
        {
            self.gauges[index].broke = true;
            let words = format!(
                "{} is {}, the hypothesis allows {}",
                sli.name,
                show_value(&sli.unit, value),
                show_range(&sli.unit, sli.tolerate)
            );
            let reason = self.judge("tolerance", "tolerance", words);
            self.reasons.broken.push(reason);
        }
        let outside = |value: f64| matches!(sli.stop, Stop::Outside { range, .. } if !range.contains(value));
        if value.is_some_and(|it| !outside(it)) {
            self.slis[index].bad_in_row = 0;
            self.gauges[index].bad_values = 0;
            return;
        }
        self.slis[index].bad_in_row += 1;
        if value.is_some() {
            self.gauges[index].bad_values += 1;
        }
        self.bad_sample(index, value);
    }

    fn bad_sample(&mut self, index: usize, value: Option<f64>) {
        let plan = self.setup.plan.clone();
        let sli = &plan.slis[index];
        let in_row = self.slis[index].bad_in_row;
        let after = sli.stop.after().max(1);
        self.bad.push(BadSample {
            sli: index,
            at: self.at,
            value,
            in_row,
        });
        let found = match (value, sli.stop) {
            (Some(value), Stop::Outside { range, .. }) => format!(
                "{} is {}, safe is {}",
                sli.name,
                show_value(&sli.unit, value),
                show_range(&sli.unit, range)
            ),
            _ => format!("{} has no data: {}", sli.name, self.why_no_data(index)),
        };
        let words = format!("{found}; bad sample {in_row} of {after}");
        let reason = self.judge("bad sample", "bad sample", words);
        if in_row < after || self.ending.as_ref().is_some_and(|it| it.abort) {
            return;
        }
        if self.gauges[index].bad_values == 0 {
            self.stop_blind("no data", format!("{found}; {in_row} in a row"));
        } else {
            self.stop_breach(format!("{found}; {in_row} bad samples in a row"), reason.at);
        }
    }

    fn why_no_data(&self, index: usize) -> String {
        if let Some(Err(why)) = &self.gauges[index].reading {
            return why.clone();
        }
        if let Some(why) = &self.slis[index].why_no_data {
            return why.clone();
        }
        match self.slis[index].sampled_us {
            Some(at) => format!(
                "the newest sample is {} old; see whether the source still gets new ones",
                show_ms(self.at.mono_us.saturating_sub(at) / 1_000)
            ),
            None => "no sample has come; see whether the source has this SLI".to_owned(),
        }
    }

    /// Time passes: what has become old breaks a baseline and counts as bad, once for each further interval.
    pub(crate) fn judge_freshness(&mut self) {
        let on = self.fault_is_on();
        match (on, self.judging_since_us) {
            (true, None) => self.judging_since_us = Some(self.at.mono_us),
            (false, Some(_)) => self.judging_since_us = None,
            _ => {}
        }
        for index in 0..self.slis.len() {
            self.refresh(index);
            let fresh = self.is_fresh(index);
            if !on {
                self.slis[index].bad_in_row = 0;
                self.gauges[index].bad_values = 0;
            }
            if fresh {
                continue;
            }
            self.slis[index].good_since_us = None;
            self.gauges[index].good = 0;
            if let Some(since) = self.judging_since_us {
                self.count_missing(index, since);
            }
        }
    }

    fn count_missing(&mut self, index: usize, since_us: u64) {
        let step_us = self.gauges[index].interval_ms(self.setup.plan.metrics.every_ms) * 1_000;
        let after = self.setup.plan.slis[index].stop.after().max(1);
        let mut due_us = self.gauges[index].next_missing_us.max(since_us);
        let mut counted = 0;
        while due_us <= self.at.mono_us && counted < after {
            due_us += step_us;
            counted += 1;
            self.judge_sample(index, None);
        }
        // After a long gap in our own time only as many as stop a drill are counted.
        while due_us <= self.at.mono_us {
            due_us += step_us * (1 + (self.at.mono_us - due_us) / step_us);
        }
        self.gauges[index].next_missing_us = due_us;
        if counted > 0 {
            self.gauges[index].counted_us = self.at.mono_us;
        }
    }

    /// Time since the last step, while a fault is on and somebody suffers from it.
    pub(crate) fn count_harm(&mut self, passed_us: u64) {
        let hurt = self
            .slis
            .iter()
            .any(|it| matches!(it.state, SliState::Out | SliState::NoData));
        if hurt && self.fault_is_on() {
            self.harm_us += passed_us;
        }
    }

    pub(crate) fn begin_baseline(&mut self, words: impl Into<String>) {
        self.enter(Phase::Baseline, words);
        self.count_good_anew();
    }

    pub(crate) fn advance_baseline(&mut self) {
        let (Some(began), Some(baseline_ms)) = (
            self.began(Phase::Baseline),
            self.experiment().map(|it| it.baseline_ms),
        ) else {
            return;
        };
        if self.ending.is_some() {
            return;
        }
        if self.all_good_for(baseline_ms * 1_000) {
            let words = format!(
                "every SLI was inside its band for {}, after {}",
                show_ms(baseline_ms),
                show_ms(self.at.ms_since(began))
            );
            self.begin_arming(words);
            return;
        }
        let limit_ms = baseline_ms.saturating_mul(BASELINE_TIMES);
        if self.at.ms_since(began) >= limit_ms {
            let words = format!(
                "no steady state for {} within {}: {}",
                show_ms(baseline_ms),
                show_ms(limit_ms),
                self.unsteady_words()
            );
            self.stop_blind("baseline", words);
        }
    }

    pub(crate) fn all_good_for(&self, us: u64) -> bool {
        let good = |(status, gauge): (&crate::SliStatus, &Gauge)| {
            gauge.good >= GOOD_SAMPLES
                && status
                    .good_since_us
                    .is_some_and(|since| self.at.mono_us.saturating_sub(since) >= us)
        };
        !self.slis.is_empty() && self.slis.iter().zip(&self.gauges).all(good)
    }

    /// Which SLIs are not in their bands, with their values.
    pub(crate) fn unsteady_words(&self) -> String {
        let rows = self.slis.iter().zip(&self.setup.plan.slis).enumerate();
        let words: Vec<String> = rows
            .filter(|(_, (status, _))| status.state != SliState::Steady)
            .map(|(index, (status, sli))| match (status.state, status.value) {
                (SliState::Tolerated | SliState::Out, Some(value)) => format!(
                    "{} is {}, its band is {}",
                    sli.name,
                    show_value(&sli.unit, value),
                    show_range(&sli.unit, sli.band)
                ),
                _ => format!("{} has no data: {}", sli.name, self.why_no_data(index)),
            })
            .collect();
        if words.is_empty() {
            "every SLI is inside its band now, but was not for long enough".to_owned()
        } else {
            words.join("; ")
        }
    }

    pub(crate) fn baseline_progress(&self, now: At) -> (f32, String) {
        let asked_ms = self.experiment().map_or(1, |it| it.baseline_ms).max(1);
        let good_ms = |since: &crate::SliStatus| {
            since
                .good_since_us
                .map_or(0, |it| now.mono_us.saturating_sub(it) / 1_000)
        };
        let steady_ms = self.slis.iter().map(good_ms).min().unwrap_or(0).min(asked_ms);
        (
            steady_ms as f32 / asked_ms as f32,
            format!("steady for {} of {}", show_ms(steady_ms), show_ms(asked_ms)),
        )
    }

    pub(crate) fn begin_recover(&mut self, words: impl Into<String>) {
        self.enter(Phase::Recover, words);
        self.recover_since_us = Some(self.at.mono_us);
        self.count_good_anew();
    }

    /// Back in the band, and for long enough to believe it.
    pub(crate) fn advance_recover(&mut self) {
        if self.recovery_over {
            self.conclude_when_told();
            return;
        }
        let (Some(since_us), Some(recover_ms)) =
            (self.recover_since_us, self.experiment().map(|it| it.recover_ms))
        else {
            return;
        };
        let took_ms = self.at.mono_us.saturating_sub(since_us) / 1_000;
        if self.all_good_for(RECOVERED_US) {
            let back_us = self.slis.iter().filter_map(|it| it.good_since_us).max();
            let back_ms = back_us.map_or(took_ms, |it| it.saturating_sub(since_us) / 1_000);
            self.back_us = back_us;
            let words = format!(
                "every SLI was back inside its band {} after the last revert",
                show_ms(back_ms)
            );
            let reason = self.judge("recovered", "recovery", words);
            self.reasons.held.push(reason);
            self.recovered();
        } else if took_ms >= recover_ms && !self.back_by(since_us + recover_ms * 1_000) {
            let words = format!(
                "not back in the band {} after the last revert: {}",
                show_ms(recover_ms),
                self.unsteady_words()
            );
            let reason = self.judge("not recovered", "recovery", words);
            self.reasons.broken.push(reason);
            self.recovered();
        }
    }

    /// Whether every SLI was back by then and has stayed: a slow source may need longer to show enough samples.
    fn back_by(&self, limit_us: u64) -> bool {
        let back = |it: &crate::SliStatus| it.good_since_us.is_some_and(|since| since <= limit_us);
        self.slis.iter().all(back)
    }

    pub(crate) fn recover_progress(&self, now: At) -> (f32, String) {
        let limit_ms = self.experiment().map_or(1, |it| it.recover_ms).max(1);
        let since_us = self.recover_since_us.unwrap_or(now.mono_us);
        let took_ms = now.mono_us.saturating_sub(since_us) / 1_000;
        let back = self.slis.iter().filter(|it| it.state == SliState::Steady).count();
        (
            (took_ms as f32 / limit_ms as f32).min(1.0),
            format!(
                "{back} of {} SLIs back in the band, {} of at most {}",
                self.slis.len(),
                show_ms(took_ms),
                show_ms(limit_ms)
            ),
        )
    }
}

/// A value that can be judged, or why there is none.
fn judge_reading(reading: &Reading, min_rate: Option<f64>) -> Result<f64, String> {
    if let Some(why) = reading.no_number() {
        return Err(why);
    }
    match (reading, min_rate) {
        (Reading::NoData { why }, _) => Err(why.clone()),
        (Reading::Value { rate: Some(rate), .. }, Some(min)) if *rate < min => Err(format!(
            "only {} of traffic, at least {} are needed",
            show_value("/s", *rate),
            show_value("/s", min)
        )),
        (Reading::Value { value, .. }, _) => Ok(*value),
    }
}
