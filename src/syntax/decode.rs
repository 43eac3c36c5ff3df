//! Bytes to text.

use crate::base::{Diagnostic, FileId, Span};

/// The largest source file that is read. Programs are small; larger files are data.
pub const MAX_BYTES: usize = 16 << 20;

/// The text of a source file, without its byte order mark.
///
/// # Errors
/// `syntax.size` beyond [`MAX_BYTES`]; `syntax.encoding` where the bytes are not UTF-8, naming offset and line.
pub fn decode(file: FileId, bytes: &[u8]) -> Result<String, Diagnostic> {
    if let Some(error) = too_large(file, bytes.len()) {
        return Err(error);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text).to_string()),
        Err(error) => {
            let at = error.valid_up_to();
            let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
            let diagnostic = Diagnostic::error(
                "syntax.encoding",
                Span::new(file, at, at),
                format!("the file is not UTF-8 text: byte 0x{:02X} at offset {at}, line {line}", bytes[at]),
            );
            Err(match bytes {
                [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => diagnostic.help("the file looks like UTF-16; save it as UTF-8"),
                _ => diagnostic.help("save the file as UTF-8"),
            })
        }
    }
}

/// The message for a text of so many bytes, if they are too many.
pub(super) fn too_large(file: FileId, bytes: usize) -> Option<Diagnostic> {
    (bytes > MAX_BYTES).then(|| {
        let message = format!("the file has {} MiB; a program may have {} MiB", bytes >> 20, MAX_BYTES >> 20);
        Diagnostic::error("syntax.size", Span::new(file, 0, 0), message)
            .help("keep data in a CSV, NPY or NPZ file and read it with `load(\"file\", ...)`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_mark_is_dropped() {
        assert_eq!(decode(FileId(0), b"\xEF\xBB\xBFlet a = 1").unwrap(), "let a = 1");
    }

    #[test]
    fn bad_bytes_are_located() {
        let error = decode(FileId(0), b"let a = 1\nlet \xFFb = 2").unwrap_err();
        assert_eq!(error.message, "the file is not UTF-8 text: byte 0xFF at offset 14, line 2");
        assert_eq!(error.code, "syntax.encoding");
    }

    #[test]
    fn hundred_megabytes_are_refused_at_once() {
        assert_eq!(decode(FileId(0), &vec![b'1'; 100 << 20]).unwrap_err().code, "syntax.size");
    }
}
