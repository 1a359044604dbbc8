//! The plots about both: from what both have shown in Us, while both have them on.

use std::collections::{BTreeMap, BTreeSet};

use ajar_journal::insight::joys::Joy;
use ajar_journal::insight::map::{self, Spot, Whose};
use ajar_journal::insight::weather::SharedWeather;
use ajar_journal::insight::{Insight, joys, weather};
use ajar_journal::query::Item;
use ajar_journal::questions::{Depth, Told};
use ajar_journal::records::{Choices, Response, ResponseSort, Topic};
use ajar_sync::Home;
use serde_json::json;

use super::super::deliver::exchanged;
use super::super::doors;
use super::super::map::view::View;
use super::super::together::Seals;
use super::Asked;
use crate::cli::{OursChoice, Switch};
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::{between, dates, shelf};

/// Names and questions, in the order they are listed in.
pub(super) fn all() -> [(&'static str, &'static str); 4] {
    let [mine, theirs] = [Whose::Mine, Whose::Theirs].map(|whose| (whose.name(), whose.title()));
    [
        (weather::NAME, weather::TITLE),
        mine,
        theirs,
        (joys::NAME, joys::TITLE),
    ]
}

/// Has the plots about both, or not. Nothing but that is told to the other.
pub(super) fn choose(context: &Context, args: &OursChoice) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let us = doors::shared(&home)?;
    let today = dates::today();
    let wanted = args.choice == Switch::On;
    let before = between::own_choices(&us)?.unwrap_or(Choices {
        on_this_day: false,
        heavy_days: false,
        ours: false,
        deep_in_week_of: None,
        on: today.clone(),
    });
    let mut delivered = Ok(());
    if before.ours != wanted {
        // The day stays: it says since when somebody wants deep questions.
        let on = match before.deep_in_week_of {
            Some(_) => before.on.clone(),
            None => today,
        };
        let choices = Choices {
            ours: wanted,
            on,
            ..before
        };
        shelf::set(&us, between::CHOICES, choices)?;
        delivered = exchanged(context, &home, &us, args.wait.timeout);
    }
    let both = between::both_want_ours(&us)?;
    home.close()?;
    let value = json!({"ours": wanted, "both": both, "delivered": delivered.is_ok()});
    context.out.data(&value, || match (wanted, both) {
        (true, true) => "On. `ajar insight` lists what there is to look at together.".to_owned(),
        (true, false) => "On for you. They are there while both of you have them on.".to_owned(),
        (false, _) => "Off, for both of you.".to_owned(),
    })?;
    delivered
}

/// Whether both have them on. Without a partner there is no both.
pub(super) fn are_on(home: &Home) -> Result<bool, Failure> {
    match home.space(ajar_sync::SpaceKind::Shared) {
        Ok(us) => between::both_want_ours(&us),
        Err(ajar_sync::Error::NotPaired) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The plot of a name; `None` if it is none of these.
pub(super) fn plot(home: &Home, name: &str, asked: &Asked) -> Result<Option<Insight>, Failure> {
    let whose = [Whose::Mine, Whose::Theirs].into_iter();
    let whose = whose.clone().find(|whose| whose.name() == name);
    let plot = match (name, whose) {
        (_, Some(whose)) => {
            let spots = spots(home, whose, asked)?;
            let period = asked.period(spots.iter().filter_map(|spot| spot.on.as_deref()))?;
            map::plot(&spots, whose, &period)
        }
        (weather::NAME, _) => {
            let days = days(home)?;
            let names = Names::of(home);
            let period = asked.period(days.iter().map(|one| one.day.as_str()))?;
            weather::plot(&days, [names.own(), names.partner()], &period)
        }
        (joys::NAME, _) => {
            let joys = celebrated(home)?;
            let period = asked.period(joys.iter().map(|one| one.day.as_str()))?;
            joys::plot(&joys, &period)
        }
        _ => return Ok(None),
    };
    Ok(Some(plot))
}

/// Days on which both tuned in and both points are shown.
fn days(home: &Home) -> Result<Vec<SharedWeather>, Failure> {
    let seals = Seals::of(&doors::shared(home)?)?;
    let topics = seals.told(Author::Me).into_iter();
    let days: BTreeSet<&str> = topics
        .filter_map(|(topic, _)| match topic {
            Topic::Tune(day) => Some(day.as_str()),
            _ => None,
        })
        .collect();
    let both = days.into_iter().filter_map(|day| {
        let seen = seals.seen(&Topic::Tune(day.to_owned()));
        // Two devices may each have tuned in: the last by id, the same on every device.
        let point = |shown: &[(String, ajar_journal::records::Shown)]| {
            let with = shown.iter().filter_map(|(id, one)| Some((id, one.point?)));
            with.max_by_key(|(id, _)| *id).map(|(_, point)| point)
        };
        Some(SharedWeather {
            day: day.to_owned(),
            mine: point(&seen.mine)?,
            theirs: point(&seen.theirs)?,
        })
    });
    Ok(both.collect())
}

/// What one of them told of themselves, as the other may know it.
fn spots(home: &Home, whose: Whose, asked: &Asked) -> Result<Vec<Spot>, Failure> {
    let view = View::of(home)?;
    let author = match whose {
        Whose::Mine => Author::Me,
        Whose::Theirs => Author::Partner,
    };
    let mut told: BTreeMap<String, String> = view.told_by(author, false);
    told.retain(|_, on| asked.holds(on));
    let spots = view.flower(&told).filter_map(|(question, state, on)| {
        // Nobody is shown a gap where it is deepest.
        if question.depth == Depth::Deep && state == Told::Hollow {
            return None;
        }
        Some(Spot {
            theme: question.theme,
            depth: question.depth,
            told: state,
            on: on.cloned(),
            text: question.text.clone(),
        })
    });
    Ok(spots.collect())
}

/// What one opened and the other answered by celebrating it, or by living it again.
fn celebrated(home: &Home) -> Result<Vec<Joy>, Failure> {
    let us = doors::shared(home)?;
    let glad = shelf::all::<Response>(&us)?.into_iter().filter(|kept| {
        matches!(
            kept.record.sort,
            ResponseSort::Celebrate | ResponseSort::Relive
        )
    });
    let glad: BTreeSet<(String, bool)> = glad
        .map(|kept| (kept.record.about, kept.author == Author::Me))
        .collect();
    let openings = super::openings(&us)?.into_iter();
    let joys = openings.filter_map(|(id, author, opening)| {
        // By the other, that is: nobody celebrates both sides.
        let by_me = author == Author::Me;
        glad.contains(&(id.clone(), !by_me)).then(|| Joy {
            day: opening.date.clone(),
            title: Item::of_opening(id, &opening).heading(),
        })
    });
    Ok(joys.collect())
}
