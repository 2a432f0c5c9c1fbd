//! The page as HTML: one file that needs no other.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::table::Table;
use super::{Page, Shown, plot};
use crate::verdict::cost_of;

const STYLE: &str = include_str!("style.css");

impl Page {
    /// The whole file.
    pub(crate) fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "Anyport: benchmarks" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { "Anyport next to everyone else" }
                        p { "The same work on every contestant, in turns. A bar is the median over the rounds of what an operation costs; \
                            the line on it is where the true median lies in 15 of 16 cases. Shorter is better." }
                        p.key {
                            span.own { "Anyport" } " " span.hand { "written by hand" } " " span.peer { "others" }
                        }
                        details {
                            summary { "The machine, the versions, how it is measured" }
                            ul { @for fact in self.facts() { li { (fact) } } }
                        }
                    }
                    (self.overview())
                    h2 { "What remains" }
                    @let remains = self.remains();
                    @if remains.is_empty() {
                        p { "In no cell is the better backend of Anyport behind anybody beyond the spread." }
                    } @else {
                        p { (Page::CHANCE) }
                        ul { @for remainder in remains { li { (remainder.what) " " (remainder.why) } } }
                    }
                    main { @for (place, shown) in self.cells.iter().enumerate() { (section(place, shown)) } }
                }
            }
        };
        page.into_string()
    }

    /// Everyone in every cell, as a multiple of the best there.
    fn overview(&self) -> Markup {
        let mut names: Vec<&str> = Vec::new();
        for row in self.cells.iter().flat_map(|shown| &shown.cell.rows) {
            if !names.contains(&row.name.as_str()) {
                names.push(&row.name);
            }
        }
        let best = |shown: &Shown| {
            let costs = shown.cell.rows.iter().filter_map(|row| cost_of(row, shown.by));
            costs.map(|cost| cost.median).reduce(f64::min)
        };
        let multiple = |shown: &Shown, name: &str| {
            let row = shown.cell.rows.iter().find(|row| row.name == name)?;
            Some(cost_of(row, shown.by)?.median / best(shown)?)
        };
        // Who has few cells shares a column with the others of that kind.
        let counted = |name: &str| self.cells.iter().filter(|shown| multiple(shown, name).is_some()).count();
        let most = names.iter().map(|name| counted(name)).max().unwrap_or(0);
        let (names, few): (Vec<&str>, Vec<&str>) =
            names.into_iter().filter(|name| counted(name) > 0).partition(|name| counted(name) * 5 >= most);
        let rest = |shown: &Shown| few.iter().filter_map(|name| multiple(shown, name)).reduce(f64::min);
        html! {
            h2 { "Overview" }
            p { "What an operation costs, as a multiple of the best in the cell. A cell's own section tells which differences are any." }
            div.scroll {
                table.overview {
                    thead { tr { th {} @for name in &names { th { span { (name) } } } th { span { "the best other" } } } }
                    tbody {
                        @for (place, shown) in self.cells.iter().enumerate() {
                            tr {
                                th scope="row" { a href=(format!("#cell-{place}")) { (shown.title()) } }
                                @for multiple in names.iter().map(|name| multiple(shown, name)).chain([rest(shown)]) {
                                    @match multiple {
                                        Some(multiple) => td class=(shade(multiple)) { (format!("{multiple:.2}")) },
                                        None => td.none { "–" },
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Five steps from the best to far off.
fn shade(multiple: f64) -> &'static str {
    match multiple {
        ..1.03 => "s0",
        ..1.15 => "s1",
        ..1.5 => "s2",
        ..2.5 => "s3",
        _ => "s4",
    }
}

fn section(place: usize, shown: &Shown) -> Markup {
    let table = Table::of(shown);
    let latencies = plot::latencies(shown);
    html! {
        section id=(format!("cell-{place}")) {
            h2 { (shown.title()) }
            p { (shown.sentence()) }
            div.plots {
                figure { figcaption { (shown.measure()) } (plot::bars(shown)) }
                @if let Some(plot) = latencies {
                    figure { figcaption { "latency: p50, p99, p99.9" } (plot) }
                }
            }
            @for (name, why) in &table.notes { p.note { (name) " - " (why) } }
            details {
                summary { "All numbers" }
                div.scroll {
                    table {
                        thead { tr { @for name in &table.head { th { (name) } } } }
                        tbody {
                            @for row in &table.rows {
                                tr { @for (column, text) in row.iter().enumerate() {
                                    @if column == 0 { th scope="row" { (text) } } @else { td { (text) } }
                                } }
                            }
                        }
                    }
                }
            }
        }
    }
}
