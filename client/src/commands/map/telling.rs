//! Telling, guessing and checking on the map, and what somebody leaves out.

use ajar_journal::conversation::next_turn;
use ajar_journal::questions::{Depth, Question};
use ajar_journal::records::{Check, Choices, GuessVerdict, MapAnswer, MapSkip, Topic, Verdict};
use serde_json::{Value, json};

use super::super::deliver::exchanged;
use super::super::receiving::{send, text_if, text_of};
use super::super::together;
use super::view::View;
use crate::cli::{AnswerMap, CheckGuess, Deep, GuessMap, SkipMap, StillTrue, Switch};
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::{between, dates, shelf};

/// Characters of a couple's own question's id that are shown.
const SHORT: usize = 8;

/// The id of a question as people type it.
pub(super) fn short(question: &Question) -> &str {
    match question.id.contains('.') {
        true => &question.id,
        false => question.id.get(..SHORT).unwrap_or(&question.id),
    }
}

/// Name of a person's own answer to a question, in either space.
fn name_of(question: &Question) -> String {
    format!("map/{}", question.id)
}

/// The word for what an owner says of a guess.
pub(super) fn verdict_word(verdict: Verdict) -> &'static str {
    let word = match verdict {
        Verdict::Yes => GuessVerdict::Yes,
        Verdict::Close => GuessVerdict::Partly,
        Verdict::No => GuessVerdict::No,
    };
    word.as_str()
}

pub(super) fn answer(context: &Context, args: &AnswerMap) -> Result<(), Failure> {
    let home = context.open_home(Need::Private)?;
    let view = View::of(&home)?;
    let question = view.question(&args.question)?;
    if args.share || args.together {
        may_be_told(&view, &question)?;
    }
    if args.together {
        may_be_guessed(&question)?;
    }
    let topic = Topic::MapAnswer(question.id.clone());
    if args.together && view.seals.seen(&topic).waits {
        return Err(sealed_already());
    }
    let text = text_of(&args.text, "Your answer:")?;
    let record = MapAnswer {
        question: question.id.clone(),
        text: text.clone(),
        on: view.today.clone(),
    };
    let how = match (args.share, args.together) {
        (true, _) => "shared",
        (_, true) => "together",
        _ => "kept",
    };
    let mut delivered = Ok(());
    if args.together {
        together::seal(&home, &view.us, topic, Some(text), None)?;
        together::show_due(&home)?;
        delivered = exchanged(context, &home, &view.us, args.wait.timeout);
    } else if args.share {
        shelf::set(&view.us, &name_of(&question), record)?;
        delivered = exchanged(context, &home, &view.us, args.wait.timeout);
    } else if let Some(me) = &view.me {
        // Nothing is sent, at no moment that anybody could see.
        shelf::set(me, &name_of(&question), record)?;
    }
    let names = Names::of(&home);
    let (mut value, words) = super::shown(&View::of(&home)?, &question, &names)?;
    home.close()?;
    if let Value::Object(fields) = &mut value {
        fields.insert("how".to_owned(), json!(how));
        fields.insert("delivered".to_owned(), json!(delivered.is_ok()));
    }
    context.out.data(&value, || words)?;
    delivered
}

pub(super) fn guess(context: &Context, args: &GuessMap) -> Result<(), Failure> {
    let home = context.open_home(Need::Private)?;
    let view = View::of(&home)?;
    let question = view.question(&args.question)?;
    may_be_guessed(&question)?;
    let topic = Topic::MapGuess(question.id.clone());
    if view.seals.seen(&topic).waits {
        return Err(sealed_already());
    }
    let text = text_of(&args.text, "Your guess:")?;
    together::seal(&home, &view.us, topic, Some(text), None)?;
    together::show_due(&home)?;
    let delivered = exchanged(context, &home, &view.us, args.wait.timeout);
    let names = Names::of(&home);
    let (mut value, words) = super::shown(&View::of(&home)?, &question, &names)?;
    home.close()?;
    if let Value::Object(fields) = &mut value {
        fields.insert("delivered".to_owned(), json!(delivered.is_ok()));
    }
    context.out.data(&value, || words)?;
    delivered
}

fn may_be_told(view: &View, question: &Question) -> Result<(), Failure> {
    if question.depth != Depth::Deep || view.deep {
        return Ok(());
    }
    Err(Failure::fixable(
        "not-this-week",
        "Questions this deep are shared in weeks for which both of you have turned them on, and not during a pause.",
    )
    .hint("`ajar map deep on` turns them on for you; --keep keeps an answer for yourself."))
}

fn may_be_guessed(question: &Question) -> Result<(), Failure> {
    if question.depth.may_be_guessed() {
        return Ok(());
    }
    Err(
        Failure::fixable("only-told", "Questions this deep are told, not guessed.")
            .hint("ajar map answer Q TEXT --share"),
    )
}

fn sealed_already() -> Failure {
    Failure::fixable(
        "sealed",
        "Yours is sealed already; it opens when the other's is there too.",
    )
}

pub(super) fn check(context: &Context, args: &CheckGuess) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let view = View::of(&home)?;
    let question = view.question(&args.question)?;
    let seen = view.seals.seen(&Topic::MapAnswer(question.id.clone()));
    let Some((guess, _)) = seen.theirs.first() else {
        let name = Names::of(&home).partner().to_owned();
        return Err(Failure::fixable(
            "no-guess",
            format!("There is no guess of {name}'s about you to look at."),
        )
        .hint("A guess opens when you answer together: ajar map answer Q TEXT --together"));
    };
    let text = text_if(&args.text, "Here is what I would add:")?;
    let before = shelf::about::<Check>(&view.us, [guess.clone()])?;
    let check = Check {
        about: guess.clone(),
        verdict: match args.verdict {
            GuessVerdict::Yes => Verdict::Yes,
            GuessVerdict::Partly => Verdict::Close,
            GuessVerdict::No => Verdict::No,
        },
        text,
        on: view.today.clone(),
        turn: next_turn(before.iter().map(|one| one.record.turn)),
    };
    let us = view.us.clone();
    drop(view);
    send(context, home, &us, check, args.wait)
}

/// Only in Only me, and without any exchange: nobody is to notice, not even when.
pub(super) fn skip(context: &Context, args: &SkipMap) -> Result<(), Failure> {
    let home = context.open_home(Need::Private)?;
    let view = View::of(&home)?;
    let question = view.question(&args.question)?;
    if let Some(me) = &view.me {
        let skip = MapSkip {
            question: question.id.clone(),
            lifted: args.undo,
            on: view.today.clone(),
        };
        shelf::set(me, &format!("map-skip/{}", question.id), skip)?;
    }
    drop(view);
    home.close()?;
    let value = json!({"question": question.id, "skipped": !args.undo});
    context.out.data(&value, || match args.undo {
        true => "It may come again.".to_owned(),
        false => "Left out. Nobody is told.".to_owned(),
    })
}

pub(super) fn still_true(context: &Context, args: &StillTrue) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let view = View::of(&home)?;
    let question = view.question(&args.question)?;
    let today = view.today.clone();
    let (mut found, mut shared) = (false, false);
    if let (Some(me), Some(kept)) = (&view.me, view.kept_for(&question.id)) {
        let on = today.clone();
        shelf::set(me, &name_of(&question), MapAnswer { on, ..kept.clone() })?;
        found = true;
    }
    if let Some(answer) = view.shared_by(Author::Me, &question.id) {
        let on = today.clone();
        shelf::set(
            &view.us,
            &name_of(&question),
            MapAnswer {
                on,
                ..answer.clone()
            },
        )?;
        shared = true;
    }
    let topic = Topic::MapAnswer(question.id.clone());
    if let Some((id, mut sealed)) = view.seals.own_shown(&topic).pop() {
        sealed.on = today;
        shelf::save(&view.us, id, sealed)?;
        shared = true;
    }
    if !found && !shared {
        return Err(
            Failure::fixable("not-told", "You have not answered this one yet.")
                .hint("ajar map answer Q TEXT"),
        );
    }
    let delivered = match shared {
        true => exchanged(context, &home, &view.us, args.wait.timeout),
        false => Ok(()),
    };
    drop(view);
    home.close()?;
    let value = json!({"question": question.id, "delivered": delivered.is_ok()});
    context.out.data(&value, || "Still true.".to_owned())?;
    delivered
}

pub(super) fn deep(context: &Context, args: &Deep) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let us = super::super::doors::shared(&home)?;
    let today = dates::today();
    let before = between::own_choices(&us)?.unwrap_or(Choices {
        on_this_day: false,
        heavy_days: false,
        ours: false,
        deep_in_week_of: None,
        on: today.clone(),
    });
    let wanted = args.choice == Switch::On;
    let choices = Choices {
        deep_in_week_of: wanted.then(|| today.clone()),
        on: today.clone(),
        ..before
    };
    shelf::set(&us, between::CHOICES, choices)?;
    let delivered = exchanged(context, &home, &us, args.wait.timeout);
    let both = between::deep(&us, &today, dates::now_ms())?;
    home.close()?;
    let value = json!({"deep": wanted, "both": both, "delivered": delivered.is_ok()});
    context.out.data(&value, || match (wanted, both) {
        (true, true) => "Deep questions may come this week.".to_owned(),
        (true, false) => {
            "On for you this week. They come when both of you have turned them on.".to_owned()
        }
        (false, _) => "Off. No deep questions come.".to_owned(),
    })?;
    delivered
}
