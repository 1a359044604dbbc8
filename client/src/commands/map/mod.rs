//! `ajar map`: what each tells of themselves, what the other guesses, and what has aged.

mod telling;
pub(super) mod view;

use ajar_journal::questions::{self, Depth, Question, Told};
use ajar_journal::records::{Check, Topic};
use ajar_journal::text::displayable_line;
use serde_json::{Value, json};

use self::view::View;
use crate::cli::{Map, MapCommand};
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::shelf;

pub(crate) fn run(context: &Context, args: &Map) -> Result<(), Failure> {
    match &args.command {
        None => flowers(context),
        Some(MapCommand::Show(args)) => show(context, &args.question),
        Some(MapCommand::Ask(_)) => ask(context),
        Some(MapCommand::Answer(args)) => telling::answer(context, args),
        Some(MapCommand::Guess(args)) => telling::guess(context, args),
        Some(MapCommand::Check(args)) => telling::check(context, args),
        Some(MapCommand::Skip(args)) => telling::skip(context, args),
        Some(MapCommand::StillTrue(args)) => telling::still_true(context, args),
        Some(MapCommand::Deep(args)) => telling::deep(context, args),
    }
}

fn word(told: Told) -> &'static str {
    match told {
        Told::Current => "answered",
        Told::Ageing => "ageing",
        Told::Hollow => "not yet",
    }
}

/// Both flowers, as tables.
fn flowers(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let view = View::of(&home)?;
    let (skipped, deep) = (view.skipped()?, view.may_go_deep()?);
    let (mine, theirs) = (
        view.told_by(Author::Me, true),
        view.told_by(Author::Partner, false),
    );
    let locked = view.me.is_none();
    home.close()?;
    let is_there = |question: &Question, told: Told| {
        question.depth != Depth::Deep || deep || told != Told::Hollow
    };
    let mut values = [Vec::new(), Vec::new()];
    let mut lines = Vec::new();
    for (at, (told, own)) in [(&mine, true), (&theirs, false)].into_iter().enumerate() {
        let whose = match own {
            true => format!("{}, as you tell it", names.own()),
            false => format!("{0}, as {0} tells it", names.partner()),
        };
        lines.push(whose);
        for (question, told, on) in view.flower(told) {
            if !is_there(question, told) || own && skipped.contains(&question.id) {
                continue;
            }
            lines.push(row(question, told, own));
            if let Some(values) = values.get_mut(at) {
                values.push(json!({
                    "question": question.id,
                    "theme": question.theme.as_str(),
                    "depth": question.depth.number(),
                    "text": question.text,
                    "state": word(told),
                    "told_on": on,
                }));
            }
        }
        lines.push(String::new());
    }
    lines.pop();
    let [mine, theirs] = values;
    out.data(&json!({"mine": mine, "theirs": theirs}), || {
        lines.join("\n")
    })?;
    if locked {
        out.talk("Only me is locked: what you keep and what you leave out was not looked at.");
    }
    Ok(())
}

fn row(question: &Question, told: Told, own: bool) -> String {
    let state = match (told, own) {
        (Told::Ageing, true) => "still true?",
        (Told::Ageing, false) => "ask again?",
        (told, _) => word(told),
    };
    let (id, text) = (telling::short(question), displayable_line(&question.text));
    let (theme, depth) = (question.theme.name(), question.depth.number());
    format!("  {id:<12} {theme:<18} {depth}  {state:<11}  {text}")
}

/// What to ask next, and what of one's own may have changed.
fn ask(context: &Context) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let view = View::of(&home)?;
    let (skipped, deep) = (view.skipped()?, view.may_go_deep()?);
    let (mine, theirs) = (
        view.told_by(Author::Me, true),
        view.told_by(Author::Partner, false),
    );
    home.close()?;
    let next = questions::ask_next(&view.today, &view.ours, &theirs, &skipped, deep);
    let aged = view
        .flower(&mine)
        .filter(|(question, told, _)| *told == Told::Ageing && !skipped.contains(&question.id));
    let aged: Vec<&Question> = aged.map(|(question, ..)| question).collect();
    let to_json = |all: &[&Question]| -> Vec<Value> {
        let all = all.iter();
        all.map(|question| {
            json!({
                "question": question.id,
                "theme": question.theme.as_str(),
                "depth": question.depth.number(),
                "text": question.text,
            })
        })
        .collect()
    };
    let value = json!({"ask": to_json(&next), "still_true": to_json(&aged)});
    context.out.data(&value, || {
        let line = |question: &&Question| {
            let text = displayable_line(&question.text);
            format!("  {:<12} {text}", telling::short(question))
        };
        let mut lines = vec![format!("To ask {}:", names.partner())];
        lines.extend(next.iter().map(line));
        if !aged.is_empty() {
            lines.push("Still true of you?".to_owned());
            lines.extend(aged.iter().map(line));
        }
        lines.join("\n")
    })
}

/// Everything both have said to a question.
fn show(context: &Context, typed: &str) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let view = View::of(&home)?;
    let question = view.question(typed)?;
    let shown = shown(&view, &question, &names)?;
    home.close()?;
    context.out.data(&shown.0, || shown.1)
}

/// The shape scripts get, and the words.
fn shown(view: &View, question: &Question, names: &Names) -> Result<(Value, String), Failure> {
    let id = &question.id;
    let (kept, mine) = (view.kept_for(id), view.shared_by(Author::Me, id));
    let theirs = view.shared_by(Author::Partner, id);
    let told = view.seals.seen(&Topic::MapAnswer(id.clone()));
    let guessed = view.seals.seen(&Topic::MapGuess(id.clone()));
    let mut lines = vec![displayable_line(&question.text)];
    for (whose, answer) in [
        (format!("{} (only you see this)", names.own()), kept),
        (names.own().to_owned(), mine),
        (names.partner().to_owned(), theirs),
    ] {
        let text = answer.map(|answer| displayable_line(&answer.text));
        lines.extend(text.map(|text| format!("{whose}: {text}")));
    }
    let mut values = Vec::new();
    for (seen, about) in [(told, names.own()), (guessed, names.partner())] {
        let own = about == names.own() && values.is_empty();
        let guesses = if own { &seen.theirs } else { &seen.mine };
        let checks = shelf::about::<Check>(&view.us, guesses.iter().map(|(id, _)| id.clone()))?;
        let owner = if own { Author::Me } else { Author::Partner };
        let checks: Vec<_> = checks.iter().filter(|kept| kept.author == owner).collect();
        let both = seen.lines(names);
        if !both.is_empty() {
            lines.push(format!("About {about}, told and guessed:"));
            lines.extend(both.into_iter().map(|line| format!("  {line}")));
        } else if seen.waits {
            lines.push(format!("About {about}: yours is sealed."));
        }
        let mut value = seen.to_json();
        let said: Vec<Value> = checks
            .iter()
            .map(|kept| {
                let (verdict, text) = (
                    telling::verdict_word(kept.record.verdict),
                    &kept.record.text,
                );
                let more = text.as_deref().map(displayable_line);
                let more = more.map(|more| format!(": {more}")).unwrap_or_default();
                lines.push(format!("  {about} says: {verdict}{more}"));
                json!({"verdict": verdict, "text": text})
            })
            .collect();
        if let Value::Object(fields) = &mut value {
            fields.insert("checks".to_owned(), json!(said));
        }
        values.push(value);
    }
    let value = json!({
        "question": id,
        "text": question.text,
        "kept": kept.map(|answer| &answer.text),
        "mine": mine.map(|answer| &answer.text),
        "theirs": theirs.map(|answer| &answer.text),
        "about_me": values.first(),
        "about_them": values.get(1),
    });
    Ok((value, lines.join("\n")))
}
