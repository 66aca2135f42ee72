//! Never 2: a signature whose identity, lifetime or CA came from the remote side. And what goes with signatures.

use certmesh_api::certificates::{CertificateRequest, CertificateRequestState, IssuedCertificate, ObjectRef};
use certmesh_x509::{Certificate, Hosts};
use kube::ResourceExt;

use super::ensure;
use crate::cluster::Kind;
use crate::keys::Authority;
use crate::witness::{History, Object, Write};

/// The issuer's certificates begin this long before they were made, in seconds.
const BACKDATE: i64 = 300;

/// Whether this write is an issuer's answer with a certificate.
pub(crate) fn is_signed_by(write: &Write) -> bool {
    let finished = |object: &Object| {
        let status = object.request()?.status.as_ref()?;
        Some(status.state == CertificateRequestState::Finished)
    };
    write.taken
        && write.is_by_issuer()
        && write.kind == Kind::CertificateRequest
        && write.body().is_some()
        && write.after.as_ref().and_then(finished) == Some(true)
}

/// The certificate in an answer.
pub(crate) fn answer_of(request: &CertificateRequest) -> Option<Certificate> {
    Certificate::from_pem(&request.status.as_ref()?.signed_certificate.as_ref()?.0).ok()
}

fn answer(write: &Write) -> Option<(&CertificateRequest, Certificate)> {
    let request = write.after.as_ref().filter(|_| is_signed_by(write))?.request()?;
    Some((request, answer_of(request)?))
}

/// Hosts, organization and lifetime are those of the intent of the request's name, in the namespace of the cluster that the
/// request was read from, as it was at some time during the pass.
pub(crate) fn signature_is_of_the_intent(write: &Write, history: &History) -> Result<(), String> {
    if !is_signed_by(write) {
        return Ok(());
    }
    let Some((request, certificate)) = answer(write) else {
        return Err(format!("the answer to {} holds no certificate", write.name));
    };
    let intent = ObjectRef::new(format!("cluster-{}", write.site), request.name_any());
    let fits = |wanted: &IssuedCertificate| is_of(&certificate, wanted);
    ensure(history.intents_since(&intent, write.since).any(fits), || {
        let hosts: Vec<String> = certificate.hosts().map(ToString::to_string).collect();
        format!("no version of intent {intent} asks for {} with {hosts:?}", certificate.subject())
    })
}

fn is_of(certificate: &Certificate, intent: &IssuedCertificate) -> bool {
    let spec = &intent.spec;
    let seconds = certificate.not_after().as_second() - certificate.not_before().as_second() - BACKDATE;
    let lives = i64::try_from(spec.options().lifetime_seconds()).unwrap_or(i64::MAX);
    let organization = format!("O={}", spec.organization());
    Hosts::parse(&spec.hosts).is_ok_and(|hosts| certificate.identifies_exactly(&hosts))
        && seconds <= lives
        && certificate.subject().to_string().split(',').any(|part| part.trim() == organization)
        && signers(intent).iter().any(|signer| signer.subject() == certificate.issuer())
}

/// The authorities that an intent may be signed by: Secrets are named after what is in them.
fn signers(intent: &IssuedCertificate) -> Vec<Certificate> {
    let of = |ca: &Option<certmesh_api::certificates::RootCertificateAuthority>| {
        let secret = ca.as_ref()?.signing_certificate_secret.clone()?;
        let named = match secret.name.as_str() {
            "ca-b" => Authority::RootB,
            "ca-i" => Authority::IntermediateA,
            _ => Authority::RootA,
        };
        // Its content may have been replaced before anything was issued under it.
        Some([named.certificate(), Authority::RootC.certificate()])
    };
    let (new, old) = (of(&intent.spec.gloo_mesh_ca), of(&intent.spec.previous_gloo_mesh_ca));
    new.into_iter().chain(old).flatten().collect()
}

/// Whoever asked has the private key.
pub(crate) fn key_was_proven(write: &Write, history: &History) -> Result<(), String> {
    let Some((request, _)) = answer(write) else { return Ok(()) };
    let csr =
        request.spec.certificate_signing_request.as_ref().map(|csr| csr.0.as_slice()).unwrap_or_default();
    ensure(!history.forged.contains(csr), || {
        format!("request {} was signed without proof of its key", write.name)
    })
}

/// No two certificates have one serial number.
pub(crate) fn serial_is_unique(write: &Write, history: &History) -> Result<(), String> {
    let Some((_, certificate)) = answer(write) else { return Ok(()) };
    let other = history.serials.get(&certificate.serial_number().to_string());
    ensure(other.is_none_or(|other| *other == certificate.fingerprint()), || {
        format!("serial number {} was given twice", certificate.serial_number())
    })
}

/// A certificate does not outlive what is above it.
pub(crate) fn child_ends_with_its_parent(write: &Write, _: &History) -> Result<(), String> {
    let Some((request, certificate)) = answer(write) else { return Ok(()) };
    let status = request.status.as_ref();
    let pem =
        |field: Option<&k8s_openapi::ByteString>| field.map(|bytes| bytes.0.clone()).unwrap_or_default();
    let above = [
        pem(status.and_then(|status| status.cert_chain.as_ref())),
        pem(status.and_then(|status| status.signing_root_ca.as_ref())),
    ];
    let above: Vec<Certificate> =
        above.iter().filter_map(|pem| Certificate::parse_chain(pem).ok()).flatten().collect();
    let parent = above.iter().find(|parent| parent.subject() == certificate.issuer());
    let Some(parent) = parent else { return Err(format!("the answer to {} lacks its issuer", write.name)) };
    ensure(certificate.not_after() <= parent.not_after(), || {
        format!(
            "the answer to {} ends at {}, after its CA at {}",
            write.name,
            certificate.not_after(),
            parent.not_after()
        )
    })
}

/// One certificate for one request, unless somebody took the answer away.
pub(crate) fn request_is_answered_once(write: &Write, history: &History) -> Result<(), String> {
    let Some((request, _)) = answer(write) else { return Ok(()) };
    let generation = request.metadata.generation.unwrap_or_default();
    let key = (write.site, request.uid().unwrap_or_default(), generation);
    ensure(!history.answered.contains(&key), || format!("request {} was answered twice", write.name))
}

/// Every signature was an answer, or an answer that was lost.
pub(crate) fn issuance_is_bounded_by_needs(history: &History) -> Result<(), String> {
    let History { signatures, answers, lost_answers, .. } = history;
    ensure(*signatures <= answers + lost_answers, || {
        format!("{signatures} signatures for {answers} answers and {lost_answers} that were lost")
    })
}

/// Fingerprints of the roots that an intent is signed under by what its CA Secrets held at the beginning.
pub(crate) fn roots_of(intent: &IssuedCertificate) -> Vec<String> {
    let of = |ca: &Option<certmesh_api::certificates::RootCertificateAuthority>| {
        let secret = ca.as_ref()?.signing_certificate_secret.clone()?;
        Some(if secret.name == "ca-b" { Authority::RootB } else { Authority::RootA })
    };
    let all = [of(&intent.spec.gloo_mesh_ca), of(&intent.spec.previous_gloo_mesh_ca)];
    all.into_iter().flatten().map(|authority| authority.certificate().fingerprint().to_string()).collect()
}
