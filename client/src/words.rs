//! The twelve words: shown once, kept in a file, typed in again. Never in the argument list.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ajar_sync::RecoveryPhrase;
use zeroize::Zeroizing;

use crate::output::Output;
use crate::report::Failure;
use crate::terminal;

/// How many words there are.
const WORDS: usize = 12;
/// How many of the words a person types again.
const CHECKED: usize = 3;
/// How often each is asked.
const TRIES: usize = 3;
/// Most lines and bytes read for twelve words.
const LINES: usize = 24;
const LINE: u64 = 1024;

/// Twelve words that somebody types unseen, or that come from standard input.
pub(crate) fn typed(question: &str) -> Result<RecoveryPhrase, Failure> {
    if !io::stdin().is_terminal() {
        return lines(&mut io::stdin().lock()).and_then(|text| parse(&text));
    }
    let text = rpassword::prompt_password(format!("{question} (typed unseen): "))
        .map(Zeroizing::new)
        .map_err(|error| Failure::fixable("input", format!("Cannot read the words: {error}.")))?;
    parse(&text)
}

/// Lines until there are twelve words; what follows stays for the next question.
fn lines(input: &mut impl BufRead) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(LINES * 1024));
    for _ in 0..LINES {
        let mut line = Zeroizing::new(String::with_capacity(1024));
        let read = input.take(LINE).read_line(&mut line).map_err(|error| {
            Failure::fixable("input", format!("Cannot read the words: {error}."))
        })?;
        text.push_str(&line);
        let found = text.split(|c: char| c.is_whitespace() || c == '-');
        if read == 0 || found.filter(|word| !word.is_empty()).count() >= WORDS {
            break;
        }
    }
    Ok(text)
}

fn parse(text: &str) -> Result<RecoveryPhrase, Failure> {
    RecoveryPhrase::parse(text).map_err(|error| Failure::fixable("bad-words", error))
}

/// stdout took no words: even a reader that left early is a failure here.
pub(crate) fn unseen(hint: &str) -> Failure {
    Failure::fixable(
        "words-unseen",
        "The twelve words could not be shown, and nobody can show them again.",
    )
    .hint(hint)
}

/// Shows the words, once.
pub(crate) fn show(out: Output, phrase: &RecoveryPhrase) -> Result<(), Failure> {
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

/// Three of the words again: a person who cannot type them has not written them down. Whether
/// they could.
pub(crate) fn asked_back(out: Output, phrase: &RecoveryPhrase) -> Result<bool, Failure> {
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
                _ => return Ok(false),
            }
        }
    }
    out.insist("Good. Keep them somewhere safe.");
    Ok(true)
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
pub(crate) struct WordsFile<'a> {
    path: &'a Path,
    file: fs::File,
    filled: bool,
}

impl<'a> WordsFile<'a> {
    pub(crate) fn create(path: &'a Path) -> Result<Self, Failure> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| {
                Failure::fixable(
                    "words-file",
                    format!(
                        "Cannot create {}: {error}. Nothing was done.",
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

    /// Writes the words; what to do when that fails is said by `hint`.
    pub(crate) fn fill(mut self, phrase: &RecoveryPhrase, hint: &str) -> Result<&'a Path, Failure> {
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
            .hint(hint)),
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

    #[test]
    fn words_may_stand_in_one_line_or_in_twelve() {
        const WORDS: &str =
            "legal winner thank year wave sausage worth useful legal winner thank yellow";
        let one = format!("{WORDS}\nyes\n");
        let twelve = format!("{}\nyes\n", WORDS.replace(' ', "\n"));
        for text in [one, twelve] {
            let mut input = text.as_bytes();
            let phrase = lines(&mut input).and_then(|text| parse(&text)).unwrap();
            assert_eq!(*phrase.words(), *WORDS);
            // What follows is for the next question.
            assert_eq!(input, b"yes\n");
        }
    }

    #[test]
    fn wrong_words_are_not_repeated_in_the_error() {
        for (text, found) in [("legal winner\n", "2 words"), ("", "0 words")] {
            let error = lines(&mut text.as_bytes())
                .and_then(|text| parse(&text))
                .unwrap_err();
            assert_eq!(error.code(), "bad-words");
            assert!(error.message().contains(found), "{}", error.message());
        }
        let error = parse(&"zebrafish ".repeat(12)).unwrap_err();
        assert!(!error.message().contains("zebrafish"));
    }
}
