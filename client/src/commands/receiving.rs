//! Receiving what the other opened: `ajar see`, `reflect` and `reply`; and what its author says to
//! that: `ajar check` and `ajar thanks`. Nothing of it happens by reading.

use ajar_journal::conversation::{mismatch, palette, starters};
use ajar_journal::opening::{Opening, Stage};
use ajar_journal::records::{
    Acknowledge, Acknowledged, Check, Reflection, Response, ResponseSort, Thanks,
};
use ajar_sync::{DocId, Home, Space, SpaceKind, doc_id_text};
use serde_json::json;

use super::deliver::exchanged;
use crate::cli::{CheckReflection, Reflect, Reply, See, ThankFor, Wait};
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::records::{Located, Record};
use crate::report::Failure;
use crate::shelf::{self, Kept};
use crate::thread::Thread;
use crate::{dates, ids, records, terminal};

/// An opening somebody named, with what was said about it.
struct Door {
    home: Home,
    us: Space,
    names: Names,
    id: String,
    opening: Opening,
    thread: Thread,
}

impl Door {
    /// An opening of the partner.
    fn of_partner(context: &Context, typed: &str) -> Result<Self, Failure> {
        let home = context.open_home(Need::Home)?;
        let located = records::find(&home, typed)?.located()?;
        if located.author == Author::Me {
            return Err(Failure::fixable(
                "your-own",
                "This is yours: your partner is the one to receive it.",
            ));
        }
        Self::of(home, located)
    }

    fn of(home: Home, located: Located) -> Result<Self, Failure> {
        let Record::Opening(opening) = located.record else {
            return Err(
                Failure::fixable("other-kind", "This is not something that was opened.")
                    .hint("`ajar doors` lists what stands open for you."),
            );
        };
        let us = home.space(SpaceKind::Shared)?;
        let id = doc_id_text(located.id);
        Ok(Self {
            thread: Thread::of(&us, &id, located.author)?,
            names: Names::of(&home),
            us,
            home,
            id,
            opening: *opening,
        })
    }

    fn wants_answer(&self) -> Result<(), Failure> {
        if self.opening.reply {
            return Ok(());
        }
        let name = self.names.partner();
        Err(Failure::fixable(
            "no-answer-wanted",
            format!("{name} needs no answer to this. Thank them in person, if you like."),
        ))
    }
}

/// Keeps a record in the shared space, and brings it to the relay if that can be reached.
pub(super) fn send<R: ajar_journal::record::Record + Send + 'static>(
    context: &Context,
    home: Home,
    us: &Space,
    record: R,
    wait: Wait,
) -> Result<(), Failure> {
    let id = shelf::keep(us, record)?;
    finish(context, home, us, id, R::KIND.as_str(), wait)
}

/// Says what was kept, after an exchange with the relay.
pub(super) fn finish(
    context: &Context,
    home: Home,
    us: &Space,
    id: DocId,
    kind: &str,
    wait: Wait,
) -> Result<(), Failure> {
    let out = context.out;
    let delivered = exchanged(context, &home, us, wait.timeout);
    home.close()?;
    let value = json!({"id": doc_id_text(id), "kind": kind, "delivered": delivered.is_ok()});
    out.data(&value, || ids::short(id))?;
    if delivered.is_ok() {
        out.talk("Kept, and on its way.");
    }
    delivered
}

/// A text of several arguments, or asked for.
pub(super) fn text_of(words: &[String], question: &str) -> Result<String, Failure> {
    let joined = words.join(" ");
    let text = terminal::given_or_asked(Some(&joined), question)?.to_string();
    if text.trim().is_empty() {
        return Err(Failure::fixable("empty", "There is nothing in it yet."));
    }
    Ok(text)
}

/// The same for what may be absent.
pub(super) fn text_if(words: &[String], question: &str) -> Result<Option<String>, Failure> {
    match words {
        [] => Ok(None),
        words => text_of(words, question).map(Some),
    }
}

pub(crate) fn see(context: &Context, args: &See) -> Result<(), Failure> {
    let at = terminal::given_or_asked_if(args.later.as_deref(), "When?")?;
    let door = Door::of_partner(context, &args.id)?;
    door.wants_answer()?;
    let how = match (args.not_today, &at) {
        (true, _) => Acknowledged::NotToday,
        (false, Some(_)) => Acknowledged::Later,
        (false, None) => Acknowledged::Here,
    };
    let record = Acknowledge {
        about: door.id,
        how,
        at,
        on: dates::today(),
        turn: door.thread.next_turn(),
    };
    send(context, door.home, &door.us, record, args.wait)
}

pub(crate) fn reflect(context: &Context, args: &Reflect) -> Result<(), Failure> {
    let out = context.out;
    let door = Door::of_partner(context, &args.id)?;
    door.wants_answer()?;
    if door.opening.stage == Stage::Knock {
        return Err(Failure::fixable(
            "only-a-knock",
            "This is a knock: there is nothing to say back yet.",
        )
        .hint("Say that you have seen it: ajar see ID"));
    }
    let point = door.opening.layers.feeling.point;
    if point.is_some_and(ajar_journal::Point::is_unpleasant) {
        out.talk("Most of us guess from our own mood. Ask if unsure.");
    }
    let text = text_of(&args.text, "What I hear is…")?;
    let own = door.thread.reflections.iter();
    let tries = own.filter(|one| one.author == Author::Me).count();
    let record = Reflection {
        about: door.id,
        point: args.point,
        words: terminal::each_given_or_asked(&args.words, "Which word?")?,
        text,
        attempt: u32::try_from(tries).unwrap_or(u32::MAX).saturating_add(1),
        on: dates::today(),
        turn: door.thread.next_turn(),
    };
    send(context, door.home, &door.us, record, args.wait)
}

pub(crate) fn reply(context: &Context, args: &Reply) -> Result<(), Failure> {
    let out = context.out;
    let door = Door::of_partner(context, &args.id)?;
    door.wants_answer()?;
    let (need, point) = (door.opening.need, door.opening.layers.feeling.point);
    let fitting = palette(need, point);
    let usual = fitting.first().copied().unwrap_or(ResponseSort::Listen);
    let sort = args.kind.unwrap_or(usual);
    if args.text.is_empty() && sort != ResponseSort::Presence {
        let guidance = need.and_then(ajar_journal::layers::Need::guidance);
        let kinds: Vec<_> = fitting.iter().map(|sort| sort.as_str()).collect();
        let beginnings = fitting.iter().flat_map(|sort| starters(sort.to_owned()));
        let beginnings: Vec<&str> = beginnings.copied().collect();
        door.home.close()?;
        let value = json!({"kinds": kinds, "guidance": guidance, "beginnings": beginnings});
        return out.data(&value, || {
            let guidance = guidance.map(|line| format!("{line}\n")).unwrap_or_default();
            let list = beginnings.join("\n  ");
            format!(
                "{guidance}Kinds that fit: {}\nBeginnings:\n  {list}",
                kinds.join(", ")
            )
        });
    }
    let reflected = door
        .thread
        .reflections
        .iter()
        .any(|one| one.author == Author::Me);
    if !reflected && !args.skip_reflecting && sort != ResponseSort::Presence {
        return Err(Failure::fixable(
            "reflect-first",
            "Say first what you hear; then they know that it arrived.",
        )
        .hint(
            "ajar reflect ID 'What I hear is…', or --skip-reflecting: nobody is told that you did.",
        ));
    }
    if let Some(asks) = mismatch(need, point, sort)
        && !args.yes
    {
        terminal::confirmable(false, asks)?;
        if !terminal::agrees(&format!("{asks} Send it anyway?"))? {
            return Err(Failure::fixable("not-sent", "Nothing was sent.")
                .hint("Ask them first, or choose another kind."));
        }
    }
    let text = match args.text.is_empty() {
        true => None,
        false => Some(text_of(&args.text, "Your answer:")?),
    };
    let record = Response {
        about: door.id,
        sort,
        text,
        minutes: args.minutes,
        on: dates::today(),
        turn: door.thread.next_turn(),
    };
    send(context, door.home, &door.us, record, args.wait)
}

/// A reflection or a reply somebody named, and the opening it is about, which is one's own.
fn about_own<R: ajar_journal::record::Record + Send + 'static>(
    context: &Context,
    typed: &str,
    what: &str,
) -> Result<(Kept<R>, Door), Failure> {
    let home = context.open_home(Need::Home)?;
    let us = home.space(SpaceKind::Shared)?;
    let kept = shelf::find(shelf::all::<R>(&us)?, typed)?;
    let about = kept.record.about().unwrap_or_default().to_owned();
    let located = records::find(&home, &about)?.located()?;
    if located.author != Author::Me || kept.author == Author::Me {
        return Err(Failure::fixable(
            "not-yours",
            format!("Only who opened something says {what}."),
        ));
    }
    Ok((kept, Door::of(home, located)?))
}

pub(crate) fn check(context: &Context, args: &CheckReflection) -> Result<(), Failure> {
    let (reflection, door) =
        about_own::<Reflection>(context, &args.id, "how well a reflection says it")?;
    let text = match args.text.is_empty() {
        true => None,
        false => Some(text_of(&args.text, "Here is what I would add:")?),
    };
    let record = Check {
        about: reflection.id_text(),
        verdict: args.verdict,
        text,
        on: dates::today(),
        turn: door.thread.next_turn(),
    };
    send(context, door.home, &door.us, record, args.wait)
}

pub(crate) fn thanks(context: &Context, args: &ThankFor) -> Result<(), Failure> {
    let (response, door) = about_own::<Response>(context, &args.id, "what helped")?;
    let record = Thanks {
        about: response.id_text(),
        text: text_of(&args.text, "What helped?")?,
        on: dates::today(),
        turn: door.thread.next_turn(),
    };
    send(context, door.home, &door.us, record, args.wait)
}
