//! The plot that shows why epoll exists: the time of an event on each backend over the number of idle sockets, as SVG.
//!
//! Both axes are logarithmic: on epoll the line is flat, on poll(2) it rises with the idle sockets.

use std::fmt::Write;

use super::ready::{ACTIVE, IDLE, IDLE_COUNTS};
use super::report::{Outcome, Report};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Where the axes meet, and where they end.
const LEFT: f64 = 84.0;
const BOTTOM: f64 = 300.0;
const RIGHT: f64 = 540.0;
const TOP: f64 = 44.0;

/// Told apart by people who do not see all colours.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// Microseconds an event of one contestant, by the number of idle sockets.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// The plot of the cells about idle sockets; `None` when the report has none.
pub fn idle(report: &Report) -> Option<String> {
    let mut lines: Vec<Line> = Vec::new();
    let cells = report.cells.iter().filter(|cell| cell.benchmark == IDLE);
    for (cell, idle) in cells.zip(IDLE_COUNTS) {
        for row in &cell.rows {
            let Outcome::Measured { rate, .. } = &row.outcome else { continue };
            let point = (idle as f64, 1e6 / rate.median);
            match lines.iter_mut().find(|line| line.name == row.name) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { name: row.name.clone(), points: vec![point] }),
            }
        }
    }
    let times = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let (least, most) =
        times.fold((f64::MAX, 0.0), |(least, most): (f64, f64), time| (least.min(time), most.max(time)));
    if lines.is_empty() {
        return None;
    }
    let decades = (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
    Some(draw(&lines, decades, &report.machine.to_string()))
}

fn draw(lines: &[Line], (low, high): (f64, f64), machine: &str) -> String {
    let (fewest, most) = (IDLE_COUNTS[0] as f64, IDLE_COUNTS[IDLE_COUNTS.len() - 1] as f64);
    let x = |idle: f64| LEFT + (idle / fewest).log10() / (most / fewest).log10() * (RIGHT - LEFT);
    let y = |micros: f64| BOTTOM - (micros.log10() - low) / (high - low) * (BOTTOM - TOP);
    let mut svg = String::new();
    let mut put = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(svg, "{text}");
    };
    put(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
    ));
    put(format_args!(r#"<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>"#));
    put(format_args!(
        r#"<text x="{LEFT}" y="20" font-size="14">Time of an event: {ACTIVE} active sockets beside idle ones</text>"#
    ));
    for decade in low as i32..=high as i32 {
        let (micros, height) = (10f64.powi(decade), y(10f64.powi(decade)));
        put(format_args!(r##"<line x1="{LEFT}" y1="{height:.1}" x2="{RIGHT}" y2="{height:.1}" stroke="#ddd"/>"##));
        put(format_args!(r#"<text x="{}" y="{:.1}" text-anchor="end">{micros} µs</text>"#, LEFT - 8.0, height + 4.0));
    }
    for idle in IDLE_COUNTS {
        let place = x(idle as f64);
        put(format_args!(r##"<line x1="{place:.1}" y1="{TOP}" x2="{place:.1}" y2="{BOTTOM}" stroke="#ddd"/>"##));
        put(format_args!(r#"<text x="{place:.1}" y="{}" text-anchor="middle">{idle}</text>"#, BOTTOM + 18.0));
    }
    put(format_args!(
        r#"<text x="{}" y="{}" text-anchor="middle">idle sockets</text>"#,
        (LEFT + RIGHT) / 2.0,
        BOTTOM + 36.0
    ));
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let points: Vec<_> = line.points.iter().map(|&(idle, micros)| (x(idle), y(micros))).collect();
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        put(format_args!(r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, path.join(" ")));
        for (x, y) in &points {
            put(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#));
        }
        if let Some((x, y)) = points.last() {
            put(format_args!(r#"<text x="{:.1}" y="{:.1}" fill="{colour}">{}</text>"#, x + 8.0, y + 4.0, line.name));
        }
    }
    let machine = machine.lines().next().unwrap_or("").replace('&', "&amp;").replace('<', "&lt;");
    put(format_args!(r##"<text x="{LEFT}" y="{}" font-size="10" fill="#666">{machine}</text>"##, HEIGHT - 8.0));
    put(format_args!("</svg>"));
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_drawn_with_its_name() {
        let line = |name: &str, factor: f64| Line {
            name: name.to_owned(),
            points: IDLE_COUNTS.map(|idle| (idle as f64, 1.0 + factor * idle as f64)).to_vec(),
        };
        let svg = draw(&[line("anyport, epoll", 0.0), line("anyport, poll", 0.01)], (0.0, 3.0), "a < b");
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("anyport, epoll") && svg.contains("anyport, poll") && svg.contains("10000"));
        assert!(svg.contains("a &lt; b"));
        // A flat line stays at one height.
        assert!(svg.contains("84.0,300.0 ") && svg.contains("540.0,300.0\""), "{svg}");
    }
}
