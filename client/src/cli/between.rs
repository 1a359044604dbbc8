//! What stands between the two: bids, room, pauses, tuning in, questions, the map of each other.

use ajar_journal::questions::Theme;
use ajar_journal::records::{Answer, BidSort, GuessVerdict, Level, When};
use clap::{Args, Subcommand};

use super::Wait;

/// A small request: look at this, hold me, laugh with me
///
/// Kinds: look, thinking, tell-me, hold, help, laugh, celebrate, miss, quiet, sorry, here. It
/// fades by itself. Then it is gone for both of you, and nothing says that it was there. Nobody is
/// told whether it was seen. Without a kind it lists yours that still stand.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar bid look 'The light over the harbour'\n           ajar bid hold --wish tonight\n           ajar bid"
)]
pub(crate) struct MakeBid {
    /// What for
    pub(crate) kind: Option<BidSort>,
    /// At most 140 characters; - asks for it
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    /// When an answer would be good: now, tonight or whenever
    #[arg(long, default_value = "whenever")]
    pub(crate) wish: When,
    /// Hours until it fades, to the next full hour; at most four weeks
    #[arg(long, value_name = "HOURS", default_value = "48", value_parser = clap::value_parser!(u32).range(1..=672))]
    pub(crate) fade: u32,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Answer a small request
///
/// Kinds: here, tell-me-more, yes-at, not-now, with-you; yes-at and not-now say when: --at. There is
/// no word for turning away; what you leave alone fades. Without BID it lists your partner's that stand.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar answer\n           ajar answer 3f2a here\n           ajar answer 3f2a not-now --at 20:00 'I want to be all there.'"
)]
pub(crate) struct AnswerBid {
    /// The request: at least the first four characters of its id
    #[arg(value_name = "BID", requires = "kind")]
    pub(crate) bid: Option<String>,
    /// How
    pub(crate) kind: Option<Answer>,
    /// More words; - asks for them
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    /// When, in your words: 20:00, tomorrow after breakfast; - asks for it
    #[arg(long, value_name = "WHEN")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// How much room you have today
///
/// Your partner sees it only if you say it, and only today. `hide` takes it away. Without anything
/// it shows what you show, and what your partner shows.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar capacity open\n           ajar capacity hide\n           ajar capacity"
)]
pub(crate) struct Room {
    /// open, later, not-today, or hide
    #[arg(value_name = "open|later|not-today|hide")]
    pub(crate) room: Option<RoomChoice>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// What is to be shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RoomChoice {
    /// So much room.
    Show(Level),
    /// Nothing.
    Hide,
}

impl std::str::FromStr for RoomChoice {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        if typed == "hide" {
            return Ok(Self::Hide);
        }
        let level = typed.parse().map(Self::Show);
        level.map_err(|error: ajar_journal::layers::NoSuchWord| format!("{error}, hide"))
    }
}

/// Pause, and say when you are back
///
/// From 20 minutes, as a body needs that long to calm down, to a day. Your partner sees that you are
/// pausing and when you are back. Without anything it shows who is pausing.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar pause --minutes 40 'I care about this.'\n           ajar pause --until 20:40\n           ajar pause --back"
)]
pub(crate) struct TakePause {
    /// For so many minutes, 20 to 1440
    #[arg(long, value_name = "N", conflicts_with_all = ["until", "back"])]
    pub(crate) minutes: Option<i64>,
    /// Until this time of day
    #[arg(long, value_name = "HH:MM", conflicts_with = "back")]
    pub(crate) until: Option<String>,
    /// You are back
    #[arg(long, conflicts_with = "line")]
    pub(crate) back: bool,
    /// A line for your partner; - asks for it
    #[arg(value_name = "LINE|-")]
    pub(crate) line: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Tune in: both place a point for today, then both see both
///
/// Neither sees the other's before both have. Until then nobody is told anything, not even whether
/// the other has. Without a point it shows today's.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar tune 0.5,-0.25 'Quiet, and glad of it.'\n           ajar tune -0.5,0.5\n           ajar tune"
)]
pub(crate) struct TuneIn {
    /// How pleasant and how lively, each -1 to 1; - asks for it
    #[arg(value_name = "V,A|-", allow_hyphen_values = true)]
    pub(crate) point: Option<String>,
    /// One line; - asks for it
    #[arg(value_name = "LINE|-")]
    pub(crate) line: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Today's question, the same for both
///
/// Your answer is sealed until your partner has answered too; then both see both. Looking at the
/// question is told to nobody. With --ask you add a question of your own to those that may come.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar question\n           ajar question 'The smell of bread.'\n           ajar question --ask 'Which song is ours?' --theme us --depth 1"
)]
pub(crate) struct Daily {
    /// Your answer; - asks for it
    #[arg(value_name = "TEXT|-", conflicts_with = "ask")]
    pub(crate) text: Vec<String>,
    /// Add a question of the two of you; - asks for it
    #[arg(long, value_name = "TEXT")]
    pub(crate) ask: Option<String>,
    /// What it is about: everyday, body, weather, early, people, work, us or dreams
    #[arg(long, default_value = "us", requires = "ask")]
    pub(crate) theme: Theme,
    /// How deep it goes, 1 to 3
    #[arg(long, default_value = "1", requires = "ask", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub(crate) depth: u8,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// The map of each other: what you have told, and what has aged
///
/// Two lists: yours as you tell it, your partner's as they tell it. What you keep or leave out shows
/// on your devices only.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar map\n           ajar map ask\n           ajar map answer everyday.3 'Second breakfast.' --share",
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Map {
    #[command(subcommand)]
    pub(crate) command: Option<MapCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    Show(ShowMap),
    Ask(MapAsk),
    Answer(AnswerMap),
    Guess(GuessMap),
    Check(CheckGuess),
    Skip(SkipMap),
    StillTrue(StillTrue),
    Deep(Deep),
}

/// What both of you have said to a question
///
/// Your answer, your partner's, and what you guessed and answered together.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar map show people.2")]
pub(crate) struct ShowMap {
    /// The question
    pub(crate) question: String,
}

/// Three questions you could ask next
///
/// What is not told yet comes first, then what may have changed.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar map ask")]
pub(crate) struct MapAsk {}

/// Answer a question about yourself
///
/// Kept, only you see it. Shared, your partner sees it at once. Together, it is sealed until your
/// partner has guessed; then both see both.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar map answer people.2 -\n           ajar map answer people.2 'My aunt.' --share\n           ajar map answer people.2 'My aunt.' --together"
)]
pub(crate) struct AnswerMap {
    /// The question, as `ajar map` lists it
    pub(crate) question: String,
    /// Your answer; - asks for it
    #[arg(value_name = "TEXT|-", required = true)]
    pub(crate) text: Vec<String>,
    /// Only you see it (so it is if you say nothing)
    #[arg(long, conflicts_with_all = ["share", "together"])]
    pub(crate) keep: bool,
    /// Your partner sees it at once
    #[arg(long, conflicts_with = "together")]
    pub(crate) share: bool,
    /// Sealed until your partner has guessed
    #[arg(long)]
    pub(crate) together: bool,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Guess what your partner would say
///
/// Sealed until your partner answers together; then both see both. Not for the deepest questions:
/// those are only told.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar map guess people.2 'Your aunt?'")]
pub(crate) struct GuessMap {
    /// The question
    pub(crate) question: String,
    /// Your guess; - asks for it
    #[arg(value_name = "TEXT|-", required = true)]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Say of your partner's guess about you whether it is so
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar map check people.2 partly 'And her dog.'")]
pub(crate) struct CheckGuess {
    /// The question
    pub(crate) question: String,
    /// yes, partly or no
    #[arg(value_name = "yes|partly|no")]
    pub(crate) verdict: GuessVerdict,
    /// …and here is what I would add; - asks for it
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Leave a question out. Nobody is told
///
/// It stays in Only me and nothing is sent. --undo takes it in again.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar map skip early.4")]
pub(crate) struct SkipMap {
    /// The question
    pub(crate) question: String,
    /// Take it in again
    #[arg(long)]
    pub(crate) undo: bool,
}

/// Say that your answer is still true
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar map still-true people.2")]
pub(crate) struct StillTrue {
    /// The question
    pub(crate) question: String,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Whether questions of the third depth may come this week
///
/// They come only when both have turned them on, and never during a pause. It ends with the week.
#[derive(Debug, Args)]
#[command(after_help = "Examples:  ajar map deep on\n           ajar map deep off")]
pub(crate) struct Deep {
    /// on or off
    #[arg(value_name = "on|off")]
    pub(crate) choice: super::Switch,
    #[command(flatten)]
    pub(crate) wait: Wait,
}
