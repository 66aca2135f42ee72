//! Kubeconfigs that the issuer does not take from a Secret: whoever writes that Secret is not whoever runs the issuer.

use k8s_openapi::ByteString;

/// A kubeconfig of a server on a port where nobody listens, with these additions to its cluster and user.
pub fn kubeconfig(ca_pem: &str, in_cluster: &str, in_user: &str) -> String {
    let ca = serde_json::to_value(ByteString(ca_pem.as_bytes().to_vec())).expect("base64");
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1', certificate-authority-data: {ca}{in_cluster}}}}}]\n\
         users: [{{name: u, user: {{token: abc{in_user}}}}}]\n"
    )
}

/// The kubeconfigs, a part of what is said about each, and how that ends.
pub fn wrong_kubeconfigs(ca_pem: &str) -> Vec<(String, &'static str, &'static str)> {
    let token = "use a token";
    vec![
        (
            kubeconfig(ca_pem, "", ", exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}"),
            "users[].user.exec",
            token,
        ),
        (kubeconfig(ca_pem, "", ", auth-provider: {name: gcp}"), "users[].user.auth-provider", token),
        (kubeconfig(ca_pem, "", ", tokenFile: /etc/passwd"), "users[].user.tokenFile", ""),
        (kubeconfig(ca_pem, "", ", client-certificate: /etc/passwd"), "users[].user.client-certificate", ""),
        (kubeconfig(ca_pem, "", ", client-key: /etc/passwd"), "users[].user.client-key", ""),
        (
            kubeconfig(ca_pem, ", certificate-authority: /etc/passwd", ""),
            "clusters[].cluster.certificate-authority",
            "",
        ),
        (
            kubeconfig(ca_pem, ", proxy-url: 'http://127.0.0.1:1'", ""),
            "clusters[].cluster.proxy-url",
            "make the API server reachable directly",
        ),
        (
            kubeconfig(ca_pem, ", insecure-skip-tls-verify: true", ""),
            "insecure-skip-tls-verify",
            "give certificate-authority-data instead",
        ),
        (
            kubeconfig(ca_pem, "", "").replace("https://", "http://"),
            "clusters[].cluster.server",
            "only https:// servers are used",
        ),
        (
            kubeconfig(ca_pem, "", "").replace("current-context: c", "current-context: d"),
            "current context",
            "",
        ),
        ("{".to_owned(), "cannot be read", "correct it or register the cluster again"),
        (
            kubeconfig(ca_pem, "", ", password: {hunter2"),
            "near line",
            "correct it or register the cluster again",
        ),
        ("a".repeat(300 << 10), "at most", ""),
        (String::new(), "kubeconfig", ""),
    ]
}
