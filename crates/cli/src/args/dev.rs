//! The arguments of the commands that the service brings: `dev`, `bench`, `sim`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use minutehand_crontab::Format;

use super::values::{address, crontab_format, name_and_value};

/// The presets of settings.
pub const PROFILES: [&str; 3] = ["balanced", "high-performance", "cost-optimized"];

/// Where settings come from, beside the environment.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingsArgs {
    /// A file of settings (TOML), one for `dev` and all roles of a cluster.
    #[arg(long, env = "MINUTEHAND_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// A preset of settings.
    #[arg(long, env = "MINUTEHAND_PROFILE", value_name = "NAME", value_parser = PROFILES)]
    pub profile: Option<String>,

    /// Set one setting, by the name that `config show` prints; may be given more than once.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
}

/// Run everything in one process.
#[derive(Clone, Debug, Args)]
pub struct DevArgs {
    /// The folder that holds everything durable, made when it is missing; `minutehand-data` unless
    /// given (embedded.data_dir, MINUTEHAND_DATA_DIR).
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// The address of the HTTP API, the page and the metrics; port 0 lets the system choose,
    /// 127.0.0.1:8080 unless given (gateway.listen, MINUTEHAND_HTTP).
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub http: Option<SocketAddr>,

    /// Make every line of a crontab a schedule and run its commands; may be given more than once.
    /// The schedules follow the files at each start: an edited line keeps its schedule, that of a
    /// removed line is deleted, and those of a file that is not given rest.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub crontab: Vec<PathBuf>,

    /// Whether lines of the crontabs have a user between time and command: `user` (they have none)
    /// or `system`.
    #[arg(long, value_name = "FORMAT", value_parser = crontab_format, requires = "crontab")]
    pub crontab_format: Option<Format>,

    /// The number of partitions of a new data folder; an existing one keeps its own
    /// (cluster.partitions).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub partitions: Option<u32>,

    /// A file of bearer tokens, one per line. Needed to listen elsewhere than on loopback
    /// (gateway.tokens_file).
    #[arg(long, value_name = "FILE")]
    pub tokens_file: Option<PathBuf>,

    /// The certificate to serve HTTPS with (PEM), followed by those between it and an authority
    /// (http.tls_cert_file).
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,

    /// The private key of that certificate (PEM) (http.tls_key_file).
    #[arg(long, value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,

    /// Authorities (PEM): callers must show a certificate of one of them (http.tls_client_ca_file).
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca_file: Option<PathBuf>,

    /// What is logged, as `level` or `target=level,…` (telemetry.log, MINUTEHAND_LOG).
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,

    /// Everything else that can be set.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

impl DevArgs {
    /// All sources: flags that are short for a setting stand before those of `--set`.
    #[must_use]
    pub fn sources(&self) -> SettingsArgs {
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let short = [
            ("embedded.data_dir", file(&self.data_dir)),
            (
                "gateway.listen",
                self.http.map(|address| address.to_string()),
            ),
            (
                "cluster.partitions",
                self.partitions.map(|count| count.to_string()),
            ),
            ("gateway.tokens_file", file(&self.tokens_file)),
            ("http.tls_cert_file", file(&self.tls_cert_file)),
            ("http.tls_key_file", file(&self.tls_key_file)),
            ("http.tls_client_ca_file", file(&self.tls_client_ca_file)),
            ("telemetry.log", self.log.clone()),
        ];
        let short = short
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        SettingsArgs {
            set: short.chain(self.settings.set.clone()).collect(),
            ..self.settings.clone()
        }
    }
}

/// The words of a verb that has moved to the laboratory's program, `minutehand-lab`, as they were
/// given.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct LabArgs {
    /// What the laboratory's program is given.
    #[arg(
        value_name = "WORD",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub words: Vec<OsString>,
}

impl LabArgs {
    /// Takes `--json` out of the words and answers whether it was there: failures of ours are JSON
    /// then, too.
    pub(crate) fn take_json(&mut self) -> bool {
        let count = self.words.len();
        self.words.retain(|word| word != "--json");
        self.words.len() < count
    }

    /// The whole command line of the laboratory's program.
    pub(crate) fn line(self, verb: &str, json: bool) -> Vec<OsString> {
        let json = json.then(|| OsString::from("--json"));
        [OsString::from(verb)]
            .into_iter()
            .chain(self.words)
            .chain(json)
            .collect()
    }
}
