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
        id: "run.unstable",
        title: "a run in time broke down",
        explanation: "A number of the state became infinite or not a number. The message names the unknown, the cell and its coordinates, \
                      the time and the step. Most often the step of an explicit method is too long for the spacing: halve it, or take \
                      an implicit method. Else the equations themselves may let the solution grow without bound. Where the run is a \
                      part of something else, a member of an ensemble or a law at a point of an element, the message says which item \
                      it was and what was being solved; shorter steps of Newton's method are tried first. Of an initial value that is \
                      not finite, it names the cell: look in `init`.",
    },
    Code {
        id: "run.ensure",
        title: "what a system ensures does not hold",
        explanation: "A comparison that the system states (`ensure positive: u >= 0`) fails somewhere, or a number that it states to be \
                      conserved (`ensure mass: conserved(∫(u))`) has changed by more than its tolerance. The state is looked at as often as \
                      takes a sixteenth of the time; where it is bad, the run goes back to the last look and on step by step, so that the \
                      message names the first bad step since then, the cell with its coordinates, and the time.",
    },
    Code {
        id: "run.diverged",
        title: "a training diverged",
        explanation: "The loss became infinite or not a number. Where a run in time inside it broke down, the message names it as \
                      `run.unstable` does, with the numbers that were tried. Lower the learning rate, or look at the data and at the nominal sizes \
                      that scale the net's ports.",
    },
    Code {
        id: "run.disk",
        title: "a result could not be written",
        explanation: "The disk is full or refuses to be written; the message quotes the operating system. What was finished before is \
                      kept. Free some space, or choose another folder with --out, and run again.",
    },
    Code {
        id: "run.cache",
        title: "a stored result is damaged, or a checkpoint could not be stored",
        explanation: "A file of the cache does not have the content that was written: a disk error, or something else wrote to it. The \
                      result is computed again. A checkpoint that the disk does not take leaves the one before it: after a crash the run \
                      goes back further. The cache is the folder `cache` in the folder of results; it may be deleted at any time.",
    },
    Code {
        id: "run.value",
        title: "a value cannot be used as it is here",
        explanation: "Found while the program was traced, after its types had been checked: a value that must be known before the run \
                      but varies in it, a name without a value, an extent that is not positive, a recursion without end. The message \
                      names the expression.",
    },
    Code {
        id: "run.equation",
        title: "an equation or a condition that cannot be discretised",
        explanation: "An equation is a sum of divergences of fluxes and of sources, each linear in the divergence: `∇·(flux) + source = 0`. \
                      A boundary condition fixes a value (`T = 390 [K]`) or the normal component of the equation's own flux, written \
                      as it stands under the divergence, times `n`.",
    },
    Code {
        id: "run.scheme",
        title: "a system or scheme that `solve` cannot take",
        explanation: "`solve(system(arguments), scheme)` takes a system with its arguments and one of fem(order=, n= or h=) and \
                      fv(n= or h=). As a warning: `every` does not divide the span of time, and the run ends at its last multiple.",
    },
    Code {
        id: "run.steps",
        title: "a run in time that did not get to its end",
        explanation: "The error of a step was held below its tolerance by shorter and shorter steps, until `max_steps` of them had not \
                      reached the next time that is kept, or time stood still (steps of a few roundings of it). The message names what \
                      changes fastest there, with its cell and its equation. The solution may have a singularity, the tolerance may lie \
                      below rounding, or an explicit method may meet a stiff system, for which `rodas4` or `esdirk4` are made. Where a \
                      rate is no number, it is `run.unstable`. A run inside a closure or a dataset is told with its item; inside a \
                      derivative its values are NaN.",
    },
    Code {
        id: "run.stability",
        title: "steps that an explicit method cannot take",
        explanation: "The fastest rate at the start, found by power iteration with the Jacobian of the rates, lies outside of what the method \
                      keeps bounded: errors grow from step to step until the run ends in infinities. Take shorter steps, as the message says, \
                      an adaptive method, or an implicit one. Rates that become faster later are not foreseen.",
    },
    Code {
        id: "run.data",
        title: "a dataset, table or file that cannot be used",
        explanation: "A draw from something that is no law, a design or split that cannot be made, a table over an empty range, a data file \
                      that is missing or damaged. The message names the file and the place in it.",
    },
    Code {
        id: "run.training",
        title: "a `minimize` that cannot run",
        explanation: "It must seek something (`over`), make something small (`loss`, a number), and say how (`stage`). A net is sought \
                      as the implementation of a closure: `over k: Conductivity = mlp(width=32, depth=3)`.",
    },
    Code {
        id: "run.courant",
        title: "the steps are too long for the waves",
        explanation: "In an explicit step a wave may cross about one cell (Courant, Friedrichs and Lewy); how far exactly depends on the \
                      method and the reconstruction. The speeds are those of the state at the start. Choose a shorter step or fewer cells.",
    },
];
