//! Asking a person: only where there is one.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use zeroize::Zeroizing;

use crate::report::Failure;

/// Largest text read from a pipe or an editor, in bytes: more than any entry can hold, so that
/// nothing is cut without a word.
const TEXT_MAX: u64 = 4 << 20;

/// Whether somebody can answer a question.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Refuses to begin what only a person can confirm where nobody can answer, unless `--yes`
/// has answered it; `why` says what is to be confirmed.
pub(crate) fn confirmable(yes: bool, why: &str) -> Result<(), Failure> {
    if yes || can_ask() {
        return Ok(());
    }
    let problem = format!("{why}, and there is no terminal to ask on.");
    Err(Failure::fixable("no-terminal", problem).hint("Use --yes."))
}

/// Asks on stderr and reads one line. `None` when the input has ended.
pub(crate) fn ask(question: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let mut err = io::stderr().lock();
    write!(err, "{question} ")
        .and_then(|()| err.flush())
        .map_err(|error| trouble(&error))?;
    drop(err);
    answer()
}

/// Reads one line. `None` when the input has ended.
pub(crate) fn answer() -> Result<Option<Zeroizing<String>>, Failure> {
    let mut line = Zeroizing::new(String::new());
    let read = io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| trouble(&error))?;
    Ok((read > 0).then_some(line))
}

/// What stands in the place of an argument that others should not see on this process.
const ASKED: &str = "-";

/// An argument, or the answer to a question where it is `-` or not there: one line of standard
/// input. Arguments are seen by every user of the machine, and stay in the history of a shell.
pub(crate) fn given_or_asked(
    argument: Option<&str>,
    question: &str,
) -> Result<Zeroizing<String>, Failure> {
    if let Some(argument) = argument.filter(|argument| *argument != ASKED) {
        return Ok(Zeroizing::new(argument.to_owned()));
    }
    let answer = if can_ask() { ask(question)? } else { answer()? };
    let answer = answer.ok_or_else(|| {
        Failure::fixable(
            "input",
            format!("Nothing came on standard input for: {question}"),
        )
        .hint("Give it as an argument, or type it on a terminal.")
    })?;
    Ok(Zeroizing::new(answer.trim().to_owned()))
}

/// The same for what may be absent.
pub(crate) fn given_or_asked_if(
    argument: Option<&str>,
    question: &str,
) -> Result<Option<String>, Failure> {
    let given = |argument| given_or_asked(Some(argument), question);
    Ok(argument
        .map(given)
        .transpose()?
        .map(|line| line.to_string()))
}

/// The same for each of several.
pub(crate) fn each_given_or_asked(
    arguments: &[String],
    question: &str,
) -> Result<Vec<String>, Failure> {
    let given = |argument: &String| given_or_asked(Some(argument), question);
    let given = arguments.iter().map(given);
    given
        .map(|line| line.map(|line| line.to_string()))
        .collect()
}

/// Whether the answer to a question is yes. Anything but a clear yes is a no.
pub(crate) fn agrees(question: &str) -> Result<bool, Failure> {
    let answer = ask(&format!("{question} [yes/no]"))?;
    Ok(answer.is_some_and(|answer| is_yes(&answer)))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Everything that standard input holds, as text.
pub(crate) fn stdin_text() -> Result<String, Failure> {
    text_from(io::stdin().lock())
}

/// Everything that a reader holds, as text.
pub(crate) fn text_from(reader: impl Read) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    reader
        .take(TEXT_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::fixable("input", format!("Cannot read the text: {error}.")))?;
    if u64::try_from(bytes.len()).is_ok_and(|read| read > TEXT_MAX) {
        return Err(ajar_journal::Error::from(ajar_journal::Invalid::TextTooLong).into());
    }
    text_of(bytes)
}

/// Bytes as text, without the line end that editors and `echo` add.
fn text_of(bytes: Vec<u8>) -> Result<String, Failure> {
    let mut text = String::from_utf8(bytes).map_err(|_| {
        Failure::fixable("not-text", "The text is not UTF-8; nothing was kept.")
            .hint("Convert it first, for example with `iconv -t utf-8`.")
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn trouble(error: &io::Error) -> Failure {
    Failure::fixable("input", format!("Cannot read the answer: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        for yes in ["y", "yes\n", " YES "] {
            assert!(is_yes(yes));
        }
        for no in ["", "\n", "n", "no", "yep maybe", "yes no", "ja"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }

    #[test]
    fn one_line_end_belongs_to_the_tool_and_no_more() {
        assert_eq!(text_of(b"rain\n".to_vec()).unwrap(), "rain");
        assert_eq!(text_of(b"rain\r\n".to_vec()).unwrap(), "rain");
        assert_eq!(text_of(b"rain\n\n".to_vec()).unwrap(), "rain\n");
        assert_eq!(text_of(b" rain".to_vec()).unwrap(), " rain");
        assert_eq!(text_of(vec![0xff]).unwrap_err().code(), "not-text");
    }
}
