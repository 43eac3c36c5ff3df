//! Systems: equations, unknowns, conditions, and the schemes that solve them.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "pde.unknown.free",
        title: "an unknown that no equation determines",
        explanation: "Each unknown needs an equation in which it occurs.",
    },
    Code {
        id: "pde.unknown.none",
        title: "equations without an unknown",
        explanation: "A system declares what it solves for: `unknown u: Field(Ω)[K]`.",
    },
    Code {
        id: "pde.count",
        title: "unknowns and equations differ in number",
        explanation: "There is one equation for each unknown (a vector unknown with a vector equation counts as one). \
                      Constraints on the whole domain, such as mean(w) = 0, do not count: they pick one of many solutions.",
    },
    Code {
        id: "pde.equation.constant",
        title: "an equation without an unknown",
        explanation: "It holds or fails whatever the solution is.",
    },
    Code {
        id: "pde.boundary.part",
        title: "the domain has no such boundary",
        explanation: "Parts are left, right (x), bottom, top (y), back, front (z); `ends` of an interval; `boundary` is \
                      all of them.",
    },
    Code {
        id: "pde.boundary.place",
        title: "a condition that is not on a boundary",
        explanation: "`on` is followed by parts of a domain: on Ω.left, Ω.top: T = 0.",
    },
    Code {
        id: "pde.boundary.periodic",
        title: "a condition on a periodic domain",
        explanation: "Opposite sides of a periodic domain are one: it has no boundary.",
    },
    Code {
        id: "pde.boundary.doubled",
        title: "two conditions of one kind on one side",
        explanation: "A second-order equation takes one condition at each point of the boundary. `boundary` holds all \
                      sides, so that it doubles with any of them.",
    },
    Code {
        id: "pde.boundary.conflict",
        title: "value and flux on one side",
        explanation: "Either the value (Dirichlet) or the flux (Neumann) is given; a relation between both (Robin) is one \
                      condition: -(k*∇T)·n = h*(T - T0).",
    },
    Code {
        id: "pde.boundary.unknown",
        title: "a condition that speaks of no unknown",
        explanation: "A boundary condition says what an unknown, or its flux, is there.",
    },
    Code {
        id: "pde.gauge.missing",
        title: "a solution up to a constant",
        explanation: "Where only derivatives of an unknown occur, and no boundary holds its value, a constant may be added \
                      to each solution: pure Neumann and periodic problems. A gauge picks one: eq gauge: mean(u) = 0. \
                      Sides without a condition have zero flux.",
    },
    Code {
        id: "pde.gauge.surplus",
        title: "a gauge where the constant is fixed already",
        explanation: "A value on the boundary and a gauge together leave no solution, in general.",
    },
    Code {
        id: "pde.init.missing",
        title: "no initial value",
        explanation: "An unknown with a derivative in time needs `init u = …`.",
    },
    Code { id: "pde.init.doubled", title: "two initial values", explanation: "An unknown starts from one value." },
    Code {
        id: "pde.init.steady",
        title: "an initial value in a steady problem",
        explanation: "A warning: nothing in the system changes in time. The first guess of Newton’s method is an argument \
                      of `solve`.",
    },
];
