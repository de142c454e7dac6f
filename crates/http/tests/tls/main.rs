//! TLS: who shows what to whom, with certificates made for the test.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::routing::get;
use minutehand_http::{ServeLimits, Tls, TlsFiles, serve};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// An authority, and a folder for what it signs.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Certificate and key in PEM.
struct Signed {
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority {
            folder: tempfile::tempdir().unwrap(),
            issuer,
        }
    }

    fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Signed {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn server_files(&self, name: &str, client_ca: Option<PathBuf>) -> TlsFiles {
        let signed = self.sign(name);
        TlsFiles {
            cert: self.file("cert.pem", &signed.cert),
            key: self.file("key.pem", &signed.key),
            client_ca,
        }
    }

    /// A client that trusts this authority alone.
    fn client(&self, identity: Option<&Signed>) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = reqwest::Certificate::from_pem(self.issuer.pem().as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder().no_proxy().tls_certs_only([ca]);
        if let Some(signed) = identity {
            let pem = format!("{}{}", signed.cert, signed.key);
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }
}

/// A server for the length of a test.
struct Server {
    addr: SocketAddr,
    tls: watch::Sender<Tls>,
}

async fn server(files: &TlsFiles) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (tls, current) = watch::channel(Tls::read(files).unwrap());
    let router = Router::new().route("/livez", get(|| async { "ok\n" }));
    tokio::spawn(serve(
        listener,
        Some(current),
        router,
        ServeLimits::default(),
        std::future::pending(),
    ));
    Server { addr, tls }
}

async fn live(client: &reqwest::Client, addr: SocketAddr) -> Result<String, reqwest::Error> {
    client
        .get(format!("https://localhost:{}/livez", addr.port()))
        .send()
        .await?
        .text()
        .await
}

#[tokio::test]
async fn only_callers_that_trust_the_authority_connect() {
    let authority = Authority::new();
    let server = server(&authority.server_files("localhost", None)).await;
    assert_eq!(
        live(&authority.client(None), server.addr).await.unwrap(),
        "ok\n"
    );
    assert!(
        live(&Authority::new().client(None), server.addr)
            .await
            .unwrap_err()
            .is_connect()
    );
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused_by_the_caller() {
    let authority = Authority::new();
    let server = server(&authority.server_files("elsewhere.example", None)).await;
    assert!(live(&authority.client(None), server.addr).await.is_err());
}

#[tokio::test]
async fn with_a_client_authority_a_caller_must_show_its_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let ca = authority.file("ca.pem", &authority.issuer.pem());
    let server = server(&authority.server_files("localhost", Some(ca))).await;
    let ours = authority.client(Some(&authority.sign("gateway")));
    assert_eq!(live(&ours, server.addr).await.unwrap(), "ok\n");
    assert!(live(&authority.client(None), server.addr).await.is_err());
    assert!(
        live(
            &authority.client(Some(&stranger.sign("gateway"))),
            server.addr
        )
        .await
        .is_err()
    );
}

#[tokio::test]
async fn a_caller_that_says_nothing_holds_nobody_up() {
    let authority = Authority::new();
    let server = server(&authority.server_files("localhost", None)).await;
    let _silent = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    assert_eq!(
        live(&authority.client(None), server.addr).await.unwrap(),
        "ok\n"
    );
}

#[tokio::test]
async fn new_files_are_shown_to_new_connections() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = server(&old.server_files("localhost", None)).await;
    server
        .tls
        .send_replace(Tls::read(&new.server_files("localhost", None)).unwrap());
    assert_eq!(live(&new.client(None), server.addr).await.unwrap(), "ok\n");
    assert!(live(&old.client(None), server.addr).await.is_err());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let good = authority.server_files("localhost", None);
    let empty = authority.file("empty.pem", "nothing\n");
    let other_key = authority.file("other.pem", &authority.sign("localhost").key);
    let missing = authority.folder.path().join("missing.pem");
    let cases = [
        (
            TlsFiles {
                cert: missing,
                ..good.clone()
            },
            "could not read the certificate in ",
        ),
        (
            TlsFiles {
                cert: empty.clone(),
                ..good.clone()
            },
            "holds no certificate in PEM",
        ),
        (
            TlsFiles {
                key: empty.clone(),
                ..good.clone()
            },
            "holds no private key in PEM",
        ),
        (
            TlsFiles {
                key: other_key,
                ..good.clone()
            },
            "cannot be used with the key in",
        ),
        (
            TlsFiles {
                client_ca: Some(empty),
                ..good.clone()
            },
            "holds no certificate of an authority in PEM",
        ),
    ];
    for (files, words) in cases {
        let said = Tls::read(&files).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("BEGIN"), "{said}");
    }
    Tls::read(&good).unwrap();
}
