//! The issuance log: one JSON line for each decision to sign or to refuse, written before the answer is.
//!
//! It is the record of what a CA did. If it cannot be written, nothing is signed.

use crate::error::PassError;
use serde::Serialize;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Where the lines go. Cheap to clone.
#[derive(Clone)]
pub struct IssuanceLog(Arc<Mutex<Box<dyn Write + Send>>>);

impl IssuanceLog {
    /// A log that writes to `target`.
    pub fn new(target: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(target))))
    }

    /// Writes one record as a line, and waits until the target has taken it.
    pub fn write(&self, record: &impl Serialize) -> Result<(), PassError> {
        let mut line = serde_json::to_vec(record).map_err(|error| PassError::IssuanceLog(error.into()))?;
        line.push(b'\n');
        let mut target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        target.write_all(&line).and_then(|()| target.flush()).map_err(PassError::IssuanceLog)
    }
}
