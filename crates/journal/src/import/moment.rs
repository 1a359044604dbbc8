//! Moments as programs write them.

use crate::date;

const MINUTE_MS: i64 = 60_000;
/// [`date::moment`] counts a step more for each day.
const DAY_STEPS: i64 = 1 + 24 * 60;
const DAY_MINUTES: i64 = 24 * 60;

/// Milliseconds since 1970 of `2026-07-01T19:30:00Z`, with or without fractions, with an offset in
/// the place of `Z`, or with none, which is taken as UTC.
pub(super) fn utc_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let minutes = minutes_of(text.get(..16)?)?;
    let rest = text.get(16..)?;
    let (seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => (two(rest)?, rest.get(2..)?),
        None => (0, rest),
    };
    // A leap second counts as the one before it.
    let seconds = (seconds <= 60).then_some(seconds.min(59))?;
    let rest = match rest.strip_prefix('.') {
        Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let offset = offset_minutes(rest)?;
    Some((minutes - offset) * MINUTE_MS + seconds * 1000)
}

/// Minutes since 1970 of `2026-07-01T19:30` or with a blank in the place of `T`.
fn minutes_of(text: &str) -> Option<i64> {
    let text = text.replacen(' ', "T", 1);
    let since = |text: &str| {
        let moment = date::moment(text)?;
        let minute = moment.rem_euclid(DAY_STEPS) - 1;
        Some(moment.div_euclid(DAY_STEPS) * DAY_MINUTES + minute)
    };
    Some(since(&text)? - since("1970-01-01T00:00")?)
}

fn offset_minutes(text: &str) -> Option<i64> {
    match text {
        "" | "Z" | "z" => return Some(0),
        _ => {}
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let hours = two(text.get(1..)?)?;
    let minutes = text.get(3..)?.trim_start_matches(':');
    let minutes = if minutes.is_empty() { 0 } else { two(minutes)? };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Two digits at the beginning.
fn two(text: &str) -> Option<i64> {
    let digits = text.get(..2)?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted_from_1970_whatever_their_offset() {
        assert_eq!(utc_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(utc_ms("1970-01-02T00:00:01Z"), Some(86_401_000));
        assert_eq!(utc_ms("2026-07-01T19:30:00Z"), Some(1_782_934_200_000));
        assert_eq!(utc_ms("2026-07-01T19:30:00.123Z"), Some(1_782_934_200_000));
        for same in [
            "2026-07-01T21:30:00+02:00",
            "2026-07-01T21:30:00+0200",
            "2026-07-01T15:30:00-04",
            "2026-07-01 19:30:00",
            "2026-07-01T19:30",
        ] {
            assert_eq!(utc_ms(same), Some(1_782_934_200_000), "{same}");
        }
        assert_eq!(utc_ms("1969-12-31T23:59:00Z"), Some(-60_000));
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for wrong in [
            "",
            "2026-07-01",
            "2026-02-30T10:00:00Z",
            "2026-07-01T25:00:00Z",
            "2026-07-01T10:00:99Z",
            "2026-07-01T10:00:00X",
            "2026-07-01T10:00:00+99:00",
            "2026-07-01T10:00:0é",
            "99999-07-01T10:00:00Z",
        ] {
            assert_eq!(utc_ms(wrong), None, "{wrong}");
        }
    }
}
