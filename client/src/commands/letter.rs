//! `ajar letter`: letters to the partner, closed until a day or a mood. Nothing is kept or sent
//! when one is read, so nobody can learn it.

use ajar_journal::records::{Letter, OpenWhen};
use ajar_journal::schema::Kind;
use ajar_journal::text::{displayable, displayable_line};
use ajar_journal::{date, letters, record};
use serde_json::{Value, json};

use super::deliver::{self, deliver};
use super::say::of_kind;
use crate::cli::{Letter as Args, LetterCommand, ReadLetter, RecallLetter, WriteLetter};
use crate::compose;
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::records::{Found, Located};
use crate::report::Failure;
use crate::shelf::{self, Kept};
use crate::{dates, ids, records, terminal};

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    match &args.command {
        LetterCommand::Write(args) => write(context, args),
        LetterCommand::List => list(context),
        LetterCommand::Read(args) => read(context, args),
        LetterCommand::Recall(args) => recall(context, args),
    }
}

fn write(context: &Context, args: &WriteLetter) -> Result<(), Failure> {
    let out = context.out;
    let day = args.open_on.as_deref().map(dates::typed).transpose()?;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let title = terminal::given_or_asked_if(args.title.as_deref(), "On the envelope:")?;
    let mood = terminal::given_or_asked_if(args.when_i_feel.as_deref(), "When they feel:")?;
    let text = compose::text(out, &context.dir()?, &args.text, None)?;
    let letter = Letter {
        title: title.filter(|title| !title.trim().is_empty()),
        text: text.text.clone(),
        open: match (day, mood) {
            (Some(day), _) => Some(OpenWhen::Day(date::day(&day).to_owned())),
            (None, mood) => mood.map(OpenWhen::Mood),
        },
        on: dates::today(),
    };
    let words = format!(
        "{} {}.",
        match letters::opens(&letter) {
            Some(("day", _)) | None => "A letter to",
            Some(_) => "A letter for a mood, to",
        },
        names.partner()
    );
    let id = match compose::not_empty(&text.text).and_then(|()| shelf::keep(&us, letter)) {
        Ok(id) => id,
        Err(failure) => return Err(text.not_kept(failure)),
    };
    drop(text);
    let words = format!(
        "{words} You can take it back: ajar letter recall {}",
        ids::short(id)
    );
    let delivery = deliver(context, home, &us, args.patience.timeout)?;
    out.data(
        &json!({"id": ids::text(id), "delivered": delivery.is_done()}),
        || ids::short(id),
    )?;
    delivery.told(out, &words)
}

fn list(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let all = shelf::all::<Letter>(&us)?;
    home.close()?;
    let today = dates::today();
    if out.json {
        let values: Vec<Value> = all
            .iter()
            .map(|one| envelope(one, &names, &today))
            .collect();
        return out.json(&values);
    }
    if all.is_empty() {
        out.talk("No letters lie here.");
    }
    for one in &all {
        out.plain(&line(one, &names, &today))?;
    }
    Ok(())
}

/// What may be known of a letter without opening it; nobody's reading is among it.
fn envelope(one: &Kept<Letter>, names: &Names, today: &str) -> Value {
    let letter = &one.record;
    let opens = letters::opens(letter);
    let of = |word: &str| {
        opens
            .filter(|(what, _)| *what == word)
            .map(|(_, value)| value)
    };
    json!({
        "id": one.id_text(),
        "author": one.author.word(),
        "author_name": names.name(one.author),
        "title": letter.title,
        "date": letter.on,
        "opens_on": of("day"),
        "when_i_feel": of("mood"),
        "closed": letters::is_closed(letter, one.author == Author::Me, today),
    })
}

fn line(one: &Kept<Letter>, names: &Names, today: &str) -> String {
    let letter = &one.record;
    let title = letter.title.as_deref().unwrap_or("(a letter)");
    let who = match one.author {
        Author::Me => format!("to {}", names.partner()),
        author => format!("from {}", names.name(author)),
    };
    let when = match letters::opens(letter) {
        None => String::new(),
        Some(("day", _)) if letter.is_open(today) => String::new(),
        Some(("day", day)) => format!("  (opens on {day})"),
        Some((_, mood)) => format!("  (for when you feel: {})", displayable_line(mood)),
    };
    format!(
        "{}  {}  {who:<12}  {}{when}",
        ids::short(one.id),
        letter.on,
        displayable_line(title)
    )
}

fn read(context: &Context, args: &ReadLetter) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let found = records::find(&home, &args.id)?;
    let (located, letter) = letter(&found)?;
    home.close()?;
    let mine = located.author == Author::Me;
    if letters::is_closed(&letter, mine, &dates::today()) {
        match letters::opens(&letter) {
            Some(("mood", mood)) => feels(args, mood)?,
            Some((_, day)) => {
                return Err(
                    Failure::fixable("not-yet", format!("This letter opens on {day}."))
                        .hint("It waits here; nothing has to be done."),
                );
            }
            None => {}
        }
    }
    let value = json!({
        "id": ids::text(located.id),
        "author": located.author.word(),
        "author_name": names.name(located.author),
        "title": letter.title,
        "date": letter.on,
        "text": letter.text,
    });
    out.data(&value, || {
        let title = letter.title.as_deref().unwrap_or("A letter");
        format!(
            "{}\n{} · {}\n\n{}",
            displayable_line(title),
            names.name(located.author),
            letter.on,
            displayable(&letter.text)
        )
    })
}

/// Asks whether the mood is there. The answer is written down nowhere.
fn feels(args: &ReadLetter, mood: &str) -> Result<(), Failure> {
    let mood = displayable_line(mood);
    terminal::confirmable(
        args.yes,
        &format!("This letter is for when you feel: {mood}"),
    )?;
    if args.yes || terminal::agrees(&format!("It is for when you feel: {mood}. Do you?"))? {
        return Ok(());
    }
    Err(Failure::fixable("not-yet", "It stays closed, and waits."))
}

fn letter(found: &Found) -> Result<(Located, Letter), Failure> {
    let located = of_kind(
        found,
        |kind| *kind == Kind::Letter,
        "This is no letter; `ajar letter list` shows them.",
    )?;
    let letter = found.document().read(record::read)??;
    Ok((located, letter))
}

fn recall(context: &Context, args: &RecallLetter) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let found = records::find(&home, &args.id)?;
    let (located, _) = letter(&found)?;
    if located.author != Author::Me {
        let author = names.name(located.author);
        return Err(Failure::fixable(
            "not-yours",
            format!("{author} wrote this letter; only {author} can take it back."),
        )
        .hint("If you do not want to see it: ajar mute --record ID"));
    }
    let partner = names.partner();
    terminal::confirmable(args.yes, "A letter that is taken back is burned")?;
    let ask = format!(
        "It is removed for good, here and from {partner}'s devices when they next sync. {partner} may have read it. Take it back?"
    );
    if !args.yes && !terminal::agrees(&ask)? {
        return Err(Failure::fixable(
            "not-confirmed",
            "The letter stays where it is.",
        ));
    }
    us.burn(&[located.id], &[])?;
    let words = format!(
        "Taken back: gone from here, and from {partner}'s devices when they next sync. {partner} may have read it."
    );
    let delivery = deliver(context, home, &us, args.patience.timeout)?;
    out.data(
        &json!({"burned": [ids::text(located.id)], "delivered": delivery.is_done()}),
        || words.clone(),
    )?;
    delivery.told(out, "`ajar burn --status` says how far it is.")
}
