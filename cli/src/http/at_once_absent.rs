//! Where the system cannot tell whether a file's data is at hand, nothing is.

use std::fs::File;
use std::path::Path;

pub(crate) fn open<D>(_dir: D, _path: &Path) -> Option<File> {
    None
}
