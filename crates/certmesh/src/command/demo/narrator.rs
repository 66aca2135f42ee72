//! How the story is told: lines with the time and the place, and on a terminal one line that moves.
//!
//! ```text
//!    0.12 s  cluster-1    the agent made a private key
//!    0.14 s  management   …
//!   ⠋ 1,204 connections, 0 failed                      (on a terminal only)
//! ```

use std::{
    fmt::Write as _,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{output, style};

/// Tells the story on stdout.
pub(super) struct Narrator {
    begin: Instant,
    moving: ProgressBar,
}

impl Narrator {
    pub(super) fn start() -> Self {
        let moving = if std::io::stdout().is_terminal() {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(template) = ProgressStyle::with_template("  {spinner} {msg}") {
            moving.set_style(template);
        }
        moving.enable_steady_tick(Duration::from_millis(120));
        Self { begin: Instant::now(), moving }
    }

    /// A new chapter.
    pub(super) fn chapter(&self, title: &str) {
        let (on, off) = (style::HEADING.render(), style::HEADING.render_reset());
        self.print(&format!("\n{on}{title}{off}\n"));
    }

    /// What happened, and where.
    pub(super) fn tell(&self, place: &str, event: &str) {
        self.line(place, &output::visible(event));
    }

    /// Something was looked at, and is as it should be.
    pub(super) fn verified(&self, place: &str, fact: &str) {
        let (on, off) = (style::GOOD.render(), style::GOOD.render_reset());
        self.line(place, &format!("{on}✓{off} {}", output::visible(fact)));
    }

    /// What the moving line says.
    pub(super) fn moving(&self, text: String) {
        self.moving.set_message(text);
    }

    /// Text as it is.
    pub(super) fn print(&self, text: &str) {
        // A story that nobody can read any more is no reason not to finish.
        self.moving.suspend(|| drop(output::print(text)));
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    fn line(&self, place: &str, text: &str) {
        let (on, off) = (style::FAINT.render(), style::FAINT.render_reset());
        let mut line = String::new();
        // Writing to a String does not fail.
        let _ = writeln!(line, "{on}{:>7.2} s{off}  {place:<11} {text}", self.begin.elapsed().as_secs_f64());
        self.print(&line);
    }
}

impl Drop for Narrator {
    fn drop(&mut self) {
        self.moving.finish_and_clear();
    }
}

/// A number as people read it: 12,345.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expected);
        }
    }
}
