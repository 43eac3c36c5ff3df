//! Reading a program, and what the command line asks for.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "input.missing",
        title: "there is no such file",
        explanation: "The program named on the command line does not exist. Paths are taken from the folder that mslc is started in.",
    },
    Code {
        id: "input.directory",
        title: "a folder where a program is expected",
        explanation: "mslc reads one file, whose name by custom ends in .msl. Name the file inside the folder.",
    },
    Code {
        id: "input.unreadable",
        title: "the file cannot be read",
        explanation: "The operating system refuses to read the file; the message quotes its reason. Most often the permissions forbid it.",
    },
    Code {
        id: "input.encoding",
        title: "the file is not UTF-8 text",
        explanation: "Programs are UTF-8, so that φ, ∇ and µ mean the same everywhere. The message shows the first byte that does not \
                      fit. Save the file as UTF-8 in the editor, or convert it: iconv -f latin1 -t utf-8 old.msl > new.msl.",
    },
    Code {
        id: "input.size",
        title: "the file is too large",
        explanation: "A program may have up to 16 MiB of text, and most have a thousandth of that. Data belongs in files of its own \
                      (CSV, NPY, NPZ, PNG), read with `load`.",
    },
    Code {
        id: "input.unsupported",
        title: "not supported yet",
        explanation: "The command is part of the language's tools, and this version of mslc does not have it.",
    },
    Code {
        id: "input.unwritable",
        title: "the file cannot be written",
        explanation: "The operating system refuses to write the file; the message quotes its reason: permissions, a full disk, a \
                      folder that is read-only. What stood there before is untouched.",
    },
];
