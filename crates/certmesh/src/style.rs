//! Colours. Streams of anstream strip them where there is no terminal or NO_COLOR is set.

use anstyle::{AnsiColor, Style};

/// A heading.
pub(crate) const HEADING: Style = Style::new().bold();
/// Something that is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Something that deserves attention.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
/// Something that is broken.
pub(crate) const CRITICAL: Style = AnsiColor::Red.on_default().bold();
/// What the eye may skip.
pub(crate) const FAINT: Style = Style::new().dimmed();
