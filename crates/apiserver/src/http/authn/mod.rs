//! Who is asking: bearer tokens, static or of ServiceAccounts.
//!
//! ```text
//!  Authorization: Bearer T ──▶ digest(T) known? ──▶ the user it was given to
//!                         └──▶ JWT of this cluster? ──▶ ServiceAccount still exists with that uid? ──▶ its user
//!  anything else ──▶ 401
//! ```
//!
//! Tokens are looked up by their SHA-256, so none is kept and none is compared byte by byte.

mod impersonation;
pub(crate) mod jwt;
pub(crate) mod service_account;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, RwLock},
};

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};

use crate::{rbac::UserInfo, status::ApiStatus, store::Store};

pub(crate) use impersonation::impersonated;
use jwt::{Claims, CryptoError, TokenSigner};

/// A bearer token. Printing it shows nothing; [`BearerToken::reveal`] does.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

impl BearerToken {
    /// Takes a token as it is.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// Makes a token of 256 random bits.
    pub(crate) fn random() -> Result<Self, CryptoError> {
        let mut bytes = [0_u8; 32];
        rand::fill(&mut bytes).map_err(|_| CryptoError { attempted: "draw random bytes for a token" })?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The token's text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// An authenticated caller: what authorization looks at, and what reviews report besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Name, groups and uid.
    pub user: UserInfo,
    /// Further facts, such as the id of the token that was presented.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Group of everybody who presented a valid credential.
pub const AUTHENTICATED: &str = "system:authenticated";

impl Identity {
    /// Somebody who presented no credential.
    pub(crate) fn anonymous() -> Self {
        let user = UserInfo {
            username: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            uid: None,
        };
        Self { user, extra: BTreeMap::new() }
    }

    /// `user`, who has shown to be it, and is therefore in [`AUTHENTICATED`] too.
    pub fn authenticated(mut user: UserInfo) -> Self {
        if !user.groups.iter().any(|group| group == AUTHENTICATED) {
            user.groups.push(AUTHENTICATED.to_owned());
        }
        Self { user, extra: BTreeMap::new() }
    }
}

type TokenDigest = [u8; 32];

fn digest_of(token: &str) -> TokenDigest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    bytes
}

/// ServiceAccount tokens whose signature is remembered as good; a verification costs as much as the rest of a request.
const REMEMBERED_TOKENS: usize = 4096;

/// The tokens of one cluster.
#[derive(Debug)]
pub(crate) struct Authenticator {
    signer: TokenSigner,
    static_tokens: RwLock<HashMap<TokenDigest, Arc<Identity>>>,
    verified_tokens: RwLock<HashMap<TokenDigest, Arc<Claims>>>,
}

/// Why a presented credential is not accepted, in words for TokenReview; a request gets a bare 401.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejected {
    /// No token of this cluster.
    #[error("invalid bearer token")]
    Unknown,
    /// A ServiceAccount's token that is no longer, or not yet, good.
    #[error("[invalid bearer token, {0}]")]
    ServiceAccount(String),
}

/// A token that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) identity: Arc<Identity>,
    /// Audiences of the token; none for static tokens, which are for the API server only.
    pub(crate) audiences: Option<Vec<String>>,
}

impl Authenticator {
    pub(crate) fn new(signer: TokenSigner) -> Self {
        Self { signer, static_tokens: RwLock::default(), verified_tokens: RwLock::default() }
    }

    pub(crate) fn signer(&self) -> &TokenSigner {
        &self.signer
    }

    pub(crate) fn add_static_token(&self, token: &BearerToken, identity: Identity) {
        let mut tokens = self.static_tokens.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        tokens.insert(digest_of(token.reveal()), Arc::new(identity));
    }

    /// The caller of a request with these headers: whom its token belongs to, anonymous without one. 401 for a token
    /// that is not valid.
    pub(crate) fn authenticate(
        &self,
        headers: &HeaderMap,
        store: &Store,
    ) -> Result<Arc<Identity>, ApiStatus> {
        let Some(token) = bearer_token(headers) else { return Ok(Arc::new(Identity::anonymous())) };
        let accepted = self.review(token, store).map_err(|_| ApiStatus::unauthorized())?;
        let for_this_server =
            accepted.audiences.is_none_or(|audiences| audiences.iter().any(|a| a == self.signer.issuer()));
        if for_this_server { Ok(accepted.identity) } else { Err(ApiStatus::unauthorized()) }
    }

    /// Whom `token` belongs to, whatever audience it is for.
    pub(crate) fn review(&self, token: &str, store: &Store) -> Result<Accepted, Rejected> {
        let digest = digest_of(token);
        if let Some(identity) = self.static_identity(&digest) {
            return Ok(Accepted { identity, audiences: None });
        }
        let claims = self.claims(digest, token, store)?;
        let identity = service_account::identity(&claims, store).map_err(Rejected::ServiceAccount)?;
        Ok(Accepted { identity: Arc::new(identity), audiences: Some(claims.audiences.clone()) })
    }

    fn static_identity(&self, digest: &TokenDigest) -> Option<Arc<Identity>> {
        let tokens = self.static_tokens.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        tokens.get(digest).cloned()
    }

    fn claims(&self, digest: TokenDigest, token: &str, store: &Store) -> Result<Arc<Claims>, Rejected> {
        let now = (store.clock())();
        let reject = |error: jwt::TokenError| match error {
            jwt::TokenError::Invalid => Rejected::Unknown,
            other => Rejected::ServiceAccount(other.to_string()),
        };
        let remembered = {
            let tokens = self.verified_tokens.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            tokens.get(&digest).cloned()
        };
        if let Some(claims) = remembered {
            claims.check_validity(now).map_err(reject)?;
            return Ok(claims);
        }
        let claims = Arc::new(self.signer.verify(token, now).map_err(reject)?);
        let mut tokens = self.verified_tokens.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if tokens.len() >= REMEMBERED_TOKENS {
            tokens.clear();
        }
        tokens.insert(digest, Arc::clone(&claims));
        Ok(claims)
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_scheme_with_a_token_counts() {
        let rows = [
            (None, None),
            (Some("Bearer abc"), Some("abc")),
            (Some("bearer  abc "), Some("abc")),
            (Some("Bearer"), None),
            (Some("Bearer "), None),
            (Some("Basic abc"), None),
        ];
        for (value, expected) in rows {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer_token(&headers), expected, "{value:?}");
        }
    }

    #[test]
    fn tokens_are_random_and_never_printed() {
        let token = BearerToken::random().unwrap();
        assert_ne!(token, BearerToken::random().unwrap());
        assert_eq!(token.reveal().len(), 43);
        assert_eq!(format!("{token:?}"), "BearerToken(…)");
    }
}
