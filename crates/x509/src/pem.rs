//! PEM files (RFC 7468): reading blocks out of the text people and tools write, and writing our own.
//!
//! ```text
//!   explanatory text is ignored, as OpenSSL and Go do
//!   -----BEGIN CERTIFICATE-----      boundary lines stand alone, at the start of their line
//!   MIIB…                            base64 in lines of any width, LF or CRLF
//!   -----END CERTIFICATE-----        the same label
//! ```
//!
//! The readers in our dependency tree either want one block in 64 columns or skip what they do not understand, and a
//! skipped root is a silent outage. So the scan is ours and refuses anything half recognised; the base64 inside is
//! decoded in constant time by base64ct, into memory that is zeroized.

use std::fmt;

use base64ct::{Base64, Encoding};
use der::pem::LineEnding;
use zeroize::Zeroizing;

pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
pub(crate) const CERTIFICATE_REQUEST: &str = "CERTIFICATE REQUEST";
pub(crate) const RSA_PRIVATE_KEY: &str = "RSA PRIVATE KEY";
pub(crate) const EC_PRIVATE_KEY: &str = "EC PRIVATE KEY";
pub(crate) const EC_PARAMETERS: &str = "EC PARAMETERS";
pub(crate) const PRIVATE_KEY: &str = "PRIVATE KEY";
pub(crate) const ENCRYPTED_PRIVATE_KEY: &str = "ENCRYPTED PRIVATE KEY";

/// More than a Kubernetes Secret can hold (1 MiB).
const MAX_SIZE: usize = 1 << 20;
/// Labels are shown in messages, and come from strangers.
const MAX_LABEL: usize = 64;

/// One block: its label and decoded content. The content may be a private key, so it is zeroized and cannot be printed.
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// What was read besides the blocks, for callers that want nothing else in the file.
pub(crate) struct Document {
    pub(crate) blocks: Vec<Block>,
    pub(crate) has_other_text: bool,
}

/// Every block of the file, in order.
pub(crate) fn read(text: &[u8]) -> Result<Document, PemError> {
    if text.len() > MAX_SIZE {
        return Err(PemError::TooLarge { size: text.len() });
    }
    let mut document = Document { blocks: Vec::new(), has_other_text: false };
    let mut open: Option<OpenBlock<'_>> = None;
    for (number, line) in lines(text) {
        match (Boundary::of(line).ok_or(PemError::Boundary { line: number })?, open.take()) {
            (Boundary::Begin(label), None) => open = Some(OpenBlock::new(label, number)),
            (Boundary::End(label), Some(block)) if label == block.label => {
                document.blocks.push(block.close()?);
            }
            (Boundary::End(label), Some(block)) => {
                return Err(PemError::LabelMismatch {
                    line: number,
                    begin: block.label.into(),
                    end: label.into(),
                });
            }
            (Boundary::End(_), None) => return Err(PemError::EndWithoutBegin { line: number }),
            (Boundary::Begin(_), Some(block)) => return Err(block.unterminated()),
            (Boundary::None, None) => document.has_other_text |= !line.trim_ascii().is_empty(),
            (Boundary::None, Some(mut block)) => {
                block.body.push(line);
                open = Some(block);
            }
        }
    }
    match open {
        Some(block) => Err(block.unterminated()),
        None => Ok(document),
    }
}

/// The contents of a file of blocks that all have this label; at least one.
pub(crate) fn read_all(text: &[u8], label: &'static str) -> Result<Vec<Block>, PemError> {
    let document = read(text)?;
    if let Some(other) = document.blocks.iter().find(|block| block.label != label) {
        return Err(PemError::UnexpectedBlock { expected: label, found: other.label.clone() });
    }
    if document.blocks.is_empty() { Err(PemError::NoBlock { expected: label }) } else { Ok(document.blocks) }
}

/// The content of a file with exactly one block, of this label.
pub(crate) fn read_one(text: &[u8], label: &'static str) -> Result<Block, PemError> {
    let mut blocks = read_all(text, label)?;
    match blocks.pop() {
        Some(block) if blocks.is_empty() => Ok(block),
        _ => Err(PemError::SeveralBlocks { expected: label, found: blocks.len() + 1 }),
    }
}

/// One block in 64 columns with LF line ends and one newline at its end.
pub(crate) fn write(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, LineEnding::LF, der)
        .expect("labels are constants and content is far below the 256 MiB limit")
}

fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| (index + 1, line.trim_ascii_end()))
}

struct OpenBlock<'a> {
    label: &'a str,
    line: usize,
    body: Vec<&'a [u8]>,
}

impl<'a> OpenBlock<'a> {
    fn new(label: &'a str, line: usize) -> Self {
        Self { label, line, body: Vec::new() }
    }

    fn unterminated(&self) -> PemError {
        PemError::Unterminated { line: self.line, label: self.label.to_owned() }
    }

    fn close(self) -> Result<Block, PemError> {
        // `Proc-Type: 4,ENCRYPTED` and the like: an encrypted key, or a tool's private notes.
        if self.body.iter().any(|line| line.contains(&b':')) {
            return Err(PemError::Headers { line: self.line, label: self.label.to_owned() });
        }
        let length = self.body.iter().map(|line| line.len()).sum();
        let mut base64 = Zeroizing::new(Vec::with_capacity(length));
        for line in &self.body {
            base64.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
        let mut der = Zeroizing::new(vec![0; length / 4 * 3 + 3]);
        let decoded = Base64::decode(base64.as_slice(), der.as_mut_slice())
            .map_err(|_| PemError::Base64 { line: self.line, label: self.label.to_owned() })?
            .len();
        der.truncate(decoded);
        Ok(Block { label: self.label.to_owned(), der })
    }
}

enum Boundary<'a> {
    None,
    Begin(&'a str),
    End(&'a str),
}

impl<'a> Boundary<'a> {
    /// What this line is, or nothing for one that is nearly a boundary: two on one line, indented, cut off.
    fn of(line: &'a [u8]) -> Option<Self> {
        if let Some(rest) = line.strip_prefix(b"-----BEGIN ") {
            return label(rest).map(Self::Begin);
        }
        if let Some(rest) = line.strip_prefix(b"-----END ") {
            return label(rest).map(Self::End);
        }
        let looks_like_one =
            |marker: &[u8]| line.windows(marker.len()).any(|part| part.eq_ignore_ascii_case(marker));
        (!looks_like_one(b"-----BEGIN") && !looks_like_one(b"-----END")).then_some(Self::None)
    }
}

fn label(rest: &[u8]) -> Option<&str> {
    let label = std::str::from_utf8(rest.strip_suffix(b"-----")?).ok()?;
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    (!label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(plain)).then_some(label)
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({})", self.label)
    }
}

/// Why a PEM file was refused. Lines are counted from one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// The file is larger than any Secret.
    #[error("the file has {size} bytes, more than the 1 MiB a PEM file may have")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// A line contains a boundary but is none by itself.
    #[error(
        "line {line}: a -----BEGIN or -----END line must stand alone and start its line; a newline may be missing before it"
    )]
    Boundary {
        /// The line.
        line: usize,
    },
    /// A block has another label at its end.
    #[error("line {line}: the block begins as {begin:?} but ends as {end:?}")]
    LabelMismatch {
        /// The line of the end.
        line: usize,
        /// The label at its begin.
        begin: String,
        /// The label at its end.
        end: String,
    },
    /// An end without a begin.
    #[error("line {line}: an -----END line without a -----BEGIN before it; the file may be cut")]
    EndWithoutBegin {
        /// The line.
        line: usize,
    },
    /// A begin without an end.
    #[error("line {line}: the {label} block has no end; the file may be cut")]
    Unterminated {
        /// The line of the begin.
        line: usize,
        /// Its label.
        label: String,
    },
    /// The block has RFC 1421 headers, as encrypted keys have.
    #[error(
        "line {line}: the {label} block has headers; encrypted keys are not supported, decrypt it first (openssl pkey)"
    )]
    Headers {
        /// The line of the begin.
        line: usize,
        /// Its label.
        label: String,
    },
    /// The content is not base64.
    #[error("line {line}: the content of the {label} block is not valid base64")]
    Base64 {
        /// The line of the begin.
        line: usize,
        /// Its label.
        label: String,
    },
    /// The file has no block at all.
    #[error("the file has no {expected} block")]
    NoBlock {
        /// The label that was looked for.
        expected: &'static str,
    },
    /// The file has a block of another kind.
    #[error("the file has a {found} block where only {expected} is expected")]
    UnexpectedBlock {
        /// The label that was looked for.
        expected: &'static str,
        /// The label that is there.
        found: String,
    },
    /// The file has more than one block.
    #[error("the file has {found} {expected} blocks where exactly one is expected")]
    SeveralBlocks {
        /// The label that was looked for.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// Text around a block that must stand alone.
    #[error("the file has text outside of its {expected} block")]
    OtherText {
        /// The label that was looked for.
        expected: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "-----BEGIN A-----\nYWJj\n-----END A-----\n";

    fn labels_and_contents(text: &str) -> Result<Vec<(String, Vec<u8>)>, PemError> {
        read(text.as_bytes()).map(|document| {
            document.blocks.into_iter().map(|block| (block.label, block.der.to_vec())).collect()
        })
    }

    #[test]
    fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
        let mut text = A.as_bytes().to_vec();
        text.resize(MAX_SIZE, b'\n');
        assert_eq!(read(&text).map(|document| document.blocks.len()), Ok(1));
        text.push(b'\n');
        assert!(matches!(read(&text), Err(PemError::TooLarge { size }) if size == MAX_SIZE + 1));
    }

    #[test]
    fn blocks_are_found_in_any_layout() {
        let abc = vec![("A".to_owned(), b"abc".to_vec())];
        for text in [
            A.to_owned(),
            A.trim_end().to_owned(),
            A.replace('\n', "\r\n"),
            format!("subject: some root\n\n{A}\nafter"),
            A.replace("YWJj", "YW\nJj"),
            A.replace("YWJj", " YW Jj \t"),
            A.replace("YWJj\n", "YWJj\n\n"),
            format!("\u{e9}\u{0}\n{A}"),
        ] {
            assert_eq!(labels_and_contents(&text), Ok(abc.clone()), "{text}");
        }
        assert_eq!(labels_and_contents(&format!("{A}{A}")).unwrap().len(), 2);
        assert_eq!(labels_and_contents("no block"), Ok(vec![]));
    }

    #[test]
    fn anything_half_recognised_is_refused() {
        let glued = format!("{}{A}", A.trim_end());
        for (text, expected) in [
            (glued.as_str(), PemError::Boundary { line: 3 }),
            ("  -----BEGIN A-----\n", PemError::Boundary { line: 1 }),
            ("-----BEGIN A----\n", PemError::Boundary { line: 1 }),
            ("-----BEGIN -----\n", PemError::Boundary { line: 1 }),
            ("-----BEGIN a-----\n", PemError::Boundary { line: 1 }),
            ("-----begin A-----\n", PemError::Boundary { line: 1 }),
            ("-----END A-----\n", PemError::EndWithoutBegin { line: 1 }),
            ("\n-----BEGIN A-----\nYWJj\n", PemError::Unterminated { line: 2, label: "A".into() }),
            ("-----BEGIN A-----\n-----BEGIN A-----\n", PemError::Unterminated { line: 1, label: "A".into() }),
            (
                "-----BEGIN A-----\n-----END B-----\n",
                PemError::LabelMismatch { line: 2, begin: "A".into(), end: "B".into() },
            ),
            (
                "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nYWJj\n-----END A-----\n",
                PemError::Headers { line: 1, label: "A".into() },
            ),
            ("-----BEGIN A-----\nYW*j\n-----END A-----\n", PemError::Base64 { line: 1, label: "A".into() }),
            ("-----BEGIN A-----\nYWI\n-----END A-----\n", PemError::Base64 { line: 1, label: "A".into() }),
            ("-----BEGIN A-----\nYWJ=\n-----END A-----\n", PemError::Base64 { line: 1, label: "A".into() }),
        ] {
            assert_eq!(labels_and_contents(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn the_wrong_kind_or_number_of_blocks_is_refused() {
        let two = format!("{A}{A}");
        assert_eq!(read_one(b"", "A").unwrap_err(), PemError::NoBlock { expected: "A" });
        assert_eq!(
            read_one(two.as_bytes(), "A").unwrap_err(),
            PemError::SeveralBlocks { expected: "A", found: 2 }
        );
        assert_eq!(
            read_all(two.as_bytes(), "B").unwrap_err(),
            PemError::UnexpectedBlock { expected: "B", found: "A".into() }
        );
        let huge = vec![b'\n'; MAX_SIZE + 1];
        assert_eq!(read(&huge).err(), Some(PemError::TooLarge { size: MAX_SIZE + 1 }));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = write("A", &content);
            prop_assert!(text.ends_with("-----END A-----\n") && text.lines().all(|line| line.len() <= 64));
            let block = read_one(text.as_bytes(), "A").unwrap();
            prop_assert_eq!(block.der.as_slice(), content.as_slice());
        }

        #[test]
        fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&text);
        }

        #[test]
        fn no_arrangement_of_pem_pieces_panics_or_loses_a_block(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["-----BEGIN A-----", "-----END A-----", "\n", "YWJj", "\r\n", " ", "junk"]), 0..24)
        ) {
            let text = pieces.concat();
            let begins = text.matches("-----BEGIN A-----").count();
            if let Ok(document) = read(text.as_bytes()) {
                prop_assert_eq!(document.blocks.len(), begins);
            }
        }
    }
}
