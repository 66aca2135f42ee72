//! Makes one bash script of a document's blocks, which tells at which line of the document it failed.

use super::document::{Block, Document, Mode};
use std::fmt::Write;

/// Stops at the first failure and says where; takes what was left running down with it. Job control (`set -m`) gives
/// each background block a process group of its own, so that its children end too; what runs in the foreground stays in
/// the group that a time limit ends.
const PREAMBLE: &str = r#"set -Eeuo pipefail
at=start
trap 'echo "$at: failed: $BASH_COMMAND"' ERR
trap 'echo "$at: not done in time"; exit 1' TERM
trap 'for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done; wait' EXIT
wait_until() { # file, process: until the file exists, as long as the process lives, for two minutes
  for _ in $(seq 1200); do
    [ -e "$1" ] && return 0
    kill -0 "$2" 2>/dev/null || { echo "$at: ended before $1 existed"; return 1; }
    sleep 0.1
  done
  echo "$at: $1 does not exist after two minutes"; return 1
}
"#;

pub(super) fn of(document: &Document) -> String {
    let mut script = PREAMBLE.to_owned();
    for block in &document.blocks {
        add(&mut script, &document.name, block);
    }
    script
}

fn add(script: &mut String, document: &str, block: &Block) {
    let Block { line, mode, commands } = block;
    let written = match mode {
        Mode::Foreground => write!(script, "at='{document}:{line}'\n{commands}\n"),
        Mode::Background { until } => {
            write!(
                script,
                "at='{document}:{line}'\nset -m\n(\n{commands}\n) &\nset +m\nwait_until '{until}' $!\n"
            )
        }
    };
    written.expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Output};

    fn run(text: &str) -> Output {
        let document = Document::read("a.md", text).unwrap();
        Command::new("bash").args(["-c", &of(&document)]).current_dir(std::env::temp_dir()).output().unwrap()
    }

    #[test]
    fn the_blocks_run_in_order_in_one_shell() {
        let output = run("```sh test\nx=1\n```\n\n```sh test\necho \"x is $x\"\n```\n");
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "x is 1\n");
    }

    #[test]
    fn a_failing_command_fails_the_document_and_names_its_place() {
        let output = run("\n```sh test\nfalse\necho not reached\n```\n");
        assert!(!output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a.md:2: failed: false\n");
    }

    #[test]
    fn a_document_that_waits_for_ever_is_ended_and_says_where() {
        let document = Document::read("a.md", "```sh test\nsleep 600\n```\n").unwrap();
        let output = Command::new("timeout").args(["0.5", "bash", "-c", &of(&document)]).output().unwrap();
        assert!(!output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a.md:1: not done in time\n");
    }

    #[test]
    fn a_background_block_is_waited_for_and_ended() {
        let file = std::env::temp_dir().join(format!("xtask-ready-{}", std::process::id()));
        let name = file.display();
        let text = format!(
            "```sh test background until={name}\ntouch {name}; sleep 600\n```\n```sh test\necho on\n```\n"
        );
        let output = run(&text);
        std::fs::remove_file(&file).unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("on\n"));
    }

    #[test]
    fn a_background_block_that_ends_too_early_is_a_failure() {
        let output =
            run("```sh test background until=/no/such/file\nexit 1\n```\n```sh test\necho on\n```\n");
        assert!(!output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("a.md:1: ended before /no/such/file existed") && !text.contains("on\n"),
            "{text}"
        );
    }
}
