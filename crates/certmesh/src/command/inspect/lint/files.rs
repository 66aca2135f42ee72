//! Checks of files and of the Secret around them.

use certmesh_api::{names::secret_types, secrets};
use certmesh_x509::PemItem;

use super::{Check, Examined, Finding, critical, info, warning};
use crate::command::inspect::contents::{Content, FileContents, Role};

pub(super) const CHECKS: &[Check] = &[
    unreadable,
    missing_file,
    tls_certificate_beside_ca,
    made_by_istiod,
    wrong_type,
    immutable,
    unmanaged,
    carriage_returns,
    no_final_newline,
    several_keys,
    private_key_among_certificates,
];

/// Files whose bytes istiod compares, or concatenates.
const COMPARED_FILES: [&str; 2] = [secrets::ROOT_CERT, secrets::CERT_CHAIN];

fn unreadable(examined: &Examined<'_>) -> Vec<Finding> {
    const FIX: &str = "replace it; a Secret of certmesh's own is written anew when it is deleted";
    let in_file = |file: &FileContents| -> Vec<Finding> {
        let found = |reason: String| critical("Unreadable", &file.name, reason, FIX);
        match &file.content {
            Content::BadPem(error) => vec![found(error.to_string())],
            Content::Opaque if secrets_of_pem(&file.name) => vec![found("it holds no PEM block".to_owned())],
            Content::Opaque => Vec::new(),
            Content::Pem(pem) => pem.items.iter().filter_map(unreadable_item).map(found).collect(),
        }
    };
    examined.contents.files.iter().flat_map(in_file).collect()
}

fn unreadable_item(item: &PemItem) -> Option<String> {
    match item {
        PemItem::Certificate(Err(error)) => Some(error.to_string()),
        PemItem::Request(Err(error)) => Some(error.to_string()),
        PemItem::PrivateKey(Err(error)) => Some(error.to_string()),
        _ => None,
    }
}

/// Keys of a Secret that hold PEM by convention.
fn secrets_of_pem(name: &str) -> bool {
    [
        secrets::CA_CERT,
        secrets::CA_KEY,
        secrets::CERT_CHAIN,
        secrets::ROOT_CERT,
        secrets::OLD_CA_KEY,
        secrets::TLS_CERT,
        secrets::TLS_KEY,
        secrets::TLS_CA,
    ]
    .contains(&name)
}

fn missing_file(examined: &Examined<'_>) -> Vec<Finding> {
    let contents = examined.contents;
    let istio = [secrets::CA_CERT, secrets::CA_KEY, secrets::CERT_CHAIN, secrets::ROOT_CERT];
    let needed: &[&str] = match contents.role {
        Role::IssuedCertificate => &istio,
        Role::SigningCa if contents.file(secrets::CA_CERT).is_some() => {
            &[secrets::CA_KEY, secrets::ROOT_CERT]
        }
        Role::SigningCa if contents.file(secrets::TLS_CERT).is_some() => &[secrets::TLS_KEY],
        Role::SigningCa => &[secrets::ROOT_CERT, secrets::OLD_CA_KEY],
        Role::TlsSecret => &[secrets::TLS_CERT, secrets::TLS_KEY],
        Role::PendingKey => &[secrets::PRIVATE_KEY],
        Role::OtherSecret | Role::PemFile => &[],
    };
    let missing = |name: &&&str| contents.file(name).is_none_or(|file| file.bytes == 0);
    let found = |name: &&str| {
        let message = "it is missing or empty, so the whole cannot be used".to_owned();
        critical("MissingFile", name, message, "put all files in place, in one write")
    };
    needed.iter().filter(missing).map(found).collect()
}

/// istiod looks for `tls.crt` first and would then read the whole Secret in another format.
fn tls_certificate_beside_ca(examined: &Examined<'_>) -> Vec<Finding> {
    let contents = examined.contents;
    let has = |name: &str| contents.file(name).is_some();
    if contents.role != Role::IssuedCertificate || !has(secrets::TLS_CERT) {
        return Vec::new();
    }
    let message =
        "istiod looks for tls.crt first and then ignores ca-cert.pem, ca-key.pem and cert-chain.pem"
            .to_owned();
    vec![critical(
        "TlsCertificateInCaCerts",
        secrets::TLS_CERT,
        message,
        "remove the key tls.crt from the Secret",
    )]
}

fn made_by_istiod(examined: &Examined<'_>) -> Vec<Finding> {
    let place = secrets::ISTIO_GENERATED;
    if examined.contents.file(place).is_none() {
        return Vec::new();
    }
    let message = "istiod made this CA itself: no other cluster trusts it".to_owned();
    let fix = "to join a mesh over several clusters, migrate: make this CA the first signing CA, then rotate";
    vec![warning("MadeByIstiod", place, message, fix)]
}

fn wrong_type(examined: &Examined<'_>) -> Vec<Finding> {
    let Some(secret) = &examined.contents.secret else { return Vec::new() };
    if examined.contents.role != Role::IssuedCertificate || secret.type_ != secret_types::TLS {
        return Vec::new();
    }
    let message =
        format!("type {} fixes the keys of its data, and a Secret's type cannot change", secret.type_);
    vec![warning(
        "WrongType",
        "type",
        message,
        "delete the Secret while nothing restarts, and let it be written anew",
    )]
}

fn immutable(examined: &Examined<'_>) -> Vec<Finding> {
    let Some(secret) = &examined.contents.secret else { return Vec::new() };
    if !secret.is_immutable {
        return Vec::new();
    }
    let message = "the Secret is immutable: a renewed certificate cannot be written".to_owned();
    vec![warning("Immutable", "immutable", message, "replace it by a Secret that is not immutable")]
}

fn unmanaged(examined: &Examined<'_>) -> Vec<Finding> {
    let since = examined.contents.secret.as_ref().and_then(|secret| secret.unmanaged_since.as_ref());
    let found = |since: &String| {
        let message = format!("its IssuedCertificate was deleted at {since}: nothing renews it any more");
        warning("Unmanaged", "metadata", message, "create the IssuedCertificate again, or delete the Secret")
    };
    since.into_iter().map(found).collect()
}

fn compared_files<'a>(examined: &Examined<'a>) -> impl Iterator<Item = &'a FileContents> {
    let is_file = examined.contents.role == Role::PemFile;
    examined.contents.files.iter().filter(move |file| {
        matches!(file.content, Content::Pem(_)) && (is_file || COMPARED_FILES.contains(&file.name.as_str()))
    })
}

fn carriage_returns(examined: &Examined<'_>) -> Vec<Finding> {
    let found = |file: &FileContents| {
        let message =
            "it has CRLF line ends; istiod compares bytes, so the same roots look like new ones".to_owned();
        warning("CarriageReturns", &file.name, message, "convert it to LF line ends (dos2unix)")
    };
    compared_files(examined).filter(|file| file.has_crlf).map(found).collect()
}

fn no_final_newline(examined: &Examined<'_>) -> Vec<Finding> {
    let found = |file: &FileContents| {
        let message =
            "it does not end in a newline; a certificate appended to it would be unreadable".to_owned();
        warning("NoFinalNewline", &file.name, message, "add a newline at its end")
    };
    compared_files(examined).filter(|file| !file.ends_with_newline).map(found).collect()
}

fn several_keys(examined: &Examined<'_>) -> Vec<Finding> {
    let keys = |file: &FileContents| {
        file.items().iter().filter(|item| matches!(item, PemItem::PrivateKey(_))).count()
    };
    let found = |file: &FileContents| {
        let message = format!("it holds {} private keys; only the first is looked at", keys(file));
        warning("SeveralKeys", &file.name, message, "keep one key a file")
    };
    examined.contents.files.iter().filter(|file| keys(file) > 1).map(found).collect()
}

/// Certificates are handed around; a key in the same file goes with them.
fn private_key_among_certificates(examined: &Examined<'_>) -> Vec<Finding> {
    let has_both = |file: &&FileContents| {
        file.certificates().next().is_some()
            && file.items().iter().any(|item| matches!(item, PemItem::PrivateKey(_)))
    };
    let is_file = examined.contents.role == Role::PemFile;
    let found = |file: &FileContents| {
        let message =
            "it holds certificates and a private key: whoever gets the certificates gets the key".to_owned();
        if is_file {
            info("KeyAmongCertificates", &file.name, message)
        } else {
            warning("KeyAmongCertificates", &file.name, message, "keep the key in its own file")
        }
    };
    examined.contents.files.iter().filter(has_both).map(found).collect()
}
