//! From a request target to a path beneath the served folder.
//!
//! The first of two walls around the folder: dot segments are resolved here, by name, and one that
//! would climb out is refused. The second wall is in `site`, where the system resolves the path;
//! nothing there relies on this module having been careful.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// What stays as it is in a path segment of a URL; everything else is encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A decoded target: a relative path made of plain names only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    path: PathBuf,
    folder: bool,
    query: Option<String>,
}

/// Why a target names nothing that could be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TargetError {
    /// It is neither a path nor an `http` URL: 400.
    Form,
    /// It leads out of the folder: 400.
    Outside,
    /// No file can have that name here: 404.
    Name,
}

impl Target {
    /// Decodes a target in origin form (`/a/b?c`) or absolute form (`http://host/a/b?c`).
    pub(crate) fn parse(target: &str) -> Result<Self, TargetError> {
        if target.contains('#') {
            return Err(TargetError::Form);
        }
        let target = origin_form(target)?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut names: Vec<OsString> = Vec::new();
        let mut folder = true;
        for segment in path.split('/').skip(1) {
            let name: Vec<u8> = percent_decode_str(segment).collect();
            folder = matches!(name.as_slice(), b"" | b"." | b"..");
            match name.as_slice() {
                b"" | b"." => {}
                b".." => drop(names.pop().ok_or(TargetError::Outside)?),
                _ => names.push(file_name(name).ok_or(TargetError::Name)?),
            }
        }
        Ok(Target { path: names.iter().collect(), folder, query })
    }

    /// The path relative to the served folder; empty for the folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The target ends in a slash, as the address of a folder has to for relative links to work.
    pub(crate) fn names_folder(&self) -> bool {
        self.folder
    }

    /// The address of the folder of this name: always a path on this server, with the query kept.
    pub(crate) fn folder_url(&self) -> String {
        let mut url = String::from("/");
        for name in &self.path {
            url.push_str(&segment(name.as_encoded_bytes()));
            url.push('/');
        }
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(query);
        }
        url
    }
}

/// A file name as a segment of a URL.
pub(crate) fn segment(name: &[u8]) -> String {
    percent_encode(name, SEGMENT).to_string()
}

/// The path and query of a target.
fn origin_form(target: &str) -> Result<&str, TargetError> {
    if target.starts_with('/') {
        return Ok(target);
    }
    let authority = ["http://", "https://"]
        .iter()
        .find_map(|scheme| {
            let (head, rest) = target.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .ok_or(TargetError::Form)?;
    match authority.find(['/', '?']) {
        Some(0) => Err(TargetError::Form),
        Some(end) if authority[end..].starts_with('/') => Ok(&authority[end..]),
        // "http://host?query" and "http://host" ask for the root.
        Some(_) => Ok("/"),
        None if authority.is_empty() => Err(TargetError::Form),
        None => Ok("/"),
    }
}

/// A decoded segment as the name of a file: on Unix any bytes but the two that no name can hold.
#[cfg(unix)]
fn file_name(bytes: Vec<u8>) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;
    let name = !bytes.iter().any(|b| matches!(b, 0 | b'/'));
    name.then(|| OsString::from_vec(bytes))
}

/// A decoded segment as the name of a file: where names are Unicode and a colon or backslash leads
/// elsewhere.
#[cfg(not(unix))]
fn file_name(bytes: Vec<u8>) -> Option<OsString> {
    let name = String::from_utf8(bytes).ok()?;
    let plain = !name.contains(['\0', '/', '\\', ':']);
    plain.then(|| OsString::from(name))
}

#[cfg(test)]
mod tests {
    use std::path::{Component, MAIN_SEPARATOR};

    use proptest::prelude::*;

    use super::*;

    fn path(target: &str) -> (String, bool) {
        let target = Target::parse(target).unwrap_or_else(|why| panic!("{target}: {why:?}"));
        (target.path().to_str().unwrap().replace(MAIN_SEPARATOR, "/"), target.names_folder())
    }

    fn error(target: &str) -> TargetError {
        Target::parse(target).expect_err(target)
    }

    #[test]
    fn a_target_is_decoded_segment_by_segment() {
        assert_eq!(path("/"), (String::new(), true));
        assert_eq!(path("/a.txt"), ("a.txt".into(), false));
        assert_eq!(path("/a/b/"), ("a/b".into(), true));
        assert_eq!(path("/a%20b/%C3%A9"), ("a b/é".into(), false));
        assert_eq!(path("/a+b"), ("a+b".into(), false));
        assert_eq!(path("/100%"), ("100%".into(), false));
        assert_eq!(path("/%zz"), ("%zz".into(), false));
        assert_eq!(path("/%252e%252e"), ("%2e%2e".into(), false));
        assert_eq!(path("/a?b/../../c"), ("a".into(), false));
    }

    #[test]
    fn absolute_form_is_accepted_and_its_host_ignored() {
        assert_eq!(path("http://example.org/a"), ("a".into(), false));
        assert_eq!(path("HTTPS://example.org:1/a/"), ("a".into(), true));
        assert_eq!(path("http://example.org"), (String::new(), true));
        assert_eq!(path("http://example.org?q"), (String::new(), true));
    }

    #[test]
    fn dot_segments_are_resolved_and_none_climbs_out() {
        assert_eq!(path("/a/./b"), ("a/b".into(), false));
        assert_eq!(path("/a/../b"), ("b".into(), false));
        assert_eq!(path("/a/.."), (String::new(), true));
        assert_eq!(path("//a///b"), ("a/b".into(), false));
        assert_eq!(path("/..."), ("...".into(), false));
        for outside in ["/..", "/../", "/%2e%2e/", "/%2E./x", "/a/../../x", "/./..", "//..", "http://h/../x"] {
            assert_eq!(error(outside), TargetError::Outside, "{outside}");
        }
    }

    #[test]
    fn a_name_that_no_file_has_is_refused() {
        for name in ["/a%00", "/%00", "/a%2Fb", "/..%2f..%2fetc", "/%2fetc%2fpasswd"] {
            assert_eq!(error(name), TargetError::Name, "{name}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for form in ["*", "a", "host:80", "ftp://h/", "http://", "http:///a", "/a#b", "", "../a", "\\a"] {
            assert_eq!(error(form), TargetError::Form, "{form}");
        }
    }

    #[test]
    fn the_address_of_a_folder_stays_on_this_server() {
        let url = |target| Target::parse(target).unwrap().folder_url();
        assert_eq!(url("/a b"), "/a%20b/");
        assert_eq!(url("/a?x=y"), "/a/?x=y");
        assert_eq!(url("//example.org"), "/example.org/");
        assert_eq!(url("/%0d%0aSet-Cookie=x"), "/%0D%0ASet%2DCookie%3Dx/".replace("%2D", "-"));
        assert_eq!(url("/"), "/");
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_unicode() {
        use std::os::unix::ffi::OsStrExt;
        let target = Target::parse("/%ff%fe").unwrap();
        assert_eq!(target.path().as_os_str().as_bytes(), b"\xff\xfe");
    }

    proptest! {
        #[test]
        fn a_path_is_made_of_plain_names(target in "/([a.%/2eEfF0\\\\-]|\\.\\.|%2e|%2f){0,24}") {
            if let Ok(target) = Target::parse(&target) {
                prop_assert!(target.path().components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert!(!target.folder_url().starts_with("//"));
            }
        }

        #[test]
        fn an_encoded_name_decodes_to_itself(name in "[^/\0]{1,20}") {
            prop_assume!(name != "." && name != ".." && file_name(name.clone().into_bytes()).is_some());
            let target = Target::parse(&format!("/{}", segment(name.as_bytes()))).unwrap();
            prop_assert_eq!(target.path(), Path::new(&name));
        }
    }
}
