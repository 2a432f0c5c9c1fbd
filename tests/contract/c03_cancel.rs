//! C3: a cancel is never lost, and says what really happened; no descriptor is leaked.

use crate::support::{Case, cases};

pub(crate) fn tests() -> Vec<Case> {
    cases![]
}
