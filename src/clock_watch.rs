//! Whether the clock can be believed: what is deleted for its age can't be brought back, so a clock that was set far
//! ahead, while the program ran or while it did not, must first go on so for a day. Meanwhile somebody can set it right.

use diesel::prelude::*;

use crate::db::{Conn, Timestamp, Tx};
use crate::http::Problem;
use crate::schema::clock_marks;
use crate::state::App;

/// By how much the clock may go ahead between two looks, in seconds: a week. No server sleeps longer.
const MOST_JUMP_SECONDS: i64 = 7 * 24 * 3600;
/// For how long a clock that went ahead by more is doubted, in seconds: a day.
const DOUBT_SECONDS: i64 = 24 * 3600;
/// How often what was seen is stored, in seconds: an hour.
const STORE_SECONDS: i64 = 3600;

/// Looks at the clock again and again.
#[derive(Debug, Default)]
pub(crate) struct ClockWatch {
    /// None before the first look.
    mark: Option<Mark>,
    stored_at: Option<Timestamp>,
}

/// What was last seen of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    believed_at: Timestamp,
    doubt: Option<Doubt>,
}

/// A clock that went far ahead, and goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Doubt {
    since: Timestamp,
    until: Timestamp,
}

impl ClockWatch {
    /// Whether what is over by the clock is over indeed.
    ///
    /// # Errors
    /// What the database says; the clock is not to be believed then.
    pub(crate) async fn is_believable(&mut self, app: &App) -> Result<bool, Problem> {
        // How tests move the time is not how a clock goes wrong.
        let now = app.clock.system();
        let before = match self.mark {
            Some(mark) => mark,
            None => app.db.read(load).await?.unwrap_or(Mark { believed_at: now, doubt: None }),
        };
        let mark = before.looked_at(now);
        self.mark = Some(mark);
        let has_turned = mark.doubt.is_some() != before.doubt.is_some();
        let is_due = self.stored_at.is_none_or(|at| at.plus_seconds(STORE_SECONDS) <= now || now < at);
        if has_turned || is_due {
            if let Some(doubt) = mark.doubt {
                let until = doubt.since.plus_seconds(DOUBT_SECONDS);
                tracing::error!(
                    "the clock went ahead by more than a week since {}, so nothing is deleted for its age before {until}; \
                     where the clock is wrong, set it right before",
                    mark.believed_at
                );
            }
            app.db.write(move |tx| store(tx, mark)).await?;
            self.stored_at = Some(now);
        }
        Ok(mark.doubt.is_none())
    }
}

impl Mark {
    /// What a look at the clock makes of it.
    fn looked_at(self, now: Timestamp) -> Self {
        let believed = Self { believed_at: now, doubt: None };
        if now <= self.believed_at.plus_seconds(MOST_JUMP_SECONDS) {
            return believed;
        }
        let goes_on = |doubt: &Doubt| doubt.until <= now && now <= doubt.until.plus_seconds(MOST_JUMP_SECONDS);
        let since = self.doubt.filter(goes_on).map_or(now, |doubt| doubt.since);
        if now >= since.plus_seconds(DOUBT_SECONDS) {
            return believed;
        }
        Self { doubt: Some(Doubt { since, until: now }), ..self }
    }
}

fn load(conn: &mut Conn) -> Result<Option<Mark>, Problem> {
    let columns = (clock_marks::believed_at, clock_marks::doubted_since, clock_marks::doubted_until);
    let row: Option<(Timestamp, Option<Timestamp>, Option<Timestamp>)> =
        clock_marks::table.select(columns).first(conn).optional()?;
    Ok(row.map(|(believed_at, since, until)| Mark {
        believed_at,
        doubt: since.zip(until).map(|(since, until)| Doubt { since, until }),
    }))
}

fn store(tx: &mut Tx<'_>, mark: Mark) -> Result<(), Problem> {
    let row = (
        clock_marks::id.eq(1),
        clock_marks::believed_at.eq(mark.believed_at),
        clock_marks::doubted_since.eq(mark.doubt.map(|doubt| doubt.since)),
        clock_marks::doubted_until.eq(mark.doubt.map(|doubt| doubt.until)),
    );
    diesel::replace_into(clock_marks::table).values(row).execute(&mut **tx)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
    const HOUR: i64 = 3600;

    /// Which of these looks, in hours after `NOW`, believe the clock.
    fn believed(hours: &[i64]) -> Vec<bool> {
        let mut mark = Mark { believed_at: NOW, doubt: None };
        let look = |hours: &i64| {
            mark = mark.looked_at(NOW.plus_seconds(hours * HOUR));
            mark.doubt.is_none()
        };
        hours.iter().map(look).collect()
    }

    #[test]
    fn a_clock_that_goes_on_is_believed_also_after_a_sleep_or_set_back() {
        assert_eq!(believed(&[1, 2, 170, 300, 100, 101]), [true; 6]);
    }

    #[test]
    fn a_clock_that_goes_far_ahead_is_doubted_for_a_day() {
        assert_eq!(believed(&[1000, 1001, 1023, 1024, 1025]), [false, false, false, true, true]);
    }

    #[test]
    fn a_clock_that_is_set_right_is_believed_at_once() {
        assert_eq!(believed(&[1000, 1001, 3, 4]), [false, false, true, true]);
    }

    #[test]
    fn a_further_jump_begins_the_doubt_anew() {
        assert_eq!(believed(&[1000, 1020, 9000, 9023, 9024]), [false, false, false, false, true]);
        assert_eq!(believed(&[9000, 1000, 1010, 1024]), [false, false, false, true], "ahead, and less so");
    }
}
