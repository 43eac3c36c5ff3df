//! What can go wrong while a program runs.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "run.failed",
        title: "a task failed while the program ran",
        explanation: "Something that can only be known by computing: a solve that did not converge, a matrix that is singular, a value \
                      out of range. The message names the equation, the place and the iteration. Results of tasks that had finished \
                      are kept, and the next run starts from them.",
    },
    Code {
        id: "run.interrupted",
        title: "the run was interrupted",
        explanation: "Ctrl-C was pressed. Tasks that had finished are kept; the same command goes on from there.",
    },
    Code {
        id: "run.diverged",
        title: "a training diverged",
        explanation: "The loss became infinite or not a number. Lower the learning rate, or look at the data and at the nominal sizes \
                      that scale the net's ports.",
    },
    Code {
        id: "run.disk",
        title: "a result could not be written",
        explanation: "The disk is full or refuses to be written; the message quotes the operating system. What was finished before is \
                      kept. Free some space, or choose another folder with --out, and run again.",
    },
];
