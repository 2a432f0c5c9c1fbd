//! The page that stands in for a folder without an `index.html`.
//!
//! `site` reads the folder into [`Entry`]s; this module only writes HTML. File names come from
//! whoever may write to the folder, so each one is escaped as text and percent-encoded as a link,
//! where it can be neither another scheme nor another host.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use html_escape::encode_text as text;
use jiff::Timestamp;

use super::target::segment;

/// The most entries on a page: what a worker holds in memory for one request stays bounded.
pub(crate) const ENTRY_LIMIT: usize = 10_000;

/// One line of the page.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    /// Length in bytes; `None` for a folder.
    pub(crate) length: Option<u64>,
    pub(crate) modified: Option<SystemTime>,
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8883;--dim:#888}\
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere;padding:0 .5rem}\
a{text-decoration:none}a:hover{text-decoration:underline}\
table{width:100%;border-collapse:collapse}\
th{text-align:left;font-weight:400;font-size:.85rem;color:var(--dim)}\
td,th{padding:.3rem .5rem;border-bottom:1px solid var(--line)}\
td:first-child{width:100%;overflow-wrap:anywhere}\
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
td.n{color:var(--dim)}\
p{color:var(--dim);font-size:.85rem;padding:0 .5rem}";

/// The page of the folder at `path`, relative to the served folder. `entries` come in any order;
/// `complete` is false if the folder holds more than them.
pub(crate) fn page(path: &Path, mut entries: Vec<Entry>, complete: bool) -> String {
    entries.sort_by_cached_key(|entry| {
        let name = entry.name.to_string_lossy().to_lowercase();
        (entry.length.is_some(), name, entry.name.clone())
    });

    let mut out = String::with_capacity(2048 + entries.len() * 192);
    let shown = Path::new("/").join(path);
    let title = shown.to_string_lossy();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{}</h1>\n",
        text(&title),
        breadcrumbs(path),
    );
    out.push_str(
        "<table>\n<thead><tr><th>Name</th><th class=\"n\">Size</th><th class=\"n\">Modified (UTC)</th></tr></thead>\n<tbody>\n",
    );
    if path.components().next().is_some() {
        out.push_str("<tr><td><a href=\"../\">../</a></td><td class=\"n\"></td><td class=\"n\"></td></tr>\n");
    }
    for entry in &entries {
        row(&mut out, entry);
    }
    out.push_str("</tbody>\n</table>\n");
    if !complete {
        let _ = writeln!(out, "<p>Only {} entries of this folder are shown.</p>", entries.len());
    } else if entries.is_empty() {
        out.push_str("<p>This folder is empty.</p>\n");
    }
    out.push_str("</body>\n</html>\n");
    out
}

/// Each folder on the way, as a link to it.
fn breadcrumbs(path: &Path) -> String {
    let names: Vec<&OsStr> = path.iter().collect();
    let link = |up: usize, name: &str| {
        let href = if up == 0 { "./".to_owned() } else { "../".repeat(up) };
        format!("<a href=\"{href}\">{}</a>", text(name))
    };
    let mut out = link(names.len(), "/");
    for (depth, name) in names.iter().enumerate() {
        out.push_str(&link(names.len() - 1 - depth, &name.to_string_lossy()));
        out.push('/');
    }
    out
}

fn row(out: &mut String, entry: &Entry) {
    let slash = if entry.length.is_none() { "/" } else { "" };
    let name = entry.name.to_string_lossy();
    let href = segment(entry.name.as_encoded_bytes());
    let size = entry.length.map(size).unwrap_or_default();
    let modified = entry
        .modified
        .and_then(|time| Timestamp::try_from(time).ok())
        .map(|time| time.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default();
    let _ = writeln!(
        out,
        "<tr><td><a href=\"{href}{slash}\">{}{slash}</a></td><td class=\"n\">{size}</td><td class=\"n\">{modified}</td></tr>",
        text(&name),
    );
}

/// A length with three digits or so, in the units of 1024 that file managers show.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].iter();
    let mut unit = "B";
    // 1023.5 would be shown as 1024.
    while value >= 1023.5 {
        let Some(next) = units.next() else { break };
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" || value >= 9.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn entry(name: &str, length: Option<u64>) -> Entry {
        Entry { name: name.into(), length, modified: Some(UNIX_EPOCH + Duration::from_secs(784_111_777)) }
    }

    fn links(page: &str) -> Vec<&str> {
        let body = page.split("<tbody>").nth(1).unwrap();
        body.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }

    #[test]
    fn folders_come_first_and_names_are_sorted_without_case() {
        let entries = ["b", "A", "c"].map(|name| entry(name, Some(1)));
        let folders = ["z", "Y"].map(|name| entry(name, None));
        let page = page(Path::new(""), [&entries[..], &folders[..]].concat(), true);
        assert_eq!(links(&page), ["Y/", "z/", "A", "b", "c"]);
    }

    #[test]
    fn a_name_can_be_neither_markup_nor_another_address() {
        let names = ["<script>alert(1)</script>", "\"onload=x", "javascript:alert(1)", "a&b #?%", "x\r\ny", "//host"];
        let page = page(Path::new("<b>/'"), names.map(|name| entry(name, Some(1))).to_vec(), true);
        assert!(!page.contains("<script>") && !page.contains("<b>"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        for link in links(&page).into_iter().skip(1) {
            assert!(!link.contains([':', '"', '<', '&', '#', '?', '\r', '\n', '/', ' ']), "{link}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_unicode_still_has_a_working_link() {
        use std::os::unix::ffi::OsStringExt;
        let name = OsString::from_vec(b"\xff".to_vec());
        let page = page(Path::new(""), vec![Entry { name, length: Some(0), modified: None }], true);
        assert_eq!(links(&page), ["%FF"]);
    }

    #[test]
    fn a_folder_below_the_root_leads_back_up() {
        let page = page(Path::new("a/b"), Vec::new(), true);
        assert_eq!(links(&page), ["../"]);
        assert!(page.contains("<h1><a href=\"../../\">/</a><a href=\"../\">a</a>/<a href=\"./\">b</a>/</h1>"));
        assert!(page.contains("This folder is empty."));
    }

    #[test]
    fn a_page_says_when_it_does_not_show_everything() {
        let page = page(Path::new(""), vec![entry("a", Some(1))], false);
        assert!(page.contains("Only 1 entries"));
    }

    #[test]
    fn sizes_and_times_are_short() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024, "10 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        let page = page(Path::new(""), vec![entry("a", Some(1))], true);
        assert!(page.contains(">1994-11-06 08:49<"));
    }
}
