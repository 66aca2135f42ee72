//! ConfigMaps that hold roots: those in use, and those that are allowed.

use std::collections::BTreeSet;

use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::well_known;
use certmesh_x509::{Certificate, Fingerprint, TrustBundle};
use k8s_openapi::api::core::v1::ConfigMap;

use crate::object::name_of;

/// The roots that proxies of a namespace trust now, from an `istio-ca-root-cert` ConfigMap.
#[derive(Clone, Debug)]
pub struct LiveRoots {
    /// The ConfigMap.
    pub source: ObjectRef,
    /// The roots, or why they cannot be read.
    pub roots: Result<TrustBundle, String>,
}

/// Reads an `istio-ca-root-cert` ConfigMap. Nothing when it has no `root-cert.pem`: then it trusts nobody.
pub fn live_roots(config_map: &ConfigMap) -> Option<LiveRoots> {
    let pem = config_map.data.as_ref()?.get(well_known::ISTIO_CA_ROOT_CERT_KEY)?;
    let roots = TrustBundle::from_pem(pem.as_bytes()).map_err(|error| error.to_string());
    Some(LiveRoots { source: name_of(config_map), roots })
}

/// The only roots that an answer may carry, from the `certmesh-trust-anchors` ConfigMap.
#[derive(Clone, Debug)]
pub struct TrustAnchors {
    /// The ConfigMap.
    pub source: ObjectRef,
    /// Fingerprints of the roots; an unreadable pin allows none.
    pub roots: Result<BTreeSet<Fingerprint>, String>,
}

/// Reads a `certmesh-trust-anchors` ConfigMap: every certificate under every key.
pub fn trust_anchors(config_map: &ConfigMap) -> TrustAnchors {
    let mut roots = BTreeSet::new();
    let mut fault = None;
    for (key, pem) in config_map.data.iter().flatten() {
        match Certificate::parse_chain(pem.as_bytes()) {
            Ok(certificates) => roots.extend(certificates.iter().map(Certificate::fingerprint)),
            Err(error) => fault = fault.or(Some(format!("key {key:?}: {error}"))),
        }
    }
    TrustAnchors { source: name_of(config_map), roots: fault.map_or(Ok(roots), Err) }
}
