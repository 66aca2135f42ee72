//! Ways into a cluster: over TLS with a token, as everybody else comes.

use certmesh_apiserver::{Cluster, Kubeconfig, http::BearerToken};
use certmesh_controllers::connect;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, Config, api::PostParams, config::KubeConfigOptions};

use super::Member;
use crate::failure::Failure;

/// Longer than any demo; a registered cluster's real token is renewed long before.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

impl Member {
    /// A kubeconfig of the administrator.
    pub fn admin_kubeconfig(&self) -> Result<Kubeconfig, Failure> {
        self.cluster.kubeconfig(Cluster::admin()).map_err(|error| self.no_access("the administrator", error))
    }

    /// A client of the administrator, over TLS.
    pub async fn admin(&self) -> Result<Client, Failure> {
        self.client(&self.admin_kubeconfig()?).await
    }

    /// A kubeconfig with a token that the ServiceAccount was given by a TokenRequest.
    pub(super) async fn account_kubeconfig(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Kubeconfig, Failure> {
        let who = format!("service account {namespace}/{name}");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin().await?, namespace);
        let spec =
            TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
        let status = answer.map_err(|error| self.no_access(&who, error))?.status;
        let token = status.and_then(|status| status.token);
        let token = token.ok_or_else(|| self.no_access(&who, NoToken))?;
        let kubeconfig = self.cluster.kubeconfig_with_token(name, BearerToken::new(token));
        kubeconfig.map_err(|error| self.no_access(&who, error))
    }

    /// A client of a ServiceAccount, over TLS, with nothing but that account's rights.
    pub(super) async fn account(&self, namespace: &str, name: &str) -> Result<Client, Failure> {
        self.client(&self.account_kubeconfig(namespace, name).await?).await
    }

    async fn client(&self, kubeconfig: &Kubeconfig) -> Result<Client, Failure> {
        let parsed = kube::config::Kubeconfig::from_yaml(&kubeconfig.to_yaml());
        let parsed = parsed.map_err(|error| self.no_access("a kubeconfig", error))?;
        let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await;
        let config = config.map_err(|error| self.no_access("a kubeconfig", error))?;
        connect(&config).map_err(|error| self.no_access("a kubeconfig", error))
    }

    fn no_access(&self, who: &str, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
        Failure::new(format!("getting access to {} for {who}", self.name)).because(error)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer to the TokenRequest holds no token")]
struct NoToken;
