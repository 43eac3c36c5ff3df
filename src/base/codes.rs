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
    Code {
        id: "discretize.mesh",
        title: "the domain cannot be cut into these cells",
        explanation: "A mesh needs at least one cell along each axis, a finite positive extent, a cell size `h` no larger than the \
                      domain, and no more cells than 32-bit indices can count. Change `n` or `h` of the scheme, or the domain.",
    },
    Code {
        id: "discretize.order",
        title: "elements of this order are not available",
        explanation: "Finite elements are Lagrange elements of order 1 or 2. For more accuracy refine the mesh.",
    },
    Code {
        id: "discretize.quadrature",
        title: "no quadrature with so many points",
        explanation: "The number of Gauss points along each axis of an element is between 1 and 16. The default, one more than the \
                      order, keeps the order of convergence when coefficients vary smoothly.",
    },
    Code {
        id: "discretize.part",
        title: "the domain has no such boundary part",
        explanation: "Sides of a box are named by axis: left and right (x), bottom and top (y), back and front (z); `boundary` is \
                      all of them, `ends` both ends of an interval. Axes that are periodic have no sides.",
    },
    Code {
        id: "discretize.empty",
        title: "no unknown is left",
        explanation: "Boundary conditions give every nodal value of this mesh. Refine it, so that there are nodes inside.",
    },
    Code {
        id: "discretize.two_point",
        title: "two-point fluxes cannot treat this coefficient",
        explanation: "The finite-volume scheme takes the flux through a face from the values in the two cells beside it. That is \
                      consistent only where the conductivity is diagonal in the axes of the grid, the flux is affine in the gradient, \
                      and the source does not depend on the gradient. Use `fem(...)` for such an equation.",
    },
];
