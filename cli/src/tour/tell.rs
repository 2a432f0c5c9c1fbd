//! The telling: accounts onto paper.

use std::env;
use std::time::Duration;

use anyport::Backend;
use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};

use super::account::{Account, Call};
use super::paper::{Ink, Paper};
use super::peer::{MESSAGE, PAUSE};
use super::steps::Step;
use super::{ROUNDS, story};

pub(super) fn opening(paper: &mut Paper) {
    paper.line(Ink::Title.on("The five steps of an event queue"));
    paper.line("");
    paper.text(
        Ink::Plain,
        0,
        "A program with many connections cannot block on one of them. It lends the system a buffer for each, asks for an \
         operation, and waits in one place - the queue - for whatever is done first. Here it is done with one connection.",
    );
    paper.line("");
    let peer = format!(
        "The other end is a thread on 127.0.0.1 that says \"{}\" {} ms after step 3.",
        String::from_utf8_lossy(MESSAGE),
        PAUSE.as_millis()
    );
    paper.text(Ink::Plain, 0, &peer);
}

fn heading(paper: &mut Paper, backend: Backend) {
    let rule = "-".repeat(paper.width().saturating_sub(backend.name().len() + 4));
    paper.line("");
    paper.line(Ink::Title.on(format_args!("-- {backend} {rule}")));
    paper.line("");
}

pub(super) fn refusal(paper: &mut Paper, backend: Backend, why: &str) {
    heading(paper, backend);
    paper.text(Ink::Plain, 0, &format!("It does not work here: {why}."));
}

pub(super) fn account(paper: &mut Paper, account: &Account) {
    heading(paper, account.backend);
    paper.text(Ink::Plain, 0, story::backend(account.backend));
    if let Err(why) = &account.calls {
        paper.line("");
        let instead = "The steps and their times follow, with the calls that the program is written to make";
        paper.text(Ink::Plain, 0, &format!("System calls cannot be shown: {why}. {instead}."));
    }
    for step in Step::ALL {
        let (title, code) = story::step(step);
        paper.line("");
        paper.edges((Ink::Title, title), (Ink::Plain, &duration(*account.own.of(step))));
        paper.text(Ink::Code, 3, code);
        match &account.calls {
            Ok(calls) if calls.of(step).is_empty() => {
                paper.text(Ink::Faint, 6, story::silence(account.backend, step));
            }
            Ok(calls) => calls.of(step).iter().for_each(|call| self::call(paper, call)),
            Err(_) => match story::calls(account.backend, step) {
                [] => paper.text(Ink::Faint, 6, story::silence(account.backend, step)),
                calls => paper.text(Ink::Faint, 6, &format!("not seen: {}", calls.join(", "))),
            },
        }
        if let Some(remark) = remark(step, account) {
            paper.text(Ink::Faint, 6, &remark);
        }
    }
}

/// What there is to say after a step, with or without its calls.
fn remark(step: Step, account: &Account) -> Option<String> {
    let pause = PAUSE.as_millis();
    match step {
        Step::Wait => {
            let woken = duration(account.woken);
            Some(format!("back {woken} after the other end began to speak; the rest was its pause of {pause} ms"))
        }
        Step::Return => {
            let (length, text) = (MESSAGE.len(), String::from_utf8_lossy(MESSAGE));
            Some(format!("result is Ok({length}), buf holds \"{text}\""))
        }
        Step::Again => Some(format!("the other end's pause of {pause} ms included")),
        _ => None,
    }
}

fn call(paper: &mut Paper, call: &Call) {
    let text = format!("{}({}) = {}", call.name, call.arguments, call.result);
    let time = format!("~{}", duration(Duration::from_secs_f64(call.micros / 1e6)));
    paper.listed((Ink::Call, 6, &text), (Ink::Faint, &time));
    if !call.meaning.is_empty() {
        paper.text(Ink::Faint, 10, &call.meaning);
    }
}

/// The backends side by side, what the numbers are, and where to go from here.
pub(super) fn closing(paper: &mut Paper, accounts: &[Account]) {
    paper.line("");
    paper.line(Ink::Title.on("Side by side"));
    paper.line("");
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(paper.width() as u16);
    let heads = accounts.iter().map(|account| account.backend.to_string());
    table.set_header(["".to_owned()].into_iter().chain(heads));
    for step in Step::ALL {
        let cells = accounts.iter().map(|account| {
            let own = duration(*account.own.of(step));
            match &account.calls {
                Ok(calls) => format!("{}, {own}", counted(calls.of(step).len())),
                Err(_) => own,
            }
        });
        table.add_row([story::step(step).0.to_owned()].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for line in table.to_string().lines() {
        paper.line(line.trim_end());
    }
    paper.line("");
    let traced = match accounts.iter().any(|account| account.calls.is_ok()) {
        false => "",
        true => {
            " Those of the calls, with a ~, are of a second run: a child process under ptrace(2). They are what its tracer \
             saw, less what tracing costs, and not exact."
        }
    };
    let build = match cfg!(debug_assertions) {
        false => "",
        true => " This is a debug build; with --release the port's own part is a fraction of it.",
    };
    let numbers = format!(
        "The times of the steps are the program's own, undisturbed: the medians of {ROUNDS} rounds on this machine, \
         now.{traced}{build}"
    );
    paper.text(Ink::Faint, 0, &numbers);
    next(paper);
}

/// Commands that can be given as they stand.
fn next(paper: &mut Paper) {
    let program = env::args().next().unwrap_or_else(|| "anyport".to_owned());
    paper.line("");
    paper.line(Ink::Title.on("From here"));
    paper.line("");
    for (command, what) in [
        ("info", "which backends work here, why the others do not, and how each operation is carried"),
        ("echo 127.0.0.1:7777", "the same steps as a server; talk to it with nc 127.0.0.1 7777"),
        ("serve", "a file server on the port: http://127.0.0.1:8080"),
        ("bench echo --quick", "each backend next to a loop by hand on the same system calls"),
    ] {
        paper.line(format_args!("  {}", Ink::Code.on(format_args!("{program} {command}"))));
        paper.text(Ink::Faint, 6, what);
    }
    paper.line("");
    paper.text(
        Ink::Plain,
        0,
        "To read: cli/src/echo_loop.rs, a whole server in under a hundred lines; docs/CONTRACT.md, what holds on every backend; and the \
         manual pages epoll(7), io_uring(7), poll(2).",
    );
}

fn counted(calls: usize) -> String {
    match calls {
        0 => "no call".to_owned(),
        1 => "1 call".to_owned(),
        n => format!("{n} calls"),
    }
}

fn duration(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..0.095 => "0.1 µs".to_owned(),
        ..99.5 => format!("{micros:.1} µs"),
        ..999.5 => format!("{micros:.0} µs"),
        _ => format!("{:.2} ms", micros / 1e3),
    }
}
