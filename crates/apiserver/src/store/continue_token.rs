//! The `continue` token of a paged list: where the next page starts, and of which revision.
//!
//! The same form as the real server's, base64url of `{"v":"meta.k8s.io/v1","rv":12,"start":"ns/name\u0000"}`, so that
//! a client that peeks is not surprised. It comes back from outside and is not trusted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::status::ApiStatus;

const VERSION: &str = "meta.k8s.io/v1";

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Wire {
    v: String,
    rv: i64,
    start: String,
}

/// Where a page starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContinueToken {
    /// The revision of the list; none continues with what is there now, inconsistently.
    pub(super) revision: Option<u64>,
    /// The last key of the page before, relative to the list's prefix.
    pub(super) after: String,
}

impl ContinueToken {
    pub(super) fn encode(&self) -> String {
        let rv = self.revision.and_then(|r| i64::try_from(r).ok()).unwrap_or(-1);
        let wire = Wire { v: VERSION.to_owned(), rv, start: format!("{}\0", self.after) };
        // A struct of two strings and a number always serializes.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
    }

    pub(super) fn decode(text: &str) -> Result<Self, ApiStatus> {
        let invalid = |why: String| {
            ApiStatus::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|e| invalid(e.to_string()))?;
        let wire: Wire = serde_json::from_slice(&bytes).map_err(|e| invalid(e.to_string()))?;
        if wire.v != VERSION {
            return Err(invalid(format!("server does not recognize this encoded version {}", wire.v)));
        }
        let revision = match wire.rv {
            0 => {
                return Err(invalid(
                    "incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned(),
                ));
            }
            rv => u64::try_from(rv).ok(),
        };
        match wire.start.strip_suffix('\0') {
            Some(after) if !after.is_empty() => Ok(Self { revision, after: after.to_owned() }),
            _ => Err(invalid("encoded start key not properly bounded".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(revision in prop::option::of(1..i64::MAX as u64), after in "[a-z0-9./-]{1,20}") {
            let token = ContinueToken { revision, after };
            prop_assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in "\\PC{0,40}|[A-Za-z0-9_-]{0,60}") {
            if let Err(status) = ContinueToken::decode(&text) {
                prop_assert_eq!(status.code, 400);
            }
        }
    }

    #[test]
    fn refusals() {
        for (wire, why) in [
            ("{}", "server does not recognize this encoded version "),
            (r#"{"v":"v2","rv":1,"start":"a\u0000"}"#, "server does not recognize this encoded version v2"),
            (r#"{"v":"meta.k8s.io/v1"}"#, "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
            (r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a"}"#, "encoded start key not properly bounded"),
        ] {
            let refused = ContinueToken::decode(&URL_SAFE_NO_PAD.encode(wire)).unwrap_err();
            assert_eq!(refused.message, format!("invalid continue token: continue key is not valid: {why}"));
        }
    }
}
