//! Closures, contracts and scales.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "coupling.contract",
        title: "an implementation that does not fit its closure",
        explanation: "An implementation takes the inputs of the closure in their order and gives its result, in rank and \
                      unit. Inputs without a type take that of the contract.",
    },
    Code {
        id: "coupling.ensure",
        title: "a contract that is neither true nor false",
        explanation: "`ensure spd(result)`, `ensure increasing(result, ρ)`, `ensure result > 0 [Pa]` in closures; `ensure positive: u >= 0`, \
`ensure mass: conserved(∫(u))` in systems.",
    },
    Code {
        id: "coupling.scale",
        title: "a scale that does not say a range",
        explanation: "`scale micro { length: 0.1 [µm]..10 [µm]  time: 1 [ns]..1 [µs] }`: from the finest that is resolved, \
                      a grid spacing or time step, to the extent.",
    },
    Code {
        id: "coupling.range",
        title: "a domain or scheme outside its scale",
        explanation: "A domain is no larger than its scale’s range, and a scheme on it no finer: what a scale does not \
                      resolve belongs to another one. Widen the range, or name another scale.",
    },
    Code {
        id: "coupling.separation",
        title: "scales that are thinly separated",
        explanation: "A warning. Homogenisation replaces a small cell by its mean law, with an error of the order of cell \
                      size over macroscopic length. Below a factor of 3 between the cell and what the macroscopic scheme \
                      resolves, the two see each other.",
    },
];
