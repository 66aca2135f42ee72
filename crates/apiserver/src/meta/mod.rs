//! Object metadata: names, labels, annotations, and the rules that hold for every object.

pub mod format;
pub(crate) mod object_meta;
pub(crate) mod validate;
