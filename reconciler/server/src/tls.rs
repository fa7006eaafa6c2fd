//! TLS by two files: the certificates, and their key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use tokio_rustls::TlsAcceptor;

use crate::error::ServerError;

/// What a connection is encrypted with.
///
/// *Guarantees*: TLS 1.3 only. The key is held in memory, and neither shown nor logged.
pub struct Tls {
    certificates: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the certificates, that of the server first, and the key, both in PEM.
    pub fn read(certificates: PathBuf, key: PathBuf) -> Result<Self, ServerError> {
        let config = RwLock::new(config(&certificates, &key)?);
        Ok(Self {
            certificates,
            key,
            config,
        })
    }

    /// Reads both files again, for connections that begin from now on. What cannot be used leaves
    /// those in place that were there.
    pub fn reload(&self) -> Result<(), ServerError> {
        let config = config(&self.certificates, &self.key)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

fn config(certificates: &Path, key: &Path) -> Result<Arc<ServerConfig>, ServerError> {
    let unreadable = |file: &Path| {
        let file = file.to_owned();
        move |source: Box<dyn std::error::Error + Send + Sync>| ServerError::Pem { file, source }
    };
    let pem =
        std::fs::read(certificates).map_err(|error| unreadable(certificates)(error.into()))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(certificates)(error.into()))?;
    if chain.is_empty() {
        return Err(unreadable(certificates)("it holds no certificate".into()));
    }
    let pem = std::fs::read(key).map_err(|error| unreadable(key)(error.into()))?;
    let private =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unreadable(key)(error.into()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unreadable(certificates)(error.into()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|source| ServerError::Pair {
            certificates: certificates.to_owned(),
            key: key.to_owned(),
            source,
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use jiff::Timestamp;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use stratum_runtime::Stop;
    use stratum_seal::generate::{self, CertificateRequest};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;

    use crate::part::Part;
    use crate::server::{Server, bind};

    /// A folder with a new pair: `cert.pem` and `key.pem`.
    fn pair(folder: &Path) -> Vec<u8> {
        let key = generate::private_key("ecdsa-p256").unwrap();
        let request = CertificateRequest {
            common_name: "localhost".to_owned(),
            organization: None,
            dns_names: vec!["localhost".to_owned()],
            ip_addresses: Vec::new(),
            is_authority: false,
            not_before: "2020-01-01T00:00:00Z".parse::<Timestamp>().unwrap(),
            not_after: "2120-01-01T00:00:00Z".parse().unwrap(),
        };
        let certificate = generate::certificate(&key, &request).unwrap();
        std::fs::write(folder.join("cert.pem"), &certificate).unwrap();
        std::fs::write(folder.join("key.pem"), key.expose()).unwrap();
        certificate.into_bytes()
    }

    fn read(folder: &Path) -> Result<Tls, ServerError> {
        Tls::read(folder.join("cert.pem"), folder.join("key.pem"))
    }

    /// A new pair, read.
    pub(crate) fn some() -> Tls {
        let folder = tempfile::tempdir().unwrap();
        pair(folder.path());
        read(folder.path()).unwrap()
    }

    async fn ask(address: std::net::SocketAddr, trusted: &[u8]) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(trusted).flatten());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await?;
        let request = b"GET /shelf HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn it_answers_encrypted_and_a_renewed_pair_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let first = pair(folder.path());
        let tls = Arc::new(read(folder.path()).unwrap());
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let part =
            Part::default().answering(Router::new().route("/shelf", get(|| async { "here" })));
        let server = Server::new(None)
            .with(part)
            .encrypted(Some(Arc::clone(&tls)));
        server.start(Some(listener), Stop::default());
        // Whoever says nothing keeps nobody from being answered.
        let _silent = TcpStream::connect(address).await.unwrap();
        assert!(ask(address, &first).await.unwrap().ends_with("here"));
        let second = pair(folder.path());
        assert!(ask(address, &second).await.is_err());
        tls.reload().unwrap();
        assert!(ask(address, &second).await.unwrap().ends_with("here"));
        std::fs::write(folder.path().join("cert.pem"), "half").unwrap();
        assert!(tls.reload().is_err());
        assert!(ask(address, &second).await.unwrap().ends_with("here"));
        let mut clear = TcpStream::connect(address).await.unwrap();
        clear
            .write_all(b"GET /shelf HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut said = Vec::new();
        let read = clear.read_to_end(&mut said);
        let _reset = tokio::time::timeout(Duration::from_secs(60), read)
            .await
            .unwrap();
        assert!(!String::from_utf8_lossy(&said).contains("HTTP"));
    }

    #[test]
    fn files_that_do_not_go_together_are_named() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        pair(one.path());
        pair(other.path());
        let mixed = Tls::read(one.path().join("cert.pem"), other.path().join("key.pem"));
        assert!(matches!(mixed, Err(ServerError::Pair { .. })));
        let swapped = Tls::read(one.path().join("key.pem"), one.path().join("cert.pem"));
        assert!(matches!(swapped, Err(ServerError::Pem { .. })));
        assert!(matches!(
            read(Path::new("/nowhere")),
            Err(ServerError::Pem { .. })
        ));
    }
}
