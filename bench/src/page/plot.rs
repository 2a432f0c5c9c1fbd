//! The plots of a cell: bars for the number that decides, and where latencies lie. Inline SVG whose colours come from the
//! page's style, so that they follow light and dark.

use maud::{Markup, html};
use measure::report::{Outcome, Row, nanoseconds};

use super::Shown;
use crate::verdict::cost_of;

/// In units of the drawing, which is about as wide as a phone.
const WIDTH: f64 = 420.0;
const LABEL: f64 = 176.0;
const LINE: f64 = 22.0;

/// A bar for each contestant that was measured, as long as an operation costs, with a line along the interval
/// of its median.
pub(super) fn bars(shown: &Shown) -> Markup {
    const VALUE: f64 = 66.0;
    let costs: Vec<_> = shown.cell.rows.iter().filter_map(|row| Some((row, cost_of(row, shown.by)?))).collect();
    let longest = costs.iter().map(|(_, cost)| cost.high).fold(f64::MIN_POSITIVE, f64::max);
    // One that is far off must not press all others together.
    let middle = costs.iter().map(|(_, cost)| cost.median).fold(f64::INFINITY, f64::min);
    let end = longest.min(middle * 8.0);
    let length = |value: f64| (value.min(end) / end) * (WIDTH - LABEL - VALUE);
    let height = LINE * costs.len() as f64 + 4.0;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(shown.measure()) {
            @for (place, (row, cost)) in costs.iter().enumerate() {
                @let top = LINE * place as f64 + 2.0;
                @let middle = top + LINE / 2.0;
                text.name x=(LABEL - 6.0) y=(middle + 4.0) text-anchor="end" { (row.name) }
                rect class=(kind(row)) x=(LABEL) y=(top + 3.0) width=(fixed(length(cost.median))) height=(LINE - 6.0) rx="2" {}
                line.spread x1=(fixed(LABEL + length(cost.low))) x2=(fixed(LABEL + length(cost.high))) y1=(middle) y2=(middle) {}
                text.value x=(fixed(LABEL + length(cost.high) + 5.0)) y=(middle + 4.0) {
                    (nanoseconds(cost.median)) @if cost.median > end { " →" }
                }
            }
        }
    }
}

/// The percentiles of the latency of each contestant, on a logarithmic scale; nothing where none were measured.
pub(super) fn latencies(shown: &Shown) -> Option<Markup> {
    let of = |row: &Row, name: &str| match &row.outcome {
        Outcome::Measured { also, .. } => also.get(name).map(|spread| spread.median),
        _ => None,
    };
    let rows = shown.cell.rows.iter().filter_map(|row| {
        let names = ["p50", "p99", "p99.9"];
        let values = names.map(|name| of(row, &format!("{name} µs")).or_else(|| of(row, name)));
        let [Some(p50), Some(p99), Some(p999)] = values else { return None };
        Some((row, [("p50", p50.max(0.01)), ("p99", p99.max(0.01)), ("p999", p999.max(0.01))]))
    });
    let rows: Vec<_> = rows.collect();
    let all = || rows.iter().flat_map(|(_, values)| values.map(|(_, value)| value));
    let (least, most) = (all().reduce(f64::min)?, all().reduce(f64::max)?);
    let (first, last) = (least.log10().floor() as i32, most.log10().ceil() as i32);
    let last = last.max(first + 1);
    let right = WIDTH - 16.0;
    let place_of =
        |micros: f64| LABEL + (micros.log10() - f64::from(first)) / f64::from(last - first) * (right - LABEL);
    let bottom = LINE * rows.len() as f64 + 4.0;
    Some(html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", bottom + 18.0)) role="img" aria-label="latency percentiles" {
            @for power in first..=last {
                @let x = fixed(place_of(10_f64.powi(power)));
                line.grid x1=(x) x2=(x) y1="0" y2=(bottom) {}
                text.value x=(x) y=(bottom + 13.0) text-anchor=(if power == last { "end" } else { "middle" }) {
                    (power_of_ten(power))
                }
            }
            @for (place, (row, values)) in rows.iter().enumerate() {
                @let middle = LINE * place as f64 + 2.0 + LINE / 2.0;
                text.name x=(LABEL - 6.0) y=(middle + 4.0) text-anchor="end" { (row.name) }
                line class=(format!("range {}", kind(row))) x1=(fixed(place_of(values[0].1))) x2=(fixed(place_of(values[2].1))) y1=(middle) y2=(middle) {}
                @for (name, value) in values {
                    circle class=(format!("{} {name}", kind(row))) cx=(fixed(place_of(*value))) cy=(middle) r="4" {}
                }
            }
        }
    })
}

/// The class of a contestant: its colour.
fn kind(row: &Row) -> &'static str {
    match &row.backend {
        Some(_) => "own",
        None if row.name.starts_with("by hand") => "hand",
        None => "peer",
    }
}

/// A power of ten of microseconds, in a unit that needs no more than three digits.
fn power_of_ten(power: i32) -> String {
    let unit = ["ns", "µs", "ms", "s"][((power + 3) / 3).clamp(0, 3) as usize];
    let rest = power + 3 - 3 * ((power + 3) / 3).clamp(0, 3);
    format!("{} {unit}", 10_f64.powi(rest))
}

fn fixed(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::power_of_ten;

    #[test]
    fn powers_of_ten_have_the_unit_that_suits_them() {
        let names: Vec<String> = (-2..=7).map(power_of_ten).collect();
        assert_eq!(names, ["10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]);
    }
}
