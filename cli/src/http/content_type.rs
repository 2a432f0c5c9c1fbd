//! The media type of a file, by its name.

use std::path::Path;

/// What a file whose name says nothing is.
const UNKNOWN: &str = "application/octet-stream";

/// The value of `Content-Type` for a file of this name. Text is said to be UTF-8; formats that
/// state their own encoding (XML, JSON, SVG) are left to do so.
pub(crate) fn content_type(path: &Path) -> String {
    let Some(mime) = mime_guess::from_path(path).first_raw() else {
        return UNKNOWN.to_owned();
    };
    match mime {
        // RFC 9239 leaves one name for it.
        "application/javascript" | "application/x-javascript" => "text/javascript; charset=utf-8".to_owned(),
        "text/xml" => mime.to_owned(),
        _ if mime.starts_with("text/") => format!("{mime}; charset=utf-8"),
        _ => mime.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_with_its_charset_and_the_rest_without() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("A.HTML", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.wasm", "application/wasm"),
            ("a.tar.gz", "application/gzip"),
            ("LICENSE", "application/octet-stream"),
            (".gitignore", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(name)), expected, "{name}");
        }
    }
}
