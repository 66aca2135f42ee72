//! A random sequence of requests, and the case that is spoken for it.

use super::requests;
use super::resources::{self, Resource};
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::ops::Range;

/// Requests of one sequence.
const REQUESTS: usize = 40;
/// Resources of one sequence: few, so that requests meet each other's consequences.
const AT_MOST: usize = 3;
/// The object that is made last, for watchers to see that there is no more to come.
const LAST: &str = "zz-last";

/// What is said.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub(super) requests: Vec<Request>,
    /// Whether every resource is watched from before the first request on.
    pub(super) is_watched: bool,
}

/// A request, or several that belong together.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// What it does, for the count.
    pub(super) verb: &'static str,
    /// To what.
    pub(super) resource: &'static Resource,
    /// As it would be written in a case; `$stream` stands for the name of a watch, `$serial` for a
    /// number that grows.
    pub(super) steps: Vec<String>,
}

/// The steps of a case, and which of them are whose.
pub(super) struct Script {
    pub(super) steps: Vec<String>,
    /// The steps of each request.
    requests: Vec<Range<usize>>,
}

impl Script {
    /// The request that a step is of.
    pub(super) fn request_of(&self, step: usize) -> Option<usize> {
        self.requests.iter().position(|steps| steps.contains(&step))
    }

    /// The answers to requests, among the answers to all steps.
    pub(super) fn answers(&self, mut answers: Vec<Vec<String>>) -> Vec<Vec<String>> {
        let end = self.requests.last().map_or(0, |steps| steps.end);
        answers.truncate(end);
        answers.drain(..self.requests.first().map_or(0, |steps| steps.start));
        answers
    }
}

impl Sequence {
    /// The sequence of this number in a run with this seed.
    pub(super) fn generate(seed: u64, number: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let resources: Vec<&Resource> = resources::common().collect();
        let requests = subsequence(resources, 1..=AT_MOST)
            .prop_flat_map(|resources| {
                let any = resources.into_iter().chain(resources::rare());
                let any = any.map(|resource| (resource.weight(), requests::about(resource))).collect();
                prop::collection::vec(proptest::strategy::Union::new_weighted(any), REQUESTS)
            })
            .new_tree(&mut runner)
            .expect("no strategy here rejects anything")
            .current();
        Self { requests, is_watched: true }
    }

    /// The case: watches, then the requests, then what the watchers saw.
    pub(super) fn script(&self) -> Script {
        let mut steps = Vec::new();
        if self.is_watched {
            // The version of this is where the watches begin.
            steps.push(begin());
            let watched = self.resources().into_iter().filter(|resource| resource.is_watched());
            steps.extend(watched.map(open));
        }
        let mut requests = Vec::new();
        let mut streams = Vec::new();
        for request in &self.requests {
            let start = steps.len();
            for step in &request.steps {
                if step.contains("$stream") {
                    streams.push((format!("w{}", streams.len() + 1), request.resource));
                }
                let stream = streams.last().map_or("", |(name, _)| name);
                let serial = format!("{start:02}");
                steps.push(step.trim_end().replace("$stream", stream).replace("$serial", &serial));
            }
            requests.push(start..steps.len());
        }
        for resource in self.resources() {
            let mut ends = Vec::new();
            if self.is_watched && resource.is_watched() {
                ends.push(resource.plural.to_owned());
            }
            ends.extend(streams.iter().filter(|(_, of)| of.is(resource)).map(|(name, _)| name.clone()));
            if !ends.is_empty() {
                steps.push(last(resource));
                steps.extend(ends.iter().map(|name| format!("@drain {name} {LAST}")));
            }
        }
        Script { steps, requests }
    }

    /// The resources of all requests, once each.
    fn resources(&self) -> Vec<&'static Resource> {
        let is_used =
            |resource: &&Resource| self.requests.iter().any(|request| request.resource.is(resource));
        resources::all().filter(is_used).collect()
    }
}

fn begin() -> String {
    "@only /metadata/name\nPOST /api/v1/namespaces/$ns/events\n{\"metadata\": {\"name\": \"begin\"}, \
     \"involvedObject\": {\"kind\": \"Secret\", \"namespace\": \"$ns\", \"name\": \"x\"}}"
        .to_owned()
}

fn open(resource: &Resource) -> String {
    format!("@open {}\nGET {}?watch=true&resourceVersion=<rv:1>", resource.plural, resource.path())
}

fn last(resource: &Resource) -> String {
    let mut object = (resource.last)();
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.into();
    object["metadata"] = serde_json::json!({"name": LAST, "labels": {"l": "x"}});
    format!("@only /metadata/name\nPOST {}\n{object}", resource.path())
}
