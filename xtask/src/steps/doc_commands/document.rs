//! Finds the fenced blocks of a Markdown document that are marked to be run.

/// A document and its blocks, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// Path from the checkout's top.
    pub(super) name: String,
    pub(super) blocks: Vec<Block>,
}

/// Commands to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Line number of the fence.
    pub(super) line: usize,
    pub(super) mode: Mode,
    pub(super) commands: String,
}

/// How a block runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// To its end.
    Foreground,
    /// Beside what follows, which starts when this file exists.
    Background { until: String },
}

impl Document {
    /// The blocks marked `sh test` in `text`; an error names the line of a mark or fence that makes no sense.
    pub(super) fn read(name: &str, text: &str) -> Result<Self, String> {
        let mut blocks = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let Some(info) = line.trim_start().strip_prefix("```") else { continue };
            let body: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
            let mode = mode(info).map_err(|problem| format!("{name}:{}: {problem}", index + 1))?;
            blocks.extend(mode.map(|mode| Block { line: index + 1, mode, commands: body.join("\n") }));
        }
        Ok(Self { name: name.to_owned(), blocks })
    }
}

/// What a fence's info string asks for; none for a block that is only to be read.
fn mode(info: &str) -> Result<Option<Mode>, String> {
    match info.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["sh", "test"] => Ok(Some(Mode::Foreground)),
        ["sh", "test", "background", until] => match until.strip_prefix("until=") {
            Some(file) if !file.is_empty() => Ok(Some(Mode::Background { until: file.to_owned() })),
            _ => Err(format!("{until:?} does not name a file to wait for, as `until=FILE`")),
        },
        ["sh", "test", ..] => {
            Err(format!("mark {info:?} is neither `sh test` nor `sh test background until=FILE`"))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_blocks_are_found_with_their_lines_and_others_left() {
        let text =
            "a\n```sh test\none\ntwo\n```\n```sh\nnot me\n```\n```sh test background until=d/x\nstay\n```\n";
        let document = Document::read("a.md", text).unwrap();
        assert_eq!(
            document.blocks,
            [
                Block { line: 2, mode: Mode::Foreground, commands: "one\ntwo".into() },
                Block { line: 9, mode: Mode::Background { until: "d/x".into() }, commands: "stay".into() },
            ]
        );
    }

    #[test]
    fn a_mark_inside_another_block_is_text() {
        let document = Document::read("a.md", "```md\n  ```sh test\n```\n").unwrap();
        assert!(document.blocks.is_empty());
    }

    #[test]
    fn a_mark_that_makes_no_sense_is_an_error_with_its_place() {
        for mark in
            ["sh test backgroud", "sh test background", "sh test background until=", "sh test background x"]
        {
            let problem = Document::read("a.md", &format!("\n```{mark}\nx\n```\n")).unwrap_err();
            assert!(problem.starts_with("a.md:2: "), "{problem}");
        }
    }
}
