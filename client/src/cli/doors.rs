//! Opening doors, and receiving what stands open.

use std::time::Duration;

use ajar_journal::Point;
use ajar_journal::layers::Need;
use ajar_journal::opening::{Part, Stage};
use ajar_journal::records::{ResponseSort, Verdict, When};
use clap::Args;

use super::seconds;

/// Five words that lie close to a point
///
/// They come from at least three families, your own words among them. They are suggestions: a
/// word you pick never moves your point. Where they lie is our judgement, not a norm.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar words-for -0.5,0.75")]
pub(crate) struct WordsFor {
    /// How pleasant and how lively, each -1 to 1
    #[arg(value_name = "V,A", allow_hyphen_values = true)]
    pub(crate) point: Point,
}

/// Weigh, for yourself, whether to open something
///
/// What you answer stays in Only me and goes after 90 days unless you keep it. Without answers it
/// asks the questions and says what you noted about doors like this one, if there were four or more.
#[derive(Debug, Args)]
#[command(after_help = "Examples:  ajar weigh 3f2a\n           ajar weigh 3f2a --hope - --fear -")]
pub(crate) struct Weigh {
    /// The entry: at least the first four characters of its id
    pub(crate) id: String,
    /// What do I hope happens if I open this? - asks for it
    #[arg(long, value_name = "TEXT")]
    pub(crate) hope: Option<String>,
    /// What am I afraid of?
    #[arg(long, value_name = "TEXT")]
    pub(crate) fear: Option<String>,
    /// If it goes badly, what will I do?
    #[arg(long, value_name = "TEXT")]
    pub(crate) plan: Option<String>,
    /// Is this a good hour for both of us?
    #[arg(long, value_name = "yes|no")]
    pub(crate) good_hour: Option<String>,
    /// Keep it for longer than 90 days
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Open an entry to your partner, as far as you like
///
/// knock: that something is moving in you, and nothing of what it is.
/// weather: the feeling, without its story.
/// gist: one sentence of yours.
/// room: the layers you choose, or title, text and photos.
///
/// Shows exactly what your partner will get, asks, and gives them a copy. Your entry, its tags,
/// its time and its earlier versions stay with you. You can stop at any stage for ever: nobody can
/// tell “stopped” from “not yet”. Open the same entry again to go further.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar open 3f2a --stage knock --need hear --when tonight\n           \
                  ajar open 3f2a --stage weather --preview\n           \
                  ajar open 3f2a --stage gist --gist 'I am afraid of Monday.'\n           \
                  ajar open 3f2a --stage room --layers feeling,thought\n           \
                  ajar open 3f2a --close"
)]
pub(crate) struct Open {
    /// The entry: at least the first four characters of its id
    pub(crate) id: String,
    /// How far: knock, weather, gist or room
    #[arg(long, required_unless_present_any = ["hold", "close"])]
    pub(crate) stage: Option<Stage>,
    /// What a room shows, with commas: body,feeling,thought,echo,want,text,photos
    /// [default: text and photos]
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    pub(crate) layers: Vec<Part>,
    /// The sentence of a gist; - asks for it
    #[arg(long, value_name = "SENTENCE")]
    pub(crate) gist: Option<String>,
    /// What would help: hear, hold, think, help, celebrate, space, unsure or nothing
    #[arg(long)]
    pub(crate) need: Option<Need>,
    /// When an answer would be good: now, tonight or whenever
    #[arg(long, default_value = "whenever")]
    pub(crate) when: When,
    /// No answer is needed
    #[arg(long)]
    pub(crate) no_reply_wanted: bool,
    /// With --yes, show the echo of an older day too: it is asked about twice
    #[arg(long)]
    pub(crate) echo_too: bool,
    /// Only show what your partner would get
    #[arg(long)]
    pub(crate) preview: bool,
    /// Leave it as far open as it is. Nothing is sent
    #[arg(long, conflicts_with_all = ["stage", "close"])]
    pub(crate) hold: bool,
    /// Open it no further. Nothing is sent; what they have stays
    #[arg(long, conflicts_with = "stage")]
    pub(crate) close: bool,
    /// Do not ask. The price: what your partner has received cannot be unread
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// How long to wait for the relay.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Wait {
    /// Seconds to wait for the relay [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// Take back what you opened
///
/// What your partner's devices have not fetched yet is gone. What they have is removed from them at
/// their next sync; your partner may have read it. Your entry stays in Only me.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar take-back 3f2a")]
pub(crate) struct TakeBack {
    /// The entry or the opening: at least the first four characters of its id
    pub(crate) id: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// What stands open for you
///
/// In the order in which your partner would like an answer, not by age. Nobody learns that you
/// looked.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar doors")]
pub(crate) struct Doors {}

/// Say that you have seen a door, if you like
///
/// Without more it says “I see you”. With --later, when you will be there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:  ajar see 3f2a\n           ajar see 3f2a --later 20:00")]
pub(crate) struct See {
    /// The opening: at least the first four characters of its id
    pub(crate) id: String,
    /// I want to be all there, later: when
    #[arg(long, value_name = "WHEN")]
    pub(crate) later: Option<String>,
    /// Not today, and I have not forgotten; with --later, when
    #[arg(long)]
    pub(crate) not_today: bool,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Say what you hear, before you reply
///
/// One sentence: “What I hear is…”. A point and up to two words, if you like: where you think they
/// are, not where you are.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:  ajar reflect 3f2a --point -0.5,0.25 --word tired 'You carried this alone all week.'"
)]
pub(crate) struct Reflect {
    /// The opening: at least the first four characters of its id
    pub(crate) id: String,
    /// Where you think they are
    #[arg(long, value_name = "V,A", allow_hyphen_values = true)]
    pub(crate) point: Option<Point>,
    /// A word; up to two
    #[arg(long = "word", value_name = "WORD")]
    pub(crate) words: Vec<String>,
    /// What you hear; - asks for it
    #[arg(value_name = "TEXT|-", required = true)]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Say how well a reflection of your words says it
///
/// Only you can: yes (that's it), close, or no (not quite), and what you would add.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar check 77aa close 'And I was angry, too.'")]
pub(crate) struct CheckReflection {
    /// The reflection: at least the first four characters of its id
    pub(crate) id: String,
    /// yes, close or no
    #[arg(value_name = "yes|close|no")]
    pub(crate) verdict: Verdict,
    /// Here is what I would add; - asks for it
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Answer what your partner opened
///
/// Say first what you hear (`ajar reflect`), or skip it with --skip-reflecting: nobody is told
/// that you did. Kinds: listen, validate, comfort, another-way, me-too, help, tell-me,
/// why-it-matters, proud, relive, celebrate, presence.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar reply 3f2a                       (which kinds fit, and beginnings)\n           \
                  ajar reply 3f2a --kind validate 'It makes sense that you left, given that day.'\n           \
                  ajar reply 3f2a --kind presence --minutes 5"
)]
pub(crate) struct Reply {
    /// The opening: at least the first four characters of its id
    pub(crate) id: String,
    /// What kind of answer [default: the one that fits best]
    #[arg(long)]
    pub(crate) kind: Option<ResponseSort>,
    /// How long you stay, in minutes (presence)
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=60))]
    pub(crate) minutes: Option<u8>,
    /// Answer without saying first what you hear
    #[arg(long)]
    pub(crate) skip_reflecting: bool,
    /// Do not ask when the kind is not what they asked for
    #[arg(long)]
    pub(crate) yes: bool,
    /// Your answer; - asks for it
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// How was it for me? A note about an answer, for you alone
///
/// Each from 0 (not at all) to 8 (completely); leave out what you like. Your partner never sees it,
/// not even that it exists. To tell them what helped: ajar thanks.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:  ajar felt 91bc --understood 6 --cared 8 --acts 'Put the phone away.'"
)]
pub(crate) struct FeltNote {
    /// The answer: at least the first four characters of its id
    pub(crate) id: String,
    /// They got what this was about for me
    #[arg(long, value_name = "0..8", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) understood: Option<u8>,
    /// My feeling was allowed to be what it was
    #[arg(long, value_name = "0..8", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) validated: Option<u8>,
    /// I matter to them in this
    #[arg(long, value_name = "0..8", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) cared: Option<u8>,
    /// I was not alone in it
    #[arg(long, value_name = "0..8", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) felt: Option<u8>,
    /// What did they do or say? - asks for it
    #[arg(long, value_name = "TEXT")]
    pub(crate) acts: Option<String>,
    /// Where you are now
    #[arg(long, value_name = "V,A", allow_hyphen_values = true)]
    pub(crate) after: Option<Point>,
    /// It hurt
    #[arg(long)]
    pub(crate) hurt: bool,
}

/// Tell them what helped, in words
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar thanks 91bc 'That you asked, and then waited.'")]
pub(crate) struct ThankFor {
    /// The answer: at least the first four characters of its id
    pub(crate) id: String,
    /// What helped; - asks for it
    #[arg(value_name = "TEXT|-", required = true)]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}
