//! What was said, counted: by resource and verb, by what requests ask for besides, and by answer.

use super::resources;
use super::sequence::Sequence;
use std::collections::BTreeMap;
use std::fmt;

/// What requests ask for besides, and the text by which it is known.
const ASPECTS: &[(&str, &str)] = &[
    ("generateName", "\"generateName\""),
    ("labelSelector", "labelSelector="),
    ("fieldSelector", "fieldSelector="),
    ("limit", "limit="),
    ("continue", "continue="),
    ("stale version", "$old"),
    ("dry run", "dryRun"),
    ("strict", "fieldValidation=Strict"),
    ("ignore", "fieldValidation=Ignore"),
    ("preconditions", "\"preconditions\""),
    ("propagation", "\"propagationPolicy\""),
    ("finalizers", "\"finalizers\""),
];

/// Of each resource, verb and aspect, this part of all requests at least.
const PER_REQUESTS: u64 = 4_000;
/// Of all answers, this part is one of success at least.
const SUCCESSFUL: f64 = 0.3;

/// The count.
#[derive(Debug, Default)]
pub(super) struct Tally {
    requests: u64,
    by_resource: BTreeMap<(String, &'static str), u64>,
    by_aspect: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts a sequence and the real server's answers to its steps.
    pub(super) fn add(&mut self, sequence: &Sequence, answers: &[Vec<String>]) {
        for request in &sequence.requests {
            let requests = request.steps.len() as u64;
            self.requests += requests;
            *self.by_resource.entry((request.resource.title(), request.verb)).or_default() += requests;
            for (aspect, text) in ASPECTS {
                if request.steps.iter().any(|step| step.contains(text)) {
                    *self.by_aspect.entry(aspect).or_default() += 1;
                }
            }
        }
        for answer in answers {
            let status = answer.first().map_or("none", |status| status.as_str());
            *self.by_status.entry(status.to_owned()).or_default() += 1;
        }
    }

    /// How many requests were sent to each server.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// What was asked for too seldom to mean anything.
    pub(super) fn missing(&self) -> Vec<String> {
        let enough = (self.requests / PER_REQUESTS).max(1);
        let mut missing = Vec::new();
        for resource in resources::all() {
            for verb in resource.verbs {
                let count = self.by_resource.get(&(resource.title(), *verb)).copied().unwrap_or_default();
                if count < enough {
                    missing.push(format!("{verb} of {}: {count}", resource.title()));
                }
            }
        }
        for (aspect, _) in ASPECTS {
            let count = self.by_aspect.get(aspect).copied().unwrap_or_default();
            if count < enough {
                missing.push(format!("{aspect}: {count}"));
            }
        }
        let all: u64 = self.by_status.values().sum();
        let successful = |status: &str| status.starts_with('2');
        let good: u64 =
            self.by_status.iter().filter(|(status, _)| successful(status)).map(|(_, count)| count).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
        if (good as f64) < SUCCESSFUL * all as f64 {
            missing.push(format!("success: {good} of {all}"));
        }
        missing
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for resource in resources::all() {
            let title = resource.title();
            let of_resource = self.by_resource.iter().filter(|((of, _), _)| *of == title);
            let counts: Vec<String> =
                of_resource.map(|((_, verb), count)| format!("{verb} {count}")).collect();
            writeln!(f, "{title}: {}", counts.join(", "))?;
        }
        let counts: Vec<String> =
            self.by_aspect.iter().map(|(aspect, count)| format!("{aspect} {count}")).collect();
        writeln!(f, "besides: {}", counts.join(", "))?;
        let counts: Vec<String> =
            self.by_status.iter().map(|(status, count)| format!("{status} {count}")).collect();
        writeln!(f, "answers: {}", counts.join(", "))
    }
}
