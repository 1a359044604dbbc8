//! Where passphrases come from: a file, a variable, or a prompt. Never the argument list.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use ajar_sync::Passphrase;
use zeroize::Zeroizing;

use crate::output::Output;
use crate::report::{Exit, Failure};

/// Variable with the passphrase.
pub(crate) const PASSPHRASE: &str = "AJAR_PASSPHRASE";
/// Variable with the second passphrase, that of Only me.
pub(crate) const PRIVATE_PASSPHRASE: &str = "AJAR_PRIVATE_PASSPHRASE";

/// Shorter passphrases get a warning, in characters.
const SHORT: usize = 12;
/// Where a passphrase can come from when nobody can type it.
const SOURCES: &str = "Set AJAR_PASSPHRASE, or use --passphrase-file FILE.";
/// Most bytes read from a passphrase file: the first line counts.
const FILE_MAX: u64 = 8 << 10;
/// How often a prompt asks for the same passphrase.
pub(crate) const TRIES: usize = 3;

/// Variable with a passphrase that is to come in the place of the one in use.
pub(crate) const NEW_PASSPHRASE: &str = "AJAR_NEW_PASSPHRASE";

/// All of them: no other program that is started from here is to get one.
const SECRET_VARIABLES: [&str; 3] = [PASSPHRASE, PRIVATE_PASSPHRASE, NEW_PASSPHRASE];

/// Takes the variables with passphrases out of what another program will see.
pub(crate) fn without_secrets(command: &mut std::process::Command) -> &mut std::process::Command {
    for variable in SECRET_VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Which passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The one that opens the journal.
    Home,
    /// A second one that guards Only me.
    Private,
}

/// The files named on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    pub(crate) private_file: Option<PathBuf>,
}

impl Sources {
    /// A passphrase from outside, if one was given: the file goes before the variable.
    pub(crate) fn given(&self, which: Which) -> Result<Option<Passphrase>, Failure> {
        let (file, variable) = match which {
            Which::Home => (&self.file, PASSPHRASE),
            Which::Private => (&self.private_file, PRIVATE_PASSPHRASE),
        };
        if let Some(path) = file {
            return first_line(path)
                .and_then(|line| passphrase(&line))
                .map(Some);
        }
        from_variable(variable)
    }
}

/// A new passphrase from outside, if one was given.
pub(crate) fn given_new() -> Result<Option<Passphrase>, Failure> {
    from_variable(NEW_PASSPHRASE)
}

fn from_variable(variable: &str) -> Result<Option<Passphrase>, Failure> {
    match env::var_os(variable) {
        None => Ok(None),
        Some(value) => {
            let text = value.into_string().map(Zeroizing::new).map_err(|_| {
                Failure::fixable("bad-passphrase", format!("{variable} is not UTF-8."))
            })?;
            passphrase(&text).map(Some)
        }
    }
}

/// A passphrase that is needed more than once: where it comes from, or what was typed.
pub(crate) enum Known {
    Outside(Which),
    Typed(Zeroizing<String>),
}

impl Known {
    /// The one given from outside, or else the answer to a question.
    pub(crate) fn find(sources: &Sources, which: Which, question: &str) -> Result<Self, Failure> {
        if sources.given(which)?.is_some() {
            return Ok(Self::Outside(which));
        }
        typed(question).map(Self::Typed)
    }

    pub(crate) fn passphrase(&self, sources: &Sources) -> Result<Passphrase, Failure> {
        match self {
            Self::Outside(which) => sources.given(*which)?.ok_or_else(no_passphrase),
            Self::Typed(text) => passphrase(text),
        }
    }
}

/// Whether somebody can type a passphrase. Standard input may be a pipe with a text.
pub(crate) fn can_prompt() -> bool {
    io::stdin().is_terminal() || io::stderr().is_terminal()
}

/// Asks for a passphrase without showing it.
pub(crate) fn prompt(question: &str) -> Result<Passphrase, Failure> {
    passphrase(&typed(question)?)
}

fn typed(question: &str) -> Result<Zeroizing<String>, Failure> {
    if !can_prompt() {
        return Err(no_passphrase());
    }
    rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|error| not_typed(&error))
}

/// Asks twice for a new passphrase, and warns when it is easy to guess.
pub(crate) fn choose(out: Output, what: &str) -> Result<Passphrase, Failure> {
    if !can_prompt() {
        return Err(none_chosen(
            "There is no terminal to choose a passphrase on",
        ));
    }
    out.talk(
        "Choose a passphrase. Four random words or more are good: easy to type, hard to guess.\n\
         It is asked whenever you open the journal on this device.",
    );
    for _ in 0..TRIES {
        let first = rpassword::prompt_password(format!("{what}: "))
            .map(Zeroizing::new)
            .map_err(|_| none_chosen("No passphrase was typed"))?;
        if first.is_empty() {
            out.insist("Nothing was typed.");
            continue;
        }
        let second = rpassword::prompt_password("Once more: ")
            .map(Zeroizing::new)
            .map_err(|_| none_chosen("No passphrase was typed"))?;
        if *first != *second {
            out.insist("The two were not the same. Once again.");
            continue;
        }
        warn_if_short(out, &first);
        return passphrase(&first);
    }
    Err(none_chosen("No passphrase was chosen"))
}

fn none_chosen(why: &str) -> Failure {
    Failure::new(
        Exit::Locked,
        "no-passphrase",
        format!("{why}; nothing was created."),
    )
    .hint(SOURCES)
}

fn warn_if_short(out: Output, typed: &str) {
    if is_short(typed) {
        out.insist(
            "This passphrase is short. Whoever gets hold of this device's files can try many.",
        );
    }
}

fn is_short(typed: &str) -> bool {
    typed.chars().count() < SHORT
}

fn passphrase(typed: &str) -> Result<Passphrase, Failure> {
    Passphrase::new(typed).map_err(|error| Failure::fixable("bad-passphrase", error))
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error: &io::Error| {
        Failure::fixable(
            "passphrase-file",
            format!(
                "Cannot read the passphrase from {}: {error}.",
                path.display()
            ),
        )
        .hint("The first line of that file is the passphrase.")
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut line = Zeroizing::new(String::with_capacity(1024));
    BufReader::new(file.take(FILE_MAX))
        .read_line(&mut line)
        .map_err(|error| unreadable(&error))?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

fn no_passphrase() -> Failure {
    Failure::new(
        Exit::Locked,
        "no-passphrase",
        "The journal is locked, and there is no terminal to ask for its passphrase on.",
    )
    .hint(SOURCES)
}

/// The prompt gave nothing: its input ended (Ctrl-D), or there is no terminal after all.
fn not_typed(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let message = "The journal stays locked: no passphrase was typed.";
        return Failure::new(Exit::Locked, "no-passphrase", message);
    }
    no_passphrase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_file_counts_and_blanks_belong_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        std::fs::write(&path, " four words are better \r\nnot this\n").unwrap();
        assert_eq!(*first_line(&path).unwrap(), " four words are better ");
    }

    #[test]
    fn an_empty_or_missing_passphrase_file_is_no_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        let sources = Sources {
            file: Some(path.clone()),
            private_file: None,
        };
        assert_eq!(
            sources.given(Which::Home).unwrap_err().code(),
            "passphrase-file"
        );
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(
            sources.given(Which::Home).unwrap_err().code(),
            "bad-passphrase"
        );
    }

    #[test]
    fn a_short_passphrase_is_noticed_by_its_characters_not_its_bytes() {
        assert!(is_short("äöüäöüäöüäö"));
        assert!(!is_short("four random words"));
    }
}
