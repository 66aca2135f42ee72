//! Makes private keys off the async threads: an RSA-4096 key costs about a second of a core.

use crate::error::PassError;
use certmesh_x509::{KeyAlgorithm, KeyError, PrivateKey};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Makes keys, at most one for each core at a time. Cheap to clone.
#[derive(Clone)]
pub struct KeyMaker(Source);

#[derive(Clone)]
enum Source {
    Random { permits: Arc<Semaphore> },
    Given(Arc<MakeKey>),
}

type MakeKey = dyn Fn(KeyAlgorithm) -> Result<PrivateKey, KeyError> + Send + Sync;

impl Default for KeyMaker {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Source::Random { permits: Arc::new(Semaphore::new(cores)) })
    }
}

impl KeyMaker {
    /// Takes its keys from somewhere else: a simulator, whose keys are always the same.
    pub fn given(
        make: impl Fn(KeyAlgorithm) -> Result<PrivateKey, KeyError> + Send + Sync + 'static,
    ) -> Self {
        Self(Source::Given(Arc::new(make)))
    }

    /// Makes a key. A caller that goes away meanwhile leaves nothing: the key is zeroized when it is dropped.
    pub async fn generate(&self, algorithm: KeyAlgorithm) -> Result<PrivateKey, PassError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| PassError::Crypto {
            attempted: format!("making an {algorithm} key"),
            source,
        };
        let permits = match &self.0 {
            Source::Random { permits } => permits,
            Source::Given(make) => return make(algorithm).map_err(|error| failed(error.into())),
        };
        match algorithm {
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => {
                PrivateKey::generate(algorithm).map_err(|error| failed(error.into()))
            }
            _ => {
                let permit = Arc::clone(permits).acquire_owned().await;
                let work = move || {
                    let _permit = permit;
                    PrivateKey::generate(algorithm)
                };
                tokio::task::spawn_blocking(work)
                    .await
                    .map_err(|error| failed(error.into()))?
                    .map_err(|error| failed(error.into()))
            }
        }
    }
}
