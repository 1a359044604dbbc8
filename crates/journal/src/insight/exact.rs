//! Arithmetic that gives the same digits on every machine: only sums, products, quotients and
//! square roots of `f64`, which IEEE 754 settles to the last bit. The `exp`, `sin` and `powf` of
//! the standard library come from the platform and may differ.

use std::f64::consts::{FRAC_PI_2, PI};

/// The nearest whole number. Beyond `i32` it stays at the end.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast stops at the ends of i32 and takes no number for 0"
)]
pub(super) fn round(x: f64) -> i32 {
    (x + 0.5).floor() as i32
}

/// A count as `i32`. More than fit stay at the end.
pub(super) fn int(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// `e` to the power of `-x`, for `x` from 0 up.
pub(super) fn exp_minus(x: f64) -> f64 {
    /// Beyond it there is nothing a picture could show.
    const NOTHING: f64 = 40.0;
    /// Halvings, after which few terms of the series suffice.
    const HALVINGS: u32 = 10;
    if x.is_nan() || x >= NOTHING {
        return 0.0;
    }
    let small = -x / f64::from(1_u32 << HALVINGS);
    let mut power = 1.0 + small * (1.0 + small / 2.0 * (1.0 + small / 3.0 * (1.0 + small / 4.0)));
    for _ in 0..HALVINGS {
        power *= power;
    }
    power
}

/// Sine and cosine of an angle of a circle divided into `steps`, by its number of steps.
pub(super) fn sin_cos(step: i32, steps: i32) -> (f64, f64) {
    let turned = f64::from(step.rem_euclid(steps.max(1))) / f64::from(steps.max(1));
    let angle = turned * 2.0 * PI;
    (sin(angle), sin(angle + FRAC_PI_2))
}

/// Sine of an angle from 0 to three turns.
fn sin(angle: f64) -> f64 {
    let mut x = angle;
    while x > PI {
        x -= 2.0 * PI;
    }
    let square = x * x;
    let mut term = x;
    let mut sum = x;
    for n in 1..14_u32 {
        term *= -square / f64::from(2 * n * (2 * n + 1));
        sum += term;
    }
    sum
}

/// `n` to the power of one sixth.
pub(super) fn sixth_root(n: f64) -> f64 {
    // Newton's way to the cube root of the square root. Twenty steps from above are plenty.
    let square = n.max(0.0).sqrt();
    let mut root = square.max(1.0);
    for _ in 0..60 {
        root = (2.0 * root + square / (root * root)) / 3.0;
    }
    root
}

/// The middle one of some numbers, or of the two in the middle the half between; 0 of none.
pub(super) fn median(mut numbers: Vec<i32>) -> i32 {
    numbers.sort_unstable();
    let last = numbers.len().saturating_sub(1);
    let at = |n: usize| numbers.get(n).copied().unwrap_or_default();
    let (low, high) = (at(last / 2), at(last.div_ceil(2)));
    low + (high - low) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_are_close_to_those_of_the_platform() {
        for n in 0..4000 {
            let x = f64::from(n) / 100.0;
            assert!((exp_minus(x) - (-x).exp()).abs() < 1e-9, "{x}");
            let root = sixth_root(f64::from(n));
            assert!((root - f64::from(n).powf(1.0 / 6.0)).abs() < 1e-6, "{n}");
        }
        for step in -40..40 {
            let (sin, cos) = sin_cos(step, 17);
            let angle = f64::from(step) / 17.0 * 2.0 * PI;
            assert!((sin - angle.sin()).abs() < 1e-9 && (cos - angle.cos()).abs() < 1e-9);
        }
        assert_eq!((round(1.5), round(-1.5), round(-0.2)), (2, -1, 0));
        assert_eq!(round(f64::NAN), 0);
    }

    #[test]
    fn the_middle_is_between_the_two_in_the_middle() {
        assert_eq!(median(vec![]), 0);
        assert_eq!(median(vec![5]), 5);
        assert_eq!(median(vec![9, 1]), 5);
        assert_eq!(median(vec![9, -1, 3]), 3);
    }
}
