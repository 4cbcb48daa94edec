//! Whether the clock can be believed: what is deleted for its age can't be brought back, so a clock that was set far
//! ahead, while the program ran or while it did not, must first be seen to go on so for a day. Meanwhile somebody can set it
//! right. What was not watched does not count: the program off, the machine asleep, one more step of the clock.

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
/// The longest time between two looks that counts as watched, in seconds: what was stored last may be an hour old.
const MOST_UNWATCHED_SECONDS: i64 = 2 * STORE_SECONDS;

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
    /// When it began, moved on by what was not watched since.
    since: Timestamp,
    /// When it was last seen.
    until: Timestamp,
}

impl ClockWatch {
    /// What time it is, where the clock is to be believed: what is over by then is over indeed, and what the clock says
    /// later is another question.
    ///
    /// # Errors
    /// What the database says; the clock is not to be believed then.
    pub(crate) async fn believed(&mut self, app: &App) -> Result<Option<Timestamp>, Problem> {
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
        Ok(mark.doubt.is_none().then(|| app.clock.moved(now)))
    }
}

impl Mark {
    /// What a look at the clock makes of it.
    fn looked_at(self, now: Timestamp) -> Self {
        let believed = Self { believed_at: now, doubt: None };
        if now <= self.believed_at.plus_seconds(MOST_JUMP_SECONDS) {
            return believed;
        }
        let since = self.doubt.map_or(now, |doubt| doubt.goes_on_since(now));
        if now >= since.plus_seconds(DOUBT_SECONDS) {
            return believed;
        }
        Self { doubt: Some(Doubt { since, until: now }), ..self }
    }
}

impl Doubt {
    /// Since when it would have to be watched to have been watched for as long as it was.
    fn goes_on_since(self, now: Timestamp) -> Timestamp {
        let unwatched = now.unix_seconds() - self.until.unix_seconds();
        if !(0..=MOST_JUMP_SECONDS).contains(&unwatched) {
            return now;
        }
        if unwatched <= MOST_UNWATCHED_SECONDS { self.since } else { self.since.plus_seconds(unwatched) }
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
    fn believed(hours: impl IntoIterator<Item = i64>) -> Vec<bool> {
        let mut mark = Mark { believed_at: NOW, doubt: None };
        let look = |hours| {
            mark = mark.looked_at(NOW.plus_seconds(hours * HOUR));
            mark.doubt.is_none()
        };
        hours.into_iter().map(look).collect()
    }

    /// When the clock is first believed among these looks.
    fn first_believed(hours: impl IntoIterator<Item = i64> + Clone) -> Option<i64> {
        let seen = believed(hours.clone());
        hours.into_iter().zip(seen).find_map(|(hour, is_believed)| is_believed.then_some(hour))
    }

    #[test]
    fn a_clock_that_goes_on_is_believed_also_after_a_sleep_or_set_back() {
        assert_eq!(believed([1, 2, 170, 300, 100, 101]), [true; 6]);
    }

    #[test]
    fn a_clock_that_goes_far_ahead_is_doubted_until_it_was_watched_for_a_day() {
        assert_eq!(first_believed(1000..1100), Some(1024));
        assert_eq!(first_believed((1000..1100).step_by(2)), Some(1024));
        assert_eq!(first_believed((1000..1400).step_by(3)), None, "nobody watches");
        assert_eq!(first_believed((1000..1010).chain(1100..1200)), Some(1115), "9 hours, and 15 after a pause");
    }

    #[test]
    fn a_clock_that_is_set_right_is_believed_at_once() {
        assert_eq!(believed([1000, 1001, 3, 4]), [false, false, true, true]);
    }

    #[test]
    fn a_further_jump_begins_the_doubt_anew() {
        assert_eq!(first_believed((1000..1020).chain(9000..9100)), Some(9024));
        assert_eq!(first_believed([9000].into_iter().chain(1000..1100)), Some(1024), "ahead, and less so");
    }
}
