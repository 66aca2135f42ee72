//! How a cluster is reached: `--kubeconfig` and `--context`, as kubectl takes them.

use std::path::PathBuf;

use certmesh_controllers::connect;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::failure::Failure;

/// Which cluster, as which user.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct KubeOptions {
    /// Kubeconfig file. Default: $KUBECONFIG (a list), else ~/.kube/config, else the pod's own service account
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: its current one
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

const ADVICE: &str = "name a kubeconfig with --kubeconfig or KUBECONFIG and one of its contexts with --context \
                      (`kubectl config get-contexts` lists them)";

/// A namespace as an argument: a DNS label (RFC 1123).
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&text.len()) && text.bytes().all(allowed);
    if is_label && !text.starts_with('-') && !text.ends_with('-') {
        return Ok(text.to_owned());
    }
    Err("a namespace has 1 to 63 lower-case letters, digits and '-', and starts and ends with a letter or digit".to_owned())
}

impl KubeOptions {
    /// A client for the cluster.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Failure::new(self.attempt()).because(error).advise(ADVICE)
        };
        let config = self.config().await.map_err(failed)?;
        match config.proxy_url {
            // The client with one connection for all watches knows no proxies.
            Some(_) => Client::try_from(config).map_err(|error| failed(error.into())),
            None => connect(&config).map_err(|error| failed(error.into())),
        }
    }

    /// The same options, for another context.
    pub(crate) fn with_context(&self, context: &str) -> Self {
        Self { kubeconfig: self.kubeconfig.clone(), context: Some(context.to_owned()) }
    }

    async fn config(&self) -> Result<Config, Box<dyn std::error::Error + Send + Sync>> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        match (&self.kubeconfig, &self.context) {
            (Some(file), _) => {
                Ok(Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?)
            }
            (None, Some(_)) => Ok(Config::from_kubeconfig(&options).await?),
            (None, None) => Ok(Config::infer().await?),
        }
    }

    fn attempt(&self) -> String {
        let file = self.kubeconfig.as_ref().map(|file| format!(" of {}", file.display())).unwrap_or_default();
        match &self.context {
            Some(context) => format!("connecting to the cluster of context {context:?}{file}"),
            None => format!("connecting to the current cluster{file}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_a_dns_label() {
        for text in ["a", "certmesh", "kube-system", &"x".repeat(63)] {
            assert_eq!(namespace(text).as_deref(), Ok(text));
        }
        for text in ["", "A", "a.b", "-a", "a-", "a/b", &"x".repeat(64)] {
            assert!(namespace(text).is_err(), "{text}");
        }
    }
}
