//! Meshes, elements and schemes.

use super::Code;

pub const ROWS: &[Code] = &[
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
        id: "discretize.grid",
        title: "this grid does not suit the scheme",
        explanation: "Trigonometric functions need a periodic domain. Central differences are of order 2, 4, 6 or 8 on periodic domains, \
                      2 or 4 at walls, and need more points along each axis than their order.",
    },
    Code {
        id: "discretize.staggered",
        title: "no staggered grid serves this system",
        explanation: "On a staggered grid a first derivative of one unknown in the equation of another puts half a cell between them. \
                      That must be possible for all of them at once: an odd derivative of an unknown in its own equation, as of \
                      advection, has no place. Steps are those of an explicit Runge–Kutta method. Between walls differences are of \
                      order 2, and what is given there is the same unknown at both ends of an axis: the pressure, or the normal \
                      component of the velocity.",
    },
    Code {
        id: "discretize.chebyshev",
        title: "Chebyshev polynomials do not suit this problem",
        explanation: "They are for domains with walls, on three points along an axis at least, and for steady or implicit problems with up \
                      to some thousand unknowns, whose matrix is dense. The solution must be determined: something holds its level, \
                      and every unknown stands in its own equation.",
    },
    Code {
        id: "discretize.derivatives",
        title: "derivatives beyond the second",
        explanation: "Finite elements and finite volumes read first derivatives under a divergence. For higher ones use `fd` or \
                      `spectral`, or give the inner derivative a name of its own: `unknown w: …`, `eq inner: w = ∇²u`.",
    },
    Code {
        id: "discretize.algebraic",
        title: "an unknown without a rate is not given",
        explanation: "In spectral space unknowns without `∂t` are found mode by mode. Their equations must hold them linearly, with \
                      constant coefficients (a stream function, a chemical potential); one that is in no such equation is the \
                      multiplier of a constraint (a pressure).",
    },
    Code {
        id: "discretize.two_point",
        title: "two-point fluxes cannot treat this coefficient",
        explanation: "The finite-volume scheme takes the flux through a face from the values in the two cells beside it. That is \
                      consistent only where the conductivity is diagonal in the axes of the grid, the flux is affine in the gradient, \
                      and the source does not depend on the gradient. Use `fem(...)` for such an equation.",
    },
    Code {
        id: "discretize.riemann",
        title: "upwind fluxes cannot treat this law",
        explanation: "Finite volumes in explicit steps carry each unknown by the flux in its equation. `upwind` follows fluxes that are \
                      linear and do not couple unknowns; a flux function that is given must agree with the flux of the equations where \
                      both states are equal; a source must not read gradients (write `∂x(u^2/2)`, not `u*∂x(u)`); and a \
                      reconstruction needs some cells on either side of a face.",
    },
];
