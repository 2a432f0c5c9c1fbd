//! There is no way out of the served folder.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::server::Server;

on_each_backend! {
    no_target_leads_out_of_the_folder,
    no_symlink_leads_out_of_the_folder,
    no_race_with_a_symlink_leads_out_of_the_folder,
}

const SECRET: &str = "what nobody may see";

fn guarded(backend: &str) -> Server {
    let server = Server::start(backend, &[]);
    std::fs::write(server.above().join("secret"), SECRET).unwrap();
    server.write("sub/a.txt", "hello");
    server
}

fn no_target_leads_out_of_the_folder(backend: &str) {
    let server = guarded(backend);
    let mut client = server.connect();
    let above = server.above().to_str().unwrap().to_owned();
    for target in [
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/%2E%2e/secret",
        "/.%2e/secret",
        "/..%2fsecret",
        "/sub/..%2f..%2fsecret",
        "/..%5csecret",
        "/..\\secret",
        "/%2e%2e%2fsecret",
        "/%252e%252e/secret",
        "/..%c0%afsecret",
        "/../site/../secret",
        "/./../secret",
        "//../secret",
        "/..;/secret",
        "/../secret%00",
        "/sub/a.txt/../../../secret",
        "http://test/../secret",
        &format!("/{above}/secret"),
        &format!("/%2f{above}/secret"),
        "//proc/self/root/etc/passwd",
        "/..",
        "/../",
    ] {
        let response = client.get(target);
        assert!(matches!(response.status, 400 | 404), "{target}: {}", response.status);
        assert!(!response.text().contains(SECRET), "{target}");
    }
    assert_eq!(client.get("/sub/../sub/./a.txt").text(), "hello");
}

fn no_symlink_leads_out_of_the_folder(backend: &str) {
    let server = guarded(backend);
    let root = server.root();
    symlink("../secret", root.join("relative")).unwrap();
    symlink(server.above().join("secret"), root.join("absolute")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("/", root.join("slash")).unwrap();
    symlink("/proc/self/cwd", root.join("magic")).unwrap();
    symlink("relative", root.join("twice")).unwrap();
    symlink("sub/a.txt", root.join("inside")).unwrap();
    let mut client = server.connect();
    for target in [
        "/relative",
        "/absolute",
        "/up",
        "/up/",
        "/up/secret",
        "/up/site/sub/a.txt",
        "/slash/",
        "/slash/etc/passwd",
        "/magic/",
        "/magic/Cargo.toml",
        "/twice",
    ] {
        let response = client.get(target);
        assert_eq!(response.status, 403, "{target}");
        assert!(!response.text().contains(SECRET), "{target}");
    }
    assert_eq!(client.get("/inside").text(), "hello");
}

/// Lets two names change places.
#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// The same in three steps, where the system cannot do it in one.
#[cfg(not(target_os = "linux"))]
fn exchange(one: &Path, other: &Path) {
    let aside = one.with_extension("aside");
    for (from, to) in [(one, &*aside), (other, one), (&aside, other)] {
        std::fs::rename(from, to).unwrap();
    }
}

fn no_race_with_a_symlink_leads_out_of_the_folder(backend: &str) {
    let server = guarded(backend);
    let swapped = server.root().join("swapped");
    let other = server.root().join("other");
    std::fs::create_dir(&swapped).unwrap();
    std::fs::write(swapped.join("secret"), "harmless").unwrap();
    symlink("..", &other).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let swapper = std::thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            exchange(&swapped, &other);
        }
    });
    let mut client = server.connect();
    let mut seen = 0;
    for _ in 0..3000 {
        let response = client.get("/swapped/secret");
        assert!(matches!(response.status, 200 | 403 | 404 | 500), "{}", response.status);
        assert!(!response.text().contains(SECRET));
        seen += u32::from(response.status == 200);
    }
    drop(stop);
    swapper.join().unwrap();
    assert!(seen > 0, "the file was never served: nothing was tried");
}
