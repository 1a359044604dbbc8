//! `ajar tune`: both place a point for today before either sees the other's.

use ajar_journal::Point;
use ajar_journal::records::Topic;
use serde_json::{Value, json};

use super::deliver::exchanged;
use super::doors;
use super::receiving::text_if;
use super::together::{self, Seals};
use crate::cli::TuneIn;
use crate::context::{Context, Need};
use crate::names::Names;
use crate::report::Failure;
use crate::{dates, terminal};

pub(crate) fn run(context: &Context, args: &TuneIn) -> Result<(), Failure> {
    let point = args.point.as_deref();
    let point: Option<Point> = point
        .map(|typed| terminal::given_or_asked(Some(typed), "How pleasant, how lively (V,A):"))
        .transpose()?
        .map(|typed| typed.parse())
        .transpose()
        .map_err(|error: ajar_journal::point::NoPoint| Failure::fixable("bad-point", error))?;
    let need = match point {
        Some(_) => Need::Private,
        None => Need::Home,
    };
    let home = context.open_home(need)?;
    let us = doors::shared(&home)?;
    let topic = Topic::Tune(dates::today());
    let mut delivered = Ok(());
    if let Some(point) = point {
        if Seals::of(&us)?.has_own(&topic) {
            return Err(Failure::fixable("tuned-in", "You have tuned in today.")
                .hint("`ajar tune` shows it when both of you have."));
        }
        let line = text_if(&args.line, "One line:")?;
        together::seal(&home, &us, topic.clone(), line, Some(point))?;
        together::show_due(&home)?;
        delivered = exchanged(context, &home, &us, args.wait.timeout);
    }
    let seals = Seals::of(&us)?;
    let (seen, tuned_in) = (seals.seen(&topic), seals.has_own(&topic));
    let names = Names::of(&home);
    home.close()?;
    let mut value = seen.to_json();
    if let Value::Object(fields) = &mut value {
        fields.remove("sealed");
        fields.insert("day".to_owned(), json!(dates::today()));
        fields.insert("tuned_in".to_owned(), json!(tuned_in));
        if point.is_some() {
            fields.insert("delivered".to_owned(), json!(delivered.is_ok()));
        }
    }
    context.out.data(&value, || {
        let lines = seen.lines(&names);
        match (lines.is_empty(), tuned_in) {
            (false, _) => lines.join("\n"),
            (true, true) => "You have tuned in.".to_owned(),
            (true, false) => "Where are you today? ajar tune V,A".to_owned(),
        }
    })?;
    delivered
}
