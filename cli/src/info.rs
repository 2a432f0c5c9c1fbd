//! `anyport info`: what each backend of this machine can do, from `Port::explain`.

use std::io::{self, Write};

use anyport::{Backend, Explanation, Port, Verdict};
use serde_json::{Value, json};

use crate::failure::Failure;

/// Tell which backends work here, why the others do not, and how each operation is carried
#[derive(clap::Args, Debug)]
pub(crate) struct Info {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: Info) -> Result<(), Failure> {
    let port = Port::new().map_err(|error| Failure::input(format!("no backend works here: {error}")))?;
    let chosen = port.explain();
    let others = Backend::ALL.iter().filter(|&&backend| backend != chosen.backend);
    let others: Vec<Explanation> =
        others.filter_map(|&backend| Some(Port::builder().backend(backend).build().ok()?.explain())).collect();
    let text = if options.json { format!("{:#}\n", as_json(&chosen, &others)) } else { as_table(&chosen, &others) };
    // Nobody may be reading.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// The account of the chosen backend, with a column for each other one's carriers.
fn as_table(chosen: &Explanation, others: &[Explanation]) -> String {
    let mut text = chosen.to_string();
    for other in others {
        text += &format!("operations on {}:\n", other.backend);
        for row in &other.operations {
            text += &format!("  {:<24} {}\n", row.name, row.carrier);
        }
    }
    text
}

fn as_json(chosen: &Explanation, others: &[Explanation]) -> Value {
    let operations = |explanation: &Explanation| -> Value {
        explanation.operations.iter().map(|row| (row.name.to_owned(), json!(row.carrier.to_string()))).collect()
    };
    let backends: Vec<Value> = chosen.candidates.iter().map(|candidate| {
        let all = std::iter::once(chosen).chain(others);
        let explanation = all.clone().find(|explanation| explanation.backend == candidate.backend);
        json!({
            "name": candidate.backend.name(),
            "works": !matches!(candidate.verdict, Verdict::Refused(_)),
            "chosen": candidate.verdict == Verdict::Chosen,
            "refused": match &candidate.verdict { Verdict::Refused(why) => json!(why), _ => Value::Null },
            "features": explanation.map(|e| e.features.iter().map(|f| (f.name.to_owned(), json!(f.used))).collect::<Value>()),
            "operations": explanation.map(operations),
        })
    }).collect();
    json!({ "chosen": chosen.backend.name(), "backends": backends })
}
