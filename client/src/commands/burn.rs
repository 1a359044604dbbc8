//! `ajar burn`: removes entries and openings for good, says how far that is, and shows what the
//! partner asks for. What the partner wrote is only asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use ajar_journal::date;
use ajar_sync::{BlobId, DocId, Error, Home, Space, SpaceKind};
use serde_json::json;

use super::sync::is_chosen;
use super::{exchange, show};
use crate::cli::Burn;
use crate::context::{Context, Need};
use crate::names::{Author, Names, space_name};
use crate::photo::ids_of;
use crate::records::{Content, Found, Located, Record};
use crate::report::{Exit, Failure};
use crate::{burns, fading, ids, records, terminal};

/// What is always true of burning.
const PROMISE: &str = "Copies someone made, screenshots, old backups, and encrypted leftovers on the server may remain;\n\
    the keys to those leftovers are destroyed once every device has confirmed.";

pub(crate) fn run(context: &Context, args: &Burn) -> Result<(), Failure> {
    if args.status {
        return status(context);
    }
    if args.asked {
        return asked(context, args.no);
    }
    burn(context, args)
}

/// Something that is to be burned.
struct Wanted {
    space: Space,
    doc: DocId,
    author: Author,
    blobs: Vec<BlobId>,
    line: String,
}

impl Wanted {
    fn of(found: &Found, names: &Names) -> Result<(Self, Option<Located>), Failure> {
        let located = match records::read(&found.document()) {
            Ok(Content::Other) => {
                return Err(Failure::fixable(
                    "other-kind",
                    "This is neither an entry nor an opening; it was not burned.",
                ));
            }
            Ok(Content::Record(_)) => Some(found.located()?),
            // What cannot be read can be burned all the same; its photos are not known then.
            Ok(Content::Unreadable(_)) => None,
            Err(failure) if records::is_damage(&failure) => None,
            Err(failure) => return Err(failure),
        };
        let author = found.author();
        let place = match (found.space.kind(), author) {
            (SpaceKind::Private, _) => space_name(SpaceKind::Private).to_owned(),
            (SpaceKind::Shared, Author::Me) => "you opened".to_owned(),
            (SpaceKind::Shared, author) => names.name(author).to_owned(),
        };
        let (day, heading) = match &located {
            Some(located) => {
                let item = located.record.item(located.id);
                (date::day(&item.date).to_owned(), item.heading())
            }
            None => ("?".to_owned(), "(cannot be read)".to_owned()),
        };
        let photos = located.as_ref().map(|located| located.record.photos());
        let wanted = Self {
            space: found.space.clone(),
            doc: found.info.id,
            author,
            // Whose the record is, theirs are the photos.
            blobs: match author {
                Author::Partner => Vec::new(),
                Author::Me | Author::Both => ids_of(photos.unwrap_or_default()),
            },
            line: format!("{}  {day}  {place}  {heading}", ids::short(found.info.id)),
        };
        Ok((wanted, located))
    }

    fn is_theirs(&self) -> bool {
        self.author == Author::Partner
    }
}

/// What is to be burned, in the order in which it goes, and what was opened and stays.
#[derive(Default)]
struct Heap {
    all: Vec<Wanted>,
    openings: Vec<Wanted>,
    /// Openings that an entry knows of, and that cannot be burned from this device.
    elsewhere: usize,
}

impl Heap {
    fn add(&mut self, wanted: Wanted) {
        if !self.all.iter().any(|one| one.doc == wanted.doc) {
            self.all.push(wanted);
        }
    }

    /// Looks up everything that was named, and what was opened from it.
    fn of(home: &Home, args: &Burn, names: &Names) -> Result<Self, Failure> {
        let mut heap = Self::default();
        for id in &args.ids {
            let (wanted, located) = Wanted::of(&records::find(home, id)?, names)?;
            heap.add(wanted);
            if let Some(Located {
                record: Record::Entry(entry),
                ..
            }) = &located
            {
                heap.add_openings(home, show::noted(entry).into_iter().collect(), names)?;
            }
        }
        let named: BTreeSet<DocId> = heap.all.iter().map(|wanted| wanted.doc).collect();
        heap.openings.retain(|one| !named.contains(&one.doc));
        Ok(heap)
    }

    fn add_openings(
        &mut self,
        home: &Home,
        noted: BTreeSet<String>,
        names: &Names,
    ) -> Result<(), Failure> {
        let space = match home.space(SpaceKind::Shared) {
            Ok(space) => space,
            Err(Error::NotOnThisDevice | Error::Damaged(_)) => {
                self.elsewhere += noted.len();
                return Ok(());
            }
            Err(Error::NotPaired) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for info in space.documents_where(move |id| noted.contains(&ids::text(*id)))? {
            let found = Found {
                space: space.clone(),
                info,
            };
            let known = self.openings.iter().any(|one| one.doc == found.info.id);
            // An entry can name whatever it likes; only one's own copies go along.
            if found.author() == Author::Me && !known {
                self.openings.push(Wanted::of(&found, names)?.0);
            }
        }
        Ok(())
    }

    fn is_any(&self, what: impl Fn(&Wanted) -> bool) -> bool {
        self.all.iter().any(what)
    }
}

fn burn(context: &Context, args: &Burn) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let mut heap = Heap::of(&home, args, &names)?;
    terminal::confirmable(args.yes, "Burning cannot be taken back")?;
    let say = |text: String| match args.yes {
        true => out.talk(text),
        false => out.insist(text),
    };
    for wanted in &heap.all {
        say(wanted.line.clone());
    }
    if args.with_openings {
        let openings = std::mem::take(&mut heap.openings);
        for opening in openings {
            say(opening.line.clone());
            heap.add(opening);
        }
    } else if !heap.openings.is_empty() {
        say(format!("Opened to {}, and staying:", names.partner()));
        for opening in &heap.openings {
            say(format!("  {}", opening.line));
        }
        if !args.yes && terminal::agrees("Burn that too?")? {
            for opening in std::mem::take(&mut heap.openings) {
                heap.add(opening);
            }
        }
    }
    if heap.elsewhere > 0 {
        say(
            "What was opened from it is not on this device; burn it on one that has Us.".to_owned(),
        );
    }
    for line in promise(&heap, &names) {
        say(line);
    }
    if !args.yes && !terminal::agrees("Burn for good?")? {
        return Err(Failure::fixable("not-confirmed", "Nothing was burned."));
    }
    let result = light(context, &heap, &names, args.timeout);
    let closed = home.close();
    result?;
    Ok(closed?)
}

/// What burning does to what is on the heap, and what it does not do.
fn promise(heap: &Heap, names: &Names) -> Vec<String> {
    let partner = names.partner();
    let mut lines = Vec::new();
    let shared = heap.is_any(|one| one.space.kind() == SpaceKind::Shared && !one.is_theirs());
    if heap.is_any(|one| !one.is_theirs()) {
        lines.push(match shared {
            true => format!(
                "Removed from your devices now. {partner}'s app removes it when it next syncs.\n{PROMISE}\n\
                 {partner} may have kept a private copy."
            ),
            false => format!("Removed from your devices now.\n{PROMISE}"),
        });
    }
    if heap.is_any(Wanted::is_theirs) {
        lines.push(format!(
            "What {partner} wrote is {partner}'s: {partner} is asked; it is {partner}'s to decide. Until then it stays, here too."
        ));
    }
    if heap.is_any(|one| one.author == Author::Both) {
        lines.push(format!(
            "What belongs to both of you goes when {partner} burns it too."
        ));
    }
    lines
}

/// Burns it, openings before the entries that know of them, and exchanges once.
fn light(context: &Context, heap: &Heap, names: &Names, timeout: Duration) -> Result<(), Failure> {
    let out = context.out;
    let (mut gone, mut asked, mut undelivered) = (Vec::new(), Vec::new(), None);
    let mut touched = Vec::new();
    for kind in [SpaceKind::Shared, SpaceKind::Private] {
        let here: Vec<&Wanted> = heap
            .all
            .iter()
            .filter(|wanted| wanted.space.kind() == kind)
            .collect();
        let Some(first) = here.first() else {
            continue;
        };
        let space = &first.space;
        let docs: Vec<DocId> = here.iter().map(|wanted| wanted.doc).collect();
        let blobs: Vec<BlobId> = here.iter().flat_map(|one| one.blobs.clone()).collect();
        space.burn(&docs, &blobs)?;
        let left: BTreeSet<DocId> = space
            .documents_where(move |id| docs.contains(id))?
            .iter()
            .map(|info| info.id)
            .collect();
        for wanted in here {
            match left.contains(&wanted.doc) {
                true => asked.push(ids::text(wanted.doc)),
                false => gone.push(ids::text(wanted.doc)),
            }
        }
        touched.push(space.clone());
    }
    // Both are burned before anything waits for a relay.
    for space in &touched {
        if let Err(error) = context.block_on(exchange(out, space, timeout)) {
            if space.kind() == SpaceKind::Private && is_chosen(&error) {
                out.talk("Only me stays on this device; without a relay the keys to what is left of it on this disk are not destroyed.");
            } else {
                undelivered = Some(not_delivered(error));
            }
        }
    }
    let words = |gone: &[String], asked: &[String]| {
        let mut lines = Vec::new();
        if !gone.is_empty() {
            lines.push("Burned. `ajar burn --status` says how far it is.".to_owned());
        }
        if !asked.is_empty() {
            let partner = names.partner();
            lines.push(format!("{partner} is asked; it is {partner}'s to decide."));
        }
        lines.join("\n")
    };
    out.data(
        &json!({"burned": gone, "asked": asked, "delivered": undelivered.is_none()}),
        || words(&gone, &asked),
    )?;
    undelivered.map_or(Ok(()), Err)
}

/// It is burned here whatever the relay does; only a relay that lies is worse than not delivered.
pub(super) fn not_delivered(error: Error) -> Failure {
    let failure = Failure::from(error);
    if failure.exit() == Exit::Broke {
        return failure;
    }
    let hint = failure
        .hint_text()
        .unwrap_or("The others hear of it with the next `ajar sync` that reaches the relay.")
        .to_owned();
    let message = failure.message();
    let why = message.trim_start_matches("kept here, not yet delivered: ");
    Failure::new(
        Exit::Undelivered,
        failure.code(),
        format!("Burned here, and nobody else knows yet: {why}"),
    )
    .hint(hint)
}

/// How far everything is that was burned, here or by the partner.
fn status(context: &Context) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    for space in home.spaces() {
        for burn in fading::Burns::of(&space)?.told {
            values.push(burns::to_json(&burn, space.kind()));
            let place = space_name(space.kind());
            lines.push(format!("{place}: {}.", burns::words(&burn, &names)));
        }
    }
    let locked = !home.is_private_unlocked();
    home.close()?;
    if lines.is_empty() && !context.out.json {
        context.out.talk("Nothing was burned.");
        return Ok(());
    }
    context
        .out
        .data(&json!({"burns": values}), || lines.join("\n"))?;
    if locked {
        context.out.talk(
            "Only me is locked and was not looked at; set AJAR_PRIVATE_PASSPHRASE to see it.",
        );
    }
    Ok(())
}

/// What the partner asks this person to burn.
fn asked(context: &Context, no: bool) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let space = home.space(SpaceKind::Shared)?;
    let docs = space.burn_requests()?;
    if no {
        space.dismiss_burn_requests()?;
        home.close()?;
        return out.data(&json!({"dismissed": docs.len()}), || match docs.len() {
            0 => "Nothing was asked for.".to_owned(),
            _ => "Nothing is burned, and nobody is told.".to_owned(),
        });
    }
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    for doc in docs {
        // One that is gone meanwhile needs no answer.
        let Ok(found) = records::find(&home, &ids::text(doc)) else {
            continue;
        };
        let Ok((wanted, Some(located))) = Wanted::of(&found, &names) else {
            continue;
        };
        values.push(located.to_json(&names));
        lines.push(wanted.line);
    }
    home.close()?;
    if lines.is_empty() && !out.json {
        out.talk(format!("{} asks for nothing.", names.partner()));
        return Ok(());
    }
    out.data(&json!({"asked": values}), || lines.join("\n"))?;
    out.talk("To burn one: `ajar burn ID`. To leave all of it: `ajar burn --asked --no`.");
    Ok(())
}
