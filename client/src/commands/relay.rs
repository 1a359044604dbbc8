//! `ajar relay`: which relay this journal uses, and whether Only me travels.

use ajar_journal::text::displayable_line;
use ajar_sync::{AddressError, ConnectError, Error, Home, Moved, RelayAddress, SpaceKind, Travel};
use serde_json::json;

use crate::cli::{AcceptRelay, MoveRelay, Relay, RelayCommand};
use crate::context::{Context, Need};
use crate::names::{Names, space_word};
use crate::report::Failure;
use crate::terminal;

pub(crate) fn run(context: &Context, args: &Relay) -> Result<(), Failure> {
    match &args.command {
        RelayCommand::Show => show(context),
        RelayCommand::Move(args) => set(context, args),
        RelayCommand::Accept(args) => accept(context, args),
        RelayCommand::Off => travel(context, Travel::Off),
        RelayCommand::On => travel(context, Travel::Quiet),
    }
}

/// The claim is a secret of the invitation; the address without it can be read out loud.
pub(super) fn open_text(relay: &RelayAddress) -> String {
    displayable_line(&relay.without_claim().to_string())
}

fn show(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let address = home.relay().as_ref().map(open_text);
    let me = home.relay_of(SpaceKind::Private).as_ref().map(open_text);
    let travel = home.private_travel().ok();
    let offered = home.relay_offered().as_ref().map(open_text);
    home.close()?;
    if out.json {
        let travel = travel.map(|travel| travel == Travel::Quiet);
        return out.json(
            &json!({"address": address, "me": me, "me_travels": travel, "offered": offered}),
        );
    }
    match &address {
        Some(address) => out.plain(address)?,
        None => out.talk("No relay is set up. What you write is kept on this device only."),
    }
    if me.is_some() && me != address {
        out.talk(format!("Only me: {}", me.unwrap_or_default()));
    }
    if travel == Some(Travel::Off) {
        out.talk("Only me is kept on this device only.");
    }
    if let Some(offered) = offered {
        out.talk(offer(&names, &offered));
    }
    Ok(())
}

/// What the partner offers, in words.
pub(super) fn offer(names: &Names, offered: &str) -> String {
    format!(
        "{} has moved to another relay: {offered}. Ask whether that is so, then `ajar relay accept`, or stay: `ajar relay accept --no`.",
        names.partner()
    )
}

fn set(context: &Context, args: &MoveRelay) -> Result<(), Failure> {
    let out = context.out;
    let address = terminal::given_or_asked(Some(&args.address), "Address of the relay:")?;
    let relay: RelayAddress = address
        .parse()
        .map_err(|error: AddressError| Failure::fixable("bad-relay", error))?;
    let (which, need) = match (args.me, args.us) {
        (true, _) => (Some(SpaceKind::Private), Need::Private),
        (_, true) => (Some(SpaceKind::Shared), Need::Home),
        // Both get the address, so both must be open.
        _ => (None, Need::Private),
    };
    let home = context.open_home(need)?;
    let paired = home.partner_name().is_some() && !args.me;
    let moved = context.block_on(home.move_relay(which, &relay, args.timeout));
    let names = Names::of(&home);
    home.close()?;
    tell(context, &relay, &moved.map_err(explain)?)?;
    if paired {
        out.talk(format!(
            "{} is asked before their devices follow.",
            names.partner()
        ));
    }
    Ok(())
}

/// A relay that does not answer changes nothing.
fn explain(error: Error) -> Failure {
    let away = matches!(&error, Error::Connect(why) if matches!(
        why,
        ConnectError::Unreachable(_) | ConnectError::TimedOut | ConnectError::Lost | ConnectError::Busy
    ));
    let failure = Failure::from(error);
    if away {
        failure.hint("Nothing was changed: the new relay has to answer first. Check its address and try again.")
    } else {
        failure
    }
}

fn tell(context: &Context, relay: &RelayAddress, moved: &Moved) -> Result<(), Failure> {
    let out = context.out;
    let spaces: Vec<&str> = moved.spaces.iter().copied().map(space_word).collect();
    let shown = open_text(relay);
    out.data(
        &json!({"address": shown, "spaces": spaces, "told": moved.told}),
        || shown.clone(),
    )?;
    if moved.told {
        out.talk(
            "Everything that is kept here is at the new relay, and word is left at the old one.",
        );
    } else {
        out.talk(
            "Everything that is kept here is at the new relay. No word could be left at an old one: your other\n\
             devices, and your partner, have to be told the address: `ajar relay move ADDRESS` there.",
        );
    }
    Ok(())
}

fn accept(context: &Context, args: &AcceptRelay) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let Some(offered) = home.relay_offered() else {
        home.close()?;
        return Err(Failure::fixable(
            "nothing-offered",
            "Your partner has not moved to another relay.",
        )
        .hint("If they have just done it, `ajar sync` brings the word."));
    };
    if args.no {
        home.decline_relay_offer()?;
        home.close()?;
        return out.data(&json!({"declined": open_text(&offered)}), || {
            "You stay where you are; it is not offered again.".to_owned()
        });
    }
    sure(context, args.yes, &names, &offered)?;
    let moved = context.block_on(home.accept_relay_offer(args.timeout));
    home.close()?;
    match moved.map_err(explain)? {
        Some(moved) => tell(context, &offered, &moved),
        None => Err(Failure::fixable(
            "nothing-offered",
            "The offer is gone; nothing was changed.",
        )),
    }
}

fn sure(
    context: &Context,
    yes: bool,
    names: &Names,
    offered: &RelayAddress,
) -> Result<(), Failure> {
    terminal::confirmable(yes, "Whether you go to another relay is for you to say")?;
    if yes {
        return Ok(());
    }
    context.out.insist(format!(
        "{} has moved Us to {}. Whoever runs a relay sees when you are there and how much travels, and never\n\
         what you write. Only me stays where it is.",
        names.partner(),
        open_text(offered)
    ));
    if terminal::agrees("Go there too?")? {
        return Ok(());
    }
    Err(Failure::fixable("not-confirmed", "You stay where you are."))
}

fn travel(context: &Context, travel: Travel) -> Result<(), Failure> {
    let out = context.out;
    let home: Home = context.open_home(Need::Private)?;
    context.block_on(home.set_private_travel(travel))?;
    home.close()?;
    let off = travel == Travel::Off;
    out.data(&json!({"me_travels": !off}), || {
        if off {
            "Only me stays on this device from now on.".to_owned()
        } else {
            "Only me travels again, sealed.".to_owned()
        }
    })?;
    out.talk(if off {
        "What the relay has of it stays there, sealed. If this device is lost, so is what is only here."
    } else {
        "`ajar sync` brings it to the relay now."
    });
    Ok(())
}
