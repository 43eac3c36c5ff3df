//! Nets, datasets and training.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "nets.port",
        title: "a net that cannot serve a closure",
        explanation: "A net of vectors such as mlp serves closures whose inputs and result are numbers, vectors and \
                      tensors. Fields need operators: cnn, fno, unet.",
    },
    Code {
        id: "nets.loss",
        title: "a loss that is not one number",
        explanation: "A loss is a single number: a mean, an integral, a norm.",
    },
    Code {
        id: "nets.subject",
        title: "a constraint that compares nothing",
        explanation: "`subject name: a <= b` or `a == b`.",
    },
    Code {
        id: "nets.stage",
        title: "a stage that is no optimiser",
        explanation: "Stages are values of adam, lbfgs, sgd and their kin.",
    },
];
