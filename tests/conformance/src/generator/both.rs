//! Both servers, and how their answers to a sequence are compared.

use super::resources;
use super::sequence::Sequence;
use crate::case::Case;
use crate::client::Client;
use crate::conversation::Conversation;
use crate::target::Target;
use similar::{ChangeTag, TextDiff};
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long what a real server does by itself may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Both servers.
pub(super) struct Both {
    embedded: Target,
    real: Target,
    /// How many namespaces were made.
    namespaces: AtomicU64,
}

/// What both servers said.
pub(super) struct Compared {
    /// The real server's answers to the sequence's requests, in lines.
    pub(super) answers: Vec<Vec<String>>,
    /// What differs, if anything.
    pub(super) difference: Option<Difference>,
}

/// A different answer.
pub(super) struct Difference {
    /// What differs, without what is another each time.
    pub(super) what: String,
    /// The first request that was answered differently; none if only watchers saw something else.
    pub(super) request: Option<usize>,
    /// As a case, with the real server's answers.
    case: String,
    /// What the embedded server answers instead.
    diff: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.case, self.diff)
    }
}

impl Both {
    /// Starts both, with the custom resources that requests are about.
    pub(super) async fn start() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let both = Self {
            embedded: Target::embedded().await?,
            real: Target::real()?,
            namespaces: AtomicU64::default(),
        };
        for target in [&both.embedded, &both.real] {
            define(target.client()).await?;
        }
        Ok(both)
    }

    /// Says a sequence to both.
    pub(super) async fn compare(&self, sequence: &Sequence) -> Result<Compared, String> {
        // Each time in another namespace: smaller sequences are tried on the same servers.
        let number = self.namespaces.fetch_add(1, Ordering::SeqCst);
        let script = sequence.script();
        let case = Case::generated(format!("generated-{number}"), &script.steps)?;
        let (embedded, real) =
            tokio::join!(speak(self.embedded.client(), &case), speak(self.real.client(), &case));
        let (embedded, real) = (embedded?, real?);
        let first = embedded.iter().zip(&real).position(|(embedded, real)| embedded != real);
        let difference = first.map(|step| Difference {
            what: changes(case.steps[step].title(), &real[step], &embedded[step]),
            request: script.request_of(step),
            diff: diff(&case.print_with(&real), &case.print_with(&embedded)),
            case: case.print_with(&real),
        });
        Ok(Compared { answers: script.answers(real), difference })
    }
}

async fn speak(client: &Client, case: &Case) -> Result<Vec<Vec<String>>, String> {
    Conversation::new(client, case, PATIENCE).run().await
}

/// Defines the custom resources, and waits until they are served.
async fn define(client: &Client) -> Result<(), String> {
    const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for definition in resources::definitions()? {
        let made = client.send("POST", DEFINITIONS, &[], definition.to_string()).await;
        let made = made.map_err(|error| error.to_string())?;
        if made.status.as_u16() != 201 {
            let answer = String::from_utf8_lossy(&made.body).into_owned();
            return Err(format!("defining {}: {answer}", definition["metadata"]["name"]));
        }
    }
    for resource in resources::all().filter(|resource| resource.is_custom()) {
        let list = resource.path().replace("$ns", "default");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = client.send("GET", &list, &[], String::new()).await;
            match answer.map_err(|error| error.to_string())?.status.as_u16() {
                200 => break,
                _ if Instant::now() >= deadline => return Err(format!("{} is not served", resource.title())),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
    Ok(())
}

fn diff(real: &str, embedded: &str) -> String {
    let diff = TextDiff::from_lines(real, embedded);
    diff.unified_diff().context_radius(4).header("kube-apiserver", "embedded").to_string()
}

/// What is asked and how the answers begin to differ, without what is another each time.
fn changes(title: &str, real: &[String], embedded: &[String]) -> String {
    let of_what = title.replace(|c: char| c == 'a' || c == 'b' || c.is_ascii_digit(), "");
    let diff = |real: &str, embedded: &str| {
        let diff = TextDiff::from_words(real, embedded);
        let changed = diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal);
        let changed: Vec<String> =
            changed.take(4).map(|change| format!("{}{}", change.tag(), change.value())).collect();
        changed.concat()
    };
    let (status, body) = (
        diff(real.first().map_or("", String::as_str), embedded.first().map_or("", String::as_str)),
        diff(&real.join("\n"), &embedded.join("\n")),
    );
    let change = if status.is_empty() { body } else { status };
    format!("{} {change}", of_what.split('?').next().unwrap_or_default())
}
