//! `ajar question`: one question a day for both, answered before either sees the other's answer.

use ajar_journal::between;
use ajar_journal::questions::{self, Dated, Depth, Question, Shared};
use ajar_journal::records::{self, MapAnswer, Pick, Topic};
use ajar_journal::text::displayable_line;
use ajar_sync::Space;
use serde_json::{Value, json};

use super::deliver::exchanged;
use super::doors;
use super::map::view::ours;
use super::receiving::{send, text_if};
use super::together::{self, Seals, Seen};
use crate::between as standing;
use crate::cli::Daily;
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::shelf::{self, Kept};
use crate::{dates, terminal};

/// Name of a person's own pick of a day.
fn name_of(day: &str) -> String {
    format!("question/{day}")
}

/// The question of a day, and what can be seen of the answers.
struct Today {
    day: String,
    question: Option<Question>,
    /// It was written down which one it is.
    is_picked: bool,
    /// Questions that somebody answered who had not heard yet which one both take.
    instead: Vec<(Author, String)>,
    seen: Seen,
    answered: bool,
}

pub(crate) fn run(context: &Context, args: &Daily) -> Result<(), Failure> {
    if args.ask.is_some() {
        return ask(context, args);
    }
    let need = match args.text.is_empty() {
        true => Need::Home,
        false => Need::Private,
    };
    let home = context.open_home(need)?;
    let us = doors::shared(&home)?;
    let mut today = Today::of(&us)?;
    let mut delivered = None;
    if let Some(text) = text_if(&args.text, "Your answer:")? {
        today.write_down(&us)?;
        let topic = Topic::Question(today.day.clone());
        together::seal(&home, &us, topic, Some(text), None)?;
        together::show_due(&home)?;
        delivered = Some(exchanged(context, &home, &us, args.wait.timeout));
        today = Today::of(&us)?;
    }
    let names = Names::of(&home);
    home.close()?;
    let mut value = today.to_json();
    if let (Value::Object(fields), Some(delivered)) = (&mut value, &delivered) {
        fields.insert("delivered".to_owned(), json!(delivered.is_ok()));
    }
    context.out.data(&value, || today.words(&names))?;
    delivered.unwrap_or(Ok(()))
}

/// Adds a question of the couple's own.
fn ask(context: &Context, args: &Daily) -> Result<(), Failure> {
    let text = terminal::given_or_asked(args.ask.as_deref(), "Which question?")?;
    let home = context.open_home(Need::Home)?;
    let us = doors::shared(&home)?;
    let question = records::Question {
        theme: args.theme.as_str().to_owned(),
        depth: args.depth,
        text: text.to_string(),
        on: dates::today(),
    };
    send(context, home, &us, question, args.wait)
}

impl Today {
    fn of(us: &Space) -> Result<Self, Failure> {
        let (day, now_ms) = (dates::today(), dates::now_ms());
        let picks = shelf::all::<Pick>(us)?;
        let seals = Seals::of(us)?;
        let topic = Topic::Question(day.clone());
        let ours = ours(us)?;
        let wants_deep = standing::both_want_deep(us, &day)?;
        let known: Vec<Question> = ours.iter().map(|(_, question)| question.clone()).collect();
        let records = || picks.iter().map(|kept| &kept.record);
        let agreed = between::agreed(records(), &day, |id| {
            let known = questions::by_id(id, &known);
            known.is_some_and(|question| question.depth != Depth::Deep || wants_deep)
        });
        let question = match agreed {
            Some(id) => questions::by_id(id, &known).cloned(),
            None => pick(us, &day, &picks, &seals, &ours)?,
        };
        let answered = seals.has_own(&topic);
        let deep = question
            .as_ref()
            .is_some_and(|question| question.depth == Depth::Deep);
        let waits = deep && !answered && standing::is_pausing(us, now_ms)?;
        Ok(Self {
            is_picked: agreed.is_some(),
            instead: instead(&picks, &day, agreed, &known),
            question: question.filter(|_| !waits),
            seen: seals.seen(&topic),
            answered,
            day,
        })
    }

    /// Writes down which question this is before it is answered, so that whoever comes later takes
    /// the same. Whoever only looks writes nothing: nobody is to know that they did.
    fn write_down(&self, us: &Space) -> Result<(), Failure> {
        if self.answered {
            return Err(Failure::fixable("answered", "You have answered today.")
                .hint("`ajar question` shows both answers when both are there."));
        }
        let Some(question) = &self.question else {
            return Err(waiting());
        };
        if self.is_picked {
            return Ok(());
        }
        let pick = Pick {
            question: question.id.clone(),
            draw: Some(together::draw()?),
            on: self.day.clone(),
        };
        shelf::set(us, &name_of(&self.day), pick)
    }

    fn to_json(&self) -> Value {
        let mut value = self.seen.to_json();
        let question = self.question.as_ref().map(|question| {
            json!({
                "id": question.id,
                "theme": question.theme.as_str(),
                "depth": question.depth.number(),
                "text": question.text,
            })
        });
        if let Value::Object(fields) = &mut value {
            fields.remove("sealed");
            fields.insert("day".to_owned(), json!(self.day));
            fields.insert("question".to_owned(), json!(question));
            fields.insert("answered".to_owned(), json!(self.answered));
        }
        value
    }

    fn words(&self, names: &Names) -> String {
        let mut lines = vec![match &self.question {
            Some(question) => displayable_line(&question.text),
            None => waiting().message().to_owned(),
        }];
        let seen = self.seen.lines(names);
        if seen.is_empty() && self.answered {
            lines.push("You have answered. Both answers open when both are there.".to_owned());
        }
        if !self.seen.theirs.is_empty() {
            for (author, text) in &self.instead {
                let name = names.name(*author);
                lines.push(format!("({name} was asked: {})", displayable_line(text)));
            }
        }
        lines.extend(seen);
        lines.join("\n")
    }
}

fn waiting() -> Failure {
    Failure::fixable(
        "question-waits",
        "Today's question waits until the pause is over.",
    )
}

/// What those were asked who answered another question than both take now.
fn instead(
    picks: &[Kept<Pick>],
    day: &str,
    agreed: Option<&str>,
    ours: &[Question],
) -> Vec<(Author, String)> {
    let of_day = picks.iter().filter(|kept| kept.record.on == day);
    let others = of_day.filter(|kept| Some(kept.record.question.as_str()) != agreed);
    others
        .filter_map(|kept| {
            let question = questions::by_id(&kept.record.question, ours)?;
            Some((kept.author, question.text.clone()))
        })
        .collect()
}

/// The question of a day for which none was written down: of what both have from earlier days.
fn pick(
    us: &Space,
    day: &str,
    picks: &[Kept<Pick>],
    seals: &Seals,
    ours: &[(String, Question)],
) -> Result<Option<Question>, Failure> {
    let before = ours.iter().filter(|(on, _)| on.as_str() < day);
    let before: Vec<Question> = before.map(|(_, question)| question.clone()).collect();
    let records = || picks.iter().map(|kept| &kept.record);
    let picked: Vec<Dated> = records()
        .map(|pick| Dated {
            question: pick.question.clone(),
            day: pick.on.clone(),
        })
        .collect();
    let mut answered: Vec<Dated> = shelf::all::<MapAnswer>(us)?
        .into_iter()
        .map(|kept| Dated {
            question: kept.record.question,
            day: kept.record.on,
        })
        .collect();
    for author in [Author::Me, Author::Partner] {
        for (topic, sealed) in seals.told(author) {
            let question = match topic {
                Topic::MapAnswer(question) => Some(question.as_str()),
                Topic::Question(day) => between::agreed(records(), day, |_| true),
                Topic::Tune(_) | Topic::MapGuess(_) => None,
            };
            answered.extend(question.map(|question| Dated {
                question: question.to_owned(),
                day: sealed.on.clone(),
            }));
        }
    }
    let shared = Shared {
        ours: &before,
        picked: &picked,
        answered: &answered,
        both_want_deep: standing::both_wanted_deep_before(us, day)?,
        paused: standing::is_pausing(us, dates::now_ms())?,
    };
    let seed = between::seed(records(), day);
    Ok(questions::pick(day, &seed, shared).cloned())
}
