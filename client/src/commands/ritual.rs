//! `ajar ritual`: what both do again and again. Nothing is counted, and what is left out leaves no
//! trace.

use ajar_journal::book::Side;
use ajar_journal::record;
use ajar_journal::records::{Cadence, Ritual, RitualDone};
use ajar_journal::rituals::{self, DIARY_RULES, LIBRARY, Template};
use ajar_journal::schema::Kind;
use ajar_journal::text::{displayable, displayable_line};
use ajar_sync::{Home, Space};
use serde_json::{Value, json};

use super::book::parted;
use super::deliver::{self, deliver};
use super::say::{Outcome, Said, of_kind, say};
use crate::cli::{DoRitual, NewRitual, One, Patience, Ritual as Args, RitualCommand};
use crate::compose;
use crate::consents::{self, Proposal, side};
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::shelf::{self, Kept};
use crate::{dates, ids, records, terminal};

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    match &args.command {
        RitualCommand::New(args) => new(context, args),
        RitualCommand::Agree(one) => say(context, &said(one, true), agreed),
        RitualCommand::End(one) => say(context, &said(one, false), |outcome| {
            match outcome.changed {
                true => "It has ended. What was noted stays.".to_owned(),
                false => "You had not agreed to it; nothing changed.".to_owned(),
            }
        }),
        RitualCommand::Done(args) => done(context, args),
        RitualCommand::Pass(one) => pass(context, one),
        RitualCommand::List => list(context),
        RitualCommand::Show(args) => show(context, &args.id),
        RitualCommand::Library => library(context),
    }
}

fn said(one: &One, given: bool) -> Said<'_> {
    Said {
        one,
        given,
        to: |kind| *kind == Kind::Ritual,
        otherwise: NO_RITUAL,
    }
}

const NO_RITUAL: &str = "This is no ritual; `ajar ritual list` shows them.";

fn agreed(outcome: &Outcome<'_>) -> String {
    match outcome.standing.is_both() {
        true => "It is a ritual of yours now.".to_owned(),
        false => "Agreed. It is a ritual of yours as soon as both of you want it.".to_owned(),
    }
}

fn new(context: &Context, args: &NewRitual) -> Result<(), Failure> {
    let out = context.out;
    let template = args.from.as_deref().map(template).transpose()?;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let name = terminal::given_or_asked_if(args.name.as_deref(), "What is it called?")?;
    let steps = terminal::each_given_or_asked(&args.steps, "Step:")?;
    let given = |template: &Template| -> Vec<String> {
        template
            .steps
            .iter()
            .map(|step| (*step).to_owned())
            .collect()
    };
    let ritual = Ritual {
        name: name
            .or(template.map(|template| template.name.to_owned()))
            .unwrap_or_default(),
        cadence: args
            .cadence
            .or(template.map(|template| template.cadence))
            .unwrap_or(Cadence::Whenever),
        steps: match (steps.is_empty(), template) {
            (true, Some(template)) => given(template),
            _ => steps,
        },
        ended: false,
        on: dates::today(),
    };
    let is_diary = ritual.cadence == Cadence::Turns;
    let id = shelf::keep(&us, ritual)?;
    let mut words = format!(
        "Kept. It is a ritual of yours as soon as {} agrees.",
        names.partner()
    );
    if is_diary {
        words = format!("{words}\n{DIARY_RULES}");
    }
    let delivery = deliver(context, home, &us, args.patience.timeout)?;
    out.data(
        &json!({"id": ids::text(id), "delivered": delivery.is_done()}),
        || ids::short(id),
    )?;
    delivery.told(out, &words)
}

fn template(word: &str) -> Result<&'static Template, Failure> {
    let found = LIBRARY.iter().find(|template| template.word == word);
    found.ok_or_else(|| {
        Failure::fixable("not-found", "There is no such ritual in the library.")
            .hint("`ajar ritual library` shows them.")
    })
}

/// A ritual that both want, and what was noted of it.
struct Going {
    proposal: Proposal,
    ritual: Ritual,
    done: Vec<Kept<RitualDone>>,
}

impl Going {
    /// Whose page is next, in an exchange diary.
    fn next(&self) -> Option<Side> {
        let begins = side(self.proposal.located.author)?;
        let ids: Vec<String> = self.done.iter().map(Kept::id_text).collect();
        let pages = self.done.iter().zip(&ids).filter_map(|(kept, id)| {
            side(kept.author).map(|side| (side, id.as_str(), &kept.record))
        });
        (self.ritual.cadence == Cadence::Turns).then(|| rituals::next(begins, pages))
    }

    fn next_author(&self) -> Option<Author> {
        self.next().map(|side| match side {
            Side::Mine => Author::Me,
            Side::Theirs => Author::Partner,
        })
    }

    fn is_due(&self, today: &str) -> bool {
        let days = self.done.iter().map(|kept| kept.record.on.as_str());
        rituals::is_due(self.ritual.cadence, today, days)
    }
}

fn going(us: &Space, proposal: Proposal) -> Result<Going, Failure> {
    let id = proposal.located.id;
    let ritual: Ritual = us.document(id).read(record::read)??;
    let mut done = shelf::about::<RitualDone>(us, [ids::text(id)])?;
    done.sort_by_key(|kept| (kept.record.turn, kept.id));
    Ok(Going {
        proposal,
        ritual,
        done,
    })
}

/// The ritual that was named, if both want it.
fn named(home: &Home, us: &Space, typed: &str) -> Result<Going, Failure> {
    let found = records::find(home, typed)?;
    let located = of_kind(&found, |kind| *kind == Kind::Ritual, NO_RITUAL)?;
    let standing = consents::Consents::of(us)?.standing(us, &located)?;
    let going = going(us, Proposal { located, standing })?;
    if !standing.is_both() || going.ritual.ended {
        return Err(Failure::fixable(
            "not-both",
            "This is a ritual only as long as both of you want it; nothing was kept.",
        )
        .hint("To agree to it as it stands: ajar ritual agree ID"));
    }
    Ok(going)
}

fn done(context: &Context, args: &DoRitual) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let us = deliver::us(&home)?;
    let going = named(&home, &us, &args.id)?;
    let is_diary = going.ritual.cadence == Cadence::Turns;
    if is_diary {
        my_turn(&going, &Names::of(&home))?;
    }
    let note = match is_diary || !args.note.is_empty() {
        true => Some(compose::text(
            context.out,
            &context.dir()?,
            &args.note,
            None,
        )?),
        false => None,
    };
    let text = note.as_ref().map(|note| note.text.clone());
    let full = match (is_diary, &text) {
        (true, Some(text)) if text.trim().is_empty() => Err(Failure::fixable(
            "empty",
            "One line is enough, but there is none; nothing was kept.",
        )
        .hint("To hand the diary over without a page: ajar ritual pass ID")),
        _ => Ok(()),
    };
    let text = text.filter(|text| !text.trim().is_empty());
    let kept = full.and_then(|()| shelf::keep(&us, noted(&going, text, false)));
    let id = match (kept, note) {
        (Ok(id), _) => id,
        (Err(failure), Some(note)) => return Err(note.not_kept(failure)),
        (Err(failure), None) => return Err(failure),
    };
    let words = match is_diary {
        true => "Your page is in. The next one is your partner's, whenever.",
        false => "Noted.",
    };
    finish(context, home, &us, &ids::text(id), &args.patience, words)
}

fn pass(context: &Context, one: &One) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let us = deliver::us(&home)?;
    let going = named(&home, &us, &one.id)?;
    if going.ritual.cadence != Cadence::Turns {
        return Err(Failure::fixable(
            "no-turns",
            "Only an exchange diary has turns. To leave this out, do nothing: nobody notes it.",
        ));
    }
    my_turn(&going, &Names::of(&home))?;
    let id = shelf::keep(&us, noted(&going, None, true))?;
    let words = "Passed on. The next page is your partner's, whenever.";
    finish(context, home, &us, &ids::text(id), &one.patience, words)
}

fn noted(going: &Going, note: Option<String>, passed: bool) -> RitualDone {
    RitualDone {
        about: ids::text(going.proposal.located.id),
        note,
        passed,
        on: dates::today(),
        turn: rituals::next_place(going.done.iter().map(|kept| kept.record.turn)),
    }
}

fn my_turn(going: &Going, names: &Names) -> Result<(), Failure> {
    match going.next() {
        Some(Side::Theirs) => Err(Failure::fixable(
            "not-your-turn",
            format!("The next page belongs to {}, whenever.", names.partner()),
        )
        .hint("What you want to say now can be an entry: ajar write")),
        _ => Ok(()),
    }
}

fn finish(
    context: &Context,
    home: Home,
    us: &Space,
    id: &str,
    patience: &Patience,
    words: &str,
) -> Result<(), Failure> {
    let delivery = deliver(context, home, us, patience.timeout)?;
    context
        .out
        .data(&json!({"id": id, "delivered": delivery.is_done()}), || {
            ids::beginning(id.to_owned())
        })?;
    delivery.told(context.out, words)
}

fn list(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let (ours, waiting) = parted(consents::proposals(&us, |kind| *kind == Kind::Ritual)?);
    let with_records = |all: Vec<Proposal>| -> Result<Vec<Going>, Failure> {
        let all: Result<Vec<Going>, Failure> = all.into_iter().map(|one| going(&us, one)).collect();
        let all = all?.into_iter();
        Ok(all.filter(|going| !going.ritual.ended).collect())
    };
    let (ours, waiting) = (with_records(ours)?, with_records(waiting)?);
    home.close()?;
    let today = dates::today();
    if out.json {
        let values =
            |all: &[Going]| -> Vec<Value> { all.iter().map(|one| to_json(one, &today)).collect() };
        return out.json(&json!({"rituals": values(&ours), "waiting": values(&waiting)}));
    }
    if ours.is_empty() && waiting.is_empty() {
        out.talk("No rituals yet. A few to begin with: ajar ritual library");
    }
    for one in &ours {
        out.plain(&line(one, &state(one, &names, &today)))?;
    }
    for one in &waiting {
        out.plain(&line(one, one.proposal.waits_words()))?;
    }
    Ok(())
}

fn state(going: &Going, names: &Names, today: &str) -> String {
    match going.next() {
        Some(Side::Mine) => "the next page is yours, whenever".to_owned(),
        Some(Side::Theirs) => format!("the next page belongs to {}, whenever", names.partner()),
        None if going.is_due(today) => match going.ritual.cadence {
            Cadence::Daily => "for today",
            Cadence::Weekly => "for this week",
            _ => "for this month",
        }
        .to_owned(),
        None => String::new(),
    }
}

fn line(going: &Going, mark: &str) -> String {
    let mark = match mark {
        "" => String::new(),
        mark => format!("  ({mark})"),
    };
    format!(
        "{}  {:<8}  {}{mark}",
        ids::short(going.proposal.located.id),
        going.ritual.cadence.as_str(),
        displayable_line(&going.ritual.name)
    )
}

fn to_json(going: &Going, today: &str) -> Value {
    let both = going.proposal.standing.is_both();
    json!({
        "id": ids::text(going.proposal.located.id),
        "name": going.ritual.name,
        "cadence": going.ritual.cadence.as_str(),
        "steps": going.ritual.steps,
        "author": going.proposal.located.author.word(),
        "due": both && going.is_due(today),
        "next_page": going.next_author().filter(|_| both).map(Author::word),
        "waits_for": going.proposal.waits_word(),
    })
}

fn show(context: &Context, typed: &str) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let found = records::find(&home, typed)?;
    let located = of_kind(&found, |kind| *kind == Kind::Ritual, NO_RITUAL)?;
    let standing = consents::Consents::of(&us)?.standing(&us, &located)?;
    let going = going(&us, Proposal { located, standing })?;
    home.close()?;
    let today = dates::today();
    let mut value = to_json(&going, &today);
    // A pass hands the diary over; afterwards it is nobody's to look at.
    let notes: Vec<(&Kept<RitualDone>, &str)> = going
        .done
        .iter()
        .filter_map(|kept| kept.record.note.as_deref().map(|note| (kept, note)))
        .collect();
    if let Value::Object(fields) = &mut value {
        let notes: Vec<Value> = notes
            .iter()
            .map(|(kept, note)| {
                json!({
                    "id": kept.id_text(),
                    "author": kept.author.word(),
                    "author_name": names.name(kept.author),
                    "date": kept.record.on,
                    "note": note,
                })
            })
            .collect();
        fields.insert("notes".to_owned(), json!(notes));
    }
    out.data(&value, || {
        let mut lines = vec![line(&going, &state(&going, &names, &today))];
        for step in &going.ritual.steps {
            lines.push(format!("  - {}", displayable_line(step)));
        }
        for (kept, note) in &notes {
            lines.push(format!(
                "\n{} · {} · {}\n{}",
                kept.record.on,
                names.name(kept.author),
                ids::short(kept.id),
                displayable(note)
            ));
        }
        lines.join("\n")
    })
}

fn library(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    if out.json {
        let values: Vec<Value> = LIBRARY
            .iter()
            .map(|template| {
                json!({
                    "word": template.word,
                    "name": template.name,
                    "cadence": template.cadence.as_str(),
                    "steps": template.steps,
                })
            })
            .collect();
        return out.json(&values);
    }
    for template in LIBRARY {
        out.plain(&format!(
            "{:<12}  {} ({})",
            template.word,
            template.name,
            template.cadence.as_str()
        ))?;
        for step in template.steps {
            out.plain(&format!("              - {step}"))?;
        }
    }
    out.talk("To propose one: ajar ritual new --from WORD");
    Ok(())
}
