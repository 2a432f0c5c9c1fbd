//! C10: no handle starves another; timers and posts are served however busy one peer is.

use crate::support::{Case, cases};

pub(crate) fn tests() -> Vec<Case> {
    cases![]
}
