//! An emotion in five layers: body, feeling, thought, an echo of something older, and what one
//! wants (Masters: physiology, feeling, cognition and conditioning; Barrett: a prescription for
//! action). Any of them may be left out, and each can be opened alone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Invalid;
use crate::point::Point;
use crate::redacted_debug;
use crate::text::check_text;
use crate::tree::Fields;

/// Longest text of a layer, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Most regions of the body in one record.
pub const REGIONS_MAX: usize = 32;
/// Most words for one feeling.
pub const WORDS_MAX: usize = 4;
/// Longest word for a feeling, in characters.
pub const WORD_CHARS_MAX: usize = 64;

/// Declares an enum of words that stand in documents and are typed by people.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it, in documents and commands.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::layers::NoSuchWord;

            fn from_str(typed: &str) -> Result<Self, Self::Err> {
                let mut all = Self::ALL.iter().copied();
                all.find(|one| one.as_str() == typed).ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|one| one.as_str()).collect();
                    $crate::layers::NoSuchWord { what: $what, words: words.join(", ") }
                })
            }
        }
    };
}
pub(crate) use words;

/// A word that is none of those there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such {what}; choose one of: {words}")]
pub struct NoSuchWord {
    pub(crate) what: &'static str,
    pub(crate) words: String,
}

words! {
    /// One of the five layers.
    Layer, "layer" {
        /// What the body does.
        Body = "body",
        /// Where it is on the grid, and its words.
        Feeling = "feeling",
        /// What happened, and what one makes of it.
        Thought = "thought",
        /// What it reminds one of. Shown to nobody without being asked for twice.
        Echo = "echo",
        /// What it makes one want.
        Want = "want",
    }
}

words! {
    /// What a sensation is like.
    Sensation, "sensation" {
        /// Drawn together.
        Tight = "tight",
        /// As if weighed down.
        Heavy = "heavy",
        /// Warm.
        Warm = "warm",
        /// Cold.
        Cold = "cold",
        /// Fluttering.
        Fluttering = "fluttering",
        /// Empty inside.
        Hollow = "hollow",
        /// Trembling.
        Shaky = "shaky",
        /// Pressed.
        Pressure = "pressure",
        /// Humming.
        Buzzing = "buzzing",
        /// Wide and free.
        Open = "open",
        /// Without feeling.
        Numb = "numb",
        /// Hurting.
        Pain = "pain",
        /// Something else.
        Other = "other",
    }
}

words! {
    /// A place in the body.
    Region, "place in the body" {
        /// The head.
        Head = "head",
        /// The face.
        Face = "face",
        /// The jaw.
        Jaw = "jaw",
        /// The throat.
        Throat = "throat",
        /// The shoulders.
        Shoulders = "shoulders",
        /// The chest.
        Chest = "chest",
        /// The heart.
        Heart = "heart",
        /// The back.
        Back = "back",
        /// The stomach.
        Stomach = "stomach",
        /// The belly.
        Belly = "belly",
        /// The hips.
        Hips = "hips",
        /// The arms.
        Arms = "arms",
        /// The hands.
        Hands = "hands",
        /// The legs.
        Legs = "legs",
        /// The feet.
        Feet = "feet",
        /// The skin.
        Skin = "skin",
    }
}

words! {
    /// How one breathes.
    Breath, "breath" {
        /// Short and high.
        Shallow = "shallow",
        /// Held back.
        Held = "held",
        /// Even.
        Even = "even",
        /// Deep.
        Deep = "deep",
    }
}

words! {
    /// How the heart beats.
    Heart, "heartbeat" {
        /// Slow.
        Slow = "slow",
        /// Even.
        Even = "even",
        /// Quick.
        Quick = "quick",
        /// Pounding.
        Pounding = "pounding",
    }
}

words! {
    /// How sure one is of a feeling.
    Certainty, "certainty" {
        /// Clear.
        Clear = "clear",
        /// Hazy.
        Hazy = "hazy",
        /// Several at once.
        Mixed = "mixed",
    }
}

words! {
    /// Where an echo comes from.
    Era, "era" {
        /// Childhood.
        Childhood = "childhood",
        /// A relationship before this one.
        Before = "before",
        /// Earlier in this one.
        Us = "us",
    }
}

words! {
    /// What an emotion makes one want to do.
    Urge, "urge" {
        /// Come closer.
        Approach = "approach",
        /// Draw back.
        Withdraw = "withdraw",
        /// Hide.
        Hide = "hide",
        /// Strike out.
        Attack = "attack",
        /// Mend it.
        Fix = "fix",
        /// Rest.
        Rest = "rest",
        /// Be held.
        BeHeld = "be-held",
        /// Celebrate.
        Celebrate = "celebrate",
        /// Something else.
        Other = "other",
    }
}

words! {
    /// What would help.
    Need, "need" {
        /// Just hear me.
        Hear = "hear",
        /// Hold me.
        Hold = "hold",
        /// Think with me.
        Think = "think",
        /// Help me do something.
        Help = "help",
        /// Be glad with me.
        Celebrate = "celebrate",
        /// Give me room.
        Space = "space",
        /// I don't know yet.
        Unsure = "unsure",
        /// Nothing is needed.
        Nothing = "nothing",
    }
}

impl Need {
    /// What the other reads in large words; `name` is the one who would like it.
    #[must_use]
    pub fn asks(self, name: &str) -> String {
        match self {
            Self::Hear => format!("{name} would like to be heard."),
            Self::Hold => format!("{name} would like to be held."),
            Self::Think => format!("{name} would like you to think along."),
            Self::Help => format!("{name} would like help with something."),
            Self::Celebrate => format!("{name} would like you to be glad together."),
            Self::Space => format!("{name} would like some room."),
            Self::Unsure => format!("{name} does not know yet what would help."),
            Self::Nothing => format!("{name} needs nothing for this."),
        }
    }

    /// A word of guidance for whoever receives it.
    #[must_use]
    pub fn guidance(self) -> Option<&'static str> {
        match self {
            Self::Hear => Some("Say back what you understood. Ask nothing clever."),
            Self::Hold => Some("Warmth first. Fewer words."),
            Self::Think => Some("Ask what they have thought of already."),
            Self::Help => Some("Offer one thing and a time."),
            Self::Celebrate => {
                Some("Ask for the best part. Stay in it a minute longer than is comfortable.")
            }
            Self::Space => Some("Thank them. Leave the light on."),
            Self::Unsure | Self::Nothing => None,
        }
    }
}

/// What one place in the body does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which.
    pub region: Region,
    /// Less or more than usual, -2 to 2.
    pub change: i8,
    /// What it is like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensation: Option<Sensation>,
}

/// What was typed is no place in the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// Not of the form.
    #[error(
        "a place in the body is written PLACE:CHANGE or PLACE:CHANGE:SENSATION, as in chest:-1:tight; the change goes from -2 to 2"
    )]
    Form,
    /// One of its words is unknown.
    #[error(transparent)]
    Word(#[from] NoSuchWord),
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(typed: &str) -> Result<Self, NoPlace> {
        let mut parts = typed.splitn(3, ':');
        let region = parts.next().ok_or(NoPlace::Form)?.parse()?;
        let change = parts.next().ok_or(NoPlace::Form)?.parse::<i8>();
        let change = change.map_err(|_| NoPlace::Form)?;
        if !(-2..=2).contains(&change) {
            return Err(NoPlace::Form);
        }
        let sensation = parts.next().map(str::parse).transpose()?;
        Ok(Self {
            region,
            change,
            sensation,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = match self.change {
            -2 => "much less",
            -1 => "less",
            1 => "more",
            2 => "much more",
            _ => "as ever",
        };
        write!(f, "{}: {more}", self.region)?;
        match self.sensation {
            Some(sensation) => write!(f, ", {sensation}"),
            None => Ok(()),
        }
    }
}

/// The layer of the body.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Where it is noticed; at most [`REGIONS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// How one breathes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breath: Option<Breath>,
    /// How the heart beats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heart: Option<Heart>,
    /// Less or more energy than usual, -2 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<i8>,
}

/// The layer of the feeling.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feeling {
    /// Where it is on the grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// Words for it, at most [`WORDS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// How sure one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certainty: Option<Certainty>,
}

/// The layer of the thought.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thought {
    /// What happened, as a camera would have seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened: Option<String>,
    /// The story one tells oneself about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
    /// Another way to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub another_way: Option<String>,
    /// How sure one is of the story, 0 to 100 per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sure: Option<u8>,
}

/// The layer of the echo.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// What it reminds one of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// From when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<Era>,
}

/// The layer of the want.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// What it makes one want to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urge: Option<Urge>,
    /// What would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<Need>,
}

/// The five layers of one record. An empty one is as good as none.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Body.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub body: Body,
    /// Feeling.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub feeling: Feeling,
    /// Thought.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub thought: Thought,
    /// Echo.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub echo: Echo,
    /// Want.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub want: Want,
}

redacted_debug!(Body, Feeling, Thought, Echo, Want, Layers);

fn is_empty<T: Default + PartialEq>(layer: &T) -> bool {
    *layer == T::default()
}

impl Layers {
    /// Whether there is nothing in any layer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        is_empty(self)
    }

    /// The layers that hold something.
    #[must_use]
    pub fn present(&self) -> Vec<Layer> {
        let holds = |layer: &Layer| match layer {
            Layer::Body => !is_empty(&self.body),
            Layer::Feeling => !is_empty(&self.feeling),
            Layer::Thought => !is_empty(&self.thought),
            Layer::Echo => !is_empty(&self.echo),
            Layer::Want => !is_empty(&self.want),
        };
        Layer::ALL.iter().copied().filter(holds).collect()
    }

    /// A copy that holds these layers and nothing of the others.
    #[must_use]
    pub fn only(&self, layers: &[Layer]) -> Self {
        fn keep<T: Clone + Default>(layer: &T, wanted: bool) -> T {
            if wanted { layer.clone() } else { T::default() }
        }
        let wants = |layer| layers.contains(&layer);
        Self {
            body: keep(&self.body, wants(Layer::Body)),
            feeling: keep(&self.feeling, wants(Layer::Feeling)),
            thought: keep(&self.thought, wants(Layer::Thought)),
            echo: keep(&self.echo, wants(Layer::Echo)),
            want: keep(&self.want, wants(Layer::Want)),
        }
    }

    /// Takes these layers over from another record.
    pub(crate) fn take(&mut self, other: &Self, layers: &[Layer]) {
        for layer in layers {
            match layer {
                Layer::Body => self.body.clone_from(&other.body),
                Layer::Feeling => self.feeling.clone_from(&other.feeling),
                Layer::Thought => self.thought.clone_from(&other.thought),
                Layer::Echo => self.echo.clone_from(&other.echo),
                Layer::Want => self.want.clone_from(&other.want),
            }
        }
    }

    /// Every text in it, for a search.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let thought = &self.thought;
        let texts = [
            &thought.happened,
            &thought.story,
            &thought.another_way,
            &self.echo.text,
        ];
        let words = self.feeling.words.iter().map(String::as_str);
        words.chain(texts.into_iter().filter_map(Option::as_deref))
    }

    /// The layers in words, one line each; texts may have several.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let body = &self.body;
        if !body.places.is_empty() {
            let places: Vec<String> = body.places.iter().map(ToString::to_string).collect();
            lines.push(("Body", places.join("; ")));
        }
        let mut push = |name, value: Option<String>| {
            lines.extend(value.map(|value| (name, value)));
        };
        push("Breath", body.breath.map(|breath| breath.to_string()));
        push("Heart", body.heart.map(|heart| heart.to_string()));
        push("Energy", body.energy.map(|energy| format!("{energy:+}")));
        let feeling = &self.feeling;
        push("Feeling", feeling.point.map(Point::in_words));
        let words = (!feeling.words.is_empty()).then(|| feeling.words.join(", "));
        push("Words", words);
        push("Certainty", feeling.certainty.map(|it| it.to_string()));
        push("What happened", self.thought.happened.clone());
        push("The story", self.thought.story.clone());
        push("Another way", self.thought.another_way.clone());
        push(
            "Sure of it",
            self.thought.sure.map(|sure| format!("{sure} %")),
        );
        push("Echo", self.echo.text.clone());
        push("From", self.echo.era.map(|era| era.to_string()));
        push("Wanting to", self.want.urge.map(|urge| urge.to_string()));
        push("Would help", self.want.need.map(|need| need.to_string()));
        lines
    }

    /// The layers as plain values.
    pub(crate) fn fields(&self) -> Result<Fields, Invalid> {
        let needs = "values that can be written down";
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(fields)) => Ok(fields),
            _ => Err(Invalid::Field {
                field: "layers",
                needs,
            }),
        }
    }

    /// Checks sizes and scales.
    ///
    /// # Errors
    /// [`Invalid::Field`].
    pub fn check(&self) -> Result<(), Invalid> {
        let refuse = |field, needs| Err(Invalid::Field { field, needs });
        let steps = |n: &i8| (-2..=2).contains(n);
        let body = &self.body;
        if body.places.len() > REGIONS_MAX || !body.places.iter().all(|p| steps(&p.change)) {
            return refuse("body", "at most 32 places, each from -2 to 2");
        }
        if !body.energy.iter().all(steps) {
            return refuse("energy", "a number from -2 to 2");
        }
        check_words(&self.feeling.words, WORDS_MAX)?;
        if self.thought.sure.is_some_and(|sure| sure > 100) {
            return refuse("sure", "a number from 0 to 100");
        }
        let thought = &self.thought;
        let texts = [
            ("happened", &thought.happened),
            ("story", &thought.story),
            ("another way", &thought.another_way),
            ("echo", &self.echo.text),
        ];
        for (field, text) in texts {
            check_text(field, text.as_deref().unwrap_or(" "), TEXT_BYTES_MAX)?;
        }
        Ok(())
    }
}

/// Checks words for a feeling: at most `max`, each one line.
pub(crate) fn check_words(words: &[String], max: usize) -> Result<(), Invalid> {
    let holds = |word: &String| {
        !word.trim().is_empty()
            && word.chars().nth(WORD_CHARS_MAX).is_none()
            && !word.chars().any(char::is_control)
    };
    if words.len() > max || !words.iter().all(holds) {
        let needs = "at most a few words of 1 to 64 characters, without line breaks";
        return Err(Invalid::Field {
            field: "words",
            needs,
        });
    }
    Ok(())
}
