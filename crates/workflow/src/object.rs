//! How a decision points at objects: by name and by the version that it was decided on.

use std::fmt;

use certmesh_api::certificates::ObjectRef;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

/// One stored version of one object: the precondition of an update or a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    /// Namespace and name.
    pub name: ObjectRef,
    /// `metadata.uid`: another object of the same name has another.
    pub uid: String,
    /// `metadata.resourceVersion`: any change gives another.
    pub resource_version: String,
}

impl ObjectVersion {
    /// The version of an object that was read.
    pub fn of(object: &impl ResourceExt) -> Self {
        Self {
            name: name_of(object),
            uid: object.uid().unwrap_or_default(),
            resource_version: object.resource_version().unwrap_or_default(),
        }
    }
}

/// Namespace and name of a namespaced object.
pub(crate) fn name_of(object: &impl ResourceExt) -> ObjectRef {
    ObjectRef::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// The value of an annotation.
pub(crate) fn annotation<'a>(object: &'a impl ResourceExt, key: &str) -> Option<&'a str> {
    object.annotations().get(key).map(String::as_str)
}

/// An object, and what examining it found.
///
/// Facts depend on the object's content alone, so whoever observes may keep them as long as uid and resourceVersion stay
/// the same.
#[derive(Debug)]
pub struct Examined<'a, K, F> {
    /// The object as it was read.
    pub object: &'a K,
    /// What [`examine`](crate::examine) found in it.
    pub facts: &'a F,
}

impl<K, F> Clone for Examined<'_, K, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, F> Copy for Examined<'_, K, F> {}

/// A Secret on its way to the API server. Its `Debug` names the Secret and its keys, never their values.
#[derive(Clone)]
pub struct SealedSecret(Box<Secret>);

impl SealedSecret {
    pub(crate) fn new(secret: Secret) -> Self {
        Self(Box::new(secret))
    }

    /// The Secret itself, for the one who sends it.
    pub fn expose(&self) -> &Secret {
        &self.0
    }

    /// Its namespace and name.
    pub fn name(&self) -> ObjectRef {
        name_of(&*self.0)
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.0.data.iter().flat_map(|data| data.keys()).collect();
        f.debug_struct("SealedSecret")
            .field("name", &self.name().to_string())
            .field("annotations", self.0.annotations())
            .field("keys", &keys)
            .finish()
    }
}
