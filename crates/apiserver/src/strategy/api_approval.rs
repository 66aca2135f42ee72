//! The groups of the Kubernetes community take CRDs only with the review that approved them
//! (apiextensions `pkg/apihelpers` and `validateAPIApproval`).

use serde_json::{Value, json};

use super::{text_at, value_at};
use crate::meta::object_meta::Object;
use crate::status::{FieldError, go_quote};

const ANNOTATION: &str = "api-approved.kubernetes.io";
const FIELD: &str = "metadata.annotations[api-approved.kubernetes.io]";
const POLICY: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// What the annotation of a CRD says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    /// The address of a review.
    Approved,
    /// `unapproved…`: an experiment that says so.
    Bypassed,
    /// No annotation.
    Missing,
    /// Something else.
    Invalid,
}

impl Approval {
    /// What a CRD says, if its group is one of the community's.
    pub(crate) fn of(crd: &Object) -> Option<Self> {
        is_protected(text_at(crd, &["spec", "group"])).then(|| Self::read(annotation(crd)))
    }

    fn read(annotation: &str) -> Self {
        match annotation {
            "" => Self::Missing,
            text if text.starts_with("unapproved") => Self::Bypassed,
            text if is_address(text) => Self::Approved,
            _ => Self::Invalid,
        }
    }

    /// The reason of the condition `KubernetesAPIApprovalPolicyConformant`.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Approved => "ApprovedAnnotation",
            Self::Bypassed => "UnapprovedAnnotation",
            Self::Missing => "MissingAnnotation",
            Self::Invalid => "InvalidAnnotation",
        }
    }

    /// The message of that condition, and of the refusal.
    pub(crate) fn message(self, crd: &Object) -> String {
        let annotation = annotation(crd);
        match self {
            Self::Approved => format!("approved in {annotation}"),
            Self::Bypassed => format!("not approved: {}", go_quote(annotation)),
            Self::Missing => {
                format!("protected groups must have approval annotation {ANNOTATION:?}, {POLICY}")
            }
            Self::Invalid => format!(
                "protected groups must have approval annotation {ANNOTATION:?} with either a URL or a reason starting \
                 with \"unapproved\", {POLICY}"
            ),
        }
    }
}

/// Refuses a CRD whose group needs approval and which has none, unless that is how it was: nobody who changes
/// something else is held up.
pub(super) fn check(crd: &Object, old: Option<&Object>, errors: &mut Vec<FieldError>) {
    let Some(approval) = Approval::of(crd) else { return };
    if old.is_some_and(|old| Approval::read(annotation(old)) == approval) {
        return;
    }
    match approval {
        Approval::Missing => errors.push(FieldError::required(FIELD, approval.message(crd))),
        Approval::Invalid => {
            errors.push(FieldError::invalid(FIELD, &json!(annotation(crd)), approval.message(crd)));
        }
        Approval::Approved | Approval::Bypassed => {}
    }
}

fn annotation(crd: &Object) -> &str {
    value_at(crd, &["metadata", "annotations", ANNOTATION]).and_then(Value::as_str).unwrap_or_default()
}

fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|owned| {
        group.strip_suffix(owned).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

fn is_address(text: &str) -> bool {
    text.parse::<http::Uri>()
        .is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some_and(|h| !h.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crd(group: &str, annotation: &str) -> Object {
        let crd = json!({"metadata": {"annotations": {ANNOTATION: annotation}}, "spec": {"group": group}});
        crd.as_object().cloned().unwrap()
    }

    fn refusals(crd: &Object, old: Option<&Object>) -> Vec<String> {
        let mut errors = Vec::new();
        check(crd, old, &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn who_needs_what() {
        let missing = "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have \
                       approval annotation \"api-approved.kubernetes.io\", see \
                       https://github.com/kubernetes/enhancements/pull/1111";
        let invalid = "metadata.annotations[api-approved.kubernetes.io]: Invalid value: \"because\": protected groups \
                       must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason \
                       starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111";
        let rows: [(&str, &str, Option<&str>); 10] = [
            ("example.com", "", None),
            ("myk8s.io", "", None),
            ("k8s.io", "", Some(missing)),
            ("gateway.networking.k8s.io", "", Some(missing)),
            ("x.kubernetes.io", "", Some(missing)),
            ("x.k8s.io", "because", Some(invalid)),
            ("x.k8s.io", "https://github.com/kubernetes-sigs/gateway-api/pull/2466", None),
            ("x.k8s.io", "unapproved, experimental-only", None),
            ("x.k8s.io.example.com", "", None),
            ("x.k8s.io", "unapproved", None),
        ];
        for (group, annotation, refusal) in rows {
            let expected: Vec<&str> = refusal.into_iter().collect();
            assert_eq!(refusals(&crd(group, annotation), None), expected, "{group} {annotation}");
        }
    }

    #[test]
    fn what_was_so_before_may_stay_so() {
        let (missing, invalid) = (crd("x.k8s.io", ""), crd("x.k8s.io", "because"));
        assert!(refusals(&missing, Some(&missing)).is_empty());
        assert!(refusals(&invalid, Some(&crd("x.k8s.io", "why"))).is_empty());
        assert_eq!(refusals(&missing, Some(&invalid)).len(), 1);
        assert_eq!(refusals(&invalid, Some(&crd("x.k8s.io", "https://a.example/1"))).len(), 1);
    }
}
