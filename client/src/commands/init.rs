//! `ajar init`: a passphrase, twelve words, two empty spaces. No network.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ajar_journal::profile;
use ajar_sync::automerge::Automerge;
use ajar_sync::{Builder, Error, NewHome, RecoveryPhrase, RelayAddress};
use serde_json::json;
use zeroize::Zeroizing;

use super::link;
use crate::cli::Init;
use crate::context::Context;
use crate::output::Output;
use crate::report::Failure;
use crate::unlock::{self, Which};
use crate::{dirs, terminal};

/// How many of the words a person types again.
const CHECKED: usize = 3;
/// What to do with a journal whose words went nowhere; it is still empty.
const BEGIN_AGAIN: &str = "This journal has no words on paper. Delete its folder and begin again.";
/// How often each is asked.
const TRIES: usize = 3;

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
    let mut builder = Builder::new(&dir).with_passphrase(passphrase);
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
        let path = file.fill(&phrase)?;
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
            .map_err(|_| words_unseen())?;
    } else {
        show_words(out, &phrase).map_err(|_| words_unseen())?;
        if !args.yes {
            check_words(out, &phrase)?;
        }
        out.plain(&format!("Your journal is in {}.", dir.display()))?;
    }
    home.close()?;
    out.talk(
        "Only me is there from the beginning: what you write stays in it until you open it. With a\n\
         relay it is kept there too, sealed before it leaves this device. Your partner never sees it.",
    );
    out.talk(match args.relay {
        Some(_) => "Next: `ajar write`, and to meet your partner: `ajar pair` on one side, `ajar join` on the other.",
        None => "Next: `ajar write`. To meet your partner you will need the address of a relay.",
    });
    Ok(())
}

/// stdout took no words: even a reader that left early is a failure here.
fn words_unseen() -> Failure {
    Failure::fixable(
        "words-unseen",
        "The twelve words could not be shown, and nobody can show them again.",
    )
    .hint(BEGIN_AGAIN)
}

pub(super) fn address(text: &str) -> Result<RelayAddress, Failure> {
    text.parse()
        .map_err(|error| Failure::fixable("bad-address", error))
}

/// A name the partner's journal would refuse is refused here, before anything is made.
fn check_name(name: &str) -> Result<(), Failure> {
    let mut doc = Automerge::new();
    profile::create(&mut doc.transaction(), name).map_err(Failure::from)
}

fn show_words(out: Output, phrase: &RecoveryPhrase) -> Result<(), Failure> {
    out.insist(
        "\nThese twelve words bring your journal back if all your devices are lost.\n\
         Whoever has them can read everything, so: on paper, not in a photo. They are shown once.\n",
    );
    let words = phrase.words();
    let mut lines = Zeroizing::new(String::new());
    for (place, word) in words.split(' ').enumerate() {
        let end = if place % 4 == 3 { "\n" } else { "" };
        lines.push_str(&format!("{:>4}. {word:<12}{end}", place + 1));
    }
    out.plain(lines.trim_end_matches('\n'))
}

/// Three of the words again: a person who cannot type them has not written them down.
fn check_words(out: Output, phrase: &RecoveryPhrase) -> Result<(), Failure> {
    let words = phrase.words();
    let words: Vec<&str> = words.split(' ').collect();
    out.insist("\nWrite them down now. Then three of them, to be sure.");
    for place in places(words.len()) {
        let Some(right) = words.get(place) else {
            continue;
        };
        for left in (0..TRIES).rev() {
            let answer = terminal::ask(&format!("Word {}:", place + 1))?;
            match answer {
                Some(answer) if answer.trim().to_lowercase() == *right => break,
                Some(_) if left > 0 => out.insist("That is another word. Look again."),
                // The journal is there, and the words were shown: nothing may be undone here.
                _ => {
                    out.insist("That is not it. The journal is made; check what you wrote down against the words above.");
                    return Ok(());
                }
            }
        }
    }
    out.insist("Good. Keep them somewhere safe.");
    Ok(())
}

/// Three different places among `count`, in ascending order.
fn places(count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    while places.len() > CHECKED {
        // Which words are asked is no secret; the hasher's random keys are random enough.
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), places.len());
        let drop = usize::try_from(random % places.len() as u64).unwrap_or(0);
        places.remove(drop);
    }
    places
}

/// A new file for the words, readable by this user only. It is removed again unless it is filled.
struct WordsFile<'a> {
    path: &'a Path,
    file: fs::File,
    filled: bool,
}

impl<'a> WordsFile<'a> {
    fn create(path: &'a Path) -> Result<Self, Failure> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| {
                Failure::fixable(
                    "words-file",
                    format!(
                        "Cannot create {}: {error}. Nothing was created.",
                        path.display()
                    ),
                )
                .hint("Name a file that does not exist yet, in a folder you can write to.")
            })?;
        Ok(Self {
            path,
            file,
            filled: false,
        })
    }

    fn fill(mut self, phrase: &RecoveryPhrase) -> Result<&'a Path, Failure> {
        self.filled = true;
        let words = phrase.words();
        let written = self
            .file
            .write_all(words.as_bytes())
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.sync_all());
        match written {
            Ok(()) => Ok(self.path),
            Err(error) => Err(Failure::fixable(
                "words-file",
                format!(
                    "The words could not be written to {}: {error}.",
                    self.path.display()
                ),
            )
            .hint(BEGIN_AGAIN)),
        }
    }
}

impl Drop for WordsFile<'_> {
    fn drop(&mut self) {
        if !self.filled {
            let _ = fs::remove_file(self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn three_different_words_are_asked_in_order() {
        for _ in 0..50 {
            let asked = places(12);
            assert_eq!(asked.len(), CHECKED);
            assert!(asked.windows(2).all(|two| two[0] < two[1]));
            assert!(asked.iter().all(|place| *place < 12));
        }
    }

    #[test]
    fn a_name_that_could_paint_a_terminal_is_refused() {
        assert!(check_name("Ana").is_ok());
        for name in ["", "  ", "Ana\u{1b}[2J", &"n".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn words_never_overwrite_a_file_and_an_unused_file_does_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        let file = WordsFile::create(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
        fs::write(&path, "something else").unwrap();
        assert!(WordsFile::create(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "something else");
    }
}
