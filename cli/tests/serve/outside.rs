//! There is no way out of the served folder.

use std::path::Path;

use crate::server::Server;
use crate::system::{link_to_file, link_to_folder};

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
    let made = link_to_file("../secret", &root.join("relative"))
        && link_to_file(server.above().join("secret"), &root.join("absolute"))
        && link_to_folder("..", &root.join("up"))
        && link_to_folder("/", &root.join("slash"))
        && link_to_folder("/proc/self/cwd", &root.join("magic"))
        && link_to_file("relative", &root.join("twice"))
        && link_to_file("sub/a.txt", &root.join("inside"));
    if !made {
        return;
    }
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

/// The same in three steps, where the system cannot do it in one. (It may refuse while the server is looking.)
#[cfg(not(target_os = "linux"))]
fn exchange(one: &Path, other: &Path) {
    let aside = one.with_extension("aside");
    let hung = std::time::Instant::now() + crate::server::HUNG;
    for (from, to) in [(one, &*aside), (other, one), (&aside, other)] {
        while let Err(error) = std::fs::rename(from, to) {
            assert!(std::time::Instant::now() < hung, "{error}");
        }
    }
}

fn no_race_with_a_symlink_leads_out_of_the_folder(backend: &str) {
    let server = guarded(backend);
    let swapped = server.root().join("swapped");
    let other = server.root().join("other");
    std::fs::create_dir(&swapped).unwrap();
    std::fs::write(swapped.join("secret"), "harmless").unwrap();
    if !link_to_folder("..", &other) {
        return;
    }
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
