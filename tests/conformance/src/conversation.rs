//! A case, spoken with one server.

use crate::case::{Case, RequestText, Step, Until};
use crate::client::{Answer, Client, ClientError, Stream};
use crate::manifests;
use crate::normalize::Names;
use crate::render;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_millis(50);

/// Headers that clients act on.
const RECORDED_HEADERS: &[header::HeaderName] =
    &[header::WARNING, header::RETRY_AFTER, header::LOCATION, header::ALLOW, header::WWW_AUTHENTICATE];

/// What is known while a case is spoken.
#[derive(Debug)]
pub struct Conversation<'a> {
    client: &'a Client,
    case: &'a Case,
    names: Names,
    open: HashMap<String, Stream>,
    /// What was last seen of objects, by path.
    seen: HashMap<String, Seen>,
    /// How long `@until` asks, and a new namespace is waited for.
    patience: Duration,
}

impl<'a> Conversation<'a> {
    /// Before the first word.
    pub fn new(client: &'a Client, case: &'a Case, patience: Duration) -> Self {
        let literals: Vec<&str> = case.steps.iter().flat_map(Step::source).map(String::as_str).collect();
        Self {
            client,
            case,
            names: Names::new(literals.join("\n")),
            open: HashMap::new(),
            seen: HashMap::new(),
            patience,
        }
    }

    /// The answers to all steps, in lines.
    pub async fn run(mut self) -> Result<Vec<Vec<String>>, String> {
        if self.case.steps.iter().any(|step| step.source().iter().any(|line| line.contains("namespaces/$ns")))
        {
            self.make_namespace().await?;
        }
        let mut answers = Vec::new();
        for step in &self.case.steps {
            let answer = self.step(step).await.map_err(|problem| format!("{}\n{problem}", step.title()))?;
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Makes the case's namespace, and waits until it holds what every namespace does.
    async fn make_namespace(&self) -> Result<(), String> {
        let name = &self.case.name;
        let body = format!("{{\"metadata\": {{\"name\": \"{name}\"}}}}");
        let made = self.client.send("POST", "/api/v1/namespaces", &[], body).await.map_err(shown)?;
        if made.status != StatusCode::CREATED {
            return Err(format!("making namespace {name}: {}", String::from_utf8_lossy(&made.body)));
        }
        for content in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
            let deadline = Instant::now() + self.patience;
            let target = format!("/api/v1/namespaces/{name}/{content}");
            while self.client.send("GET", &target, &[], String::new()).await.map_err(shown)?.status
                != StatusCode::OK
            {
                if Instant::now() >= deadline {
                    return Err(format!(
                        "namespace {name} has had no {content} for {} s",
                        self.patience.as_secs()
                    ));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<Vec<String>, String> {
        let directives = &step.directives;
        if let Some((name, count)) = &directives.read {
            let mut stream = self.open.remove(name).ok_or_else(|| format!("no watch {name:?} is open"))?;
            let events = self.events(&mut stream, Some(*count)).await?;
            self.open.insert(name.clone(), stream);
            return Ok(events);
        }
        if let Some((name, object)) = &directives.drain {
            let mut stream = self.open.remove(name).ok_or_else(|| format!("no watch {name:?} is open"))?;
            return self.events_until(&mut stream, object).await;
        }
        if let Some(file) = &directives.create {
            return manifests::create(self.client, file, self.patience).await;
        }
        let request = step.request.as_ref().ok_or("nothing to ask")?;
        if !directives.each.is_empty() {
            return self.for_each(request, &directives.each).await;
        }
        if let Some(name) = &directives.open {
            let stream = self.open_stream(request).await?;
            let head = self.head(stream.status, &stream.headers);
            self.open.insert(name.clone(), stream);
            return Ok(head);
        }
        if directives.events.is_some() || request.target.contains("watch=") {
            let mut stream = self.open_stream(request).await?;
            if stream.status != StatusCode::OK {
                let answer = stream.whole().await.map_err(shown)?;
                return Ok(self.whole(&answer, &directives.only));
            }
            let mut lines = self.head(stream.status, &stream.headers);
            lines.extend(self.events(&mut stream, directives.events).await?);
            return Ok(lines);
        }
        let answer = match &directives.until {
            None => self.ask(request, "").await?,
            Some(until) => self.ask_until(request, until).await?,
        };
        Ok(self.whole(&answer, &directives.only))
    }

    async fn for_each(&mut self, request: &RequestText, each: &[String]) -> Result<Vec<String>, String> {
        let mut statuses = Vec::new();
        for it in each {
            statuses.push(self.ask(request, it).await?.status.as_str().to_owned());
        }
        Ok(vec![statuses.join(" ")])
    }

    async fn ask_until(&mut self, request: &RequestText, until: &Until) -> Result<Answer, String> {
        let deadline = Instant::now() + self.patience;
        loop {
            let answer = self.ask(request, "").await?;
            if until.is_met(&answer) || Instant::now() >= deadline {
                return Ok(answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&mut self, request: &RequestText, it: &str) -> Result<Answer, String> {
        let FilledIn { target, headers, body } = self.fill_in(request, it)?;
        let answer = self.client.send(&request.method, &target, &headers, body).await.map_err(shown)?;
        self.note(&target, &answer);
        Ok(answer)
    }

    /// Remembers what the answer says of an object, or of a collection.
    fn note(&mut self, target: &str, answer: &Answer) {
        let Ok(object) = serde_json::from_slice::<Value>(&answer.body) else { return };
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (name, version) = (text("/metadata/name"), text("/metadata/resourceVersion"));
        if version.is_empty() {
            return;
        }
        let mut note = |path: String| {
            let seen = self.seen.entry(path).or_default();
            if seen.first.is_empty() {
                version.clone_into(&mut seen.first);
            }
            version.clone_into(&mut seen.last);
            text("/metadata/uid").clone_into(&mut seen.uid);
            text("/metadata/continue").clone_into(&mut seen.more);
        };
        if !name.is_empty() {
            note(object_path(target, Some(name)));
        }
        note(collection_path(target, name));
    }

    async fn open_stream(&self, request: &RequestText) -> Result<Stream, String> {
        let FilledIn { target, headers, body } = self.fill_in(request, "")?;
        self.client.open(&request.method, &target, &headers, body).await.map_err(shown)
    }

    /// The request with values for `$ns`, `$it` and names.
    fn fill_in(&self, request: &RequestText, it: &str) -> Result<FilledIn, String> {
        let about = request.target.replace("$ns", &self.case.name).replace("$it", it);
        let seen = self.seen.get(&object_path(&about, None)).cloned().unwrap_or_default();
        let fill = |text: &str| {
            let text = text.replace("$ns", &self.case.name).replace("$it", it);
            let text =
                text.replace("$rv", &seen.last).replace("$old", &seen.first).replace("$uid", &seen.uid);
            let text = text.replace("$more", &seen.more);
            self.names.resolve(&text)
        };
        let header = |(name, value): &(String, String)| Ok::<_, String>((name.clone(), fill(value)?));
        let headers = request.headers.iter().map(header).collect::<Result<_, _>>()?;
        Ok(FilledIn { target: fill(&request.target)?, headers, body: fill(&request.body)? })
    }

    /// Events to the count or the end of the stream.
    async fn events(&mut self, stream: &mut Stream, count: Option<usize>) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let mut left = count.unwrap_or(usize::MAX);
        while left > 0 {
            left -= 1;
            match stream.line().await {
                Ok(Some(event)) => lines.extend(self.body(&event, &[])),
                Ok(None) => {
                    lines.push("end".to_owned());
                    break;
                }
                Err(ClientError::Timeout) if count.is_some() => {
                    lines.push("no event".to_owned());
                    break;
                }
                Err(error) => return Err(shown(error)),
            }
        }
        Ok(lines)
    }

    /// Events up to the first of this object.
    async fn events_until(&mut self, stream: &mut Stream, object: &str) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        loop {
            let Some(event) = stream.line().await.map_err(shown)? else {
                lines.push("end".to_owned());
                return Ok(lines);
            };
            lines.extend(self.body(&event, &[]));
            let event: Value = serde_json::from_slice(&event).unwrap_or_default();
            if event.pointer("/object/metadata/name").and_then(Value::as_str) == Some(object) {
                return Ok(lines);
            }
        }
    }

    fn whole(&mut self, answer: &Answer, only: &[String]) -> Vec<String> {
        let mut lines = self.head(answer.status, &answer.headers);
        let is_yaml = content_type(&answer.headers) == "application/yaml";
        let yaml = is_yaml.then(|| std::str::from_utf8(&answer.body).ok()).flatten();
        match yaml.and_then(|text| serde_saphyr::from_str::<Value>(text).ok()) {
            Some(value) => lines.extend(self.value(value, only)),
            None => lines.extend(self.body(&answer.body, only)),
        }
        lines
    }

    fn head(&mut self, status: StatusCode, headers: &HeaderMap) -> Vec<String> {
        let mut lines = vec![status.as_str().to_owned()];
        let form = content_type(headers);
        if !matches!(form.as_str(), "application/json" | "") {
            lines.push(format!("Content-Type: {form}"));
        }
        for name in RECORDED_HEADERS {
            for value in headers.get_all(name) {
                let value = self.names.text(&String::from_utf8_lossy(value.as_bytes()));
                lines.push(format!("{}: {value}", title_case(name.as_str())));
            }
        }
        lines
    }

    fn body(&mut self, body: &[u8], only: &[String]) -> Vec<String> {
        if body.is_empty() {
            return Vec::new();
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => self.value(value, only),
            Err(_) => self.names.text(&String::from_utf8_lossy(body)).lines().map(str::to_owned).collect(),
        }
    }

    fn value(&mut self, mut value: Value, only: &[String]) -> Vec<String> {
        self.names.apply(&mut value);
        if only.is_empty() { render::json(&value) } else { render::parts(&value, only) }
    }
}

/// What was first and last seen of an object or collection: `$old`, `$rv`, `$uid` and `$more` in requests about it.
#[derive(Clone, Debug, Default)]
struct Seen {
    first: String,
    last: String,
    uid: String,
    more: String,
}

/// The path of the collection that an object, if it has a name, or a list came from.
fn collection_path(target: &str, name: &str) -> String {
    let path = object_path(target, None);
    match path.strip_suffix(name).and_then(|path| path.strip_suffix('/')) {
        Some(collection) if !name.is_empty() => collection.to_owned(),
        _ => path,
    }
}

/// The path of the object that a request is about; of one in a collection, if its name is given.
fn object_path(target: &str, name: Option<&str>) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let path = path.strip_suffix("/status").unwrap_or(path);
    match name {
        Some(name) if !path.ends_with(&format!("/{name}")) => format!("{path}/{name}"),
        _ => path.to_owned(),
    }
}

/// A request with values in place of names.
struct FilledIn {
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Until {
    fn is_met(&self, answer: &Answer) -> bool {
        if answer.status.as_u16() != self.status {
            return false;
        }
        let Some((pointer, wanted)) = &self.value else { return true };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match body.pointer(pointer) {
            None => wanted == "absent",
            Some(Value::String(text)) => text == wanted,
            Some(other) => format!("{other}") == *wanted,
        }
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn title_case(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

fn shown(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
