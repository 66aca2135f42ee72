//! Label selectors (k8s.io/apimachinery `pkg/labels`): the grammar, its errors and its matching.

use serde_json::{Value, json};

use crate::meta::format;
use crate::status::{ApiStatus, FieldError};

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`, `==` and `in (…)`
    In,
    /// `!=` and `notin (…)`; also true when the key is absent.
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key > n`
    GreaterThan,
    /// `key < n`
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// Comparison.
    pub operator: Operator,
    /// Operands.
    pub values: Vec<String>,
}

/// Requirements that must all hold; the default selects everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LabelSelector {
    /// The requirements, ordered by key.
    pub requirements: Vec<Requirement>,
}

impl Requirement {
    /// Whether an object with this value (or none) for the key satisfies the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |v: &str| self.values.iter().any(|x| x == v);
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value).is_some_and(|(have, want)| have > want),
            Operator::LessThan => self.compare(value).is_some_and(|(have, want)| have < want),
        }
    }

    fn compare(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

impl LabelSelector {
    /// Parses the query parameter; an unreadable one is a 400 with the real server's text.
    pub fn parse(text: &str) -> Result<Self, ApiStatus> {
        let mut requirements = Parser::new(text).parse().map_err(ApiStatus::bad_request)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    /// A `metav1.LabelSelector` object (`matchLabels`, `matchExpressions`), as in a PodDisruptionBudget.
    /// Unreadable parts select nothing.
    pub fn from_object(selector: &Value) -> Option<Self> {
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let values = vec![value.as_str()?.to_owned()];
            requirements.push(Requirement { key: key.clone(), operator: Operator::In, values });
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let operator = match expression.get("operator")?.as_str()? {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return None,
            };
            let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
            requirements.push(Requirement {
                key: expression.get("key")?.as_str()?.to_owned(),
                operator,
                values: values.filter_map(Value::as_str).map(str::to_owned).collect(),
            });
        }
        Some(Self { requirements })
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether labels looked up by `get` satisfy every requirement.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| r.matches(get(&r.key)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    ClosedParen,
    Comma,
    Bang,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    OpenParen,
    Error,
}

const BINARY_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// A recursive descent over the tokens, written after the original so that every refusal has its words.
struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    position: usize,
}

fn is_special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn special_token(literal: &str) -> Option<Token> {
    Some(match literal {
        ")" => Token::ClosedParen,
        "," => Token::Comma,
        "!" => Token::Bang,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::Greater,
        "<" => Token::Less,
        "!=" => Token::NotEquals,
        "(" => Token::OpenParen,
        _ => return None,
    })
}

/// The longest operator at the start of `rest`.
fn scan_special(rest: &str) -> (Token, usize) {
    for len in [2, 1] {
        if let Some(token) = rest.get(..len).and_then(special_token) {
            return (token, len);
        }
    }
    (Token::Error, rest.chars().next().map_or(1, char::len_utf8))
}

fn scan(text: &str) -> Vec<(Token, &str)> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(blank);
        let Some(first) = rest.chars().next() else {
            tokens.push((Token::End, ""));
            return tokens;
        };
        let (token, len) = if is_special(first) {
            scan_special(rest)
        } else {
            let len = rest.find(|c| blank(c) || is_special(c)).unwrap_or(rest.len());
            match &rest[..len] {
                "in" => (Token::In, len),
                "notin" => (Token::NotIn, len),
                _ => (Token::Identifier, len),
            }
        };
        tokens.push((token, &rest[..len]));
        rest = &rest[len..];
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { tokens: scan(text), position: 0 }
    }

    fn peek_operator(&self) -> (Token, &'a str) {
        self.tokens.get(self.position).copied().unwrap_or((Token::End, ""))
    }

    /// `in` and `notin` are words where a value may stand.
    fn peek(&self) -> (Token, &'a str) {
        match self.peek_operator() {
            (Token::In | Token::NotIn, literal) => (Token::Identifier, literal),
            other => other,
        }
    }

    fn next(&mut self) -> (Token, &'a str) {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn parse(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::Identifier | Token::Bang, _) => {
                    let requirement =
                        self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?;
                    requirements.push(requirement);
                    match self.next() {
                        (Token::End, _) => return Ok(requirements),
                        (Token::Comma, _) => {
                            let (token, literal) = self.peek();
                            if !matches!(token, Token::Identifier | Token::Bang) {
                                return Err(format!("found '{literal}', expected: identifier after ','"));
                            }
                        }
                        (_, literal) => {
                            return Err(format!("found '{literal}', expected: ',' or 'end of string'"));
                        }
                    }
                }
                (Token::End, _) => return Ok(requirements),
                (_, literal) => {
                    return Err(format!("found '{literal}', expected: !, identifier, or 'end of string'"));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut literal) = self.next();
        let negated = token == Token::Bang;
        if negated {
            (token, literal) = self.next();
        }
        if token != Token::Identifier {
            return Err(format!("found '{literal}', expected: identifier"));
        }
        check_key("<nil>", literal)?;
        let key = literal.to_owned();
        if negated {
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(Requirement { key, operator: Operator::Exists, values: Vec::new() });
        }
        let operator = self.operator()?;
        let values = match operator {
            Token::In | Token::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        build(key, operator, values)
    }

    fn operator(&mut self) -> Result<Token, String> {
        let (token, literal) = self.peek_operator();
        self.position += 1;
        match token {
            Token::In
            | Token::NotIn
            | Token::Equals
            | Token::DoubleEquals
            | Token::NotEquals
            | Token::Greater
            | Token::Less => Ok(token),
            _ => Err(format!("found '{literal}', expected: {BINARY_OPERATORS}")),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let (token, literal) = self.next();
        if token != Token::OpenParen {
            return Err(format!("found '{literal}' expected: '('"));
        }
        let (token, literal) = self.peek();
        match token {
            Token::Identifier | Token::Comma => {
                let values = self.identifiers()?;
                match self.next().0 {
                    Token::ClosedParen => Ok(values),
                    _ => Err(format!("found '{literal}', expected: ')'")),
                }
            }
            Token::ClosedParen => {
                self.position += 1;
                Ok(vec![String::new()])
            }
            _ => Err(format!("found '{literal}', expected: ',', ')' or identifier")),
        }
    }

    fn identifiers(&mut self) -> Result<Vec<String>, String> {
        let mut values = std::collections::BTreeSet::new();
        loop {
            match self.next() {
                (Token::Identifier, literal) => {
                    values.insert(literal.to_owned());
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::ClosedParen, _) => return Ok(values.into_iter().collect()),
                        (_, literal) => return Err(format!("found '{literal}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek().0 {
                        Token::ClosedParen => {
                            values.insert(String::new());
                            return Ok(values.into_iter().collect());
                        }
                        Token::Comma => {
                            self.position += 1;
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                (_, literal) => return Err(format!("found '{literal}', expected: ',', or identifier")),
            }
        }
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next() {
            (Token::Identifier, literal) => Ok(literal.to_owned()),
            (_, literal) => Err(format!("found '{literal}', expected: identifier")),
        }
    }
}

fn check_key(path: &str, key: &str) -> Result<(), String> {
    let errors = format::qualified_name(key);
    if errors.is_empty() {
        return Ok(());
    }
    Err(FieldError::invalid(path, &json!(key), errors.join("; ")).to_string())
}

fn build(key: String, operator: Token, values: Vec<String>) -> Result<Requirement, String> {
    let operator = match operator {
        Token::NotIn | Token::NotEquals => Operator::NotIn,
        Token::Greater => Operator::GreaterThan,
        Token::Less => Operator::LessThan,
        _ => Operator::In,
    };
    if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
        for (i, value) in values.iter().enumerate() {
            if value.parse::<i64>().is_err() {
                let why = "for 'Gt', 'Lt' operators, the value must be an integer";
                return Err(FieldError::invalid(format!("values[{i}]"), &json!(value), why).to_string());
            }
        }
    }
    for (i, value) in values.iter().enumerate() {
        let errors = format::label_value(value);
        if !errors.is_empty() {
            let field = format!("values[{i}][{key}]");
            return Err(FieldError::invalid(field, &json!(value), errors.join("; ")).to_string());
        }
    }
    Ok(Requirement { key, operator, values })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(selector: &str, labels: &[(&str, &'static str)]) -> bool {
        let selector = LabelSelector::parse(selector).unwrap();
        selector.matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
    }

    #[test]
    fn matching() {
        let web = [("app", "web"), ("tier", "front"), ("n", "5")];
        let rows = [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            ("app = web , tier=front", true),
            ("app!=web", false),
            ("other!=web", true),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("app in (web, db)", true),
            ("app in (db)", false),
            ("app notin (db)", true),
            ("other notin (db)", true),
            ("app in (web),!other,tier", true),
            ("n>4", true),
            ("n<5", false),
            ("app>4", false),
            ("app=", false),
            ("in=web", false),
        ];
        for (selector, expected) in rows {
            assert_eq!(matches(selector, &web), expected, "{selector}");
        }
    }

    #[test]
    fn refusals_have_the_original_words() {
        let rows = [
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("=a", "found '=', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            (
                "a>b",
                "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value \
                 must be an integer",
            ),
        ];
        for (selector, text) in rows {
            let error = LabelSelector::parse(selector).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (400, text));
        }
        assert!(LabelSelector::parse("a/b/c=d").is_err());
        assert!(LabelSelector::parse("a=-").is_err());
    }

    #[test]
    fn selectors_inside_objects() {
        let selector = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]
        });
        let selector = LabelSelector::from_object(&selector).unwrap();
        assert!(selector.matches(|k| (k == "app").then_some("web")));
        assert!(!selector.matches(|_| Some("web")));
        assert_eq!(LabelSelector::from_object(&json!({"matchExpressions": [{"key": 1}]})), None);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,30}|[a-c=!,() <>/in.]{0,20}") {
            let _ = LabelSelector::parse(&text);
        }
    }
}
