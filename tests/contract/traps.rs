//! The known traps of the design that concern Linux, one test each.

use crate::support::{Case, cases};

pub(crate) fn tests() -> Vec<Case> {
    cases![]
}
