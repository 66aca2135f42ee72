//! One virtual cluster: a store, the tokens and keys that belong to it, and the ways to reach it.
//!
//! ```text
//!   Cluster::client(user)      kube::Client in this process: no socket, no TLS, no token
//!   Server::serve(&cluster)    HTTPS on loopback ──▶ Cluster::kubeconfig(user) for kubectl and other processes
//!   Cluster::store()           the synchronous core itself
//! ```

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    http::{
        ApiService, BearerToken, Identity, SchemaCache,
        authn::{
            Authenticator,
            jwt::{CryptoError, TokenSigner},
            service_account,
        },
    },
    kubeconfig::Kubeconfig,
    rbac::UserInfo,
    resource::GroupResource,
    serving_tls::{PkiError, ServingIdentity},
    store::{Store, StoreConfig, Subscription},
};

/// Issuer of ServiceAccount tokens and the API server's audience, as in a cluster set up with defaults.
const TOKEN_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A cluster could not be made or reached.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The operating system or the cryptographic library failed.
    #[error("cannot make keys for cluster {cluster:?}: {source}")]
    Keys {
        /// The cluster's name.
        cluster: String,
        /// What failed.
        source: CryptoError,
    },
    /// The serving certificate could not be made.
    #[error("cannot make the serving certificate of cluster {cluster:?}: {source}")]
    Certificate {
        /// The cluster's name.
        cluster: String,
        /// What failed.
        source: PkiError,
    },
    /// A kubeconfig was asked for before the cluster had an address.
    #[error("cluster {cluster:?} has no address yet; call Server::serve for it first")]
    NotServed {
        /// The cluster's name.
        cluster: String,
    },
}

/// One virtual cluster. Clones are handles to the same cluster.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    store: Arc<Store>,
    authenticator: Authenticator,
    serving_identity: ServingIdentity,
    address: RwLock<Option<SocketAddr>>,
    commits: Arc<CommitSignals>,
    schemas: SchemaCache,
    _subscription: Subscription,
    /// Ends the watches of in-process clients.
    closing: RwLock<CancellationToken>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster on the system's clock that holds what every new cluster holds. `name` is for people: kubeconfigs and logs
    /// show it.
    pub fn new(name: &str) -> Result<Self, ClusterError> {
        Self::with_config(name, StoreConfig::new(Arc::new(Timestamp::now), Arc::new(random_bits)))
    }

    /// A new cluster on another clock, with other randomness or limits. A `root_ca` that is not set becomes the cluster's own.
    pub fn with_config(name: &str, mut config: StoreConfig) -> Result<Self, ClusterError> {
        let serving_identity = serving_identity(name)?;
        config.root_ca.get_or_insert_with(|| serving_identity.ca_pem().to_owned());
        Self::around(name, Store::new(config), serving_identity)
    }

    /// A cluster around a store that exists already, with whatever is in it.
    pub fn with_store(name: &str, store: Store) -> Result<Self, ClusterError> {
        Self::around(name, store, serving_identity(name)?)
    }

    fn around(name: &str, store: Store, serving_identity: ServingIdentity) -> Result<Self, ClusterError> {
        let keys_error = |source| ClusterError::Keys { cluster: name.to_owned(), source };
        let signer = TokenSigner::generate(TOKEN_ISSUER).map_err(keys_error)?;
        let commits = Arc::new(CommitSignals::default());
        let signals = Arc::clone(&commits);
        let subscription =
            store.subscribe(Arc::new(move |resource, revision| signals.send(resource, revision)));
        Ok(Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                store: Arc::new(store),
                authenticator: Authenticator::new(signer),
                serving_identity,
                address: RwLock::default(),
                commits,
                schemas: SchemaCache::default(),
                _subscription: subscription,
                closing: RwLock::default(),
            }),
        })
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The synchronous core, for direct access that asks nobody for permission.
    pub fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }

    /// The user that may do everything.
    pub fn admin() -> UserInfo {
        UserInfo {
            username: "kubernetes-admin".to_owned(),
            groups: vec!["system:masters".to_owned()],
            uid: None,
        }
    }

    /// The user that the ServiceAccount `namespace`/`name` is. Whether it exists is not checked.
    pub fn service_account(namespace: &str, name: &str) -> UserInfo {
        UserInfo { uid: None, ..service_account::user(namespace, name, "") }
    }

    /// A client in this process that acts as `user`, under RBAC as any other. Must be called on a tokio runtime.
    pub fn client(&self, user: UserInfo) -> kube::Client {
        kube::Client::new(self.service(user), "default")
    }

    /// The HTTP service that answers `user`, for those who want to speak HTTP themselves.
    pub fn service(&self, user: UserInfo) -> ApiService {
        ApiService::in_process(self.clone(), Identity::authenticated(user))
    }

    /// Makes `token` a credential of `user` for requests over the network.
    pub fn add_token(&self, token: &BearerToken, user: UserInfo) {
        self.inner.authenticator.add_static_token(token, Identity::authenticated(user));
    }

    /// A kubeconfig with a new token for `user`. The cluster must be served, see [`crate::Server::serve`].
    pub fn kubeconfig(&self, user: UserInfo) -> Result<Kubeconfig, ClusterError> {
        let token = BearerToken::random()
            .map_err(|source| ClusterError::Keys { cluster: self.name().to_owned(), source })?;
        let name = user.username.clone();
        self.add_token(&token, user);
        self.kubeconfig_with_token(&name, token)
    }

    /// A kubeconfig with a token that exists already, such as one of a ServiceAccount.
    pub fn kubeconfig_with_token(&self, user: &str, token: BearerToken) -> Result<Kubeconfig, ClusterError> {
        let server = self.url().ok_or_else(|| ClusterError::NotServed { cluster: self.name().to_owned() })?;
        Ok(Kubeconfig::new(self.name(), &server, self.ca_pem(), user, token))
    }

    /// Where the cluster is served, such as `https://127.0.0.1:40123`.
    pub fn url(&self) -> Option<String> {
        let address = self.inner.address.read().unwrap_or_else(PoisonError::into_inner);
        address.map(|address| format!("https://{address}"))
    }

    /// The certificate (PEM) that the serving certificate chains to.
    pub fn ca_pem(&self) -> &str {
        self.inner.serving_identity.ca_pem()
    }

    /// Ends the watches of in-process clients; they see the end of the stream and may start again.
    pub fn end_watches(&self) {
        let mut closing = self.inner.closing.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *closing).cancel();
    }

    /// Cancelled when the watches that begin now are ended.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.inner.closing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn record_address(&self, address: SocketAddr) {
        *self.inner.address.write().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    pub(crate) fn serving_identity(&self) -> &ServingIdentity {
        &self.inner.serving_identity
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.inner.authenticator
    }

    pub(crate) fn schemas(&self) -> &SchemaCache {
        &self.inner.schemas
    }

    /// Changes with every commit to `resource`, and with every change of what is served.
    pub(crate) fn commits(&self, resource: &GroupResource) -> watch::Receiver<u64> {
        self.inner.commits.subscribe(resource)
    }
}

fn serving_identity(cluster: &str) -> Result<ServingIdentity, ClusterError> {
    ServingIdentity::generate()
        .map_err(|source| ClusterError::Certificate { cluster: cluster.to_owned(), source })
}

fn random_bits() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    u64::from_le_bytes(bytes)
}

/// Wakes the watches of a resource, and only those, when something is committed to it.
#[derive(Default)]
struct CommitSignals {
    senders: RwLock<HashMap<GroupResource, watch::Sender<u64>>>,
}

impl CommitSignals {
    fn send(&self, resource: &GroupResource, revision: u64) {
        let senders = self.senders.read().unwrap_or_else(PoisonError::into_inner);
        if &*resource.resource == "customresourcedefinitions" {
            // A watch must notice that its resource is gone.
            for sender in senders.values() {
                sender.send_replace(revision);
            }
        } else if let Some(sender) = senders.get(resource) {
            sender.send_replace(revision);
        }
    }

    fn subscribe(&self, resource: &GroupResource) -> watch::Receiver<u64> {
        let existing = {
            let senders = self.senders.read().unwrap_or_else(PoisonError::into_inner);
            senders.get(resource).map(watch::Sender::subscribe)
        };
        existing.unwrap_or_else(|| {
            let mut senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
            senders.entry(resource.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
        })
    }
}
