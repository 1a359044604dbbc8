//! The commands, their options and their help.

mod between;
mod book;
mod burning;
mod days;
mod devices;
mod doors;
mod feeling;
mod import;
mod insight;
mod keys;
mod leaving;
mod photos;
mod relay;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use between::{
    AnswerBid, AnswerMap, CheckGuess, Daily, Deep, GuessMap, MakeBid, Map, MapCommand, Room,
    RoomChoice, SkipMap, StillTrue, TakePause, TuneIn,
};
pub(crate) use book::{
    AddWord, Agree, AgreeCommand, Book, BookCommand, ChangeAgreement, DropWord, EditPassage,
    KeepWord, Letter, LetterCommand, NewAgreement, NewMilestone, NewPage, One, PageCommand,
    Patience, ReadLetter, RecallLetter, ShowOne, Word, WordCommand, WriteLetter, WritePassage,
};
pub(crate) use burning::{Burn, Tidy};
pub(crate) use days::{
    Calendar, Day, DoRitual, Mute, MuteCommand, NewRitual, OnThisDay, Ritual, RitualCommand, Switch,
};
pub(crate) use devices::{
    AddDevice, Device, DeviceCommand, KeepDevice, RemoveDevice, RenameDevice, SpaceName,
};
pub(crate) use doors::{
    CheckReflection, Doors, FeltNote, Open, Reflect, Reply, See, TakeBack, ThankFor, Wait, Weigh,
    WordsFor,
};
pub(crate) use feeling::Feeling;
pub(crate) use import::{Import, ImportFormat};
pub(crate) use insight::{Insight, InsightCommand, OursChoice};
pub(crate) use keys::{ChangePassphrase, Lock, Recover, ReplaceWords, Unlock, Words, WordsCommand};
pub(crate) use leaving::{Close, CloseCommand, End, Erase, Export, ExportFormat, Sure};
pub(crate) use photos::{Photos, TakePhoto};
pub(crate) use relay::{AcceptRelay, MoveRelay, Relay, RelayCommand};

/// A private journal for two.
///
/// What you write stays in “Only me” until you open it. What you open reaches your partner
/// end-to-end encrypted; the server in between cannot read it.
#[derive(Debug, Parser)]
#[command(
    name = "ajar",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Begin with:  ajar demo   (everything once, in a temporary folder)\n       \
                  or:  ajar init --name Ana --relay ADDRESS"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Folder of your journal [default: ajar in your data folder]
    #[arg(long, global = true, value_name = "DIR", env = "AJAR_HOME")]
    pub(crate) home: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only data and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Say on stderr what happens underneath (no words of yours)
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// Read the passphrase from the first line of a file (or set AJAR_PASSPHRASE)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The same for a second passphrase that guards Only me (or set AJAR_PRIVATE_PASSPHRASE)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) private_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Init),
    Pair(Pair),
    Join(Join),
    Device(Device),
    Write(Write),
    WordsFor(WordsFor),
    Weigh(Weigh),
    Open(Open),
    TakeBack(TakeBack),
    Doors(Doors),
    See(See),
    Reflect(Reflect),
    Check(CheckReflection),
    Reply(Reply),
    Felt(FeltNote),
    Thanks(ThankFor),
    Bid(MakeBid),
    Answer(AnswerBid),
    Capacity(Room),
    Pause(TakePause),
    Tune(TuneIn),
    Question(Daily),
    Map(Map),
    List(List),
    Search(Search),
    Show(Show),
    Edit(Edit),
    Photo(TakePhoto),
    History(History),
    Book(Book),
    Word(Word),
    Agree(Agree),
    Letter(Letter),
    Ritual(Ritual),
    OnThisDay(OnThisDay),
    Mute(Mute),
    Calendar(Calendar),
    Day(Day),
    Insight(Insight),
    Burn(Burn),
    Sync(Sync),
    Tidy(Tidy),
    Status(Status),
    Doctor(Doctor),
    Relay(Relay),
    Lock(Lock),
    Unlock(Unlock),
    Passphrase(ChangePassphrase),
    Words(Words),
    Recover(Recover),
    Export(Export),
    Import(Import),
    Close(Close),
    Erase(Erase),
    Demo(Demo),
}

/// Begin a journal on this device
///
/// Asks for a passphrase and shows twelve words once. The passphrase opens the journal on this
/// device; the twelve words are for the day all devices are lost. No network is needed.
///
/// With --link it becomes one more device of yours: `ajar device add` on a device that has your
/// journal shows the code. There are no new words then; the ones you have stay.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar init --name Ana --relay 'ajar-relay:relay.example:4433#…'\n           \
                  ajar init --link 4821-harvest-lemon-oak --relay 'ajar-relay:…'\n           \
                  ajar init --link 'ajar://relay.example:4433/4821-…' --device phone"
)]
pub(crate) struct Init {
    /// What your partner will call you. With --link your other device knows it
    #[arg(long, required_unless_present = "link")]
    pub(crate) name: Option<String>,
    /// What to call this device; only your own devices see it [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Address of your relay, as `ajar-relay invite` prints it (in quotes); - asks for it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) relay: Option<String>,
    /// Bring your journal here from another device of yours: the code or the invitation it shows; -
    /// asks for it
    #[arg(long, value_name = "CODE|INVITATION", conflicts_with = "words_file")]
    pub(crate) link: Option<String>,
    /// Whether Only me is kept at the relay too, sealed: yes, no, or the address of another relay for it
    /// [default: asked, or yes]. The price of no: with the last device, what is only there is lost
    #[arg(long, value_name = "yes|no|ADDRESS", conflicts_with = "link")]
    pub(crate) me_at_relay: Option<String>,
    /// Write the twelve words into a new file instead of showing them; keep it off this device
    #[arg(long, value_name = "FILE")]
    pub(crate) words_file: Option<PathBuf>,
    /// Do not ask for three of the words to check them
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Meet your partner: show a code and wait
///
/// Your partner enters the code with `ajar join`. Then both of you see six words: read them to
/// each other. A code works once and for ten minutes.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar pair")]
pub(crate) struct Pair {
    /// Do not ask whether both see the same six words. The price: you would not notice someone
    /// standing in between
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Meet your partner: enter the code they read to you
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar join   (asks for the code)\n           ajar join 4821-harvest-lemon-oak"
)]
pub(crate) struct Join {
    /// The code or the invitation your partner's device shows [default: asked, or the first line of
    /// standard input]. It works once and for ten minutes, so it may stand here all the same
    #[arg(value_name = "CODE|INVITATION|-")]
    pub(crate) invitation: Option<String>,
    /// Do not ask whether both see the same six words. The price: you would not notice someone
    /// standing in between
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Keep an entry in Only me
///
/// Your partner does not see it, not even that it exists. No network is needed. Without TEXT your editor
/// opens ($VISUAL or $EDITOR), or type and end with Ctrl-D.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar write\n           echo 'It rained all day.' | ajar write --title Rain -\n           ajar write --photo sunset.jpg 'The sea, at last.'\n           ajar write --point -0.5,0.75 --word worried --body chest:-1:tight\n\n\
                  What is given on the command line stays in your shell's history, and others who use this computer\n\
                  can see it while the command runs: - reads it from the terminal or standard input instead."
)]
pub(crate) struct Write {
    #[command(flatten)]
    pub(crate) about: About,
    #[command(flatten)]
    pub(crate) feeling: Feeling,
    #[command(flatten)]
    pub(crate) photos: Photos,
    /// The text; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
}

/// Title, day and tags.
#[derive(Debug, Args)]
pub(crate) struct About {
    /// One line above the text; - asks for it, or reads the first line of standard input
    #[arg(long, value_name = "TITLE")]
    pub(crate) title: Option<String>,
    /// The day it is about: 2026-07-01, 2026-07-01T21:30, today or yesterday
    #[arg(long, value_name = "DAY")]
    pub(crate) date: Option<String>,
    /// A tag, or -; repeat for more. Tags are never shared
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
}

/// List what you kept and what stands open between you
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar list --us --since 2026-07-01\n           ajar list --author partner --has-photo"
)]
pub(crate) struct List {
    /// Only what only you can read
    #[arg(long, conflicts_with = "us")]
    pub(crate) me: bool,
    /// Only what both of you can read
    #[arg(long)]
    pub(crate) us: bool,
    /// From this day on
    #[arg(long, value_name = "DAY")]
    pub(crate) since: Option<String>,
    /// Up to and including this day
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// With this tag; - asks for it
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// Of this kind: entry, opening, page or letter
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only what you wrote, or what your partner wrote
    #[arg(
        long,
        value_name = "me|partner",
        value_enum,
        hide_possible_values = true
    )]
    pub(crate) author: Option<Who>,
    /// Only with photos or files
    #[arg(long)]
    pub(crate) has_photo: bool,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// Find words in what you kept and what stands open between you
///
/// Looks at titles, texts and tags; all words must occur, also as parts of longer ones. Capital or small
/// letters are the same. What is found is not written anywhere.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar search rain\n           ajar search --me sea october\n           ajar search --author partner --since 2026-07-01 harbour"
)]
pub(crate) struct Search {
    /// The words; - asks for them, or reads a line of standard input
    #[arg(value_name = "TEXT|-", required = true)]
    pub(crate) text: Vec<String>,
    /// Only what only you can read
    #[arg(long, conflicts_with = "us")]
    pub(crate) me: bool,
    /// Only what both of you can read
    #[arg(long)]
    pub(crate) us: bool,
    /// From this day on
    #[arg(long, value_name = "DAY")]
    pub(crate) since: Option<String>,
    /// Up to and including this day
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// With this tag; - asks for it
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// Of this kind: entry, opening, page, passage, letter, milestone, agreement, our-word, ritual …
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only what you wrote, or what your partner wrote
    #[arg(
        long,
        value_name = "me|partner",
        value_enum,
        hide_possible_values = true
    )]
    pub(crate) author: Option<Who>,
    /// Only with photos or files
    #[arg(long)]
    pub(crate) has_photo: bool,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    Me,
    Partner,
}

/// Show one entry or opening
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar show 3f2a")]
pub(crate) struct Show {
    /// At least the first four characters of its id
    pub(crate) id: String,
}

/// Change what you wrote
///
/// Without TEXT your editor opens. Earlier versions stay: see `ajar history`. An entry and the
/// copy you opened are changed apart.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar edit 3f2a\n           ajar edit 3f2a --title 'By the sea' --tag sea\n           ajar edit 3f2a --photo sunset.jpg --remove-photo 1"
)]
pub(crate) struct Edit {
    /// At least the first four characters of its id
    pub(crate) id: String,
    /// A new title, or - to be asked; '' takes it away
    #[arg(long, value_name = "TITLE")]
    pub(crate) title: Option<String>,
    /// The day it is about: 2026-07-01, 2026-07-01T21:30, today or yesterday
    #[arg(long, value_name = "DAY")]
    pub(crate) date: Option<String>,
    /// All the tags it should have, or -; '' alone takes them away
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    #[command(flatten)]
    pub(crate) feeling: Feeling,
    /// One to come back to; again to take the star away
    #[arg(long)]
    pub(crate) star: bool,
    /// Let it rest: it does not come back by itself; again to wake it
    #[arg(long)]
    pub(crate) rest: bool,
    #[command(flatten)]
    pub(crate) photos: Photos,
    /// The number of a photo to take away, as `ajar show` lists it; repeat for more
    #[arg(long = "remove-photo", value_name = "N")]
    pub(crate) remove_photos: Vec<usize>,
    /// The whole new text; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Vec<String>,
}

/// Show what something said before
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar history 3f2a")]
pub(crate) struct History {
    /// At least the first four characters of its id
    pub(crate) id: String,
}

/// Exchange with the relay: deliver what is kept here, receive what waits there
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar sync\n           ajar sync --watch   (stays, and says what arrives; end with Ctrl-C)"
)]
pub(crate) struct Sync {
    /// Stay connected and print a line for everything that arrives
    #[arg(long)]
    pub(crate) watch: bool,
    /// Begin from a copy of the past that only your partner's device vouches for. The price: that device
    /// could have changed what you wrote earlier, and nobody could tell. For when all your devices are lost
    #[arg(long)]
    pub(crate) trust_partner_copy: bool,
    /// Seconds to wait for the relay [default: 20]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// Say what is kept, what is delivered, and what you should know. No network
///
/// With --words it shows four words instead. Read them to each other, side by side: the same words on
/// two devices mean the same journal on both, with nothing held back by the relay.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar status --json\n           ajar status --words\n           ajar status --words me   (with another device of your own)\n           ajar status --evidence proof.json"
)]
pub(crate) struct Status {
    /// Show four words to compare: of Us, with your partner's devices and your own, or of Only me, with
    /// your own [default of SPACE: us]. The price of showing those of Only me: they change when you write
    #[arg(long, value_name = "SPACE", num_args = 0..=1, default_missing_value = "us", conflicts_with = "evidence")]
    pub(crate) words: Option<SpaceName>,
    /// Write the proofs that were kept of two different histories into a new file that anybody can
    /// check. It holds no words of yours and no secret key. The price: it shows keys of devices, and when
    /// they were added
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: Option<PathBuf>,
}

/// Check this journal and explain what is wrong. Changes nothing, unless told to
#[derive(Debug, Args)]
#[command(after_help = "Examples:  ajar doctor\n           ajar doctor --rebuild")]
pub(crate) struct Doctor {
    /// Make anew what `list` and `search` look at, from the entries and openings themselves
    #[arg(long)]
    pub(crate) rebuild: bool,
}

/// See all of it once: a relay and two people with two devices each, in a temporary folder
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar demo")]
pub(crate) struct Demo {
    /// Keep the temporary folder and say where it is
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Longest time a command may be told to wait, in seconds: a day.
const TIMEOUT_MAX: u64 = 86_400;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds @ 1..=TIMEOUT_MAX) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("a whole number of seconds from 1 to {TIMEOUT_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    const PROMISED: [&str; 55] = [
        "agree",
        "answer",
        "bid",
        "book",
        "burn",
        "calendar",
        "capacity",
        "check",
        "close",
        "day",
        "demo",
        "device",
        "doctor",
        "doors",
        "edit",
        "erase",
        "export",
        "felt",
        "history",
        "import",
        "init",
        "insight",
        "join",
        "letter",
        "list",
        "lock",
        "map",
        "mute",
        "on-this-day",
        "open",
        "pair",
        "passphrase",
        "pause",
        "photo",
        "question",
        "recover",
        "reflect",
        "relay",
        "reply",
        "ritual",
        "search",
        "see",
        "show",
        "status",
        "sync",
        "take-back",
        "thanks",
        "tidy",
        "tune",
        "unlock",
        "weigh",
        "word",
        "words",
        "words-for",
        "write",
    ];

    #[test]
    fn help_lists_the_commands_there_are_and_no_other() {
        Cli::command().debug_assert();
        let mut names: Vec<String> = Cli::command()
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .collect();
        names.sort_unstable();
        assert_eq!(names, PROMISED);
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            let after = command.get_after_help().expect(name).to_string();
            assert!(after.contains(&format!("ajar {name}")), "{name}");
            for part in command.get_subcommands() {
                let whole = format!("ajar {name} {}", part.get_name());
                assert!(part.get_about().is_some(), "{whole}");
                let after = part.get_after_help().expect(&whole).to_string();
                assert!(after.contains(&whole), "{whole}");
            }
        }
    }

    #[test]
    fn a_new_device_needs_no_name_and_gets_no_words() {
        assert!(Cli::try_parse_from(["ajar", "init"]).is_err());
        assert!(Cli::try_parse_from(["ajar", "init", "--link", "4821-oak"]).is_ok());
        let both = [
            "ajar",
            "init",
            "--link",
            "4821-oak",
            "--words-file",
            "words",
        ];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn a_passphrase_cannot_be_given_on_the_command_line() {
        assert!(Cli::try_parse_from(["ajar", "status", "--passphrase", "sea"]).is_err());
    }

    #[test]
    fn waiting_for_no_time_at_all_is_a_mistake() {
        assert_eq!(seconds("20"), Ok(Duration::from_secs(20)));
        for wrong in ["0", "-1", "1.5", "86401", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
