//! ServiceAccount tokens as the TokenRequest API issues them: JSON Web Tokens (RFC 7519) signed ES256 (RFC 7518 §3.4)
//! with the cluster's own key.
//!
//! Only what can be told from the token and the clock is decided here; whether the ServiceAccount still exists is the
//! authenticator's question.

use std::fmt;

use aws_lc_rs::{
    digest,
    encoding::AsDer,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

/// The cluster's key for ServiceAccount tokens and the issuer name it signs under.
pub(crate) struct TokenSigner {
    key: EcdsaKeyPair,
    key_id: String,
    issuer: String,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner")
            .field("key_id", &self.key_id)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// The cryptographic library refused to make a key or a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the cryptographic library could not {attempted}")]
pub struct CryptoError {
    /// What was attempted.
    pub attempted: &'static str,
}

/// Why a bearer token is not a valid ServiceAccount token of this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum TokenError {
    /// Not a JWT signed by this cluster.
    #[error("invalid bearer token")]
    Invalid,
    /// `exp` has passed.
    #[error("service account token has expired")]
    Expired,
    /// `nbf` lies ahead.
    #[error("service account token is not valid yet")]
    NotYetValid,
}

/// Claims of a ServiceAccount token, named as upstream names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Audiences the token is meant for.
    #[serde(rename = "aud")]
    pub(crate) audiences: Vec<String>,
    /// Expiry, seconds since the epoch.
    #[serde(rename = "exp")]
    pub(crate) expires_at: i64,
    /// Time of issue, seconds since the epoch.
    #[serde(rename = "iat")]
    pub(crate) issued_at: i64,
    /// Issuer.
    #[serde(rename = "iss")]
    pub(crate) issuer: String,
    /// The token's own identifier.
    #[serde(rename = "jti")]
    pub(crate) id: String,
    /// Whom and what the token is bound to.
    #[serde(rename = "kubernetes.io")]
    pub(crate) bound: BoundTo,
    /// Start of validity, seconds since the epoch.
    #[serde(rename = "nbf")]
    pub(crate) not_before: i64,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    #[serde(rename = "sub")]
    pub(crate) subject: String,
}

/// The private `kubernetes.io` claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BoundTo {
    /// Namespace of the ServiceAccount.
    pub(crate) namespace: String,
    /// The pod that the token lives and dies with, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<ObjectIdentity>,
    /// The Secret that the token lives and dies with, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<ObjectIdentity>,
    /// The ServiceAccount.
    pub(crate) serviceaccount: ObjectIdentity,
}

/// An object by name and uid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectIdentity {
    /// `metadata.name`.
    pub(crate) name: String,
    /// `metadata.uid`.
    pub(crate) uid: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

impl TokenSigner {
    /// Makes a new P-256 key that signs as `issuer`.
    pub(crate) fn generate(issuer: impl Into<String>) -> Result<Self, CryptoError> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| CryptoError { attempted: "make a P-256 key for service account tokens" })?;
        let public = key
            .public_key()
            .as_der()
            .map_err(|_| CryptoError { attempted: "encode the public key of service account tokens" })?;
        let key_id = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, public.as_ref()));
        Ok(Self { key, key_id, issuer: issuer.into() })
    }

    /// Issuer named in tokens, which is also the API server's default audience.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs `claims`; the result is a bearer token, so treat it as a secret.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, CryptoError> {
        const ATTEMPT: CryptoError = CryptoError { attempted: "sign a service account token" };
        let header = Header { alg: "ES256".to_owned(), kid: self.key_id.clone() };
        let header = serde_json::to_vec(&header).map_err(|_| ATTEMPT)?;
        let claims = serde_json::to_vec(claims).map_err(|_| ATTEMPT)?;
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| ATTEMPT)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Checks form, signature, issuer and validity at `now`, in this order.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Invalid)?;
        let header: Header = decode_json(header)?;
        if header.alg != "ES256" || header.kid != self.key_id {
            return Err(TokenError::Invalid);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Invalid)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| TokenError::Invalid)?;
        let claims: Claims = decode_json(claims)?;
        if claims.issuer != self.issuer {
            return Err(TokenError::Invalid);
        }
        claims.check_validity(now)?;
        Ok(claims)
    }

    /// The public key as a JSON Web Key Set (RFC 7517), for `/openid/v1/jwks`.
    pub(crate) fn json_web_key_set(&self) -> Value {
        // An uncompressed SEC 1 point: 0x04, then 32 bytes each of x and y.
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
    }
}

impl Claims {
    pub(crate) fn check_validity(&self, now: Timestamp) -> Result<(), TokenError> {
        if now.as_second() >= self.expires_at {
            return Err(TokenError::Expired);
        }
        if now.as_second() < self.not_before {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

fn decode_json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Invalid)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUED_AT: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn claims(signer: &TokenSigner) -> Claims {
        Claims {
            audiences: vec![signer.issuer().to_owned()],
            expires_at: ISSUED_AT + 600,
            issued_at: ISSUED_AT,
            issuer: signer.issuer().to_owned(),
            id: "4f1c".to_owned(),
            bound: BoundTo {
                namespace: "ns".to_owned(),
                pod: None,
                secret: None,
                serviceaccount: ObjectIdentity { name: "agent".to_owned(), uid: "u-1".to_owned() },
            },
            not_before: ISSUED_AT,
            subject: "system:serviceaccount:ns:agent".to_owned(),
        }
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_expires() {
        let signer = TokenSigner::generate("https://issuer").unwrap();
        let claims = claims(&signer);
        let token = signer.sign(&claims).unwrap();
        assert_eq!(signer.verify(&token, at(ISSUED_AT)), Ok(claims.clone()));
        assert_eq!(signer.verify(&token, at(ISSUED_AT + 599)), Ok(claims));
        assert_eq!(signer.verify(&token, at(ISSUED_AT + 600)), Err(TokenError::Expired));
        assert_eq!(signer.verify(&token, at(ISSUED_AT - 1)), Err(TokenError::NotYetValid));
    }

    #[test]
    fn nothing_but_the_clusters_own_signature_counts() {
        let signer = TokenSigner::generate("https://issuer").unwrap();
        let other = TokenSigner::generate("https://issuer").unwrap();
        let token = signer.sign(&claims(&signer)).unwrap();
        assert_eq!(other.verify(&token, at(ISSUED_AT)), Err(TokenError::Invalid));

        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, payload) = message.split_once('.').unwrap();
        let mut forged: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        forged["sub"] = "system:serviceaccount:kube-system:admin".into();
        let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
        let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"x"}"#);
        for bad in [
            format!("{header}.{forged}.{signature}"),
            format!("{unsigned}.{payload}."),
            format!("{header}.{payload}"),
            String::new(),
            "a.b.c".to_owned(),
            token[..token.len() - 4].to_owned(),
        ] {
            assert_eq!(signer.verify(&bad, at(ISSUED_AT)), Err(TokenError::Invalid), "{bad}");
        }
    }

    #[test]
    fn the_published_key_verifies_tokens() {
        let signer = TokenSigner::generate("https://issuer").unwrap();
        let token = signer.sign(&claims(&signer)).unwrap();
        let keys = signer.json_web_key_set();
        let coordinate =
            |name: &str| URL_SAFE_NO_PAD.decode(keys["keys"][0][name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let (message, signature) = token.rsplit_once('.').unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
    }
}
