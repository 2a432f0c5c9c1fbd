//! `anyport info`: what each backend of this machine can do, from `Port::explain`.

use anyport::{Backend, Explanation, Port, Verdict};
use comfy_table::{Table, TableStyle};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output;

/// Tell which backends work here, why others do not, and how each operation is carried
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Info {
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "How an operation is carried: native - by the system's own completion queue; readiness - tried, and \
    tried again when the system says that the object is ready; blocking pool - by a thread; direct call - at once, it does \
    not block; the port - without the system.";

pub(crate) fn run(options: Info) -> Result<(), Failure> {
    let port = Port::new().map_err(|error| Failure::input(format!("cannot open a port: {error}")))?;
    let mut all = vec![port.explain()];
    let others = Backend::ALL.iter().filter(|&&backend| backend != port.backend());
    all.extend(others.filter_map(|&backend| Some(Port::builder().backend(backend).build().ok()?.explain())));
    output::print(&if options.json { format!("{:#}\n", as_json(&all)) } else { as_tables(&all) })
}

/// A table of backends, of operations with a column for each backend that works, and of what was probed. The first
/// explanation is the chosen backend's.
fn as_tables(all: &[Explanation]) -> String {
    let columns = |of: &dyn Fn(&Explanation) -> String| all.iter().map(of).collect::<Vec<_>>();
    let mut backends = table();
    for candidate in &all[0].candidates {
        backends.add_row([candidate.backend.name(), &in_words(&candidate.verdict)]);
    }
    let mut operations = table();
    operations.set_header([vec!["operation".to_owned()], columns(&|one| one.backend.to_string())].concat());
    for (index, row) in all[0].operations.iter().enumerate() {
        let carriers = columns(&|one| one.operations[index].carrier.to_string());
        operations.add_row([vec![row.name.to_owned()], carriers].concat());
    }
    let mut text = format!("{}\n\n{}\n", plain(&backends), plain(&operations));
    for explanation in all {
        let mut features = table();
        for feature in &explanation.features {
            features.add_row([feature.name, if feature.used { "yes" } else { "no" }, feature.note]);
        }
        text += &format!("\nprobed for {}\n{}\n", explanation.backend, plain(&features));
    }
    text
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table
}

/// The lines of a table without the blanks at their ends.
fn plain(table: &Table) -> String {
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Chosen => "in use".to_owned(),
        Verdict::Works => "works here too".to_owned(),
        Verdict::Refused(why) => format!("refused: {why}"),
    }
}

fn as_json(all: &[Explanation]) -> Value {
    let operations = |explanation: &Explanation| -> Value {
        explanation.operations.iter().map(|row| (row.name.to_owned(), json!(row.carrier.to_string()))).collect()
    };
    let features = |explanation: &Explanation| -> Value {
        explanation.features.iter().map(|feature| (feature.name.to_owned(), json!(feature.used))).collect()
    };
    let backends = all[0].candidates.iter().map(|candidate| {
        let explanation = all.iter().find(|explanation| explanation.backend == candidate.backend);
        json!({
            "name": candidate.backend.name(),
            "works": !matches!(candidate.verdict, Verdict::Refused(_)),
            "chosen": candidate.verdict == Verdict::Chosen,
            "refused": match &candidate.verdict { Verdict::Refused(why) => json!(why), _ => Value::Null },
            "features": explanation.map(features),
            "operations": explanation.map(operations),
        })
    });
    json!({ "chosen": all[0].backend.name(), "backends": backends.collect::<Vec<_>>() })
}
