//! What of Go's type declarations tells how Kubernetes writes its objects in protobuf: names, types and struct tags.

use std::collections::HashMap;

/// The types of one Go package.
#[derive(Debug, Default)]
pub(super) struct Package {
    /// Fields of structs, those without a protobuf tag left out.
    pub(super) structs: HashMap<String, Vec<Field>>,
    /// `type A B`.
    pub(super) aliases: HashMap<String, String>,
    /// Import paths by the name they have in the package's files.
    pub(super) imports: HashMap<String, String>,
}

/// One field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Name in JSON; none if the field's own fields stand in its place.
    pub(super) name: Option<String>,
    /// Whether JSON leaves out an empty value.
    pub(super) omit_empty: bool,
    pub(super) go_type: String,
}

impl Package {
    /// Adds what a file declares.
    pub(super) fn read(&mut self, source: &str) {
        let mut open: Option<(String, Vec<Field>)> = None;
        for line in source.lines() {
            match &mut open {
                Some((_, fields)) if line != "}" => fields.extend(parse_field(line)),
                Some(_) => self.structs.extend(open.take()),
                None => {
                    self.imports.extend(parse_import(line));
                    open = self.declaration(line);
                }
            }
        }
    }

    /// Notes a declaration of one line; the name of a struct that begins.
    fn declaration(&mut self, line: &str) -> Option<(String, Vec<Field>)> {
        let declared = line.strip_prefix("type ")?.split("//").next()?.trim();
        let (name, declared) = declared.split_once(' ')?;
        match declared.trim() {
            "struct {" => return Some((name.to_owned(), Vec::new())),
            "struct{}" | "struct {}" => drop(self.structs.insert(name.to_owned(), Vec::new())),
            other if is_type_name(other) => drop(self.aliases.insert(name.to_owned(), other.to_owned())),
            _ => {}
        }
        None
    }
}

fn is_type_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]*".contains(c))
}

/// `alias "k8s.io/path"`, the alias being optional.
fn parse_import(line: &str) -> Option<(String, String)> {
    let (alias, path) = line.trim().trim_start_matches("import ").split_once('"')?;
    let path = path.strip_suffix('"').filter(|path| path.starts_with("k8s.io/"))?;
    let name = if alias.trim().is_empty() { path.rsplit('/').next()? } else { alias.trim() };
    Some((name.to_owned(), path.to_owned()))
}

fn parse_field(line: &str) -> Option<Field> {
    if line.trim_start().starts_with("//") {
        return None;
    }
    let (declared, tags) = line.split_once('`')?;
    let protobuf = tag(tags, "protobuf")?;
    let number = protobuf.split(',').nth(1)?.parse().ok()?;
    let mut json = tag(tags, "json").unwrap_or_default().split(',');
    let name = json.next().filter(|name| !name.is_empty());
    let options: Vec<&str> = json.collect();
    Some(Field {
        number,
        name: name.filter(|_| !options.contains(&"inline")).map(str::to_owned),
        omit_empty: options.iter().any(|option| matches!(*option, "omitempty" | "omitzero")),
        go_type: declared.split_whitespace().last()?.to_owned(),
    })
}

fn tag<'a>(tags: &'a str, name: &str) -> Option<&'a str> {
    let start = tags.find(&format!("{name}:\""))? + name.len() + 2;
    tags[start..].split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

type SecretType string

// A type.
type Secret struct {
	metav1.TypeMeta `json:",inline"`
	// Gone *Gone `json:"gone" protobuf:"bytes,9,opt,name=gone"`
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`
	Immutable *bool `json:"immutable,omitempty" protobuf:"varint,5,opt,name=immutable"`
	Data map[string][]byte `json:"data" protobuf:"bytes,2,rep,name=data"`
	VolumeSource `json:",inline" protobuf:"bytes,2,opt,name=volumeSource"`
}
type Empty struct{}
"#;

    #[test]
    fn structs_aliases_and_imports_are_read() {
        let mut package = Package::default();
        package.read(SOURCE);
        let field = |number, name: Option<&str>, omit_empty, go_type: &str| Field {
            number,
            name: name.map(str::to_owned),
            omit_empty,
            go_type: go_type.to_owned(),
        };
        assert_eq!(
            package.structs["Secret"],
            [
                field(1, Some("metadata"), true, "metav1.ObjectMeta"),
                field(5, Some("immutable"), true, "*bool"),
                field(2, Some("data"), false, "map[string][]byte"),
                field(2, None, false, "VolumeSource"),
            ]
        );
        assert!(package.structs["Empty"].is_empty());
        assert_eq!(package.aliases["SecretType"], "string");
        assert_eq!(package.imports["types"], "k8s.io/apimachinery/pkg/types");
        assert_eq!(package.imports["metav1"], "k8s.io/apimachinery/pkg/apis/meta/v1");
    }
}
