//! Panics without noise: the product catches those of the libraries that it does not trust, so
//! that one is a finding only if it comes out.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The engine of the log's index, on a thread of its own: the index is made anew then.
fn of_the_index(info: &PanicHookInfo<'_>) -> bool {
    let place = info.location();
    place.is_some_and(|place| place.file().contains("sled-"))
}

/// Notes where and why instead of printing it, on threads that ask for that.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if LISTENING.get() {
                LAST.with_borrow_mut(|last| *last = info.to_string());
            } else if !of_the_index(info) {
                before(info);
            }
        }));
    });
}

/// What `run` gives, or what the panic that comes out of it says.
pub(super) fn of<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    install();
    let before = LISTENING.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    LISTENING.set(before);
    outcome.map_err(|_| LAST.with_borrow(Clone::clone))
}
