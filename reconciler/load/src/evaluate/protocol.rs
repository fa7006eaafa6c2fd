//! What parent and child say to each other: frames of a length and JSON.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use stratum_core::finding::Finding;

use super::flat::Item;

/// The largest frame that goes to a child, in bytes.
pub(crate) const LARGEST: u32 = 1 << 30;

/// The largest frame that a child may answer with, for each MiB that its answer may have: places
/// and escapes come on top of what is counted.
pub(crate) const FRAME_FACTOR: u64 = 2;

/// What each value of an answer counts besides its text: about what it takes in the parent.
pub(crate) const NODE: usize = 128;

/// How an imported file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Format {
    /// Nickel.
    Nickel,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// TOML.
    Toml,
    /// Text as it is.
    Text,
}

/// One file of a closure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blob {
    /// The path from the top of the tree.
    pub(crate) path: String,
    /// How it is read.
    pub(crate) format: Format,
    /// Its text.
    pub(crate) text: String,
    /// It ships with stratum and is not in the tree.
    pub(crate) shipped: bool,
}

/// What the child is to evaluate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// A folder that does not exist on this machine, absolute; another one for each request.
    pub(crate) root: String,
    /// The path of the file to evaluate; one of `blobs`.
    pub(crate) main: String,
    /// The file and everything it imports.
    pub(crate) blobs: Vec<Blob>,
    /// The file has records in many pieces.
    pub(crate) balance: bool,
    /// A contract that the engine adds, as Nickel.
    pub(crate) contract: Option<String>,
    /// The most that the value may count, in bytes.
    pub(crate) most: u64,
}

/// What a child is asked.
#[derive(Debug, Clone, Deserialize)]
pub(crate) enum Frame {
    /// To evaluate.
    Evaluate(Request),
    /// To read a text by the task of this name.
    Task(String, String),
}

/// The same, as the parent writes it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Asked<'a> {
    /// To evaluate.
    Evaluate(&'a Request),
    /// To read a text by the task of this name.
    Task(&'a str, &'a str),
}

/// What the child answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The value, flat, with holes where evaluation failed; empty where nothing was evaluated.
    pub(crate) value: Vec<Item>,
    /// The files that places refer to, by index.
    pub(crate) files: Vec<String>,
    /// What was noticed.
    pub(crate) findings: Vec<Finding>,
    /// What the value counts, in bytes.
    #[serde(default)]
    pub(crate) size: u64,
}

/// The bytes of one frame: the length as four bytes, the least first, and the JSON of `message`.
pub(crate) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len().saturating_sub(4))
        .ok()
        .filter(|length| *length <= LARGEST)
        .ok_or_else(|| io::Error::other("the message is larger than 1 GiB"))?;
    bytes.splice(..4, length.to_le_bytes());
    Ok(bytes)
}

/// Writes one frame.
pub(crate) fn write(writer: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    writer.write_all(&frame(message)?)?;
    writer.flush()
}

/// Reads the bytes of one frame; `None` at the end of the stream.
pub(crate) fn read(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match reader.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length);
    if length > LARGEST {
        return Err(io::Error::other("a frame larger than 1 GiB"));
    }
    let mut bytes = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
