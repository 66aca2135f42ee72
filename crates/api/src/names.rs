//! Labels, annotations, Secret types and finalizers. The `solo.io` ones are Gloo Mesh's and part of the wire
//! format; the `certmesh.dev` ones are ours.

/// The API group of the certificate kinds.
pub const CERTIFICATES_GROUP: &str = "certificates.mesh.gloo.solo.io";
/// The API group of the registered clusters.
pub const MULTICLUSTER_GROUP: &str = "multicluster.solo.io";

/// Labels.
pub mod labels {
    /// On everything the issuer writes to a remote cluster: the registered name of that cluster.
    pub const CLUSTER: &str = "cluster.multicluster.solo.io";
    /// On everything the agent writes: the agent's namespace.
    pub const AGENT: &str = "agent.certificates.mesh.gloo.solo.io";
    /// On a namespace of the management cluster: the registered cluster whose intents live there.
    pub const REGISTERED_CLUSTER: &str = "certmesh.dev/cluster";
    /// Kubernetes' recommended label for what manages an object.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
}

/// Annotations.
pub mod annotations {
    /// The prefix of all our annotations; an intent's are carried to its copy.
    pub const PREFIX: &str = "certmesh.dev/";
    /// On an intent: a nonce; a new value asks for a renewal.
    pub const RENEW: &str = "certmesh.dev/renew";
    /// On an intent: `"true"` lets the agent take over an existing Secret that is not ours.
    pub const ADOPT: &str = "certmesh.dev/adopt";
    /// On an intent: `"true"` accepts that the roots in use are replaced (downtime accepted).
    pub const REPLACE_ROOT: &str = "certmesh.dev/replace-root";
    /// On an intent: `Delete` removes the issued Secret when the intent is deleted; otherwise it is kept.
    pub const DELETION_POLICY: &str = "certmesh.dev/deletion-policy";
    /// On a copy: `<namespace>/<name>` of its intent.
    pub const INTENT: &str = "certmesh.dev/intent";
    /// On a copy: the intent's uid.
    pub const INTENT_UID: &str = "certmesh.dev/intent-uid";
    /// On a copy: the intent's generation.
    pub const INTENT_GENERATION: &str = "certmesh.dev/intent-generation";
    /// On a copy: the fingerprint of the signing chain and root set that the issuer would sign under now.
    pub const TRUST_FINGERPRINT: &str = "certmesh.dev/trust-fingerprint";
    /// On a pending key, a request and an issued Secret: the identity of the need it answers.
    pub const NEED: &str = "certmesh.dev/need";
    /// On a request: how many attempts at its need failed before it. Absent: none.
    pub const ATTEMPT: &str = "certmesh.dev/attempt";
    /// On an issued Secret: `<namespace>/<name>` of the intent it was issued for. Makes it ours.
    pub const ISSUED_FOR: &str = "certmesh.dev/issued-for";
    /// On an issued Secret: the certificate's SHA-256 fingerprint.
    pub const FINGERPRINT: &str = "certmesh.dev/fingerprint";
    /// On an issued Secret: the certificate's notAfter, RFC 3339.
    pub const NOT_AFTER: &str = "certmesh.dev/not-after";
    /// On an issued Secret: the fingerprints of its roots, sorted, comma-separated.
    pub const ROOTS: &str = "certmesh.dev/roots";
    /// On an issued Secret whose intent was deleted: since when nothing renews it, RFC 3339.
    pub const UNMANAGED_SINCE: &str = "certmesh.dev/unmanaged-since";
    /// On a signing CA Secret: comma-separated names of the clusters that may be signed for, or `*`.
    pub const ALLOW_CLUSTERS: &str = "certmesh.dev/allow-clusters";
}

/// Finalizers.
pub mod finalizers {
    /// On an intent: its copy, request and pending key in the remote cluster are still to be removed.
    pub const INTENT: &str = "certmesh.dev/remote-objects";
    /// On every copy that names a Secret: the agent still has its request, its pending key and its issued Secret to see to.
    pub const COPY: &str = "certmesh.dev/issued-secret";
}

/// Types of Secrets.
pub mod secret_types {
    /// A root made by the issuer.
    pub const GENERATED_SIGNING_CERT: &str = "certificates.mesh.gloo.solo.io/generated_signing_cert";
    /// A private key that waits for its certificate.
    pub const GENERATED_PRIVATE_KEY: &str = "certificates.mesh.gloo.solo.io/generated_private_key";
    /// A delivered certificate with its key, chain and roots.
    pub const ISSUED_CERTIFICATE: &str = "certificates.mesh.gloo.solo.io/issued_certificate";
    /// A kubeconfig of a registered cluster.
    pub const KUBECONFIG: &str = "solo.io/kubeconfig";
    /// Kubernetes' own type for a key pair; its data layout is fixed, so `cacerts` content never fits in it.
    pub const TLS: &str = "kubernetes.io/tls";
}

/// Names of objects that certmesh reads or writes by convention.
pub mod well_known {
    /// The ConfigMap that istiod writes to every namespace: the roots that proxies there trust.
    pub const ISTIO_CA_ROOT_CERT: &str = "istio-ca-root-cert";
    /// Its key.
    pub const ISTIO_CA_ROOT_CERT_KEY: &str = "root-cert.pem";
    /// Optional pin in the agent's namespace: the only roots that an answer may carry.
    pub const TRUST_ANCHORS: &str = "certmesh-trust-anchors";
    /// The namespace that istiod is installed to by default.
    pub const ISTIO_NAMESPACE: &str = "istio-system";
    /// The Secret in which istiod looks for its CA.
    pub const ISTIO_CA_SECRET: &str = "cacerts";
    /// A namespace that every cluster has and none loses: its uid is the cluster's identity.
    pub const KUBE_SYSTEM: &str = "kube-system";
    /// Default namespace of issuer and agent.
    pub const NAMESPACE: &str = "certmesh";
}

/// Conditions' values that more than one crate spells.
pub mod deletion_policy {
    /// The issued Secret goes with the intent.
    pub const DELETE: &str = "Delete";
}
