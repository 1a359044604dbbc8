//! What the two make together: the book, words, agreements, letters.

use std::time::Duration;

use ajar_journal::Point;
use clap::{Args, Subcommand};

use super::seconds;

/// How long the relay is waited for.
#[derive(Debug, Args)]
pub(crate) struct Patience {
    /// Seconds to wait for the relay [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// Something that stands between the two.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// At least the first four characters of its id
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// Our book: what both of you have put into it, in chapters by year
///
/// Something is in the book as long as both of you want it there. Each puts it in, or takes it out,
/// for themselves, at any time, without a reason.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar book\n           ajar book put 3f2a\n           ajar book waiting",
    disable_help_subcommand = true
)]
pub(crate) struct Book {
    #[command(subcommand)]
    pub(crate) command: Option<BookCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BookCommand {
    /// Say that something belongs into our book: an opening, a page, a letter, a day to remember
    ///
    /// It is in the book once your partner says so too, of the same words: if its author changes it
    /// later, the other is asked again.
    #[command(after_help = "Example:  ajar book put 3f2a")]
    Put(One),
    /// Take it out of our book. Nobody asks why, and it stays where it was before
    #[command(after_help = "Example:  ajar book take-out 3f2a")]
    TakeOut(One),
    /// What waits: for you, because your partner has put it there; or for both of you
    ///
    /// What you do not want to see here again: ajar mute --record ID. Nobody is told.
    #[command(after_help = "Example:  ajar book waiting")]
    Waiting,
    Page(Page),
    /// Propose a day to remember; your partner puts it into the book too
    #[command(after_help = "Example:  ajar book milestone 'The day we met' 2019-05-04 --yearly")]
    Milestone(NewMilestone),
}

/// Pages that both of you write, paragraph by paragraph
///
/// Each paragraph belongs to whoever wrote it: only they can change it, and both can see how it was
/// before (ajar history). To take back one of yours: ajar burn ID.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar book page new 'Our winter'\n           ajar book page write 3f2a 'It snowed for a week.'",
    disable_help_subcommand = true
)]
pub(crate) struct Page {
    #[command(subcommand)]
    pub(crate) command: PageCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PageCommand {
    /// Begin a page. With it you say that it may stand in our book
    #[command(
        after_help = "Examples:  ajar book page new 'Our winter'\n           ajar book page new 'That evening' --repair"
    )]
    New(NewPage),
    /// Add a paragraph of your own; without TEXT your editor opens
    #[command(
        after_help = "Examples:  ajar book page write 3f2a 'It snowed for a week.'\n           ajar book page write 3f2a --section 4 -\n           ajar book page write 3f2a --margin 'I had forgotten that.'"
    )]
    Write(WritePassage),
    /// Change a paragraph of your own
    #[command(after_help = "Example:  ajar book page edit 9c01 'It snowed for two weeks.'")]
    Edit(EditPassage),
    /// Show a page: each paragraph and whose it is
    #[command(after_help = "Example:  ajar book page show 3f2a")]
    Show(ShowOne),
}

#[derive(Debug, Args)]
pub(crate) struct ShowOne {
    /// At least the first four characters of its id
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct NewPage {
    /// What it is called; - asks for it
    #[arg(value_name = "TITLE|-")]
    pub(crate) title: String,
    /// A repair page: it asks six things of each of you. Nobody has to answer all of them
    #[arg(long)]
    pub(crate) repair: bool,
    /// The day it is about [default: today]
    #[arg(long, value_name = "DAY")]
    pub(crate) date: Option<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Debug, Args)]
pub(crate) struct WritePassage {
    /// The page: at least the first four characters of its id
    pub(crate) page: String,
    /// The paragraph; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    /// Which of the six questions of a repair page it answers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=6))]
    pub(crate) section: Option<u8>,
    /// A note in the margin
    #[arg(long)]
    pub(crate) margin: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Debug, Args)]
pub(crate) struct EditPassage {
    /// The paragraph: at least the first four characters of its id
    pub(crate) passage: String,
    /// The whole new paragraph; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Debug, Args)]
pub(crate) struct NewMilestone {
    /// What it is called; - asks for it
    #[arg(value_name = "NAME|-")]
    pub(crate) name: String,
    /// The day
    #[arg(value_name = "DATE")]
    pub(crate) date: String,
    /// It comes back every year
    #[arg(long)]
    pub(crate) yearly: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// Our words: what a word means between the two of you
///
/// A word is yours together once the other agrees to its meaning. Either takes that back at any time.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar word add sundaying 'doing nothing, together' --point 0.7,-0.5\n           ajar word list",
    disable_help_subcommand = true
)]
pub(crate) struct Word {
    #[command(subcommand)]
    pub(crate) command: WordCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WordCommand {
    /// Propose a word and what it means
    #[command(
        after_help = "Example:  ajar word add sundaying 'doing nothing, together' --point 0.7,-0.5"
    )]
    Add(AddWord),
    /// Agree to a word and its meaning
    #[command(after_help = "Example:  ajar word agree 3f2a")]
    Agree(One),
    /// Not any more. Nobody asks why
    #[command(after_help = "Example:  ajar word withdraw 3f2a")]
    Withdraw(One),
    /// The words you have together, and what waits
    #[command(after_help = "Example:  ajar word list")]
    List,
}

#[derive(Debug, Args)]
pub(crate) struct AddWord {
    /// The word; - asks for it
    #[arg(value_name = "WORD|-")]
    pub(crate) word: String,
    /// What it means between you; - asks for it
    #[arg(value_name = "MEANING|-")]
    pub(crate) meaning: String,
    /// Where it lies, if it is a feeling: how pleasant, then how much energy, each from -1 to 1
    #[arg(long, value_name = "V,A", allow_hyphen_values = true)]
    pub(crate) point: Option<Point>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// Our agreements: what both of you have signed
///
/// An agreement holds when both have signed the same words. A change needs both again; leaving it
/// needs one. Both of you see every change (ajar history).
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar agree new 'No reply is needed the same day.'\n           ajar agree sign 3f2a\n           ajar agree list",
    disable_help_subcommand = true
)]
pub(crate) struct Agree {
    #[command(subcommand)]
    pub(crate) command: AgreeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgreeCommand {
    /// Write down an agreement, and sign it. It holds once your partner signs it too
    #[command(after_help = "Example:  ajar agree new 'We do not read over a shoulder.'")]
    New(NewAgreement),
    /// Change the words of one that you wrote. It holds again once your partner signs the new words
    #[command(
        after_help = "Example:  ajar agree change 3f2a 'We do not read over a shoulder. Nor aloud.'"
    )]
    Change(ChangeAgreement),
    /// Sign an agreement as it stands; it is shown to you
    #[command(after_help = "Example:  ajar agree sign 3f2a")]
    Sign(One),
    /// Leave an agreement. It does not hold any more; nobody asks why
    #[command(after_help = "Example:  ajar agree leave 3f2a")]
    Leave(One),
    /// The agreements that hold, what waits, and what somebody has left
    #[command(after_help = "Example:  ajar agree list")]
    List,
}

#[derive(Debug, Args)]
pub(crate) struct NewAgreement {
    /// What you agree on; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeAgreement {
    /// At least the first four characters of its id
    pub(crate) id: String,
    /// All the new words; - reads them from standard input
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// Letters to your partner, to be opened on a day, or with a mood
///
/// A letter lies on your partner's device, closed, and opens there. Nobody is told whether it was
/// opened. The closing is a promise of Ajar and not of mathematics: somebody who changes the
/// program on their own device could read it earlier.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar letter write --open-on 2027-05-04 --title 'For our day' -\n           ajar letter write --when-i-feel 'far away' 'I am thinking of you.'\n           ajar letter list",
    disable_help_subcommand = true
)]
pub(crate) struct Letter {
    #[command(subcommand)]
    pub(crate) command: LetterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LetterCommand {
    /// Write a letter; without TEXT your editor opens
    #[command(
        after_help = "Examples:  ajar letter write --open-on 2027-05-04 -\n           ajar letter write --when-i-feel sad 'You are not alone with it.'"
    )]
    Write(WriteLetter),
    /// The letters that lie here, and when they open
    #[command(after_help = "Example:  ajar letter list")]
    List,
    /// Read a letter. Nobody is told
    #[command(after_help = "Example:  ajar letter read 3f2a")]
    Read(ReadLetter),
    /// Take back a letter of yours: it is burned. Your partner may have read it
    #[command(after_help = "Example:  ajar letter recall 3f2a")]
    Recall(RecallLetter),
}

#[derive(Debug, Args)]
pub(crate) struct WriteLetter {
    /// What stands on the envelope, for your partner to see at once; - asks for it
    #[arg(long, value_name = "TITLE")]
    pub(crate) title: Option<String>,
    /// It opens on this day
    #[arg(long, value_name = "DATE", conflicts_with = "when_i_feel")]
    pub(crate) open_on: Option<String>,
    /// It opens when your partner says that they feel so; - asks for it
    #[arg(long, value_name = "MOOD")]
    pub(crate) when_i_feel: Option<String>,
    /// The letter; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Debug, Args)]
pub(crate) struct ReadLetter {
    /// At least the first four characters of its id
    pub(crate) id: String,
    /// Do not ask whether you feel so
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecallLetter {
    /// At least the first four characters of its id
    pub(crate) id: String,
    /// Do not ask. The price: it cannot be brought back
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}
