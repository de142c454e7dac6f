//! The benchmarks: the one place that says which there are.

use minutehand_cli::{Exit, Failure};

/// What a benchmark needs, and how it is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// It needs this machine alone.
    Here(Here),
    /// It needs Kafka, Cassandra and etcd: those that the environment names, else a set of its own.
    OnServers(OnServers),
    /// It needs servers and schedulers of its own, because it breaks them; a measurement of the
    /// torture's rig.
    OnOwnServers,
}

/// How a benchmark of this machine alone is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    Engine,
    EndToEnd,
    Paced,
    Highest,
    Startup,
    Outage,
    Memory,
    Crash,
    CrashPoints,
    Simulator,
    Pull,
    Pool,
    Webhook,
    SlowEndpoint,
    Fair,
}

/// How a benchmark on servers is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnServers {
    Steady,
    Paced,
    PersistAll,
    Prepared { tasks: u64 },
    Thin,
    Workers { tasks: u64 },
}

/// A benchmark.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bench {
    /// The word for it; those that need servers have [`CLUSTER`] before it.
    pub(crate) name: &'static str,
    /// What it measures.
    pub(crate) about: &'static str,
    /// What it needs, and how it is carried out.
    pub(crate) run: Run,
    /// Whether it takes so long that it is run by its name alone.
    pub(crate) is_long: bool,
}

/// The word before the names of benchmarks that need servers; alone it stands for all that are not
/// long.
const CLUSTER: &str = "cluster";

/// Every benchmark, in the order in which they are listed and run.
pub(crate) const BENCHES: &[Bench] = &[
    here(
        "engine",
        "the engine alone: apply and fire, one core; memory of a waiting task",
        Here::Engine,
    ),
    here(
        "end-to-end",
        "created in bulk, fired, acknowledged by a no-op handler; all durable",
        Here::EndToEnd,
    ),
    here(
        "paced",
        "start lateness, due times spread evenly, at --rate tasks a second for --seconds",
        Here::Paced,
    ),
    here(
        "highest",
        "the highest paced rate whose p99 of start lateness stays below one second",
        Here::Highest,
    ),
    here(
        "startup",
        "from opening a folder of stored tasks until the scheduler is ready",
        Here::Startup,
    ),
    here(
        "outage",
        "an hour of --tasks missed tasks beside --rate a second on time: memory, lateness",
        Here::Outage,
    ),
    here(
        "memory",
        "what 6,000 queues and 12,000 deleted schedules leave after --seconds of rest",
        Here::Memory,
    ),
    here(
        "pull",
        "leased and acknowledged over HTTP, batches of 100, eight programs; all durable",
        Here::Pull,
    ),
    here(
        "crash",
        "kill -9 under load, 20 times: tasks lost, executions published twice",
        Here::Crash,
    ),
    here(
        "crash-points",
        "a worker is killed at every step, 20 times each: promises of the guarantees broken",
        Here::CrashPoints,
    ),
    here(
        "simulator",
        "virtual time to real time: 3 nodes, 8 partitions, 100 tasks/s",
        Here::Simulator,
    ),
    here(
        "pool",
        "--tasks runs by children of a pool: one line in, one line out",
        Here::Pool,
    ),
    here(
        "webhook",
        "--tasks calls of a local server that keeps connections open",
        Here::Webhook,
    ),
    here(
        "webhook-slow",
        "100 endpoints at --rate/s for --seconds, alone and beside one that answers after 30 s",
        Here::SlowEndpoint,
    ),
    here(
        "fair",
        "999 namespaces at --rate/s for --seconds, alone and beside one with 100 times the load of each",
        Here::Fair,
    ),
    servers(
        "steady",
        "the highest rate that is sustained, beside raw clients with the same bytes",
        OnServers::Steady,
    ),
    servers(
        "paced",
        "start lateness at 50,000 tasks a second",
        OnServers::Paced,
    ),
    servers(
        "persist-all",
        "the highest rate with every task in a block (engine.persist = all)",
        OnServers::PersistAll,
    ),
    servers(
        "prepared",
        "a million stored tasks that are due in one minute",
        OnServers::Prepared { tasks: 1_000_000 },
    ),
    servers(
        "thin",
        "20,000 tasks a second spread over a day: what blocks cost",
        OnServers::Thin,
    ),
    servers(
        "workers",
        "a worker with a no-op handler beside a bare reader; results to a topic, exactly once",
        OnServers::Workers { tasks: 400_000 },
    ),
    own_servers(
        "take-over",
        "a scheduler is killed: until its last partition fires again",
    ),
    own_servers(
        "hand-over",
        "a scheduler ends as planned: lateness that this adds",
    ),
    own_servers(
        "hand-over-loaded",
        "16 partitions change hands at --rate tasks/s beside a backlog; once without Cassandra",
    ),
    own_servers(
        "placement",
        "schedulers come and go: partitions of the fullest, partitions moved",
    ),
    long(servers(
        "prepared-6-million",
        "the same with six million",
        OnServers::Prepared { tasks: 6_000_000 },
    )),
    long(own_servers(
        "faults",
        "the torture for --minutes: promises not kept, backlog after healing",
    )),
];

const fn here(name: &'static str, about: &'static str, run: Here) -> Bench {
    Bench {
        name,
        about,
        run: Run::Here(run),
        is_long: false,
    }
}

const fn servers(name: &'static str, about: &'static str, run: OnServers) -> Bench {
    Bench {
        name,
        about,
        run: Run::OnServers(run),
        is_long: false,
    }
}

const fn own_servers(name: &'static str, about: &'static str) -> Bench {
    Bench {
        name,
        about,
        run: Run::OnOwnServers,
        is_long: false,
    }
}

const fn long(bench: Bench) -> Bench {
    Bench {
        is_long: true,
        ..bench
    }
}

impl Bench {
    /// Whether it needs servers, shared or its own.
    pub(crate) fn needs_servers(&self) -> bool {
        !matches!(self.run, Run::Here(_))
    }

    /// The words that run it.
    pub(crate) fn words(&self) -> String {
        match self.needs_servers() {
            true => format!("{CLUSTER} {}", self.name),
            false => self.name.to_owned(),
        }
    }
}

/// The benchmarks that these words name.
///
/// # Errors
/// When a word names none.
pub(crate) fn select(words: &[String]) -> Result<Vec<&'static Bench>, Failure> {
    let (of_cluster, names) = match words {
        [first, names @ ..] if first == CLUSTER => (true, names),
        names => (false, names),
    };
    let group = || {
        BENCHES
            .iter()
            .filter(|bench| bench.needs_servers() == of_cluster)
    };
    if of_cluster && names.is_empty() {
        return Ok(group().filter(|bench| !bench.is_long).collect());
    }
    let find = |name: &String| {
        group()
            .find(|bench| bench.name == name)
            .ok_or_else(|| unknown(name))
    };
    names.iter().map(find).collect()
}

fn unknown(name: &str) -> Failure {
    let words: Vec<String> = BENCHES.iter().map(Bench::words).collect();
    Failure::new(
        Exit::Usage,
        format!(
            "there is no benchmark {name:?}; choose one of {}",
            words.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(line: &str) -> Result<Vec<String>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let benches = select(&words).map_err(|failure| failure.message)?;
        Ok(benches.iter().map(|bench| bench.words()).collect())
    }

    #[test]
    fn every_benchmark_is_found_by_its_words() {
        for bench in BENCHES {
            assert_eq!(selected(&bench.words()), Ok(vec![bench.words()]));
        }
    }

    #[test]
    fn cluster_alone_is_all_that_need_servers_but_the_long_ones() {
        let all = selected("cluster").expect("a selection");
        assert_eq!(
            all.len(),
            BENCHES
                .iter()
                .filter(|bench| bench.needs_servers() && !bench.is_long)
                .count()
        );
        assert!(!all.contains(&"cluster faults".to_owned()), "{all:?}");
        assert_eq!(
            selected("cluster steady faults")
                .expect("a selection")
                .len(),
            2
        );
    }

    #[test]
    fn a_word_that_names_no_benchmark_is_refused() {
        for line in ["all", "steady", "cluster engine", "engine cluster"] {
            let error = selected(line).expect_err(line);
            assert!(error.starts_with("there is no benchmark \""), "{error}");
            assert!(error.contains("engine, end-to-end, paced"), "{error}");
        }
    }
}
