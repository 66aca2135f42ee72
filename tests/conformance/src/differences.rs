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
pub const DIFFERENCES: &[Difference] = &[];

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
