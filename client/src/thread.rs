//! What was said about one opening, in the order in which it was said.

use ajar_journal::conversation::next_turn;
use ajar_journal::records::{Acknowledge, Acknowledged, Check, Reflection, Response, Thanks};
use ajar_journal::text::{displayable, displayable_line};
use ajar_sync::{DocId, Space};
use serde_json::{Value, json};

use crate::ids;
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::shelf::{self, Kept};

/// Everything about one opening.
pub(crate) struct Thread {
    pub(crate) acknowledged: Vec<Kept<Acknowledge>>,
    pub(crate) reflections: Vec<Kept<Reflection>>,
    pub(crate) checks: Vec<Kept<Check>>,
    pub(crate) responses: Vec<Kept<Response>>,
    pub(crate) thanks: Vec<Kept<Thanks>>,
}

/// One thing that was said, with its place.
struct Said {
    turn: u32,
    id: DocId,
    line: String,
    value: Value,
}

impl Thread {
    /// What was said about an opening of `author`. What only one of the two may say counts only
    /// from that one.
    pub(crate) fn of(us: &Space, opening: &str, author: Author) -> Result<Self, Failure> {
        let id = || [opening.to_owned()];
        let mut reflections = shelf::about::<Reflection>(us, id())?;
        reflections.retain(|one| one.author != author);
        let mut checks = shelf::about::<Check>(us, reflections.iter().map(Kept::id_text))?;
        checks.retain(|one| one.author == author);
        let mut acknowledged = shelf::about::<Acknowledge>(us, id())?;
        acknowledged.retain(|one| one.author != author);
        let mut responses = shelf::about::<Response>(us, id())?;
        responses.retain(|one| one.author != author);
        let mut thanks = shelf::about::<Thanks>(us, responses.iter().map(Kept::id_text))?;
        thanks.retain(|one| one.author == author);
        Ok(Self {
            acknowledged,
            reflections,
            checks,
            responses,
            thanks,
        })
    }

    /// The place of what is said next.
    pub(crate) fn next_turn(&self) -> u32 {
        let turns = self.acknowledged.iter().map(|one| one.record.turn);
        let turns = turns.chain(self.reflections.iter().map(|one| one.record.turn));
        let turns = turns.chain(self.checks.iter().map(|one| one.record.turn));
        let turns = turns.chain(self.responses.iter().map(|one| one.record.turn));
        next_turn(turns.chain(self.thanks.iter().map(|one| one.record.turn)))
    }

    fn said(&self, names: &Names) -> Vec<Said> {
        let mut all = Vec::new();
        for one in &self.acknowledged {
            all.push(one.said(
                names,
                one.record.turn,
                "acknowledge",
                acknowledged(&one.record),
            ));
        }
        for one in &self.reflections {
            all.push(one.said(
                names,
                one.record.turn,
                "reflection",
                reflection(&one.record),
            ));
        }
        for one in &self.checks {
            let mut line = one.record.verdict.in_words().to_owned();
            if let Some(text) = &one.record.text {
                line = format!("{line}. {}", displayable(text));
            }
            all.push(one.said(names, one.record.turn, "check", line));
        }
        for one in &self.responses {
            all.push(one.said(names, one.record.turn, "response", response(&one.record)));
        }
        for one in &self.thanks {
            let line = format!("What helped: {}", displayable(&one.record.text));
            all.push(one.said(names, one.record.turn, "thanks", line));
        }
        all.sort_by_key(|said| (said.turn, said.id));
        all
    }

    /// One line each, safe to print.
    pub(crate) fn lines(&self, names: &Names) -> Vec<String> {
        self.said(names).into_iter().map(|said| said.line).collect()
    }

    /// As scripts get it.
    pub(crate) fn to_json(&self, names: &Names) -> Value {
        let said = self.said(names).into_iter();
        Value::Array(said.map(|said| said.value).collect())
    }
}

impl<R: serde::Serialize> Kept<R> {
    fn said(&self, names: &Names, turn: u32, kind: &str, line: String) -> Said {
        let mut value = json!(self.record);
        if let Value::Object(fields) = &mut value {
            fields.remove("turn");
            fields.insert("id".to_owned(), json!(self.id_text()));
            fields.insert("kind".to_owned(), json!(kind));
            fields.insert("author".to_owned(), json!(self.author.word()));
        }
        let who = names.name(self.author);
        Said {
            turn,
            id: self.id,
            line: format!("{}  {who}: {line}", ids::short(self.id)),
            value,
        }
    }
}

fn acknowledged(record: &Acknowledge) -> String {
    let at = record.at.as_deref().map(displayable_line);
    match (record.how, at) {
        (Acknowledged::Here, _) => "I see you.".to_owned(),
        (Acknowledged::Later, None) => "I see you. I want to be all there, later.".to_owned(),
        (Acknowledged::Later, Some(at)) => {
            format!("I see you. I want to be all there: {at}.")
        }
        (Acknowledged::NotToday, None) => "Not today, and I have not forgotten.".to_owned(),
        (Acknowledged::NotToday, Some(at)) => {
            format!("Not today, and I have not forgotten: {at}.")
        }
    }
}

fn reflection(record: &Reflection) -> String {
    let mut line = format!("What I hear is: {}", displayable(&record.text));
    let words: Vec<String> = record
        .words
        .iter()
        .map(|word| displayable_line(word))
        .collect();
    let place = record.point.map(|point| point.in_words());
    let more: Vec<String> = place.into_iter().chain(words).collect();
    if !more.is_empty() {
        line = format!("{line} ({})", more.join(", "));
    }
    line
}

fn response(record: &Response) -> String {
    let text = record.text.as_deref().map(displayable);
    match (text, record.minutes) {
        (Some(text), _) => text,
        (None, Some(minutes)) => format!("is with you, for {minutes} minutes."),
        (None, None) => "is with you.".to_owned(),
    }
}
