//! Names, modules and what they refer to.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "names.unknown",
        title: "nothing has this name",
        explanation: "A name refers to a binder around it (a parameter, a `let` above it), to an item of the same file, to \
                      a name brought in by `use`, or to the standard library, in this order. The order of items in a file \
                      does not matter; the order of `let`s in a block does. Coordinates x, y, z, time t and the normal n \
                      are known where no other name hides them.",
    },
    Code {
        id: "names.duplicate",
        title: "two definitions of one name",
        explanation: "Within one file, one block, one system or one parameter list a name is defined once, so that a \
                      reader need not ask which one is meant. An inner block may hide an outer name.",
    },
    Code {
        id: "names.module",
        title: "there is no such module",
        explanation: "`use` names a module of the standard library (std.nn, std.topopt, …) or another file of the program \
                      by its name without .msl.",
    },
    Code {
        id: "names.type",
        title: "there is no such type",
        explanation: "Types are Real, Int, Bool, Str, Vec(n), Mat(m, n), Sym(n), Stiff(n), Field(Ω, …), Domain(d), a unit \
                      in brackets (a real number in that unit), the name of a closure, or System.unknown.",
    },
    Code {
        id: "names.kind",
        title: "a name of another kind than is asked for here",
        explanation: "A unit is not a value, a system is not a type, a study is not called. The message says what the name \
                      is, and where it is defined.",
    },
    Code {
        id: "names.member",
        title: "there is no such member",
        explanation: "A solution has the unknowns and lets of its system, a sample the columns of its dataset and the \
                      splits train, validation, test, a `minimize` its overs, lets and losses, a domain its coordinates, \
                      extents and boundary parts.",
    },
    Code {
        id: "names.argument",
        title: "there is no such parameter",
        explanation: "An argument `name=value` must name a parameter of what is called.",
    },
    Code {
        id: "names.coordinate",
        title: "a derivative by something that is no coordinate",
        explanation: "∂ is followed by letters among x, y, z and t: ∂x, ∂xy, ∂tt.",
    },
    Code {
        id: "names.cycle",
        title: "a definition that needs itself",
        explanation: "Definitions may refer to each other in any order, but not in a circle, and functions do not call \
                      themselves: every program ends. What truly depends on itself is an equation, hence an unknown of a \
                      system; what repeats is a list over a range.",
    },
    Code {
        id: "names.bounds",
        title: "a parameter outside its bounds",
        explanation: "`param p = value in low..high` bounds the value, also the one that `--set` gives.",
    },
    Code {
        id: "names.unused",
        title: "a name that nothing uses",
        explanation: "A warning: often a misspelling, or a rest of an earlier version. A local name that starts with `_` \
                      is left in peace.",
    },
];
