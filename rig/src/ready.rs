//! Asks an API server whether it is ready: one GET over TLS, with its certificate verified.

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether `/readyz` of the API server at `port` answers 200; why not otherwise. `certificate` is the file that the server
/// writes its certificate and that of its issuer to.
pub(crate) fn ask(port: u16, certificate: &Path, token: &str) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(|error| text(&error))?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .and_then(|()| stream.set_write_timeout(Some(TIMEOUT)))
        .map_err(|error| text(&error))?;
    let config = trusting(certificate)?;
    let connection =
        ClientConnection::new(Arc::new(config), ServerName::IpAddress(Ipv4Addr::LOCALHOST.into()))
            .map_err(|error| text(&error))?;
    let mut stream = StreamOwned::new(connection, stream);
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )
    .map_err(|error| text(&error))?;
    let mut answer = Vec::new();
    // A server that closes without a TLS goodbye has still answered.
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    match (answer.lines().next(), read) {
        (Some(line), _) if line.contains(" 200 ") => Ok(()),
        (Some(line), _) => Err(line.to_owned()),
        (None, Err(error)) => Err(text(&error)),
        (None, Ok(_)) => Err("no answer".to_owned()),
    }
}

fn trusting(certificate: &Path) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
