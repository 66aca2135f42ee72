//! Requests that are not as they should be, or that few send.

use super::resources::Resource;
use proptest::prelude::*;
use proptest::sample::select;

/// Of answers that quote a parser of Go's, the kind of mistake counts.
const ROUGHLY: &str = "@only /kind /code /reason\n";

/// An odd request about a resource.
pub(super) fn request(resource: &'static Resource) -> BoxedStrategy<String> {
    let all = [bodies(resource), patches(resource), options(resource), forms(resource)].concat();
    select(all).boxed()
}

fn bodies(resource: &Resource) -> Vec<String> {
    let path = resource.path();
    let name = resource.names()[0];
    let (kind, version) = (resource.kind, resource.api_version());
    let post = |body: &str| format!("POST {path}\n{body}");
    let put = |body: &str| format!("PUT {path}/{name}\n{body}");
    let about = format!("\"apiVersion\": \"{version}\", \"kind\": \"{kind}\"");
    vec![
        format!("{ROUGHLY}{}", post("{")),
        format!("{ROUGHLY}{}", post("[]")),
        format!("{ROUGHLY}{}", put("{\"metadata\": ")),
        format!("{ROUGHLY}{}", post(&format!("{{{about}, \"metadata\": 5}}"))),
        format!("{ROUGHLY}{}", post(&format!("{{{about}, \"metadata\": {{\"labels\": [\"l\"]}}}}"))),
        post(&format!("{{{about}, \"metadata\": {{}}}}")),
        post(&format!("{{{about}, \"metadata\": {{\"name\": \"{name}\", \"namespace\": \"default\"}}}}")),
        put(&format!("{{{about}, \"metadata\": {{\"name\": \"other\"}}}}")),
        post("{\"apiVersion\": \"v1\", \"kind\": \"Nothing\", \"metadata\": {\"name\": \"a\"}}"),
        post("{\"apiVersion\": \"example.com/v9\", \"kind\": \"Nothing\", \"metadata\": {\"name\": \"a\"}}"),
        post(&format!("{{{about}, \"metadata\": {{\"name\": \"{}\"}}}}", "n".repeat(260))),
        post(&format!("{{{about}, \"metadata\": {{\"name\": \"{name}\", \"resourceVersion\": \"1\"}}}}")),
        post(&format!("{{{about}, \"metadata\": {{\"name\": \"{name}\", \"labels\": {{\"a b\": \"c\"}}}}}}")),
        post(&format!("{{{about}, \"metadata\": {{\"name\": \"{name}\", \"finalizers\": [\"f\"]}}}}")),
        post(&format!(
            "{{{about}, \"metadata\": {{\"name\": \"{name}\", \"ownerReferences\": [{{\"kind\": \"X\", \"name\": \"y\"}}]}}}}"
        )),
        format!("POST {path}\nContent-Type: application/yaml\n\napiVersion: {version}\nkind: {kind}\nmetadata: [\n"),
        format!("{ROUGHLY}POST {path}\nContent-Type: text/plain\n\nhello"),
        format!("POST {path}\nContent-Type: application/xml\n\n<a/>"),
    ]
    .into_iter()
    .map(|step| if step.contains("yaml") { format!("{ROUGHLY}{step}") } else { step })
    .collect()
}

fn patches(resource: &Resource) -> Vec<String> {
    let object = format!("{}/{}", resource.path(), resource.names()[0]);
    let patch = |kind: &str, body: &str| format!("PATCH {object}\nContent-Type: {kind}\n{body}");
    vec![
        patch("application/json", "{}"),
        patch("text/plain", "{}"),
        patch("application/json-patch+json", "{}"),
        patch("application/json-patch+json", "[]"),
        patch(
            "application/json-patch+json",
            "[{\"op\": \"replace\", \"path\": \"/kind\", \"value\": \"Other\"}]",
        ),
        patch(
            "application/json-patch+json",
            "[{\"op\": \"move\", \"from\": \"/metadata/labels\", \"path\": \"/metadata/annotations\"}]",
        ),
        patch(
            "application/json-patch+json",
            "[{\"op\": \"copy\", \"from\": \"/metadata/name\", \"path\": \"/metadata/labels/l\"}]",
        ),
        patch("application/json-patch+json", "[{\"op\": \"remove\", \"path\": \"/metadata/nothing\"}]"),
        patch(
            "application/json-patch+json",
            "[{\"op\": \"add\", \"path\": \"/metadata/name\", \"value\": \"other\"}]",
        ),
        patch("application/merge-patch+json", "{\"metadata\": null}"),
        patch("application/merge-patch+json", "{\"metadata\": {\"name\": \"other\"}}"),
        patch(
            "application/merge-patch+json",
            "{\"metadata\": {\"creationTimestamp\": \"2001-01-01T00:00:00Z\"}}",
        ),
        patch("application/merge-patch+json", "{\"metadata\": {\"resourceVersion\": \"x\"}}"),
        format!("{ROUGHLY}{}", patch("application/merge-patch+json", "[]")),
        format!("{ROUGHLY}{}", patch("application/merge-patch+json", "{\"metadata\"")),
        format!("{ROUGHLY}{}", patch("application/merge-patch+json", "{\"metadata\": 7}")),
    ]
}

fn options(resource: &Resource) -> Vec<String> {
    let path = resource.path();
    let object = format!("{path}/{}", resource.names()[0]);
    let delete = |body: &str| format!("DELETE {object}\n{body}");
    vec![
        format!("POST {path}?dryRun=Some\n{{}}"),
        format!("POST {path}?fieldValidation=Harsh\n{{}}"),
        format!("PUT {object}?fieldManager=%01\n{{}}"),
        format!("DELETE {object}?dryRun=Some"),
        format!("GET {object}?pretty=true"),
        format!("GET {path}?labelSelector=of-nobody&limit=-1"),
        format!("GET {path}?labelSelector=l&limit=many"),
        format!("GET {path}?labelSelector=a%20b"),
        format!("GET {path}?watch=true&resourceVersion=x"),
        format!("GET {path}?watch=true&labelSelector=%3D%3D"),
        delete("{\"kind\": \"DeleteOptions\", \"apiVersion\": \"v1\", \"propagationPolicy\": \"Sideways\"}"),
        delete("{\"propagationPolicy\": \"Background\", \"orphanDependents\": true}"),
        delete("{\"preconditions\": {\"uid\": \"11111111-1111-1111-1111-111111111111\"}}"),
        delete("{\"preconditions\": {\"resourceVersion\": \"1\"}}"),
        format!("{ROUGHLY}{}", delete("{\"gracePeriodSeconds\": \"soon\"}")),
        format!("{ROUGHLY}{}", delete("{")),
    ]
}

fn forms(resource: &Resource) -> Vec<String> {
    let path = resource.path();
    let object = format!("{path}/{}", resource.names()[0]);
    vec![
        format!("GET {object}\nAccept: application/yaml"),
        format!("GET {object}\nAccept: text/html"),
        format!("GET {object}\nAccept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
        format!("GET {object}\nAccept: application/json;as=Picture;v=v1;g=meta.k8s.io"),
        format!("GET {object}\nAccept: application/json;as=Table;v=v7;g=meta.k8s.io, application/json"),
        format!("GET {object}/nothing"),
        format!("PUT {object}/nothing\n{{}}"),
        format!("POST {object}\n{{}}"),
        format!("PUT {path}\n{{}}"),
        format!("PATCH {path}\nContent-Type: application/merge-patch+json\n{{}}"),
    ]
}
