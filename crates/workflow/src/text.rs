//! Text that others wrote, before it enters a status, a log or a terminal.

/// Bytes of one string.
const LONGEST: usize = 1024;
/// Elements of one list.
pub(crate) const MOST: usize = 50;

/// The text with control and direction-changing characters escaped, cut at 1 KiB: what a remote cluster said is fit to be
/// shown only after this.
pub fn bounded(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(LONGEST));
    for character in text.chars() {
        if clean.len() > LONGEST {
            break;
        }
        if is_harmful(character) {
            clean.extend(character.escape_unicode());
        } else {
            clean.push(character);
        }
    }
    cut(clean)
}

fn cut(mut text: String) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() > LONGEST {
        let fits = LONGEST - ELLIPSIS.len();
        let end = (0..=fits).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push_str(ELLIPSIS);
    }
    text
}

/// Control characters, line and paragraph separators, and the invisible ones that reorder or hide text.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_fool_a_terminal_is_escaped() {
        for (text, clean) in [
            ("plain ünï 証", "plain ünï 証"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("one\ntwo\r\tthree\0", "one\\u{a}two\\u{d}\\u{9}three\\u{0}"),
            ("\u{202e}evil\u{2066}", "\\u{202e}evil\\u{2066}"),
            ("", ""),
        ] {
            assert_eq!(bounded(text), clean);
        }
    }

    #[test]
    fn a_novel_is_cut() {
        assert_eq!(bounded(&"a".repeat(1024)), "a".repeat(1024));
        let cut = bounded(&"ü".repeat(10_000));
        assert!(cut.len() <= 1024 && cut.ends_with("ü…"), "{} bytes", cut.len());
    }

    proptest! {
        #[test]
        fn the_result_is_always_short_and_clean(text in any::<String>()) {
            let clean = bounded(&text);
            prop_assert!(clean.len() <= 1024);
            prop_assert!(!clean.chars().any(is_harmful));
            prop_assert_eq!(bounded(&clean), clean);
        }
    }
}
