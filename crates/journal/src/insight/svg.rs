//! A small writer of SVG: well-formed by construction, everything escaped, lengths in tenths of a
//! unit as whole numbers. Colours are attributes, as a page's policy may forbid styles in markup;
//! every coloured element also has a class, by which a page's own sheet can turn it dark.

use std::fmt::{self, Display, Write};

/// Colours by their use. Warm and cool are the two ends: they differ for every kind of colour
/// blindness, and neither means good or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// The ground.
    Paper,
    /// Text.
    Ink,
    /// Quieter text.
    Soft,
    /// Hairlines that only guide the eye.
    Line,
    /// Outlines and marks without an end.
    Axis,
    /// The pleasant or growing end.
    Warm,
    /// Its tint, for areas with an outline or a sign.
    WarmTint,
    /// The unpleasant or waning end.
    Cool,
    /// Its tint.
    CoolTint,
    /// Marks and areas that have only one kind.
    Mark,
    /// Its tint.
    MarkTint,
}

impl Paint {
    const ALL: [Self; 11] = [
        Self::Paper,
        Self::Ink,
        Self::Soft,
        Self::Line,
        Self::Axis,
        Self::Warm,
        Self::WarmTint,
        Self::Cool,
        Self::CoolTint,
        Self::Mark,
        Self::MarkTint,
    ];

    fn class(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Ink => "ink",
            Self::Soft => "soft",
            Self::Line => "line",
            Self::Axis => "axis",
            Self::Warm => "warm",
            Self::WarmTint => "warm-tint",
            Self::Cool => "cool",
            Self::CoolTint => "cool-tint",
            Self::Mark => "mark",
            Self::MarkTint => "mark-tint",
        }
    }

    fn light(self) -> &'static str {
        match self {
            Self::Paper => "#fffdf9",
            Self::Ink => "#2d2a32",
            Self::Soft => "#625d69",
            Self::Line => "#e4dfd6",
            Self::Axis => "#8b8591",
            Self::Warm => "#ad590f",
            Self::WarmTint => "#f6dfc4",
            Self::Cool => "#28649a",
            Self::CoolTint => "#d3e3f1",
            Self::Mark => "#6a4c8c",
            Self::MarkTint => "#e5dbef",
        }
    }

    fn dark(self) -> &'static str {
        match self {
            Self::Paper => "#1d1b21",
            Self::Ink => "#edeaf0",
            Self::Soft => "#b6b0bd",
            Self::Line => "#38343e",
            Self::Axis => "#8a8491",
            Self::Warm => "#eaa25a",
            Self::WarmTint => "#573a1d",
            Self::Cool => "#7db3e2",
            Self::CoolTint => "#213e57",
            Self::Mark => "#b79bd8",
            Self::MarkTint => "#43345a",
        }
    }
}

/// Rules for a page's style sheet that turn every plot dark. Put them into its rule for
/// `prefers-color-scheme: dark`, or behind whatever else makes the page dark.
#[must_use]
pub fn dark_style() -> String {
    let mut sheet = String::new();
    for paint in Paint::ALL {
        let (class, dark) = (paint.class(), paint.dark());
        sheet.push_str(&format!(".ajar-plot .f-{class}{{fill:{dark}}}\n"));
        sheet.push_str(&format!(".ajar-plot .s-{class}{{stroke:{dark}}}\n"));
    }
    sheet
}

/// Writes a length in tenths as `12` or `12.5`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Px(pub(super) i32);

impl Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let tenths = self.0.unsigned_abs();
        match tenths % 10 {
            0 => write!(f, "{sign}{}", tenths / 10),
            rest => write!(f, "{sign}{}.{rest}", tenths / 10),
        }
    }
}

/// A path in the making, in tenths.
#[derive(Debug, Default)]
pub(super) struct Path(String);

impl Path {
    /// Moves to a place without drawing.
    pub(super) fn to(self, x: i32, y: i32) -> Self {
        self.step('M', &[x, y])
    }

    /// Draws a straight line.
    pub(super) fn line(self, x: i32, y: i32) -> Self {
        self.step('L', &[x, y])
    }

    /// Draws across.
    pub(super) fn across(self, x: i32) -> Self {
        self.step('H', &[x])
    }

    /// Draws up or down.
    pub(super) fn up(self, y: i32) -> Self {
        self.step('V', &[y])
    }

    /// Draws a curve, bent towards two places.
    pub(super) fn curve(self, first: (i32, i32), second: (i32, i32), end: (i32, i32)) -> Self {
        self.step('C', &[first.0, first.1, second.0, second.1, end.0, end.1])
    }

    /// Draws back to where it began.
    pub(super) fn close(self) -> Self {
        self.step('Z', &[])
    }

    fn step(mut self, letter: char, numbers: &[i32]) -> Self {
        self.0.push(letter);
        for (n, number) in numbers.iter().enumerate() {
            let between = if n == 0 { "" } else { " " };
            self.0.push_str(&format!("{between}{}", Px(*number)));
        }
        self
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A picture in the making.
pub(super) struct Svg {
    out: String,
    open: Vec<&'static str>,
    name: &'static str,
}

impl Svg {
    /// An empty sheet of this size in tenths. Title and summary are read out to those who cannot
    /// see it; ids begin with the name, as several plots may stand on one page.
    pub(super) fn new(
        name: &'static str,
        (width, height): (i32, i32),
        title: &str,
        summary: &str,
    ) -> Self {
        let mut svg = Self {
            out: String::new(),
            open: Vec::new(),
            name,
        };
        svg.tag("svg")
            .set("xmlns", "http://www.w3.org/2000/svg")
            .set("viewBox", format!("0 0 {} {}", Px(width), Px(height)))
            .set("class", "ajar-plot")
            .set("role", "img")
            .set(
                "aria-labelledby",
                format!("ajar-{name}-title ajar-{name}-desc"),
            )
            .set("font-family", "system-ui, sans-serif")
            .set("font-size", "14")
            .open();
        svg.tag("title")
            .set("id", format!("ajar-{name}-title"))
            .text(title);
        svg.tag("desc")
            .set("id", format!("ajar-{name}-desc"))
            .text(summary);
        svg.tag("rect")
            .px(&[("width", width), ("height", height), ("rx", 120)])
            .fill(Paint::Paper)
            .end();
        svg
    }

    /// Begins an element.
    pub(super) fn tag(&mut self, tag: &'static str) -> Tag<'_> {
        self.out.push('<');
        self.out.push_str(tag);
        Tag {
            svg: self,
            tag,
            classes: String::new(),
        }
    }

    /// Begins a group.
    pub(super) fn group(&mut self) -> Tag<'_> {
        self.tag("g")
    }

    /// Ends the element opened last.
    pub(super) fn close(&mut self) {
        if let Some(tag) = self.open.pop() {
            self.out.push_str(&format!("</{tag}>"));
            if self.open.len() < 3 {
                self.out.push('\n');
            }
        }
    }

    /// A circle.
    pub(super) fn circle(&mut self, (x, y): (i32, i32), r: i32) -> Tag<'_> {
        self.tag("circle").px(&[("cx", x), ("cy", y), ("r", r)])
    }

    /// A rectangle.
    pub(super) fn rect(&mut self, (x, y): (i32, i32), (width, height): (i32, i32)) -> Tag<'_> {
        self.tag("rect")
            .px(&[("x", x), ("y", y), ("width", width), ("height", height)])
    }

    /// A straight line.
    pub(super) fn line(&mut self, (x1, y1): (i32, i32), (x2, y2): (i32, i32)) -> Tag<'_> {
        self.tag("line")
            .px(&[("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)])
    }

    /// A path.
    pub(super) fn path(&mut self, path: &Path) -> Tag<'_> {
        self.tag("path").set("d", path)
    }

    /// A line of text in ink, beginning at `x` unless `anchor` says otherwise.
    pub(super) fn words(&mut self, (x, y): (i32, i32), anchor: Anchor, text: &str) {
        self.styled((x, y), anchor, Paint::Ink).text(text);
    }

    /// A line of quieter text.
    pub(super) fn aside(&mut self, (x, y): (i32, i32), anchor: Anchor, text: &str) {
        self.styled((x, y), anchor, Paint::Soft)
            .set("font-size", "12")
            .text(text);
    }

    /// A line of text still to be given its words.
    pub(super) fn styled(&mut self, (x, y): (i32, i32), anchor: Anchor, paint: Paint) -> Tag<'_> {
        let tag = self.tag("text").px(&[("x", x), ("y", y)]).fill(paint);
        match anchor {
            Anchor::Start => tag,
            Anchor::Middle => tag.set("text-anchor", "middle"),
            Anchor::End => tag.set("text-anchor", "end"),
        }
    }

    /// Defines slanted lines on a tint, as a filling for [`Svg::filling`].
    pub(super) fn hatch(&mut self, id: &str, ground: Paint, lines: Paint, every: i32) {
        let id = format!("ajar-{}-{id}", self.name);
        self.tag("pattern")
            .set("id", id)
            .set("patternUnits", "userSpaceOnUse")
            .px(&[("width", every), ("height", every)])
            .set("patternTransform", "rotate(45)")
            .open();
        self.rect((0, 0), (every, every)).fill(ground).end();
        self.line((0, 0), (0, every))
            .stroke(lines)
            .px(&[("stroke-width", every * 2 / 5)])
            .end();
        self.close();
    }

    /// Defines dots on a ground, as a filling.
    pub(super) fn dots(&mut self, id: &str, ground: Paint, dots: Paint, every: i32) {
        let id = format!("ajar-{}-{id}", self.name);
        self.tag("pattern")
            .set("id", id)
            .set("patternUnits", "userSpaceOnUse")
            .px(&[("width", every), ("height", every)])
            .open();
        self.rect((0, 0), (every, every)).fill(ground).end();
        self.circle((every / 2, every / 2), every / 5)
            .fill(dots)
            .end();
        self.close();
    }

    /// Defines what may be drawn on, for `clip-path`.
    pub(super) fn clip(&mut self, id: &str, outlines: &[Path]) {
        let id = format!("ajar-{}-{id}", self.name);
        self.tag("clipPath").set("id", id).open();
        for outline in outlines {
            self.path(outline).end();
        }
        self.close();
    }

    /// What `fill` or `stroke` says to use a filling.
    pub(super) fn filling(&self, id: &str) -> String {
        format!("url(#ajar-{}-{id})", self.name)
    }

    /// The whole picture.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }
}

/// Which end of a text lies at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// An element whose attributes are being written.
#[must_use]
pub(super) struct Tag<'a> {
    svg: &'a mut Svg,
    tag: &'static str,
    classes: String,
}

impl Tag<'_> {
    /// Sets an attribute.
    pub(super) fn set(self, key: &str, value: impl Display) -> Self {
        let out = &mut self.svg.out;
        out.push(' ');
        out.push_str(key);
        out.push_str("=\"");
        // Writing into a string cannot fail.
        let _ = write!(Escaped(out), "{value}");
        out.push('"');
        self
    }

    /// Sets lengths in tenths.
    pub(super) fn px(self, lengths: &[(&str, i32)]) -> Self {
        lengths
            .iter()
            .fold(self, |tag, (key, length)| tag.set(key, Px(*length)))
    }

    /// Fills it.
    pub(super) fn fill(mut self, paint: Paint) -> Self {
        self.classes.push_str(&format!(" f-{}", paint.class()));
        self.set("fill", paint.light())
    }

    /// Draws its outline.
    pub(super) fn stroke(mut self, paint: Paint) -> Self {
        self.classes.push_str(&format!(" s-{}", paint.class()));
        self.set("stroke", paint.light())
    }

    /// Ends an element that has nothing in it.
    pub(super) fn end(self) {
        let svg = self.classed();
        svg.out.push_str("/>");
        if svg.open.len() < 2 {
            svg.out.push('\n');
        }
    }

    /// Leaves the element open until [`Svg::close`].
    pub(super) fn open(self) {
        let tag = self.tag;
        let svg = self.classed();
        svg.out.push('>');
        svg.open.push(tag);
        if svg.open.len() < 3 {
            svg.out.push('\n');
        }
    }

    /// Ends an element that holds text.
    pub(super) fn text(self, text: &str) {
        let tag = self.tag;
        let svg = self.classed();
        svg.out.push('>');
        let _ = Escaped(&mut svg.out).write_str(text);
        svg.out.push_str(&format!("</{tag}>\n"));
    }
}

impl<'a> Tag<'a> {
    fn classed(self) -> &'a mut Svg {
        if let Some(classes) = self.classes.strip_prefix(' ') {
            self.svg.out.push_str(&format!(" class=\"{classes}\""));
        }
        self.svg
    }
}

/// Writes text so that it can neither end its element nor be refused by a reader of XML.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\t' | '\n' | '\r' => self.0.push(' '),
                '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}' => {
                    self.0.push('\u{FFFD}');
                }
                _ => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Relative luminance as the Web Content Accessibility Guidelines define it.
    fn luminance(colour: &str) -> f64 {
        let part = |n: usize| {
            let byte = u8::from_str_radix(&colour[n..n + 2], 16).unwrap();
            let c = f64::from(byte) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_and_marks_stand_out_from_the_ground_in_light_and_dark() {
        for shade in [Paint::light, Paint::dark] {
            let on_paper = |paint| contrast(shade(paint), shade(Paint::Paper));
            for text in [Paint::Ink, Paint::Soft] {
                assert!(on_paper(text) >= 4.5, "{text:?} {}", on_paper(text));
                for tint in [Paint::WarmTint, Paint::CoolTint, Paint::MarkTint] {
                    assert!(
                        contrast(shade(text), shade(tint)) >= 4.5,
                        "{text:?} {tint:?}"
                    );
                }
            }
            for mark in [Paint::Axis, Paint::Warm, Paint::Cool, Paint::Mark] {
                assert!(on_paper(mark) >= 3.0, "{mark:?} {}", on_paper(mark));
            }
            for (mark, tint) in [
                (Paint::Warm, Paint::WarmTint),
                (Paint::Cool, Paint::CoolTint),
                (Paint::Mark, Paint::MarkTint),
            ] {
                assert!(contrast(shade(mark), shade(tint)) >= 3.0, "{mark:?}");
                // Numbers stand on full marks in the colour of the ground.
                assert!(on_paper(mark) >= 4.5, "{mark:?}");
            }
        }
    }

    #[test]
    fn lengths_have_one_digit_at_most() {
        let shown = [0, 5, 10, -5, -125].map(|n| Px(n).to_string());
        assert_eq!(shown, ["0", "0.5", "1", "-0.5", "-12.5"]);
        let path = Path::default().to(10, -5).across(100).up(0).close();
        assert_eq!(path.to_string(), "M1 -0.5H10V0Z");
    }

    #[test]
    fn the_dark_sheet_knows_every_colour() {
        let sheet = dark_style();
        assert_eq!(sheet.lines().count(), 2 * Paint::ALL.len());
        assert!(sheet.contains(".ajar-plot .f-warm-tint{fill:#573a1d}"));
    }

    proptest! {
        #[test]
        fn any_text_gives_well_formed_markup(text in any::<String>()) {
            let mut svg = Svg::new("test", (1000, 1000), &text, "<&>\"'");
            svg.group().set("data-x", &text).fill(Paint::Ink).open();
            svg.words((0, 0), Anchor::Middle, &text);
            let svg = svg.finish();
            let read = roxmltree::Document::parse(&svg).unwrap();
            prop_assert_eq!(read.descendants().filter(|n| n.is_element()).count(), 6);
        }
    }
}
