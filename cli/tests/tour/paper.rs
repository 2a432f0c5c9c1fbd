//! Terminals and pipes: colours, width, readers that leave.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use anyport::Backend;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::program::{text, tour};

/// What one backend's tour looks like on a terminal of this width.
fn on_a_terminal(columns: u16, variable: Option<(&str, &str)>) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&terminal).expect("grant it");
    unlockpt(&terminal).expect("unlock it");
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).expect("its size");
    let name = ptsname(&terminal, Vec::new()).expect("its name").into_string().expect("text");
    let end = File::options().read(true).write(true).open(name).expect("its other end");
    let mut command = tour(&["--backend", Backend::ALL.last().unwrap().name()]);
    command.env("TERM", "xterm").env_remove("NO_COLOR").envs(variable).stdout(end);
    let mut child = command.spawn().expect("the program can be started");
    drop(command);
    let mut shown = Vec::new();
    // It ends with an error (EIO) when nobody has the other end any more.
    let _ = File::from(terminal).read_to_end(&mut shown);
    assert!(child.wait().expect("its end").success());
    String::from_utf8(shown).expect("text")
}

fn widest(text: &str) -> usize {
    // A command must be given as it stands, however long the path to the program is.
    let lines = text.lines().filter(|line| !line.contains(env!("CARGO_BIN_EXE_anyport")));
    lines.map(|line| console::measure_text_width(line.trim_end())).max().unwrap_or(0)
}

#[test]
fn a_terminal_gets_colours_and_lines_that_fit() {
    for columns in [60, 80, 100] {
        let shown = on_a_terminal(columns, None);
        assert!(shown.contains("\x1b["), "{shown}");
        assert!(widest(&shown) <= usize::from(columns), "{columns}: {shown}");
    }
    assert!(widest(&on_a_terminal(300, None)) <= 100, "wide enough is wide enough");
}

#[test]
fn no_color_is_respected() {
    let shown = on_a_terminal(80, Some(("NO_COLOR", "1")));
    assert!(!shown.contains('\x1b'), "{shown}");
}

#[test]
fn a_pipe_gets_no_colours() {
    let shown = text(&tour(&["--backend", Backend::ALL.last().unwrap().name()]).output().unwrap());
    assert!(!shown.contains('\x1b') && widest(&shown) <= 100, "{shown}");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut child = tour(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("five steps"), "{line}");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
