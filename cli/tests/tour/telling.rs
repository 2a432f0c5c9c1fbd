//! The steps, on every system.

use anyport::Backend;

use crate::program::{STEPS, steps, text, told, tour};

#[test]
fn each_backend_comes_to_the_five_steps_in_order_with_their_times() {
    for &backend in Backend::ALL {
        let Some(text) = told(backend) else { continue };
        for (lines, heading) in steps(&text).iter().zip(STEPS) {
            let unit = |unit| lines[0].contains(unit);
            assert!(lines[0].starts_with(heading) && (unit(" µs") || unit(" ms")), "{lines:?}");
        }
        assert!(steps(&text)[4].iter().any(|line| line.contains("hello from the other end")), "{text}");
    }
}

#[test]
fn without_a_name_all_backends_are_told_and_compared() {
    let text = text(&tour(&[]).output().unwrap());
    let (accounts, comparison) = text.split_once("Side by side").expect("a comparison");
    for backend in Backend::ALL {
        assert!(accounts.contains(&format!("-- {backend} -")), "{text}");
        let works = backend.check().is_ok();
        let column = comparison.lines().nth(2).expect("names").split_whitespace().any(|name| name == backend.name());
        assert_eq!(column, works, "{comparison}");
    }
}

#[test]
fn it_ends_with_commands_that_can_be_given_as_they_stand() {
    let text = text(&tour(&["--backend", Backend::ALL.last().unwrap().name()]).output().unwrap());
    let (_, end) = text.split_once("From here").expect("where to go next");
    let program = env!("CARGO_BIN_EXE_anyport");
    let commands: Vec<&str> = end.lines().filter_map(|line| line.trim().strip_prefix(program)).collect();
    assert!(commands.len() >= 3, "{end}");
    for command in commands {
        let subcommand = command.split_whitespace().next().expect("a subcommand");
        let help = std::process::Command::new(program).args([subcommand, "--help"]).output().unwrap();
        assert!(help.status.success(), "{command}");
    }
}

#[test]
fn bad_input_is_one_line_and_status_2() {
    for (args, says) in [
        (&["--backend", "carrier-pigeon"][..], "carrier-pigeon"),
        (&["--backend"], "--backend"),
        (&["somewhere"], "somewhere"),
        (&["--play", "3"], "--backend"),
    ] {
        let output = tour(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(output.stdout.is_empty());
        assert!(stderr.lines().count() == 1 && stderr.contains(says), "{stderr}");
    }
}
