//! C2: a lent buffer is touched by nobody but the system, and comes back on success, error and cancel alike.

use crate::support::{Case, cases};

pub(crate) fn tests() -> Vec<Case> {
    cases![]
}
