//! `minutehand bench`: picks a benchmark and prints its figures.

use minutehand_cli::{BenchArgs, Exit, Failure};
use minutehand_loadtest::Figure;
use serde_json::{Map, Value};

/// The benchmarks, with what each measures.
const BENCHES: &[(&str, &str)] =
    &[("engine", "the engine alone: apply and fire, one core; memory of a waiting task")];

/// Runs one benchmark, or lists them.
pub(crate) async fn run(args: BenchArgs) -> Result<(), Failure> {
    let Some(name) = args.name.clone() else {
        for (name, about) in BENCHES {
            println!("{name:<12} {about}");
        }
        return Ok(());
    };
    let json = args.json;
    let figures = measure(&name, args).await?;
    for figure in figures {
        if json {
            println!("{}", as_json(&figure));
        } else {
            println!("{figure}");
        }
    }
    Ok(())
}

async fn measure(name: &str, args: BenchArgs) -> Result<Vec<Figure>, Failure> {
    match name {
        "engine" => {
            blocking(move || {
                let tasks = args.tasks.unwrap_or(4_000_000);
                let mut figures = minutehand_loadtest::engine::memory(tasks.min(2_000_000), 256);
                figures.extend(minutehand_loadtest::engine::throughput(tasks, 256));
                figures
            })
            .await
        }
        other => {
            let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
            let message = format!("there is no benchmark {other:?}; choose one of {}", names.join(", "));
            Err(Failure::new(Exit::Usage, message))
        }
    }
}

async fn blocking(measure: impl FnOnce() -> Vec<Figure> + Send + 'static) -> Result<Vec<Figure>, Failure> {
    tokio::task::spawn_blocking(measure).await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

fn as_json(figure: &Figure) -> Value {
    let mut object = Map::new();
    object.insert("bench".into(), figure.bench.into());
    object.insert("figure".into(), figure.figure.clone().into());
    object.insert("value".into(), figure.value.into());
    object.insert("unit".into(), figure.unit.into());
    for (name, value) in &figure.conditions {
        object.insert((*name).into(), value.clone().into());
    }
    Value::Object(object)
}
