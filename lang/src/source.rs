//! Bytes to text: size and encoding of a file, before anything else looks at it.

use crate::MAX_BYTES;
use crate::error::SyntaxError;

/// The text of a file.
///
/// # Errors
/// `TooLarge` over `MAX_BYTES`, `Encoding` with the first byte that is not UTF-8.
pub fn source_text(bytes: &[u8]) -> Result<&str, SyntaxError> {
    if bytes.len() > MAX_BYTES {
        return Err(SyntaxError::TooLarge { bytes: bytes.len() });
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let line = 1 + bytes.iter().take(offset).filter(|&&b| b == b'\n').count();
        SyntaxError::Encoding { offset, line }
    })
}
