//! The affect grid as a ground to draw on.

use super::svg::{Anchor, Paint, Svg};
use crate::point::Point;

/// The grid at a place and of a size, in tenths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane {
    /// Left edge.
    pub(super) x: i32,
    /// Upper edge.
    pub(super) y: i32,
    /// Width and height.
    pub(super) size: i32,
}

impl Plane {
    /// Where hundredths of valence and arousal lie.
    pub(super) fn at(self, valence: i32, arousal: i32) -> (i32, i32) {
        let along = |n: i32| (n + 100) * self.size / 200;
        (self.x + along(valence), self.y + self.size - along(arousal))
    }

    /// Where a point lies.
    pub(super) fn place(self, point: Point) -> (i32, i32) {
        self.at(i32::from(point.valence()), i32::from(point.arousal()))
    }

    /// Draws the ground and names its edges. Small planes name them in small letters.
    pub(super) fn draw(self, svg: &mut Svg, small: bool) {
        let end = self.size;
        svg.group()
            .stroke(Paint::Line)
            .px(&[("stroke-width", 10)])
            .open();
        if !small {
            for n in 1..9 {
                let at = n * end / 9;
                svg.line((self.x + at, self.y), (self.x + at, self.y + end))
                    .end();
                svg.line((self.x, self.y + at), (self.x + end, self.y + at))
                    .end();
            }
        }
        svg.close();
        svg.group()
            .stroke(Paint::Axis)
            .px(&[("stroke-width", 10)])
            .set("fill", "none")
            .open();
        let (middle_x, middle_y) = self.at(0, 0);
        let dashes = "2 4";
        svg.line((self.x, middle_y), (self.x + end, middle_y))
            .set("stroke-dasharray", dashes)
            .end();
        svg.line((middle_x, self.y), (middle_x, self.y + end))
            .set("stroke-dasharray", dashes)
            .end();
        svg.rect((self.x, self.y), (end, end))
            .px(&[("rx", 60)])
            .end();
        svg.close();
        self.name_edges(svg, small);
    }

    fn name_edges(self, svg: &mut Svg, small: bool) {
        let (left, right) = (self.x, self.x + self.size);
        let below = self.y + self.size + if small { 170 } else { 220 };
        let beside = self.x - if small { 50 } else { 80 };
        let mut write = |at, anchor, text: &str| {
            if small {
                svg.aside(at, anchor, text);
            } else {
                svg.styled(at, anchor, Paint::Soft).text(text);
            }
        };
        write((left, below), Anchor::Start, "unpleasant");
        write((right, below), Anchor::End, "pleasant");
        write((beside, self.y + 110), Anchor::End, "lively");
        write((beside, self.y + self.size - 20), Anchor::End, "quiet");
    }
}
