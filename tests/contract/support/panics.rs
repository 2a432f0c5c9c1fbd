//! A panic that a test expects: caught, and kept out of the log, where its message and backtrace would look like a failure.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// What the panic that ends `body` carries. Panics of other threads are printed as ever.
#[track_caller]
pub(crate) fn expect_panic(what: &str, body: impl FnOnce()) -> Box<dyn Any + Send> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                loud(panic);
            }
        }));
    });
    EXPECTED.set(true);
    let end = catch_unwind(AssertUnwindSafe(body));
    EXPECTED.set(false);
    end.err().unwrap_or_else(|| panic!("no panic: {what}"))
}
