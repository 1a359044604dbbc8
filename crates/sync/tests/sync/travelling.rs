//! How Only me travels: quietly or not at all, and over which relay.

use std::time::Duration;

use ajar_sync::{ConnectError, Connection, Error, Home, Invitation, SpaceKind, Travel};

use crate::honest::Honest;
use crate::host::Seen;
use crate::people::{
    OTHER_WORDS, WAIT, builder, called, open, pair, passphrase, person, until, write,
};

fn knocks(relay: &Honest) -> usize {
    Seen::count(&relay.host().seen.incoming)
}

fn is_off(result: &Result<impl Sized, Error>) -> bool {
    matches!(result, Err(Error::Connect(ConnectError::Off)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_only_me_that_stays_here_never_calls() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    assert_eq!(ana.home.private_travel().unwrap(), Travel::Quiet);
    let me = ana.me();
    me.connect().unwrap();
    until(&me, |c| matches!(c, Connection::Online { .. })).await;
    ana.home.set_private_travel(Travel::Off).await.unwrap();
    assert_eq!(me.status().unwrap().connection, Connection::Off);
    crate::people::eventually(|| Seen::count(&relay.host().seen.open) == 0).await;
    let before = knocks(&relay);
    assert!(is_off(&me.connect()));
    let refused = me.sync(WAIT).await;
    assert!(is_off(&refused));
    assert!(refused.unwrap_err().hint().is_some());
    // Also after opening anew, and whatever is written.
    let ana = ana.reopen();
    write(&ana.me(), "x");
    assert!(is_off(&ana.me().sync(WAIT).await));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(knocks(&relay), before);
    ana.home.set_private_travel(Travel::Quiet).await.unwrap();
    ana.me().sync(WAIT).await.unwrap();
    assert!(knocks(&relay) > before);
}

#[tokio::test]
async fn while_only_me_is_locked_nobody_decides_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let own = || builder(dir.path()).with_private_passphrase(passphrase(OTHER_WORDS));
    own().create(called("Ana", None)).unwrap();
    let home: Home = open(dir.path());
    let locked = |result: Result<(), Error>| matches!(result, Err(Error::PrivateLocked));
    assert!(locked(home.private_travel().map(drop)));
    assert!(locked(home.set_private_travel(Travel::Off).await));
    assert!(locked(home.daily_moment(0).map(drop)));
}

/// A minute drawn anew at each start would tell when somebody starts.
#[test]
fn the_daily_moment_is_the_same_after_starting_again() {
    const DAY: i64 = 86_400_000;
    let ana = person("Ana", None);
    let now = 20_000 * DAY + 7;
    let moment = ana.home.daily_moment(now).unwrap();
    assert!(moment > now && moment < now + 2 * DAY);
    let ana = ana.reopen();
    for later in [now, now + 1, moment - 1] {
        assert_eq!(ana.home.daily_moment(later).unwrap(), moment);
    }
    let next = ana.home.daily_moment(moment).unwrap();
    assert_eq!(next / DAY, moment / DAY + 1);
    assert_eq!(ana.home.daily_moment(moment + 1).unwrap(), next);
    // People do not all call at the same minute.
    let minutes: std::collections::BTreeSet<i64> = (1..20)
        .map(|day| ana.home.daily_moment(now + 7 * day * DAY).unwrap() % DAY)
        .collect();
    assert!(minutes.len() > 10, "{minutes:?}");
}

/// Ben's relay is Ben's choice: Ana's Only me does not go there because of it.
#[tokio::test(flavor = "multi_thread")]
async fn joining_over_another_relay_moves_only_what_is_shared() {
    let (hers, his) = (Honest::start(), Honest::seeded([43; 32]));
    let (ana, ben) = (
        person("Ana", Some(hers.address())),
        person("Ben", Some(his.address())),
    );
    pair(&ben.home, &ana.home).await;
    let key = |kind| ana.home.relay_of(kind).unwrap().key;
    assert_eq!(key(SpaceKind::Shared), his.address().key);
    assert_eq!(key(SpaceKind::Private), hers.address().key);
    ana.me().sync(WAIT).await.unwrap();
    ana.us().sync(WAIT).await.unwrap();
    assert_eq!(hers.logins(), 1);
    // Who had no relay at all uses the same one for both.
    let eva = person("Eva", None);
    let leo = person("Leo", Some(his.address()));
    pair(&leo.home, &eva.home).await;
    assert_eq!(
        eva.home.relay_of(SpaceKind::Private).unwrap().key,
        his.address().key
    );
}

/// The relay of the shared space may be Ben's own. It is not to see that Ana adds a device of
/// which nothing shows there.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_for_only_me_is_met_at_the_relay_of_only_me() {
    let (bens, own) = (Honest::start(), Honest::start());
    let ana = person("Ana", Some(bens.address()));
    let ben = person("Ben", Some(bens.address()));
    pair(&ana.home, &ben.home).await;
    let home = &ana.home;
    home.set_relay_of(SpaceKind::Private, own.address())
        .unwrap();
    ana.me().sync(WAIT).await.unwrap();
    let before = knocks(&bens);
    let (tell, told) = tokio::sync::oneshot::channel();
    let adding = home.add_device(
        &[SpaceKind::Private],
        WAIT,
        move |code| tell.send(code.invitation).unwrap(),
        |_| None,
    );
    let shown = tokio::select! {
        added = adding => panic!("nobody was there: {added:?}"),
        shown = told => shown.unwrap(),
    };
    let shown: Invitation = shown.parse().unwrap();
    assert_eq!(shown.relay().unwrap().key, own.address().key);
    assert_eq!(knocks(&bens), before);
}

/// Typing a code into another device takes longer than Only me stays open by itself.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_locked_while_a_device_is_being_added() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let home = &ana.home;
    home.set_idle(Some(Duration::from_millis(50)), None)
        .unwrap();
    let kinds = [SpaceKind::Private];
    let adding = home.add_device(&kinds, WAIT, |_| (), |_| None);
    tokio::select! {
        added = adding => panic!("nobody was there: {added:?}"),
        () = tokio::time::sleep(Duration::from_millis(2500)) => {}
    }
    assert!(home.is_private_unlocked());
    crate::people::eventually(|| !home.is_private_unlocked()).await;
}
