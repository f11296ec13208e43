//! Both clocks of a drill.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use firedrill_drill::At;

/// Reads monotonic time since a drill was made, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// The drill is made now.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Now.
    pub fn now(&self) -> At {
        At {
            mono_us: self.us(Instant::now()),
            wall_ms: wall_ms(),
        }
    }

    /// Microseconds from the drill's making to `then`; 0 for what was before it.
    pub fn us(&self, then: Instant) -> u64 {
        then.saturating_duration_since(self.origin).as_micros() as u64
    }
}

/// A wall time as a clock here shows it: `14:02:53`.
pub fn time_of_day(wall_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(wall_ms).map_or_else(
        |_| "--:--:--".to_owned(),
        |at| {
            at.to_zoned(jiff::tz::TimeZone::system())
                .strftime("%H:%M:%S")
                .to_string()
        },
    )
}

/// The wall clock, milliseconds since 1970 UTC.
pub fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

/// The name of this computer's time zone; `UTC` where it has none that has a name.
pub fn local_zone() -> String {
    let zone = jiff::tz::TimeZone::system();
    zone.iana_name().unwrap_or("UTC").to_owned()
}
