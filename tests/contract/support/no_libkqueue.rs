//! What only libkqueue, on Linux, does otherwise: nothing here.

use anyport::Backend;

use crate::support::calls::Calls;

pub(crate) fn is_libkqueue(_: Backend) -> bool {
    false
}

pub(crate) fn skip_on_libkqueue(_: Backend, _: &str) {}

pub(crate) fn skip_where_ends_are_forgotten(_: Backend) {}

pub(crate) fn without_libkqueue(_: Backend, calls: Calls) -> Calls {
    calls
}

pub(crate) fn settle_libkqueue() {}
