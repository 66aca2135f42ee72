//! Where the embedded server is known to answer differently, and why that is accepted.

/// An accepted difference. Steps of cases name it by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What steps call it.
    pub id: &'static str,
    /// What differs, and why it may.
    pub reason: &'static str,
}

/// All of them. More than a dozen would mean that this is another API.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        id: "server-side-apply",
        reason: "Apply patches are refused with 415 and a message that says what to do; nobody owns fields. Client-side \
                 apply, which is kubectl's default, works.",
    },
    Difference {
        id: "cel-types-and-cost",
        reason: "Rules of a definition are parsed, not checked against the schema's types nor for what they may cost. \
                 The definitions that we ship are checked by the real server in these cases.",
    },
    Difference {
        id: "go-wording",
        reason: "Messages quote Go's JSON, YAML and CEL parsers; ours have other words for the same mistake. Code and \
                 reason are equal.",
    },
    Difference {
        id: "column-descriptions",
        reason: "The columns of built-in tables carry no descriptions, which kubectl does not show.",
    },
    Difference {
        id: "scale-subresource",
        reason: "Custom resources have no scale subresource (404); nothing here is scaled.",
    },
    Difference {
        id: "disruption-status",
        reason: "No controller writes the status of PodDisruptionBudgets; evictions are decided on the Pods as they are, \
                 to the same effect.",
    },
    Difference {
        id: "rbac-escalation",
        reason: "Whoever may write roles and bindings may write any: nobody of ours may, and tests act as an \
                 administrator.",
    },
];

/// The difference with this id.
pub(crate) fn find(id: &str) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|difference| difference.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_short_and_each_entry_has_a_reason() {
        assert!(DIFFERENCES.len() <= 12);
        for difference in DIFFERENCES {
            assert!(difference.reason.len() > 20, "{}", difference.id);
            assert_eq!(find(difference.id), Some(difference));
        }
    }
}
