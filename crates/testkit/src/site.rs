//! Where and for how long servers run.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cache::{Cache, RunFolder, remove_folder};
use crate::fetch::FetchError;
use crate::ports::Port;
use crate::programs;
use crate::record::Record;
use crate::server::{Plan, Server, ServerError};
use crate::supervisor::Lifetime;

/// Why servers did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// They could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// One did not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// One could not be prepared.
    #[error("could not prepare {server}:\n{output}")]
    Prepare {
        /// Its name.
        server: String,
        /// What the program that prepares it printed.
        output: String,
    },
    /// A file, a folder or a port could not be had.
    #[error("could not prepare a server")]
    System(#[from] io::Error),
}

/// A folder for the data of a cluster, and how long its servers live.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) cache: Cache,
    folder: Folder,
    // Kept while the servers may come back to them.
    ports: Vec<Port>,
}

#[derive(Debug)]
enum Folder {
    OfProcess(RunFolder),
    Lasting { path: PathBuf, record: PathBuf },
}

impl Site {
    /// For servers that die with this process; their data goes with them.
    pub(crate) fn of_process(name: &str) -> Result<Site, StartError> {
        let cache = Cache::of_user();
        let folder = Folder::OfProcess(RunFolder::create(&cache, name)?);
        Ok(Site {
            cache,
            folder,
            ports: Vec::new(),
        })
    }

    /// For servers that stay: every process is written into a record as soon as it exists.
    pub(crate) fn lasting(cache: &Cache, name: &str, record: &Path) -> Result<Site, StartError> {
        let path = cache.up().join(name);
        remove_folder(&path)?;
        fs::create_dir_all(&path)?;
        let folder = Folder::Lasting {
            path,
            record: record.to_owned(),
        };
        Ok(Site {
            cache: cache.clone(),
            folder,
            ports: Vec::new(),
        })
    }

    pub(crate) fn holding(mut self, ports: Vec<Port>) -> Site {
        self.ports.extend(ports);
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        match &self.folder {
            Folder::OfProcess(folder) => folder.path(),
            Folder::Lasting { path, .. } => path,
        }
    }

    pub(crate) fn java(&self) -> Result<PathBuf, FetchError> {
        programs::java().ok_or(FetchError::Missing {
            program: "java (version 17)",
        })
    }

    /// A server here, not started yet.
    pub(crate) fn server(&self, plan: Plan) -> Server {
        let lifetime = match self.folder {
            Folder::OfProcess(_) => Lifetime::WithParent,
            Folder::Lasting { .. } => Lifetime::Detached,
        };
        Server::new(plan, lifetime)
    }

    /// Launches a server of this site without waiting for it.
    pub(crate) fn launch(&self, server: &Server) -> Result<(), StartError> {
        server.launch()?;
        if let (Folder::Lasting { record, .. }, Some(pid)) = (&self.folder, server.pid()) {
            let mut file = OpenOptions::new().create(true).append(true).open(record)?;
            writeln!(file, "{}", Record::of(server.name(), pid)?)?;
        }
        Ok(())
    }
}
