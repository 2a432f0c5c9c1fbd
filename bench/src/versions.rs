//! What was measured: versions of the peers, as they were built in, and of the programs that were run.

use std::process::Command;

use crate::server;

/// The crates that the report names.
const CRATES: &[&str] = &["mio", "polling", "tokio", "compio", "monoio", "smol", "a10", "io-uring"];

/// Name and version of everyone.
pub(crate) fn all() -> Vec<(String, String)> {
    let mut versions: Vec<(String, String)> = Vec::new();
    for name in CRATES {
        versions.extend(locked(include_str!("../Cargo.lock"), name).map(|version| ((*name).to_owned(), version)));
    }
    versions.extend(server::native_versions().into_iter().map(|(name, version)| (name.to_owned(), version)));
    for (program, flag, before) in [("nginx", "-v", "nginx/"), ("wrk", "-v", "wrk ")] {
        versions.extend(told(program, flag, before).map(|version| (program.to_owned(), version)));
    }
    versions
}

/// The newest version of a crate in a lock file.
fn locked(lock: &str, name: &str) -> Option<String> {
    let packages = lock.split("[[package]]");
    let wanted = format!("name = \"{name}\"");
    let versions = packages.filter(|package| package.lines().any(|line| line == wanted)).filter_map(|package| {
        let line = package.lines().find_map(|line| line.strip_prefix("version = "))?;
        Some(line.trim_matches('"').to_owned())
    });
    // They are sorted, and the newest is what this package itself asks for.
    versions.last()
}

/// The word after `before` in what a program prints.
fn told(program: &str, flag: &str, before: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let (_, rest) = text.split_once(before)?;
    rest.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_that_is_named_is_in_the_lock_file() {
        for name in CRATES {
            assert!(locked(include_str!("../Cargo.lock"), name).is_some(), "{name}");
        }
    }

    #[test]
    fn of_two_versions_the_newest_counts() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"a\"\nversion = \"2.0.0\"\n";
        assert_eq!(locked(lock, "a").as_deref(), Some("2.0.0"));
        assert_eq!(locked(lock, "b"), None);
    }
}
