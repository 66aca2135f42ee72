//! Label and field selectors: `app=web,tier in (a, b)`, `metadata.name=x`.

mod field;
mod label;

pub use field::{FieldSelector, FieldTerm};
pub use label::{LabelSelector, Operator, Requirement};
