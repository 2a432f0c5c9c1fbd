//! Files, as every system has them.

use std::fs;
use std::path::Path;

/// Marks a file as one that may only be read, or takes the mark back.
pub(crate) fn set_readonly(path: &Path, on: bool) {
    let mut permissions = fs::metadata(path).expect("its metadata").permissions();
    permissions.set_readonly(on);
    fs::set_permissions(path, permissions).expect("mark the file");
}
