//! The layers of an emotion, as options.

use ajar_journal::Point;
use ajar_journal::entry::Sort;
use ajar_journal::layers::{Breath, Certainty, Era, Heart, Layers, Need, Place, Urge};
use clap::Args;

use crate::report::Failure;
use crate::terminal;

/// Body, feeling, thought, an older echo, and what you want.
///
/// Any of them; start anywhere.
#[derive(Debug, Args)]
#[command(next_help_heading = "A feeling, layer by layer (any of them; - asks for the words)")]
pub(crate) struct Feeling {
    /// How pleasant and how lively, each -1 to 1: -0.5,0.75 is fairly unpleasant and quite lively
    #[arg(long, value_name = "V,A", allow_hyphen_values = true)]
    pub(crate) point: Option<Point>,
    /// A word for it; repeat for up to four. `ajar words-for V,A` suggests five
    #[arg(long = "word", value_name = "WORD")]
    pub(crate) words: Vec<String>,
    /// How sure you are of the feeling: clear, hazy or mixed
    #[arg(long, value_name = "HOW")]
    pub(crate) certainty: Option<Certainty>,
    /// Where you notice it: chest:-1:tight, from -2 (much less) to 2 (much more); repeat for more
    #[arg(long = "body", value_name = "PLACE:CHANGE[:SENSATION]")]
    pub(crate) body: Vec<Place>,
    /// shallow, held, even or deep
    #[arg(long, value_name = "HOW")]
    pub(crate) breath: Option<Breath>,
    /// slow, even, quick or pounding
    #[arg(long, value_name = "HOW")]
    pub(crate) heart: Option<Heart>,
    /// From -2 (much less than usual) to 2 (much more)
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(i8).range(-2..=2))]
    pub(crate) energy: Option<i8>,
    /// What happened, as a camera would have seen it
    #[arg(long, value_name = "TEXT")]
    pub(crate) happened: Option<String>,
    /// The story you are telling yourself about it
    #[arg(long, value_name = "TEXT")]
    pub(crate) story: Option<String>,
    /// And if someone kind told it?
    #[arg(long, value_name = "TEXT")]
    pub(crate) another_way: Option<String>,
    /// How sure you are of the story, 0 to 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) sure: Option<u8>,
    /// Does some of this belong to an older day?
    #[arg(long, value_name = "TEXT")]
    pub(crate) echo: Option<String>,
    /// When that was: childhood, before (another relationship) or us
    #[arg(long, value_name = "WHEN")]
    pub(crate) era: Option<Era>,
    /// What it makes you want to do: approach, withdraw, hide, attack, fix, rest, be-held, celebrate
    /// or other
    #[arg(long, value_name = "WHAT")]
    pub(crate) urge: Option<Urge>,
    /// What would help: hear, hold, think, help, celebrate, space, unsure or nothing
    #[arg(long = "would-help", value_name = "NEED")]
    pub(crate) need: Option<Need>,
    /// What the entry is: note, feeling, joy, gratitude, apology or repair
    #[arg(long, value_name = "KIND")]
    pub(crate) sort: Option<Sort>,
}

impl Feeling {
    /// Whether any layer was given.
    pub(crate) fn is_given(&self) -> bool {
        self.point.is_some()
            || !self.words.is_empty()
            || self.certainty.is_some()
            || !self.body.is_empty()
            || self.breath.is_some()
            || self.heart.is_some()
            || self.energy.is_some()
            || self.happened.is_some()
            || self.story.is_some()
            || self.another_way.is_some()
            || self.sure.is_some()
            || self.echo.is_some()
            || self.era.is_some()
            || self.urge.is_some()
            || self.need.is_some()
    }

    /// What it makes of the layers there are; asks for what is to be asked for.
    pub(crate) fn over(&self, mut layers: Layers) -> Result<Layers, Failure> {
        fn set<T: Clone>(field: &mut Option<T>, given: &Option<T>) {
            if given.is_some() {
                field.clone_from(given);
            }
        }
        fn text(
            field: &mut Option<String>,
            given: Option<&str>,
            question: &str,
        ) -> Result<(), Failure> {
            if let Some(text) = terminal::given_or_asked_if(given, question)? {
                *field = Some(text).filter(|text| !text.trim().is_empty());
            }
            Ok(())
        }
        set(&mut layers.feeling.point, &self.point);
        if !self.words.is_empty() {
            let words = terminal::each_given_or_asked(&self.words, "Which word comes closest?")?;
            layers.feeling.words = words;
        }
        set(&mut layers.feeling.certainty, &self.certainty);
        if !self.body.is_empty() {
            layers.body.places.clone_from(&self.body);
        }
        set(&mut layers.body.breath, &self.breath);
        set(&mut layers.body.heart, &self.heart);
        set(&mut layers.body.energy, &self.energy);
        let thought = &mut layers.thought;
        text(
            &mut thought.happened,
            self.happened.as_deref(),
            "What happened, as a camera would have seen it?",
        )?;
        text(
            &mut thought.story,
            self.story.as_deref(),
            "What is the story you are telling yourself about it?",
        )?;
        text(
            &mut thought.another_way,
            self.another_way.as_deref(),
            "And if someone kind told it?",
        )?;
        set(&mut thought.sure, &self.sure);
        text(
            &mut layers.echo.text,
            self.echo.as_deref(),
            "Does some of this belong to an older day?",
        )?;
        set(&mut layers.echo.era, &self.era);
        set(&mut layers.want.urge, &self.urge);
        set(&mut layers.want.need, &self.need);
        layers.check().map_err(ajar_journal::Error::from)?;
        Ok(layers)
    }
}
