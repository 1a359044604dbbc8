//! Time from left to right, and one side of the grid from bottom to top.

use super::period::Period;
use super::svg::{Anchor, Paint, Svg};

/// Left end of the time, in tenths.
pub(super) const LEFT: i32 = 980;
/// Right end of the time.
pub(super) const RIGHT: i32 = 5440;

/// A ribbon for one side of the grid, pleasantness or energy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ribbon {
    /// Upper edge.
    pub(super) y: i32,
    /// Height.
    pub(super) height: i32,
    /// Words for the upper and the lower end.
    pub(super) ends: [&'static str; 2],
}

impl Ribbon {
    /// Where hundredths lie.
    pub(super) fn place(self, hundredths: i16) -> i32 {
        self.y + (100 - i32::from(hundredths)) * self.height / 200
    }

    /// Draws the middle, the edges and the words for both ends.
    pub(super) fn draw(self, svg: &mut Svg) {
        let (top, bottom) = (self.y, self.y + self.height);
        for (y, paint) in [(top, Paint::Line), (bottom, Paint::Line)] {
            svg.line((LEFT, y), (RIGHT, y)).stroke(paint).end();
        }
        svg.line((LEFT, self.place(0)), (RIGHT, self.place(0)))
            .stroke(Paint::Axis)
            .set("stroke-dasharray", "2 4")
            .end();
        let [high, low] = self.ends;
        for (y, word) in [(top + 100, high), (bottom, low)] {
            svg.styled((LEFT - 100, y), Anchor::End, Paint::Soft)
                .text(word);
        }
    }
}

/// Writes days along the lower edge, each with a mark above it.
pub(super) fn time_axis(svg: &mut Svg, period: &Period, y: i32) {
    svg.line((LEFT, y), (RIGHT, y)).stroke(Paint::Axis).end();
    for (day, name) in period.ticks() {
        let Some(x) = period.place(&day, LEFT, RIGHT) else {
            continue;
        };
        svg.line((x, y), (x, y + 50)).stroke(Paint::Axis).end();
        svg.aside((x, y + 200), Anchor::Middle, &name);
    }
}
