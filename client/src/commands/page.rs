//! `ajar book page`: pages that both write. Each paragraph is a record of whoever wrote it, so
//! nobody can change what the other wrote.

use ajar_journal::records::{Page, Passage};
use ajar_journal::rituals::next_place;
use ajar_journal::schema::Kind;
use ajar_journal::text::{displayable, displayable_line};
use ajar_journal::{date, record};
use ajar_sync::{DocId, Home, Space};
use serde_json::{Value, json};

use super::deliver::{self, deliver};
use super::say::of_kind;
use crate::cli::{EditPassage, NewPage, PageCommand, Patience, WritePassage};
use crate::compose;
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::shelf::{self, Kept};
use crate::{dates, ids, records, terminal};

pub(super) fn run(context: &Context, command: &PageCommand) -> Result<(), Failure> {
    match command {
        PageCommand::New(args) => new(context, args),
        PageCommand::Write(args) => write(context, args),
        PageCommand::Edit(args) => edit(context, args),
        PageCommand::Show(args) => show(context, &args.id),
    }
}

fn new(context: &Context, args: &NewPage) -> Result<(), Failure> {
    let date = args.date.as_deref().map(dates::typed).transpose()?;
    let home = context.open_home(Need::Home)?;
    let us = deliver::us(&home)?;
    let title = terminal::given_or_asked(Some(&args.title), "Title:")?;
    let page = Page {
        title: title.to_string(),
        repair: args.repair,
        on: date.map_or_else(dates::today, |date| date::day(&date).to_owned()),
    };
    let id = shelf::keep(&us, page)?;
    let short = ids::short(id);
    let words = format!(
        "A new page. Both of you can write on it: ajar book page write {short}\nIt is in your book as soon as your partner has put it there too."
    );
    finish(context, home, &us, id, &args.patience, &words)
}

fn write(context: &Context, args: &WritePassage) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let us = deliver::us(&home)?;
    let page = page(&home, &args.page)?;
    if args.section.is_some() && !page.record.repair {
        return Err(Failure::fixable(
            "no-sections",
            "Only a repair page has sections; nothing was kept.",
        )
        .hint("Leave --section out."));
    }
    let text = compose::text(context.out, &context.dir()?, &args.text, None)?;
    let passages = shelf::about::<Passage>(&us, [page.id_text()])?;
    let passage = Passage {
        about: page.id_text(),
        text: text.text.clone(),
        section: args.section,
        margin: args.margin,
        on: dates::today(),
        turn: next_place(passages.iter().map(|kept| kept.record.turn)),
    };
    match compose::not_empty(&text.text).and_then(|()| shelf::keep(&us, passage)) {
        Ok(id) => {
            drop(text);
            let words = "Kept on the page, as yours.";
            finish(context, home, &us, id, &args.patience, words)
        }
        Err(failure) => Err(text.not_kept(failure)),
    }
}

fn edit(context: &Context, args: &EditPassage) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let found = records::find(&home, &args.passage)?;
    let located = of_kind(
        &found,
        |kind| *kind == Kind::Passage,
        "This is no paragraph of a page.",
    )?;
    if located.author != Author::Me || !found.info.writable {
        let author = names.name(located.author);
        return Err(Failure::fixable(
            "not-yours",
            format!("{author} wrote this paragraph; only {author} can change it."),
        )
        .hint("You can add one of your own beside it: ajar book page write PAGE --margin"));
    }
    let before: Passage = found.document().read(record::read)??;
    let text = compose::text(context.out, &context.dir()?, &args.text, Some(&before.text))?;
    let passage = Passage {
        text: text.text.clone(),
        ..before
    };
    let saved = compose::not_empty(&text.text).and_then(|()| shelf::save(&us, located.id, passage));
    let words = match saved {
        Ok(true) => "Changed. Both of you can see how it was before: ajar history",
        Ok(false) => "Nothing changed.",
        Err(failure) => return Err(text.not_kept(failure)),
    };
    drop(text);
    finish(context, home, &us, located.id, &args.patience, words)
}

/// The page that was named.
fn page(home: &Home, typed: &str) -> Result<Kept<Page>, Failure> {
    let found = records::find(home, typed)?;
    let located = of_kind(
        &found,
        |kind| *kind == Kind::Page,
        "This is no page of your book.",
    )?;
    Ok(Kept {
        id: located.id,
        author: located.author,
        record: found.document().read(record::read)??,
    })
}

fn show(context: &Context, typed: &str) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let page = page(&home, typed)?;
    let mut passages = shelf::about::<Passage>(&us, [page.id_text()])?;
    home.close()?;
    passages.sort_by_key(|kept| (kept.record.section, kept.record.turn, kept.id));
    let value = json!({
        "id": page.id_text(),
        "title": page.record.title,
        "date": page.record.on,
        "repair": page.record.repair,
        "author": page.author.word(),
        "paragraphs": passages.iter().map(|kept| passage_json(kept, &names)).collect::<Vec<_>>(),
    });
    out.data(&value, || page_words(&page, &passages, &names))
}

fn passage_json(kept: &Kept<Passage>, names: &Names) -> Value {
    json!({
        "id": kept.id_text(),
        "author": kept.author.word(),
        "author_name": names.name(kept.author),
        "text": kept.record.text,
        "section": kept.record.section,
        "margin": kept.record.margin,
        "date": kept.record.on,
    })
}

fn page_words(page: &Kept<Page>, passages: &[Kept<Passage>], names: &Names) -> String {
    let mut lines = vec![
        displayable_line(&page.record.title),
        format!("{} · {}", page.record.on, ids::short(page.id)),
    ];
    let mut section = None;
    for kept in passages {
        let number = kept.record.section;
        if number != section {
            section = number;
            lines.extend(question(number).map(|question| format!("\n{question}")));
        }
        let margin = if kept.record.margin {
            "in the margin, "
        } else {
            ""
        };
        lines.push(format!("\n{}", displayable(&kept.record.text)));
        let name = names.name(kept.author);
        lines.push(format!("    — {margin}{name} · {}", ids::short(kept.id)));
    }
    if passages.is_empty() {
        lines.push("\n(nothing stands here yet)".to_owned());
    }
    if page.record.repair {
        lines.push("\nA repair page asks, of each, as much as you like:".to_owned());
        let asked = (1..).zip(Page::REPAIR);
        lines.extend(asked.map(|(number, question): (u8, _)| format!("  {number}  {question}")));
    }
    lines.join("\n")
}

fn question(section: Option<u8>) -> Option<&'static str> {
    let place = usize::from(section?).checked_sub(1)?;
    Page::REPAIR.get(place).copied()
}

/// Exchanges, and says what was kept.
fn finish(
    context: &Context,
    home: Home,
    us: &Space,
    id: DocId,
    patience: &Patience,
    words: &str,
) -> Result<(), Failure> {
    let delivery = deliver(context, home, us, patience.timeout)?;
    context.out.data(
        &json!({"id": ids::text(id), "delivered": delivery.is_done()}),
        || ids::short(id),
    )?;
    delivery.told(context.out, words)
}
