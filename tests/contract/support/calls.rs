//! What a thread called, by name, as `count` of each system tells it.

use std::collections::BTreeMap;
use std::fmt;

/// How often each call was made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls(BTreeMap<String, u64>);

impl Calls {
    /// How often the call `name` (`recvfrom`, `epoll_wait`) was made.
    pub(crate) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// How often any of `names` was made: for a call that has several forms.
    pub(crate) fn of_any(&self, names: &[&str]) -> u64 {
        names.iter().map(|name| self.of(name)).sum()
    }

    /// All calls together.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The calls that are none of `names`: what must be empty when nothing else was to be called.
    pub(crate) fn except(&self, names: &[&str]) -> Calls {
        let others = self.0.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        Calls(others.map(|(name, &times)| (name.clone(), times)).collect())
    }
}

impl FromIterator<(String, u64)> for Calls {
    fn from_iter<I: IntoIterator<Item = (String, u64)>>(calls: I) -> Calls {
        Calls(calls.into_iter().collect())
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<_> = self.0.iter().map(|(name, times)| format!("{name} x {times}")).collect();
        write!(f, "{}", each.join(", "))
    }
}
