//! The judges: `openssl verify` and webpki, asked the same question.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use certmesh_x509::Certificate;
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use tempfile::TempDir;

/// Runs `openssl`. Its absence fails the test: without the judge there is no verdict.
pub(crate) fn openssl_with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("the `openssl` command judges these tests and cannot be run ({error}): install it")
        });
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A child that fails early closes its input; its exit status tells.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("openssl was started")
}

/// What `openssl` prints on success; fails the test otherwise.
pub(crate) fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let output = openssl_with_input(arguments, input);
    assert!(
        output.status.success(),
        "openssl {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("openssl prints text")
}

/// The question put to every judge: is this leaf good for mTLS, under these CAs and roots, at this time?
pub(crate) struct Question<'a> {
    pub(crate) leaf: &'a Certificate,
    pub(crate) intermediates: &'a [Certificate],
    pub(crate) roots: &'a [Certificate],
    pub(crate) at: Timestamp,
}

impl Question<'_> {
    /// OpenSSL's answer, as TLS server and client. Security level 2 is that of TLS: no SHA-1, no RSA below 2048 bits.
    pub(crate) fn openssl(&self, extra: &[&str]) -> Result<(), String> {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let write = |name: &str, certificates: &[Certificate]| {
            let path = directory.path().join(name);
            std::fs::write(&path, Certificate::write_chain(certificates)).expect("the directory is writable");
            path.to_str().expect("temporary paths are UTF-8").to_owned()
        };
        let leaf = write("leaf.pem", std::slice::from_ref(self.leaf));
        let roots = write("roots.pem", self.roots);
        let at = self.at.as_second().to_string();
        let mut arguments = vec!["verify", "-no-CApath", "-no-CAstore", "-auth_level", "2", "-attime", &at];
        arguments.extend_from_slice(extra);
        arguments.extend_from_slice(&["-CAfile", &roots]);
        let untrusted = write("untrusted.pem", self.intermediates);
        if !self.intermediates.is_empty() {
            arguments.extend_from_slice(&["-untrusted", &untrusted]);
        }
        for purpose in ["sslserver", "sslclient"] {
            let mut arguments = arguments.clone();
            arguments.extend_from_slice(&["-purpose", purpose, &leaf]);
            let output = openssl_with_input(&arguments, b"");
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        Ok(())
    }

    /// webpki's answer, as TLS server and client.
    pub(crate) fn webpki(&self) -> Result<(), String> {
        let der = |certificate: &Certificate| CertificateDer::from(certificate.as_der().to_vec());
        let (leaf, roots) = (der(self.leaf), self.roots.iter().map(der).collect::<Vec<_>>());
        let intermediates: Vec<_> = self.intermediates.iter().map(der).collect();
        let anchors = roots
            .iter()
            .map(webpki::anchor_from_trusted_cert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("anchor: {error}"))?;
        let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(|error| format!("leaf: {error}"))?;
        let at = u64::try_from(self.at.as_second()).expect("tests are set after 1970");
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
        for usage in [webpki::KeyUsage::server_auth(), webpki::KeyUsage::client_auth()] {
            leaf.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                &intermediates,
                at,
                usage,
                None,
                None,
            )
            .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
