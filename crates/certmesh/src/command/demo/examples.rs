//! The YAML that a person applies: the very files of `examples/`.

use certmesh_api::{
    certificates::{IssuedCertificate, KeyAlgorithmName, ObjectRef},
    names::well_known,
};
use certmesh_x509::{Hosts, KeyAlgorithm};
use kube::ResourceExt as _;

use crate::{failure::Failure, output};

const CLUSTER_1: &str = include_str!("../../../../../examples/cluster-1.yaml");
const CLUSTER_2: &str = include_str!("../../../../../examples/cluster-2.yaml");
const SHORT_LIVED: &str = include_str!("short-lived.yaml");

/// An intent, ready to be applied.
pub(super) struct Example {
    pub(super) name: String,
    pub(super) cluster: String,
    pub(super) target: ObjectRef,
    pub(super) hosts: Hosts,
    pub(super) file: String,
    pub(super) yaml: String,
}

impl Example {
    /// What a cluster gets, by its number; with a key of another kind, if one is wanted.
    pub(super) fn of_cluster(number: usize, key: Option<KeyAlgorithm>) -> Result<Self, Failure> {
        let text = match number {
            1 => CLUSTER_1.to_owned(),
            2 => CLUSTER_2.to_owned(),
            _ => CLUSTER_1.replace("cluster-1", &format!("cluster-{number}")),
        };
        Self::new(&format!("examples/cluster-{number}.yaml"), text, key)
    }

    /// A certificate of a minute, for `cluster-1`.
    pub(super) fn short_lived() -> Result<Self, Failure> {
        Self::new("short-lived.yaml", SHORT_LIVED.to_owned(), None)
    }

    fn new(file: &str, text: String, key: Option<KeyAlgorithm>) -> Result<Self, Failure> {
        let failed = |why: Box<dyn std::error::Error + Send + Sync>| {
            Failure::new(format!("reading {file}")).because(why)
        };
        let mut intent: IssuedCertificate =
            serde_saphyr::from_str(&text).map_err(|error| failed(error.into()))?;
        let hosts = Hosts::parse(&intent.spec.hosts).map_err(|error| failed(error.into()))?;
        let target = intent.spec.issued_certificate_secret.clone();
        let target = target.ok_or_else(|| failed("it names no issuedCertificateSecret".into()))?;
        let yaml = match key {
            None => text,
            Some(key) => {
                set_key(&mut intent, key);
                output::to_yaml(&intent)?
            }
        };
        let (name, cluster) = (intent.name_any(), intent.namespace().unwrap_or_default());
        Ok(Self { name, cluster, target, hosts, file: file.to_owned(), yaml })
    }
}

fn set_key(intent: &mut IssuedCertificate, key: KeyAlgorithm) {
    let options = intent.spec.cert_options.get_or_insert_default();
    (options.key_algorithm, options.rsa_key_size_bytes) = match key {
        KeyAlgorithm::Rsa2048 => (None, 2048),
        KeyAlgorithm::Rsa3072 => (None, 3072),
        KeyAlgorithm::Rsa4096 => (None, 4096),
        KeyAlgorithm::EcdsaP256 => (Some(KeyAlgorithmName::EcdsaP256), 0),
        KeyAlgorithm::EcdsaP384 => (Some(KeyAlgorithmName::EcdsaP384), 0),
    };
}

/// Where the examples put Istio's CA.
pub(super) fn cacerts() -> ObjectRef {
    ObjectRef::new(well_known::ISTIO_NAMESPACE, well_known::ISTIO_CA_SECRET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cluster_has_an_example_of_its_own() {
        for number in 1..=3 {
            let example = Example::of_cluster(number, None).unwrap();
            assert_eq!((example.name.as_str(), example.cluster), ("istio", format!("cluster-{number}")));
            assert_eq!(example.target, cacerts());
        }
        let short = Example::short_lived().unwrap();
        assert_eq!(short.cluster, "cluster-1");
        assert_ne!(short.target, cacerts());
    }

    #[test]
    fn the_key_is_the_one_asked_for() {
        for key in KeyAlgorithm::ALL {
            let example = Example::of_cluster(1, Some(key)).unwrap();
            let intent: IssuedCertificate = serde_saphyr::from_str(&example.yaml).unwrap();
            assert_eq!(intent.spec.options().key_algorithm(), Ok(key));
        }
        let as_written: IssuedCertificate = serde_saphyr::from_str(CLUSTER_1).unwrap();
        assert_eq!(as_written.spec.options().key_algorithm(), Ok(KeyAlgorithm::Rsa4096));
    }
}
