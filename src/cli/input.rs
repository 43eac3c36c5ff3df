//! Program texts and the command line as sources, so that what is wrong with them is shown like any other mistake.

use crate::base::{Diagnostic, FileId, Sources, Span};
use crate::sema::suggest::nearest;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Places are 32-bit byte offsets, and a program of this size is a mistake.
const LARGEST: usize = 1 << 30;

/// Reads a program (`-` is standard input) into `sources`.
///
/// # Errors
/// `input.*` diagnostics: no such file, a folder, not readable, not UTF-8, too large.
pub fn read(path: &Path, sources: &mut Sources) -> Result<FileId, Diagnostic> {
    let name = if path == Path::new("-") { "standard input".to_string() } else { path.display().to_string() };
    let bytes = if path == Path::new("-") {
        let mut bytes = vec![];
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else if path.is_dir() {
        let d = on_command_line(sources, &name, "input.directory", format!("`{name}` is a folder, not a program"));
        return Err(match programs_in(path).first() {
            Some(p) => d.help(format!("it holds `{}`", path.join(p).display())),
            None => d.help("name a file that ends in .msl"),
        });
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.map_err(|e| unreadable(path, &name, &e, sources))?;
    if bytes.len() > LARGEST {
        return Err(on_command_line(sources, &name, "input.size", format!("`{name}` is larger than 1 GiB")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(sources.add(name, text)),
        Err(e) => {
            let at = e.utf8_error().valid_up_to();
            let bytes = e.into_bytes();
            let found = bytes[at];
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let end = at + '\u{fffd}'.len_utf8();
            let file = sources.add(name, text);
            Err(Diagnostic::error("input.encoding", Span::new(file, at, end), "the file is not UTF-8 text")
                .here(format!("byte {found:#04x} at offset {at}"))
                .help("save the file as UTF-8; `iconv -f latin1 -t utf-8 FILE` converts an old encoding"))
        }
    }
}

fn unreadable(path: &Path, name: &str, e: &std::io::Error, sources: &mut Sources) -> Diagnostic {
    if e.kind() != ErrorKind::NotFound {
        return on_command_line(sources, name, "input.unreadable", format!("cannot read `{name}`: {e}"));
    }
    let d = on_command_line(sources, name, "input.missing", format!("there is no file `{name}`"));
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let here = programs_in(folder);
    let file = path.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
    match nearest(&file, here.iter().map(String::as_str)) {
        Some(near) => d.help(format!("did you mean `{}`?", path.with_file_name(near).display())),
        None => d,
    }
}

/// A message about a word of the command line.
fn on_command_line(sources: &mut Sources, word: &str, code: &'static str, message: String) -> Diagnostic {
    let file = sources.add("command line", word);
    Diagnostic::error(code, Span::new(file, 0, word.len()), message)
}

fn programs_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|n| n.ends_with(".msl"))
        .collect();
    names.sort();
    names
}
