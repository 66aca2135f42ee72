//! Facts by what they were read from, as a shell would keep them.

use std::collections::HashMap;
use std::rc::Rc;

use certmesh_workflow::examine;
use kube::ResourceExt;

#[derive(Clone, Default)]
pub(super) struct Memo {
    pub(super) issued: Facts<examine::IssuedFacts>,
    pub(super) keys: Facts<examine::PendingKeyFacts>,
    pub(super) answers: Facts<examine::AnswerFacts>,
    pub(super) requests: Facts<examine::RequestFacts>,
    pub(super) authorities: Facts<examine::SigningCaFacts>,
}

#[derive(Clone)]
pub(super) struct Facts<F>(HashMap<(String, String), Rc<F>>);

impl<F> Default for Facts<F> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<F> Facts<F> {
    pub(super) fn of<K: ResourceExt>(
        &mut self,
        object: Option<&K>,
        examine: impl Fn(&K) -> F,
    ) -> Option<Rc<F>> {
        let object = object?;
        let key = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
        Some(Rc::clone(self.0.entry(key).or_insert_with(|| Rc::new(examine(object)))))
    }
}
