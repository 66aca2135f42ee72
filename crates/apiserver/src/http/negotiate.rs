//! Content negotiation: which form of an answer a client accepts, and what its request body is written in.
//!
//! Answers are JSON or YAML, and an object or list can be asked for whole, as its metadata alone, or as the table that
//! `kubectl get` prints (`application/json;as=Table;v=v1;g=meta.k8s.io`). Protobuf is read but never written: a client that
//! accepts it gets JSON, which every Kubernetes client reads by its `Content-Type`.

use http::{HeaderMap, header};

use crate::status::ApiStatus;

/// What the real server lists. Protobuf is read, for built-in kinds; one who accepts it gets JSON.
pub(crate) const MEDIA_TYPES: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// What watches may be written in, in the real server's words.
pub(crate) const WATCH_TYPES: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// How an answer's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`; not for watches.
    Yaml,
}

impl Encoding {
    /// Value of the answer's `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// What of an object or list a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The object itself.
    Full,
    /// `meta.k8s.io/v1` PartialObjectMetadata.
    Metadata,
    /// `meta.k8s.io/v1` PartialObjectMetadataList.
    MetadataList,
    /// `meta.k8s.io/v1` Table.
    Table,
}

/// An acceptable answer to a request about a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Bytes.
    pub(crate) encoding: Encoding,
    /// Content.
    pub(crate) view: View,
}

/// Form of a request body that holds an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    /// `application/json`, and the default.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`; built-in kinds only.
    Protobuf,
}

/// One clause of an `Accept` header.
struct MediaRange<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    /// 0 to 1.
    quality: f32,
}

impl<'a> MediaRange<'a> {
    fn parse(clause: &'a str) -> Self {
        let mut parts = clause.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let quality = parameters
            .iter()
            .find(|(name, _)| *name == "q")
            .and_then(|(_, value)| value.parse::<f32>().ok())
            .map_or(1.0, |q| q.clamp(0.0, 1.0));
        Self { media_type, parameters, quality }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn encoding(&self) -> Option<Encoding> {
        match self.media_type {
            "application/json" | "application/*" | "*/*" | "application/vnd.kubernetes.protobuf" => {
                Some(Encoding::Json)
            }
            "application/yaml" => Some(Encoding::Yaml),
            _ => None,
        }
    }

    fn view(&self) -> Option<View> {
        let Some(kind) = self.parameter("as") else { return Some(View::Full) };
        if self.parameter("g") != Some("meta.k8s.io") || self.parameter("v") != Some("v1") {
            return None;
        }
        match kind {
            "Table" => Some(View::Table),
            "PartialObjectMetadata" => Some(View::Metadata),
            "PartialObjectMetadataList" => Some(View::MetadataList),
            _ => None,
        }
    }

    fn accepted(&self) -> Option<Accepted> {
        Some(Accepted { encoding: self.encoding()?, view: self.view()? })
    }
}

/// Clauses of the `Accept` headers, most wanted first; equal ones in the order they were written.
fn media_ranges(headers: &HeaderMap) -> Vec<MediaRange<'_>> {
    let mut ranges: Vec<_> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|clause| !clause.is_empty())
        .map(MediaRange::parse)
        .collect();
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    ranges
}

/// Chooses the answer's form for a request about a resource.
pub(crate) fn accepted(headers: &HeaderMap, is_list: bool) -> Result<Accepted, ApiStatus> {
    let ranges = media_ranges(headers);
    if ranges.is_empty() {
        return Ok(Accepted { encoding: Encoding::Json, view: View::Full });
    }
    ranges.iter().find_map(MediaRange::accepted).ok_or_else(|| {
        if ranges.iter().any(|range| range.encoding().is_some()) {
            // A form that is known, of something that is not.
            return ApiStatus::not_acceptable(&MEDIA_TYPES);
        }
        let streams: &[&str] = if is_list { &WATCH_TYPES } else { &[] };
        let available: Vec<&str> = MEDIA_TYPES.iter().chain(streams).copied().collect();
        ApiStatus::not_acceptable_by_path(&available)
    })
}

/// How a failure is written, whatever form was asked for.
pub(crate) fn failure_encoding(headers: &HeaderMap) -> Encoding {
    media_ranges(headers).iter().find_map(MediaRange::encoding).unwrap_or(Encoding::Json)
}

/// Whether the client prefers aggregated discovery (`apidiscovery.k8s.io/v2` APIGroupDiscoveryList) over the old lists.
pub(crate) fn wants_aggregated_discovery(headers: &HeaderMap) -> bool {
    let is_aggregated = |range: &MediaRange<'_>| {
        range.parameter("as") == Some("APIGroupDiscoveryList")
            && range.parameter("g") == Some("apidiscovery.k8s.io")
            && range.parameter("v") == Some("v2")
    };
    media_ranges(headers)
        .iter()
        .filter(|range| range.encoding().is_some())
        .find(|range| range.parameter("as").is_none() || is_aggregated(range))
        .is_some_and(is_aggregated)
}

/// Whether the client names one of these media types.
pub(crate) fn accepts(headers: &HeaderMap, media_types: &[&str]) -> bool {
    media_ranges(headers).iter().any(|range| media_types.contains(&range.media_type))
}

/// The media type of the body, without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim()).filter(|media_type| !media_type.is_empty())
}

/// Reads the `Content-Type` of a body that holds an object.
pub(crate) fn body_format(headers: &HeaderMap) -> Result<BodyFormat, ApiStatus> {
    match content_type(headers) {
        None | Some("application/json") => Ok(BodyFormat::Json),
        Some("application/yaml") => Ok(BodyFormat::Yaml),
        Some("application/vnd.kubernetes.protobuf") => Ok(BodyFormat::Protobuf),
        Some(_) => Err(ApiStatus::unsupported_media_type(&MEDIA_TYPES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn accept_picks_the_first_form_we_have() {
        let json = |view| Some(Accepted { encoding: Encoding::Json, view });
        let rows = [
            ("", json(View::Full)),
            ("*/*", json(View::Full)),
            ("application/json", json(View::Full)),
            ("application/json, */*", json(View::Full)),
            ("application/yaml", Some(Accepted { encoding: Encoding::Yaml, view: View::Full })),
            ("application/yaml;q=0.5,application/json", json(View::Full)),
            ("application/vnd.kubernetes.protobuf", json(View::Full)),
            ("application/vnd.kubernetes.protobuf,application/json", json(View::Full)),
            ("text/html,application/json;as=Table;v=v1;g=meta.k8s.io", json(View::Table)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                json(View::Table),
            ),
            ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", json(View::Full)),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", json(View::Metadata)),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", json(View::MetadataList)),
            ("application/json;as=Sausage;g=meta.k8s.io;v=v1", None),
            ("text/plain", None),
        ];
        for (accept, expected) in rows {
            assert_eq!(accepted(&headers(header::ACCEPT, accept), false).ok(), expected, "{accept:?}");
        }
    }

    #[test]
    fn aggregated_discovery_must_be_asked_for_before_plain_json() {
        let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                       application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        for (accept, expected) in [
            (kubectl, true),
            ("application/json", false),
            ("", false),
            ("application/json,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", false),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
                false,
            ),
        ] {
            assert_eq!(wants_aggregated_discovery(&headers(header::ACCEPT, accept)), expected, "{accept:?}");
        }
    }

    #[test]
    fn bodies_we_cannot_read_are_refused_by_name() {
        assert_eq!(body_format(&HeaderMap::new()), Ok(BodyFormat::Json));
        assert_eq!(
            body_format(&headers(header::CONTENT_TYPE, "application/yaml; charset=utf-8")),
            Ok(BodyFormat::Yaml)
        );
        let error = body_format(&headers(header::CONTENT_TYPE, "text/plain")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the body of the request was in an unknown format - accepted media types include: \
             application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
    }
}
