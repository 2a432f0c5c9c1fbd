//! The served folder: from a path to an open file, a listing, or a refusal.
//!
//! Everything here blocks and therefore runs on the port's blocking pool. The folder is opened
//! once; every path is resolved beneath that descriptor by `cap-std` (on Linux `openat2` with
//! `RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS`), so a symlink that leads outside is refused by the
//! system in the very call that opens the file: there is no moment between check and use. An
//! absolute symlink counts as leading outside, wherever it points.
//!
//! Only regular files are opened. A FIFO or device is refused by its metadata, before anything is
//! opened that a reader could disturb; should it take a file's place just then, the open does not
//! wait for a writer and the second look refuses it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_fs_ext::OpenOptionsSyncExt;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use http::StatusCode;

use super::at_once;
use super::content_type::content_type;
use super::listing::{self, Entry};
use super::target::Target;

/// The file that stands for its folder.
const INDEX: &str = "index.html";

/// A folder that is open for serving.
#[derive(Debug)]
pub(crate) struct Site {
    dir: Dir,
}

/// What there is under a target.
#[derive(Debug)]
pub(crate) enum Found {
    /// An open regular file, and what there is to know about it.
    File(File, Document),
    /// A folder whose address needs a slash at its end: this one.
    Moved(String),
    /// The page of a folder.
    Listing(String),
}

/// What the head of an answer with a file is written from.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) length: u64,
    pub(crate) modified: Option<SystemTime>,
    pub(crate) content_type: String,
}

impl Site {
    /// Opens the folder at `path`. Fails with `NotADirectory` on anything else.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        // The descriptor may have been opened without the right to read from it; find out now.
        dir.entries()?;
        Ok(Site { dir })
    }

    /// Looks up a target as far as that takes no waiting. `None`: [`find`](Self::find) will tell.
    pub(crate) fn find_at_once(&self, target: &Target) -> Option<(File, Document)> {
        if target.names_folder() {
            return None;
        }
        let file = at_once::open(&self.dir, target.path())?;
        describe(&file, target.path()).ok().map(|document| (file, document))
    }

    /// Looks up a target. Blocks.
    pub(crate) fn find(&self, target: &Target) -> io::Result<Found> {
        let path = target.path();
        let below = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let metadata = self.dir.metadata(below)?;
        if !metadata.is_dir() {
            // "/a.txt/" names an entry of a.txt, which is no folder.
            return match target.names_folder() {
                true => Err(ErrorKind::NotFound.into()),
                false => self.document(path),
            };
        }
        if !target.names_folder() {
            return Ok(Found::Moved(target.folder_url()));
        }
        let index = path.join(INDEX);
        match self.dir.metadata(&index) {
            Ok(metadata) if !metadata.is_dir() => self.document(&index),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => self.listing(path, below).map(Found::Listing),
        }
    }

    fn document(&self, path: &Path) -> io::Result<Found> {
        if !self.dir.metadata(path)?.is_file() {
            return Err(not_a_file());
        }
        let mut options = OpenOptions::new();
        options.read(true).nonblock(true);
        let file = self.dir.open_with(path, &options)?.into_std();
        let document = describe(&file, path)?;
        wait_for_data(&file)?;
        Ok(Found::File(file, document))
    }

    fn listing(&self, path: &Path, below: &Path) -> io::Result<String> {
        let mut entries = Vec::new();
        let mut complete = true;
        for entry in self.dir.read_dir(below)? {
            let entry = entry?;
            let name = entry.file_name();
            // A link is shown as what it leads to. What cannot be served (a link that leads nowhere
            // or outside, a FIFO) is not shown.
            let full: PathBuf = path.join(&name);
            let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let metadata = if link { self.dir.metadata(&full) } else { entry.metadata() };
            let Ok(metadata) = metadata else { continue };
            if !metadata.is_dir() && !metadata.is_file() {
                continue;
            }
            if entries.len() == listing::ENTRY_LIMIT {
                complete = false;
                break;
            }
            entries.push(Entry {
                name,
                length: metadata.is_file().then(|| metadata.len()),
                modified: metadata.modified().ok().map(|time| time.into_std()),
            });
        }
        Ok(listing::page(path, entries, complete))
    }
}

/// What there is to know about a file that was opened, if it is a regular one.
fn describe(file: &File, path: &Path) -> io::Result<Document> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(not_a_file());
    }
    Ok(Document { length: metadata.len(), modified: metadata.modified().ok(), content_type: content_type(path) })
}

fn not_a_file() -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, "not a regular file")
}

/// Takes back the non-blocking mode that the file was opened in: io_uring would otherwise fail a
/// read of a page that is not in memory with `EAGAIN` on file systems that cannot read ahead of
/// time.
#[cfg(unix)]
pub(crate) fn wait_for_data(file: impl std::os::fd::AsFd) -> io::Result<()> {
    Ok(rustix::fs::fcntl_setfl(file, rustix::fs::OFlags::empty())?)
}

/// Files have no non-blocking mode here.
#[cfg(not(unix))]
pub(crate) fn wait_for_data(_file: &File) -> io::Result<()> {
    Ok(())
}

/// The status and one sentence for a lookup that failed. 5xx is the server's own trouble and worth
/// a line on stderr.
pub(crate) fn refusal(error: &io::Error) -> (StatusCode, &'static str) {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename | ErrorKind::InvalidInput => {
            (StatusCode::NOT_FOUND, "There is nothing here.")
        }
        ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, "This may not be read."),
        _ if is_symlink_loop(error) => (StatusCode::NOT_FOUND, "There is nothing here."),
        _ if is_exhaustion(error) => (StatusCode::SERVICE_UNAVAILABLE, "The server is out of resources; try again."),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "The server could not read this."),
    }
}

#[cfg(unix)]
fn is_symlink_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(not(unix))]
fn is_symlink_loop(_error: &io::Error) -> bool {
    false
}

#[cfg(unix)]
fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn is_exhaustion(error: &io::Error) -> bool {
    error.kind() == ErrorKind::OutOfMemory
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    /// `outside/secret` next to `site`, which is served.
    fn site() -> (tempfile::TempDir, Site) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("site");
        fs::create_dir_all(root.join("sub/with index")).unwrap();
        fs::create_dir(temp.path().join("outside")).unwrap();
        fs::write(temp.path().join("outside/secret"), "secret").unwrap();
        fs::write(root.join("a.txt"), "hello").unwrap();
        fs::write(root.join("sub/b.txt"), "b").unwrap();
        fs::write(root.join("sub/with index/index.html"), "<p>index").unwrap();
        let site = Site::open(&root).unwrap();
        (temp, site)
    }

    fn text((mut file, document): (File, Document)) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text.len() as u64, document.length);
        text
    }

    fn find(site: &Site, target: &str) -> Result<String, u16> {
        let target = Target::parse(target).unwrap();
        let found = site.find(&target);
        // What is found at once is what is found; and nothing else is.
        if let Some(at_once) = site.find_at_once(&target).map(text) {
            let Ok(Found::File(file, document)) = found else { panic!("{at_once} was found at once") };
            assert_eq!(at_once, text((file, document)));
            return Ok(at_once);
        }
        match found {
            Ok(Found::File(file, document)) => Ok(text((file, document))),
            Ok(Found::Moved(url)) => Ok(format!("-> {url}")),
            Ok(Found::Listing(page)) => Ok(page),
            Err(error) => Err(refusal(&error).0.as_u16()),
        }
    }

    #[test]
    fn files_folders_and_index_pages_are_found() {
        let (_temp, site) = site();
        assert_eq!(find(&site, "/a.txt").unwrap(), "hello");
        assert_eq!(find(&site, "/sub/b.txt").unwrap(), "b");
        assert_eq!(find(&site, "/sub?q").unwrap(), "-> /sub/?q");
        assert_eq!(find(&site, "/sub/with%20index/").unwrap(), "<p>index");
        assert!(find(&site, "/").unwrap().contains("<a href=\"a.txt\">"));
        assert!(find(&site, "/sub/").unwrap().contains("<a href=\"with%20index/\">"));
        assert_eq!(find(&site, "/a.txt/"), Err(404));
        assert_eq!(find(&site, "/a.txt/b"), Err(404));
        assert_eq!(find(&site, "/none"), Err(404));
        assert_eq!(find(&site, &format!("/{}", "n".repeat(300))), Err(404));
    }

    #[test]
    fn a_symlink_is_followed_only_within_the_folder() {
        let (temp, site) = site();
        let root = temp.path().join("site");
        symlink("../a.txt", root.join("sub/inside")).unwrap();
        symlink("../outside/secret", root.join("relative")).unwrap();
        symlink(temp.path().join("outside/secret"), root.join("absolute")).unwrap();
        symlink("../outside", root.join("folder")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        assert_eq!(find(&site, "/sub/inside").unwrap(), "hello");
        for outside in ["/relative", "/absolute", "/folder", "/folder/", "/folder/secret", "/magic/etc/passwd"] {
            assert_eq!(find(&site, outside), Err(403), "{outside}");
        }
        assert_eq!(find(&site, "/loop"), Err(404));
        assert_eq!(find(&site, "/dangling"), Err(404));
        let page = find(&site, "/").unwrap();
        for hidden in ["relative", "absolute", "folder", "magic", "loop", "dangling"] {
            assert!(!page.contains(&format!("\"{hidden}")), "{hidden} is listed");
        }
    }

    #[test]
    fn an_index_page_that_leads_outside_is_refused_and_not_replaced_by_a_listing() {
        let (temp, site) = site();
        symlink("../../outside/secret", temp.path().join("site/sub/index.html")).unwrap();
        assert_eq!(find(&site, "/sub/"), Err(403));
    }

    #[test]
    fn a_fifo_or_device_is_refused_without_waiting() {
        let (temp, site) = site();
        let fifo = temp.path().join("site/fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let socket = std::os::unix::net::UnixListener::bind(temp.path().join("site/socket")).unwrap();
        assert_eq!(find(&site, "/fifo"), Err(403));
        assert_eq!(find(&site, "/socket"), Err(403));
        let page = find(&site, "/").unwrap();
        assert!(!page.contains("fifo") && !page.contains("socket"));
        drop(socket);
    }

    /// An open would let a writer that waits for a reader go on, only to be cut off; a device may
    /// do anything.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_fifo_is_not_even_opened() {
        use rustix::fs::inotify;
        let (temp, site) = site();
        let fifo = temp.path().join("site/fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, &fifo, inotify::WatchFlags::OPEN).unwrap();
        let opened = || File::from(watch.try_clone().unwrap()).read(&mut [0; 4096]).is_ok();
        for _ in 0..2 {
            // By a name that was looked up before it is looked at at once.
            assert_eq!(find(&site, "/fifo"), Err(403));
        }
        assert!(!opened(), "the FIFO was opened");
        drop(rustix::fs::open(&fifo, rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK, 0.into()).unwrap());
        assert!(opened(), "the watch sees nothing");
    }

    #[test]
    fn a_file_that_was_opened_is_in_blocking_mode() {
        let (_temp, site) = site();
        let target = Target::parse("/a.txt").unwrap();
        let Ok(Found::File(file, _)) = site.find(&target) else {
            panic!("no file");
        };
        for file in [Some(file), site.find_at_once(&target).map(|(file, _)| file)].into_iter().flatten() {
            let flags = rustix::fs::fcntl_getfl(&file).unwrap();
            assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_whose_name_is_in_memory_is_found_at_once() {
        let (_temp, site) = site();
        let target = Target::parse("/sub/b.txt").unwrap();
        site.find(&target).unwrap();
        assert_eq!(site.find_at_once(&target).map(text).as_deref(), Some("b"));
        assert!(site.find_at_once(&Target::parse("/sub/").unwrap()).is_none());
    }

    #[test]
    fn only_a_folder_can_be_served() {
        let (temp, _site) = site();
        let error = Site::open(&temp.path().join("site/a.txt")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        assert_eq!(Site::open(&temp.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_listing_has_an_end() {
        let (temp, site) = site();
        let folder = temp.path().join("site/many");
        fs::create_dir(&folder).unwrap();
        for n in 0..listing::ENTRY_LIMIT + 1 {
            File::create(folder.join(n.to_string())).unwrap();
        }
        let page = find(&site, "/many/").unwrap();
        assert!(page.contains("Only 10000 entries"));
    }
}
