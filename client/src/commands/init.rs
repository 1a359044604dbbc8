//! `ajar init`: a passphrase, twelve words, two empty spaces. No network.

use ajar_journal::profile;
use ajar_sync::automerge::Automerge;
use ajar_sync::{Error, Home, NewHome, RelayAddress, SpaceKind, Travel};
use serde_json::json;

use super::link;
use crate::cli::Init;
use crate::context::Context;
use crate::report::Failure;
use crate::unlock::{self, Which};
use crate::words::{self, WordsFile};
use crate::{dirs, summaries, terminal};

/// What to do with a journal whose words went nowhere; it is still empty.
const BEGIN_AGAIN: &str = "This journal has no words on paper. Delete its folder and begin again.";

pub(crate) fn run(context: &Context, args: &Init) -> Result<(), Failure> {
    let out = context.out;
    let dir = context.dir()?;
    if dir.join("vault.hdr").exists() {
        return Err(Error::AlreadyThere(dir).into());
    }
    if let Some(code) = &args.link {
        return link::run(context, args, &dir, code);
    }
    let name = args.name.clone().unwrap_or_default();
    check_name(&name)?;
    let relay = args.relay.as_deref().map(address).transpose()?;
    let me_at_relay = args
        .me_at_relay
        .as_deref()
        .map(MeAtRelay::parse)
        .transpose()?;
    if args.words_file.is_none() && !out.json && !terminal::can_ask() {
        return Err(Failure::fixable(
            "no-terminal",
            "There is no terminal to show the twelve words on; nothing was created.",
        )
        .hint("Use --words-file FILE, or --json to get them on standard output."));
    }

    let sources = context.sources();
    let passphrase = match sources.given(Which::Home)? {
        Some(given) => given,
        None => unlock::choose(out, "Passphrase")?,
    };
    let mut builder = summaries::builder(&dir).with_passphrase(passphrase);
    if let Some(private) = sources.given(Which::Private)? {
        builder = builder.with_private_passphrase(private);
    }

    // The file first: a journal whose words went nowhere could never be recovered.
    let words_file = args
        .words_file
        .as_deref()
        .map(WordsFile::create)
        .transpose()?;
    let (home, phrase) = builder.create(NewHome {
        name,
        device: args.device.clone().unwrap_or_else(dirs::host_name),
        relay,
    })?;
    if let Some(file) = words_file {
        let path = file.fill(&phrase, BEGIN_AGAIN)?;
        // The words are safe whether or not somebody reads this.
        let told = out.data(&json!({"home": dir, "words_file": path}), || {
            format!("Your journal is in {}.", dir.display())
        });
        out.talk(format!(
            "The twelve words are in {}. Move them off this device, onto paper if you can.",
            path.display()
        ));
        told?;
    } else if out.json {
        let words = phrase.words();
        out.json(&json!({"home": dir, "words": words.as_str()}))
            .map_err(|_| words::unseen(BEGIN_AGAIN))?;
    } else {
        words::show(out, &phrase).map_err(|_| words::unseen(BEGIN_AGAIN))?;
        if !args.yes && !words::asked_back(out, &phrase)? {
            // The journal is there, and the words were shown: nothing may be undone here.
            out.insist("That is not it. The journal is made; check what you wrote down against the words above.");
        }
        out.plain(&format!("Your journal is in {}.", dir.display()))?;
    }
    drop(phrase);
    let me_at_relay = match me_at_relay {
        Some(said) => said,
        None if args.relay.is_some() && !args.yes && !out.json && terminal::can_ask() => ask()?,
        None => MeAtRelay::Yes,
    };
    let stays = me_at_relay == MeAtRelay::No;
    decide(context, &home, me_at_relay)?;
    home.close()?;
    out.talk("Only me is there from the beginning: what you write stays in it until you open it.");
    out.talk(if stays {
        "It is kept on this device only (`ajar relay on` changes that). If this device is lost, so is it."
    } else {
        "With a relay it is kept there too, sealed before it leaves this device (`ajar relay off` changes\n\
         that). Your partner never sees it."
    });
    out.talk(match args.relay {
        Some(_) => "Next: `ajar write`, and to meet your partner: `ajar pair` on one side, `ajar join` on the other.",
        None => "Next: `ajar write`. To meet your partner you will need the address of a relay.",
    });
    Ok(())
}

/// Where Only me is kept besides this device.
#[derive(Debug, Clone, PartialEq, Eq)]
enum MeAtRelay {
    Yes,
    No,
    At(RelayAddress),
}

impl MeAtRelay {
    fn parse(typed: &str) -> Result<Self, Failure> {
        match typed.trim().to_lowercase().as_str() {
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            _ => address(typed).map(Self::At),
        }
    }
}

fn ask() -> Result<MeAtRelay, Failure> {
    let answer = terminal::ask(
        "\nKeep Only me at the relay too, sealed, so that it outlives this device? The relay sees when it\n\
         travels (at the start and the end of what you do here, not when you write). [YES/no]",
    )?;
    let no =
        answer.is_some_and(|answer| matches!(answer.trim().to_lowercase().as_str(), "n" | "no"));
    Ok(if no { MeAtRelay::No } else { MeAtRelay::Yes })
}

fn decide(context: &Context, home: &Home, decided: MeAtRelay) -> Result<(), Failure> {
    match decided {
        MeAtRelay::Yes => Ok(()),
        MeAtRelay::No => Ok(context.block_on(home.set_private_travel(Travel::Off))?),
        MeAtRelay::At(relay) => Ok(home.set_relay_of(SpaceKind::Private, &relay)?),
    }
}

/// The address of a relay. It may hold an invitation, so it can be asked for instead.
pub(super) fn address(text: &str) -> Result<RelayAddress, Failure> {
    let text = terminal::given_or_asked(Some(text), "Address of the relay:")?;
    text.parse()
        .map_err(|error| Failure::fixable("bad-address", error))
}

/// A name the partner's journal would refuse is refused here, before anything is made.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    let mut doc = Automerge::new();
    profile::create(&mut doc.transaction(), name).map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_paint_a_terminal_is_refused() {
        assert!(check_name("Ana").is_ok());
        for name in ["", "  ", "Ana\u{1b}[2J", &"n".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn only_a_clear_word_decides_where_only_me_is_kept() {
        assert_eq!(MeAtRelay::parse(" No ").unwrap(), MeAtRelay::No);
        assert_eq!(MeAtRelay::parse("yes").unwrap(), MeAtRelay::Yes);
        for wrong in ["", "maybe", "relay.example"] {
            assert_eq!(
                MeAtRelay::parse(wrong).unwrap_err().code(),
                "bad-address",
                "{wrong}"
            );
        }
    }
}
