//! Certificates and passwords for listeners that want them, made anew for every use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The user that secured servers know, unless a test makes others.
pub const USER: &str = "minutehand";
/// Its password.
pub const PASSWORD: &str = "a-password-for-tests";

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The program `openssl` cannot be run, or a file not be written.
    #[error("could not make certificates with the program `openssl`")]
    System(#[from] io::Error),
    /// It does not do what is asked.
    #[error("`openssl {arguments}` failed: {output}")]
    Openssl {
        /// What it was asked.
        arguments: String,
        /// What it printed.
        output: String,
    },
}

/// An authority, and a certificate for servers on the loopback interface that it signed; elliptic
/// curves (P-256).
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Valid for a day, for `localhost` and 127.0.0.1 to 127.0.0.4; written into a folder, which is
    /// made.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn create(folder: &Path) -> Result<Certificates, CertificateError> {
        Certificates::make(folder, &["-days", "1"])
    }

    /// The same, with a server certificate that ran out long ago.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn create_expired(folder: &Path) -> Result<Certificates, CertificateError> {
        Certificates::make(
            folder,
            &[
                "-startdate",
                "20200101000000Z",
                "-enddate",
                "20200102000000Z",
            ],
        )
    }

    /// The authority's certificate, PEM: what a client trusts.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// The server's certificate, PEM.
    pub fn server_certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The server's key, PEM (PKCS#8).
    pub fn server_key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    /// The server's key and chain in one file, PEM: what Kafka takes for a key store.
    pub(crate) fn server_key_and_chain(&self) -> PathBuf {
        self.folder.join("server-key-and-chain.pem")
    }

    /// The same for Cassandra, PKCS#12 with [`PASSWORD`].
    pub(crate) fn server_store(&self) -> PathBuf {
        self.folder.join("server.p12")
    }

    fn make(folder: &Path, validity: &[&str]) -> Result<Certificates, CertificateError> {
        fs::create_dir_all(folder)?;
        let folder = fs::canonicalize(folder)?;
        fs::write(folder.join("openssl.cnf"), OPENSSL_CONFIGURATION)?;
        fs::write(folder.join("index.txt"), "")?;
        fs::write(folder.join("serial"), "01\n")?;
        let openssl = |arguments: &[&str]| run(&folder, arguments);
        let key = [
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
        ];
        openssl(&[&key[..], &["authority.key"]].concat())?;
        openssl(&[&key[..], &["server.key"]].concat())?;
        let configured = ["-config", "openssl.cnf"];
        let authority = [
            "req",
            "-x509",
            "-new",
            "-key",
            "authority.key",
            "-subj",
            "/CN=Minutehand test authority",
        ];
        let extended = [
            "-extensions",
            "authority",
            "-days",
            "2",
            "-out",
            "authority.pem",
        ];
        openssl(&[&authority[..], &extended, &configured].concat())?;
        let request = [
            "req",
            "-new",
            "-key",
            "server.key",
            "-subj",
            "/CN=localhost",
            "-out",
            "server.csr",
        ];
        openssl(&[&request[..], &configured].concat())?;
        let sign = [
            "ca",
            "-batch",
            "-notext",
            "-in",
            "server.csr",
            "-out",
            "server.pem",
        ];
        openssl(&[&sign[..], validity, &configured].concat())?;
        let password = format!("pass:{PASSWORD}");
        let pack = [
            "pkcs12",
            "-export",
            "-in",
            "server.pem",
            "-inkey",
            "server.key",
            "-certfile",
            "authority.pem",
        ];
        openssl(&[&pack[..], &["-out", "server.p12", "-passout", &password]].concat())?;
        let certificates = Certificates { folder };
        let mut chain = Vec::new();
        for part in [
            certificates.server_key(),
            certificates.server_certificate(),
            certificates.authority(),
        ] {
            chain.extend(fs::read(part)?);
        }
        fs::write(certificates.server_key_and_chain(), chain)?;
        Ok(certificates)
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Result<(), CertificateError> {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CertificateError::Openssl {
        arguments: arguments.join(" "),
        output,
    })
}

const OPENSSL_CONFIGURATION: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[ca]
default_ca = test
[test]
database = index.txt
serial = serial
new_certs_dir = .
certificate = authority.pem
private_key = authority.key
default_md = sha256
policy = any
x509_extensions = server
unique_subject = no
[any]
commonName = supplied
[server]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
# etcd speaks to itself with it, too.
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:127.0.0.2, IP:127.0.0.3, IP:127.0.0.4
";

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(certificates: &Certificates) -> Result<(), CertificateError> {
        run(
            &certificates.folder,
            &["verify", "-CAfile", "authority.pem", "server.pem"],
        )
    }

    #[test]
    fn a_fresh_certificate_is_trusted_and_an_old_one_has_expired() {
        let folder = tempfile::tempdir().unwrap();
        verify(&Certificates::create(&folder.path().join("fresh")).unwrap()).unwrap();
        let old = Certificates::create_expired(&folder.path().join("old")).unwrap();
        let error = verify(&old).unwrap_err().to_string();
        assert!(error.contains("certificate has expired"), "{error}");
    }
}
