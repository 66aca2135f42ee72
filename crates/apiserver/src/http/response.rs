//! Answers: bodies that are either whole or a stream of watch events, and the forms objects and failures take in them.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;
use serde_json::Value;

use super::negotiate::Encoding;
use crate::status::ApiStatus;

/// Body of an answer.
pub enum ResponseBody {
    /// Bytes known in full; none once they are sent.
    Whole(Option<Bytes>),
    /// Chunks as they come, for watches.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => {
                stream.as_mut().poll_next(context).map(|chunk| chunk.map(|c| Ok(Frame::data(c))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// An answer of this server.
pub type ApiResponse = Response<ResponseBody>;

/// A whole answer of any content type.
pub(crate) fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> ApiResponse {
    let body = body.into();
    let mut response = Response::new(ResponseBody::Whole((!body.is_empty()).then_some(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A watch's answer.
pub(crate) fn stream(chunks: impl Stream<Item = Bytes> + Send + 'static) -> ApiResponse {
    let mut response = Response::new(ResponseBody::Stream(Box::pin(chunks)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// Text, as the real server answers on paths that are not part of its API.
pub(crate) fn text(status: StatusCode, body: &'static str) -> ApiResponse {
    let mut response = whole(status, "text/plain; charset=utf-8", body);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The answer on a path that nothing serves.
pub(crate) fn page_not_found() -> ApiResponse {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The answer where the real server says no word.
pub(crate) fn nothing_found() -> ApiResponse {
    let mut response = Response::new(ResponseBody::Whole(None));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Any value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<ApiResponse, ApiStatus> {
    let body = serde_json::to_vec(value)
        .map_err(|error| ApiStatus::internal(format!("cannot write JSON: {error}")))?;
    Ok(whole(status, Encoding::Json.content_type(), body))
}

/// Bytes that are JSON already, in the encoding that was asked for.
pub(crate) fn encoded(status: StatusCode, encoding: Encoding, json: Bytes) -> Result<ApiResponse, ApiStatus> {
    let body = match encoding {
        Encoding::Json => json,
        Encoding::Yaml => {
            let as_yaml = |json: &[u8]| -> Result<String, String> {
                let value: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
                serde_saphyr::to_string(&value).map_err(|error| error.to_string())
            };
            as_yaml(&json).map_err(|error| ApiStatus::internal(format!("cannot write YAML: {error}")))?.into()
        }
    };
    Ok(whole(status, encoding.content_type(), body))
}

/// A failure.
pub(crate) fn failure(status: &ApiStatus, encoding: Encoding) -> ApiResponse {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = Bytes::from(status.to_value().to_string());
    let mut response = encoded(code, encoding, json.clone())
        .unwrap_or_else(|_| whole(code, Encoding::Json.content_type(), json));
    let retry_after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry_after > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    with_warnings(response, &status.warnings)
}

/// Adds `Warning: 299 - "…"` headers (RFC 9111's predecessor, RFC 7234 §5.5), which kubectl prints.
/// Each is said once.
pub(crate) fn with_warnings(mut response: ApiResponse, warnings: &[String]) -> ApiResponse {
    for (index, warning) in warnings.iter().enumerate() {
        if warnings[..index].contains(warning) {
            continue;
        }
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - {}", quoted_text(warning)).as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

/// A quoted-string with control characters removed, as `k8s.io/apimachinery/pkg/util/net.NewWarningHeader` writes it.
fn quoted_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted_and_cannot_break_the_header() {
        let response = with_warnings(
            text(StatusCode::OK, "ok"),
            &["unknown field \"spec.x\"\r\nSet-Cookie: a".to_owned()],
        );
        assert_eq!(
            response.headers()[header::WARNING],
            "299 - \"unknown field \\\"spec.x\\\"Set-Cookie: a\""
        );
    }

    #[test]
    fn a_failure_says_when_to_try_again() {
        let response = failure(&ApiStatus::too_many_requests("later", 5), Encoding::Json);
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    }
}
