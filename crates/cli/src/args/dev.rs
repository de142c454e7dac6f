//! The arguments of the commands that the service brings: `dev`, `bench`, `sim`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use minutehand_crontab::Format;
use serde::Serialize;

use super::values::{address, crontab_format, name_and_value};

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Built in.
    Default,
    /// Chosen by the profile.
    Profile,
    /// From the file given with `--config`.
    File,
    /// From an environment variable.
    Environment,
    /// From the command line.
    Flag,
}

impl Origin {
    /// The word used in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::Profile => "profile",
            Origin::File => "file",
            Origin::Environment => "environment",
            Origin::Flag => "flag",
        }
    }
}

/// Run everything in one process.
#[derive(Clone, Debug, Args)]
pub struct DevArgs {
    /// The folder that holds everything durable; made when it is missing.
    #[arg(long, env = "MINUTEHAND_DATA_DIR", value_name = "DIR", default_value = "minutehand-data")]
    pub data_dir: PathBuf,

    /// The address of the HTTP API, the page and the metrics; port 0 lets the system choose.
    #[arg(long, env = "MINUTEHAND_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    pub http: SocketAddr,

    /// Make every line of a crontab a schedule and run its commands; may be given more than once. The schedules follow the
    /// files at each start: an edited line keeps its schedule, that of a removed line is deleted, and those of a
    /// file that is not given rest.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub crontab: Vec<PathBuf>,

    /// Whether lines of the crontabs have a user between time and command: `user` (they have none) or `system`.
    #[arg(long, value_name = "FORMAT", value_parser = crontab_format, requires = "crontab")]
    pub crontab_format: Option<Format>,

    /// The number of partitions of a new data folder; an existing one keeps its own.
    #[arg(long, env = "MINUTEHAND_PARTITIONS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub partitions: Option<u32>,

    /// A preset of settings.
    #[arg(long, env = "MINUTEHAND_PROFILE", value_name = "NAME",
          value_parser = ["balanced", "high-performance", "cost-optimized"])]
    pub profile: Option<String>,

    /// A file of settings (TOML).
    #[arg(long, env = "MINUTEHAND_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Set one setting, by the name that `config show` prints; may be given more than once.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,

    /// A file of bearer tokens, one per line. Needed to listen elsewhere than on loopback.
    #[arg(long, env = "MINUTEHAND_TOKENS_FILE", value_name = "FILE")]
    pub tokens_file: Option<PathBuf>,

    /// The certificate to serve HTTPS with (PEM), followed by those between it and an authority.
    #[arg(long, env = "MINUTEHAND_TLS_CERT_FILE", value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,

    /// The private key of that certificate (PEM).
    #[arg(long, env = "MINUTEHAND_TLS_KEY_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,

    /// Authorities (PEM): callers must show a certificate of one of them.
    #[arg(long, env = "MINUTEHAND_TLS_CLIENT_CA_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub tls_client_ca_file: Option<PathBuf>,

    /// What is logged, as `level` or `target=level,…`.
    #[arg(long, env = "MINUTEHAND_LOG", value_name = "FILTER", default_value = "warn,minutehand=info")]
    pub log: String,

    /// Where each argument's value comes from; filled by [`crate::parse_from`].
    #[arg(skip)]
    pub origins: Vec<(String, Origin)>,
}

impl DevArgs {
    /// Where the value of an argument comes from, by its field's name: `data_dir`.
    #[must_use]
    pub fn origin(&self, field: &str) -> Origin {
        let found = self.origins.iter().find(|(name, _)| name == field);
        found.map_or(Origin::Default, |(_, origin)| *origin)
    }
}

/// The words of a verb that has moved to the laboratory's program, `minutehand-lab`, as they were given.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct LabArgs {
    /// What the laboratory's program is given.
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

impl LabArgs {
    /// Takes `--json` out of the words and answers whether it was there: failures of ours are JSON then, too.
    pub(crate) fn take_json(&mut self) -> bool {
        let count = self.words.len();
        self.words.retain(|word| word != "--json");
        self.words.len() < count
    }

    /// The whole command line of the laboratory's program.
    pub(crate) fn line(self, verb: &str, json: bool) -> Vec<OsString> {
        let json = json.then(|| OsString::from("--json"));
        [OsString::from(verb)].into_iter().chain(self.words).chain(json).collect()
    }
}
