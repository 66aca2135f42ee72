//! Makes private keys off the async threads: an RSA-4096 key costs about a second of a core.

use crate::error::PassError;
use certmesh_x509::{KeyAlgorithm, PrivateKey};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Makes keys, at most one for each core at a time. Cheap to clone.
#[derive(Clone)]
pub struct KeyMaker {
    permits: Arc<Semaphore>,
}

impl Default for KeyMaker {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { permits: Arc::new(Semaphore::new(cores)) }
    }
}

impl KeyMaker {
    /// Makes a key. A caller that goes away meanwhile leaves nothing: the key is zeroized when it is dropped.
    pub async fn generate(&self, algorithm: KeyAlgorithm) -> Result<PrivateKey, PassError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| PassError::Crypto {
            attempted: format!("making an {algorithm} key"),
            source,
        };
        match algorithm {
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => {
                PrivateKey::generate(algorithm).map_err(|error| failed(error.into()))
            }
            _ => {
                let permit = Arc::clone(&self.permits).acquire_owned().await;
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
