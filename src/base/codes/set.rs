//! `--set` and other settings of a run.

use super::Code;

pub const ROWS: &[Code] = &[
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
