//! How the private space travels: quietly, so that its traffic says nothing about when one
//! writes, or not at all (protocol §2.13).

use ajar_protocol::genesis::SpaceKind;
use rand_core::TryRng;

use super::{Home, mode};
use crate::clock;
use crate::error::Error;

/// Local data of the private space: the next daily moment, `i64` ms.
const MOMENT: &str = "sync/daily-moment";
const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: u32 = 1440;
const DAY_MS: i64 = MINUTE_MS * 1440;

/// How the private space travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Travel {
    /// At start, at stop, and once a day at a random minute.
    Quiet,
    /// Never: it is on this device only, and lost with it.
    Off,
}

impl Home {
    /// How *Only me* travels from this device.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`].
    pub fn private_travel(&self) -> Result<Travel, Error> {
        let keys = self.inner.private.get().ok_or(Error::PrivateLocked)?;
        Ok(match keys.read(|keys| keys.mode) {
            mode::OFF => Travel::Off,
            _ => Travel::Quiet,
        })
    }

    /// Decides how *Only me* travels from this device. With [`Travel::Off`], a connection that
    /// is open has ended when this returns, and none can be made.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`], [`Error::DiskFull`], [`Error::Unreadable`].
    pub async fn set_private_travel(&self, travel: Travel) -> Result<(), Error> {
        let keys = self.inner.private.get().ok_or(Error::PrivateLocked)?;
        keys.update(|keys| {
            keys.mode = match travel {
                Travel::Quiet => mode::USUAL,
                Travel::Off => mode::OFF,
            }
        })?;
        drop(keys);
        if travel == Travel::Off {
            self.hang_up(SpaceKind::Private).await;
        }
        Ok(())
    }

    /// Ends the connection of a space whose key file forbids a new one already.
    pub(super) async fn hang_up(&self, kind: SpaceKind) {
        if let Ok(space) = self.space(kind) {
            space.disconnect().await;
        }
    }

    /// The moment of the next quiet exchange: one random minute a day. It is drawn once and
    /// kept, so that starting the program again says nothing. When it has passed (whether or
    /// not anything was exchanged), that of the next day is drawn. `now_ms` and the result are
    /// on the clock by which the caller counts days, ms since 1970 in local time for local
    /// days.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`], [`Error::Entropy`], [`Error::DiskFull`], [`Error::Store`].
    pub fn daily_moment(&self, now_ms: i64) -> Result<i64, Error> {
        let space = self.space(SpaceKind::Private)?.unnoticed();
        let kept = space
            .local(MOMENT)?
            .and_then(|kept| kept.try_into().ok())
            .map(i64::from_be_bytes);
        if let Some(kept) = kept.filter(|kept| is_ahead(*kept, now_ms)) {
            return Ok(kept);
        }
        let draw = || {
            let drawn = clock::entropy().try_next_u32();
            drawn.map_err(|_| Error::Entropy(ajar_crypto::EntropyFailed))
        };
        let moment = next_moment(kept, now_ms, [draw()?, draw()?]);
        space.set_local(MOMENT, Some(moment.to_be_bytes().to_vec()))?;
        Ok(moment)
    }
}

/// Whether a moment that was drawn earlier is still to come. One further away than drawing
/// ever gives comes from a clock that was wrong.
fn is_ahead(moment: i64, now_ms: i64) -> bool {
    moment > now_ms && moment.saturating_sub(now_ms) <= 2 * DAY_MS
}

/// A minute of the day after the last one, and not before today; when that has passed, of the
/// day after. Each is drawn from a whole day, whatever time it is now.
fn next_moment(last: Option<i64>, now_ms: i64, [first, second]: [u32; 2]) -> i64 {
    let today = now_ms.div_euclid(DAY_MS);
    let after_last = last
        .map(|last| last.div_euclid(DAY_MS).saturating_add(1))
        .filter(|day| *day <= today + 1);
    let day = after_last.unwrap_or(today).max(today);
    let at = |day: i64, random: u32| {
        let minute = i64::from(random % DAY_MINUTES);
        day.saturating_mul(DAY_MS)
            .saturating_add(minute * MINUTE_MS)
    };
    let moment = at(day, first);
    if moment > now_ms {
        moment
    } else {
        at(day.saturating_add(1), second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 20_000 * DAY_MS + DAY_MS / 2;

    fn day(ms: i64) -> i64 {
        ms.div_euclid(DAY_MS)
    }

    #[test]
    fn there_is_one_moment_a_day_and_it_is_ahead() {
        for random in [0, 1, 719, 720, 721, 1439, u32::MAX] {
            let first = next_moment(None, NOON, [random, random]);
            assert!(first > NOON && day(first) <= day(NOON) + 1, "{random}");
            assert_eq!(first % MINUTE_MS, 0);
            // When it has passed, the next one is on a later day, and at most two days ahead.
            let next = next_moment(Some(first), first, [random, 7]);
            assert_eq!(day(next), day(first) + 1, "{random}");
            assert!(is_ahead(next, first));
        }
    }

    #[test]
    fn after_a_week_away_nothing_is_made_up_for() {
        let last = NOON - 7 * DAY_MS;
        assert_eq!(day(next_moment(Some(last), NOON, [1000, 0])), day(NOON));
        assert_eq!(day(next_moment(Some(last), NOON, [0, 0])), day(NOON) + 1);
    }

    /// A clock that was years ahead must not silence Only me for years.
    #[test]
    fn a_moment_from_a_wrong_clock_is_drawn_anew() {
        for wrong in [i64::MAX, i64::MIN, NOON + 3 * DAY_MS, NOON] {
            assert!(!is_ahead(wrong, NOON), "{wrong}");
            let next = next_moment(Some(wrong), NOON, [1000, 1000]);
            assert!(is_ahead(next, NOON), "{wrong}");
        }
    }
}
