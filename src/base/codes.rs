//! Every diagnostic code, with what `mslc explain CODE` says. `docs/diagnostics.md` is generated from this table.

/// One kind of message.
#[derive(Debug)]
pub struct Code {
    pub id: &'static str,
    pub title: &'static str,
    /// A paragraph for a researcher: what the rule is, why it stands, how to mend a program that breaks it.
    pub explanation: &'static str,
}

pub const CODES: &[Code] = &[
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
                      fit. Save the file as UTF-8 in the editor, or convert it: iconv -f latin1 -t utf-8 old.msl > new.msl",
    },
    Code {
        id: "input.size",
        title: "the file is too large",
        explanation: "A program may have up to 1 GiB of text. Data belongs in files of its own, read with `load`.",
    },
    Code {
        id: "input.unsupported",
        title: "not supported yet",
        explanation: "The command is part of the language's tools, and this version of mslc does not have it.",
    },
    Code {
        id: "set.form",
        title: "`--set` takes NAME=VALUE[UNIT]",
        explanation: "Overrides one `param` of the program for this run: --set n=64, --set 'h=1[mm]'. The value is an expression of \
                      the language. Quote it, because shells read brackets.",
    },
    Code {
        id: "set.unknown",
        title: "`--set` names no parameter of the program",
        explanation: "Only a `param` at the top of the program can be set from the command line. `let` is not a parameter: it is \
                      computed. Make it `param` if it is to be varied.",
    },
];
