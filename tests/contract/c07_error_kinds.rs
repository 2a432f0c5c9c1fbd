//! C7: the same event gives the same `io::ErrorKind` everywhere.

use crate::support::{Case, cases};

pub(crate) fn tests() -> Vec<Case> {
    cases![]
}
