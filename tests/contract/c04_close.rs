//! C4: a close ends every operation in flight on its handle, and completes last.

use crate::support::{Case, cases};

pub(crate) fn tests() -> Vec<Case> {
    cases![]
}
