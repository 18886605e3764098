//! Drawings for documents (<https://www.w3.org/TR/SVG11/>): narrow enough for a phone, light and dark as the reader likes.

use std::fmt::{Display, Write};

/// In units of the drawing. On a telephone a unit is about three quarters of a pixel.
pub const WIDTH: f64 = 480.0;
/// From one line of text to the next.
pub const LINE: f64 = 20.0;

/// What colours mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// What the reader looks for first.
    Accent,
    /// All that it is compared with.
    Other,
    Good,
    Bad,
    Waiting,
    Axis,
}

impl Ink {
    const ALL: [Ink; 6] = [Ink::Accent, Ink::Other, Ink::Good, Ink::Bad, Ink::Waiting, Ink::Axis];

    fn class(self) -> &'static str {
        match self {
            Ink::Accent => "accent",
            Ink::Other => "other",
            Ink::Good => "good",
            Ink::Bad => "bad",
            Ink::Waiting => "waiting",
            Ink::Axis => "axis",
        }
    }

    /// On white, and on black.
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Ink::Accent => ("#0b62c4", "#6cb2ff"),
            Ink::Other => ("#8a8f98", "#7d838d"),
            Ink::Good => ("#1a7f37", "#4ac26b"),
            Ink::Bad => ("#c62828", "#ff7b72"),
            Ink::Waiting => ("#b26a00", "#f0b429"),
            Ink::Axis => ("#d0d4da", "#3a3f47"),
        }
    }
}

/// Where a text is fastened.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// A drawing that grows downwards.
pub struct Drawing {
    title: String,
    elements: String,
}

impl Drawing {
    /// The title is what a screen reader says of it.
    pub fn new(title: &str) -> Drawing {
        Drawing { title: title.to_owned(), elements: String::new() }
    }

    fn add(&mut self, element: impl Display) {
        // Writing to a String does not fail.
        let _ = writeln!(self.elements, "{element}");
    }

    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, words: impl Display) {
        let (words, anchor) = (escaped(&words.to_string()), anchor.name());
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"));
    }

    pub fn heading(&mut self, x: f64, y: f64, words: impl Display) {
        let words = escaped(&words.to_string());
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"bold\">{words}</text>"));
    }

    pub fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, ink: Ink) {
        let class = ink.class();
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" class=\"{class}\"/>"
        ));
    }

    pub fn dot(&mut self, x: f64, y: f64, radius: f64, ink: Ink) {
        self.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" class=\"{}\"/>", ink.class()));
    }

    /// A line through points.
    pub fn line(&mut self, points: &[(f64, f64)], ink: Ink) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!("<polyline points=\"{}\" class=\"line {}\"/>", points.join(" "), ink.class()));
    }

    /// The whole drawing, of a height.
    pub fn finish(self, height: f64) -> String {
        let (light, dark): (String, String) = Ink::ALL
            .iter()
            .map(|ink| {
                let (class, (light, dark)) = (ink.class(), ink.colours());
                let rule = |colour| format!(".{class}{{fill:{colour};stroke:{colour}}}");
                (rule(light), rule(dark))
            })
            .unzip();
        let title = escaped(&self.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"15\">\n<title>{title}</title>\n<style>\n\
             svg{{background:#fff}}{light}text{{fill:#1f2328;stroke:none}}rect{{stroke:none}}\
             .line{{fill:none;stroke-width:2}}.line.axis{{stroke-width:1}}\n\
             @media (prefers-color-scheme:dark){{svg{{background:#0d1117}}{dark}text{{fill:#e6edf3;stroke:none}}\
             rect{{stroke:none}}.line{{fill:none}}}}\n\
             </style>\n{}</svg>\n",
            self.elements
        )
    }
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A scale on which each tenfold takes the same room.
#[derive(Clone, Copy)]
pub struct LogScale {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl LogScale {
    /// Shows values from `least` to `most` between two places.
    pub fn new((least, most): (f64, f64), (from, to): (f64, f64)) -> LogScale {
        LogScale { least, most: most.max(least * 1.001), from, to }
    }

    pub fn place(self, value: f64) -> f64 {
        let value = value.clamp(self.least, self.most);
        self.from + (value / self.least).ln() / (self.most / self.least).ln() * (self.to - self.from)
    }
}
