//! The soak: many operations with random cancels, closes and resets; everything is accounted for at the end.

use crate::support::{Case, cases};

pub(crate) fn tests() -> Vec<Case> {
    cases![]
}
