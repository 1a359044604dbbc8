//! Notes for oneself: `ajar felt`, `ajar weigh` and `ajar words-for`. They stay in Only me, and
//! nothing of them is ever in the shared space.

use ajar_journal::conversation::Evidence;
use ajar_journal::opening::Stage;
use ajar_journal::records::{Felt, OurWord, OwnWord, Response, Weighing};
use ajar_journal::schema::Kind;
use ajar_journal::words::{self, Word};
use ajar_sync::{Home, Space, SpaceKind, doc_id_text};
use serde_json::json;

use crate::cli::{FeltNote, Weigh, WordsFor};
use crate::context::{Context, Need};
use crate::names::Author;
use crate::records::{self, Record};
use crate::report::Failure;
use crate::{dates, ids, shelf, terminal};

pub(crate) fn felt(context: &Context, args: &FeltNote) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Private)?;
    let us = home.space(SpaceKind::Shared)?;
    let response = shelf::find(shelf::all::<Response>(&us)?, &args.id)?;
    if response.author == Author::Me {
        return Err(Failure::fixable(
            "your-own",
            "This answer is yours. How it was is for the one who got it.",
        ));
    }
    let note = Felt {
        about: response.id_text(),
        opening: response.record.about.clone(),
        understood: args.understood,
        validated: args.validated,
        cared: args.cared,
        felt: args.felt,
        acts: terminal::given_or_asked_if(args.acts.as_deref(), "What did they do or say?")?,
        after: args.after,
        hurt: args.hurt,
        on: dates::today(),
    };
    let stops = [note.understood, note.validated, note.cared, note.felt];
    let says = stops.iter().any(Option::is_some) || note.acts.is_some() || note.after.is_some();
    if !says && !note.hurt {
        return Err(Failure::fixable("empty", "There is nothing in it yet.")
            .hint("For example: ajar felt ID --understood 6 --cared 8"));
    }
    let id = shelf::keep(&home.space(SpaceKind::Private)?, note)?;
    home.close()?;
    out.data(&json!({"id": doc_id_text(id)}), || ids::short(id))?;
    out.talk("Kept in Only me. Only you see this.");
    Ok(())
}

pub(crate) fn weigh(context: &Context, args: &Weigh) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Private)?;
    let located = records::find(&home, &args.id)?.located()?;
    let Record::Entry(entry) = &located.record else {
        return Err(Failure::fixable(
            "other-kind",
            "Only an entry of yours can be weighed.",
        ));
    };
    let me = home.space(SpaceKind::Private)?;
    let evidence = evidence(&me, &entry.layers.feeling.words)?;
    let asks =
        |given: &Option<String>, question| terminal::given_or_asked_if(given.as_deref(), question);
    let weighing = Weighing {
        about: doc_id_text(located.id),
        hope: asks(&args.hope, "What do I hope happens if I open this?")?,
        fear: asks(&args.fear, "What am I afraid of?")?,
        plan: asks(&args.plan, "If it goes badly, what will I do?")?,
        good_hour: args.good_hour.as_deref().map(yes_or_no).transpose()?,
        keep: args.keep,
        on: dates::today(),
    };
    let says = weighing.hope.is_some()
        || weighing.fear.is_some()
        || weighing.plan.is_some()
        || weighing.good_hour.is_some();
    let id = match says {
        true => Some(shelf::keep(&me, weighing)?),
        false => None,
    };
    home.close()?;
    let value = json!({
        "id": id.map(doc_id_text),
        "evidence": evidence.iter().map(|(word, it)| json!({
            "word": word, "doors": it.doors, "cared": it.cared,
            "understood": it.understood, "hurt": it.hurt,
        })).collect::<Vec<_>>(),
    });
    out.data(&value, || {
        let mut lines: Vec<String> = QUESTIONS.iter().map(|line| (*line).to_owned()).collect();
        lines.extend(evidence.iter().map(|(word, it)| it.in_words(word)));
        lines.join("\n")
    })?;
    if says {
        out.talk("Kept in Only me, for 90 days unless you keep it. Only you see this.");
    }
    Ok(())
}

/// What is worth asking before a door is opened.
const QUESTIONS: [&str; 5] = [
    "What do I hope happens if I open this?",
    "What am I afraid of?",
    "Is it mine to tell?",
    "Is this a good hour for both of us?",
    "Would a smaller door be enough for today?",
];

fn yes_or_no(typed: &str) -> Result<bool, Failure> {
    match typed {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Failure::fixable("bad-answer", "Say yes or no.")),
    }
}

/// What the person noted about doors with one of these words, where there were enough.
fn evidence(me: &Space, marked: &[String]) -> Result<Vec<(String, Evidence)>, Failure> {
    if marked.is_empty() {
        return Ok(Vec::new());
    }
    let notes: Vec<Felt> = shelf::all::<Felt>(me)?
        .into_iter()
        .map(|it| it.record)
        .collect();
    let (entries, _) = records::all_of(me, &Kind::Entry)?;
    let mut found = Vec::new();
    for word in marked {
        let mut openings = Vec::new();
        for located in &entries {
            if let Record::Entry(entry) = &located.record
                && entry.layers.feeling.words.contains(word)
            {
                let opened = entry.openings.iter().filter(|it| it.stage >= Stage::Knock);
                openings.extend(opened.map(|it| it.opening_id.clone()));
            }
        }
        found.extend(Evidence::of(&openings, &notes).map(|it| (word.clone(), it)));
    }
    Ok(found)
}

/// Words of one's own and of both, beside those that are built in.
pub(super) fn own_words(home: &Home) -> Result<Vec<Word>, Failure> {
    let mut words = Vec::new();
    if let Ok(me) = home.space(SpaceKind::Private) {
        for kept in shelf::all::<OwnWord>(&me)? {
            let family = kept.record.family.as_deref().and_then(|it| it.parse().ok());
            let (id, record) = (kept.id_text(), kept.record);
            words.push(Word::new(id, record.word, record.point, family));
        }
    }
    if let Ok(us) = home.space(SpaceKind::Shared) {
        for kept in shelf::all::<OurWord>(&us)? {
            let id = kept.id_text();
            if let Some(point) = kept.record.point {
                words.push(Word::new(id, kept.record.word, point, None));
            }
        }
    }
    Ok(words)
}

pub(crate) fn words_for(context: &Context, args: &WordsFor) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let own = own_words(&home)?;
    home.close()?;
    let nearest = words::nearest(args.point, &own);
    let value: Vec<_> = nearest
        .iter()
        .map(|word| {
            json!({
                "word": word.text(),
                "family": word.family().map(|family| family.as_str()),
                "point": word.point(),
            })
        })
        .collect();
    out.data(&value, || {
        let list: Vec<String> = nearest
            .iter()
            .map(|word| ajar_journal::text::displayable_line(word.text()))
            .collect();
        format!("{}: {}", args.point.in_words(), list.join(", "))
    })
}
