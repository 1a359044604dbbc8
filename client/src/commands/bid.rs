//! `ajar bid` and `ajar answer`: small requests that fade, and answers that stay.

use ajar_journal::conversation::next_turn;
use ajar_journal::record;
use ajar_journal::records::{Bid, BidAnswer};
use ajar_journal::schema::Kind;
use ajar_journal::text::displayable_line;
use ajar_sync::{Error, Home, Space, SpaceKind};
use serde_json::Value;

use super::doors;
use super::receiving::{finish, send, text_if};
use crate::between::{self, StandingBid};
use crate::cli::{AnswerBid, MakeBid};
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::{dates, fading, ids, terminal};

pub(crate) fn run(context: &Context, args: &MakeBid) -> Result<(), Failure> {
    let Some(sort) = args.kind else {
        return list(context, Author::Me, "None of yours stands just now.");
    };
    let home = context.open_home(Need::Home)?;
    let us = doors::shared(&home)?;
    let bid = Bid {
        sort,
        text: text_if(&args.text, "In a few words:")?,
        wish: args.wish,
        fades_at_ms: Bid::fades_after(dates::now_ms(), args.fade),
        on: dates::today(),
    };
    let document = fading::new_document(&us, &bid.on)?;
    let id = document.id();
    document.change(move |tx| record::create(tx, &bid))?;
    finish(context, home, &us, id, Kind::Bid.as_str(), args.wait)
}

pub(crate) fn answer(context: &Context, args: &AnswerBid) -> Result<(), Failure> {
    let (Some(typed), Some(answer)) = (&args.bid, args.kind) else {
        return list(
            context,
            Author::Partner,
            "Nothing waits for an answer just now.",
        );
    };
    let home = context.open_home(Need::Home)?;
    let us = doors::shared(&home)?;
    let bid = find(&us, typed)?;
    let record = BidAnswer {
        about: ids::text(bid.id),
        answer,
        at: terminal::given_or_asked_if(args.at.as_deref(), "When?")?,
        text: text_if(&args.text, "Your answer:")?,
        on: dates::today(),
        turn: next_turn(bid.answers.iter().map(|one| one.record.turn)),
    };
    send(context, home, &us, record, args.wait)
}

/// The bid that is meant: the partner's, or one's own to go on talking. A faded one is as if it had
/// never been, unless somebody answered in time.
fn find(us: &Space, typed: &str) -> Result<StandingBid, Failure> {
    let prefix = ids::Prefix::parse(typed)?;
    let bids = between::bids(us, dates::now_ms())?;
    let id = prefix.only(bids.iter().map(|bid| bid.id))?;
    let found = bids.into_iter().find(|bid| Some(bid.id) == id);
    found.ok_or_else(|| prefix.not_found(false))
}

fn list(context: &Context, author: Author, nothing: &str) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let standing = standing(&home, author)?;
    home.close()?;
    let values: Vec<Value> = standing.iter().map(StandingBid::to_json).collect();
    if standing.is_empty() && !out.json {
        out.talk(nothing);
        return Ok(());
    }
    out.data(&values, || {
        let lines = standing.iter().map(|bid| words(bid, &names));
        lines.collect::<Vec<_>>().join("\n")
    })
}

fn standing(home: &Home, author: Author) -> Result<Vec<StandingBid>, Failure> {
    let us = match home.space(SpaceKind::Shared) {
        Err(Error::NotPaired) => return Ok(Vec::new()),
        other => other?,
    };
    let mut standing = between::standing_bids(&us, dates::now_ms())?;
    standing.retain(|bid| bid.author == author);
    Ok(standing)
}

fn words(bid: &StandingBid, names: &Names) -> String {
    let wish = match bid.bid.wish {
        ajar_journal::records::When::Now => " (now, if you can)",
        ajar_journal::records::When::Tonight => " (tonight would be good)",
        ajar_journal::records::When::Whenever => "",
    };
    let mut lines = vec![format!("{}  {}{wish}", ids::short(bid.id), bid.words())];
    for kept in &bid.answers {
        let record = &kept.record;
        let mut line = format!(
            "          {}: {}",
            names.name(kept.author),
            record.answer.in_words()
        );
        if let Some(at) = &record.at {
            line += &format!(" {}", displayable_line(at));
        }
        if let Some(text) = &record.text {
            line += &format!(". {}", displayable_line(text));
        }
        lines.push(line);
    }
    lines.join("\n")
}
