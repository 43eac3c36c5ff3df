//! Butcher tableaus as data. One entry of [`TABLEAUX`] is all that a method is: the step, its embedded error, its dense output,
//! its documentation and its tests are made from it.
//!
//! `k_i = f(t + c_i h, u + h Σ_j a_ij k_j)`, `u⁺ = u + h Σ_i b_i k_i`, error `h Σ_i (b_i - b̂_i) k_i`.

/// A Runge–Kutta method of s stages.
#[derive(Debug)]
pub struct Tableau {
    /// Its name in MSL.
    pub name: &'static str,
    /// Observed on smooth problems that are not stiff.
    pub order: usize,
    /// Row i holds `a_i0 … a_i(i-1)`, and `a_ii` last where the stage is implicit.
    pub a: &'static [&'static [f64]],
    pub b: &'static [f64],
    /// Weights of the embedded method, where there is one, and its order.
    pub embedded: Option<(&'static [f64], usize)>,
    /// Weights d of a polynomial within the step: cubic Hermite interpolation plus `θ²(1 - θ)² Σ d_i h k_i`. Without them that
    /// interpolation does, whose error is of fourth order. [Hairer, Nørsett & Wanner I, §II.6]
    pub bulge: Option<&'static [f64]>,
    pub c: &'static [f64],
    pub source: &'static str,
}

impl Tableau {
    pub fn stages(&self) -> usize {
        self.b.len()
    }

    /// The coefficient a_ij, zero above the diagonal.
    pub fn a(&self, i: usize, j: usize) -> f64 {
        self.a[i].get(j).copied().unwrap_or(0.0)
    }

    /// No stage needs a solve.
    pub fn explicit(&self) -> bool {
        (0..self.stages()).all(|i| self.a(i, i) == 0.0)
    }

    /// |R(z)| of an explicit method, z = x + iy: by how much a step multiplies u where u' = z/h u. [Hairer & Wanner II, §IV.2]
    pub fn amplification(&self, x: f64, y: f64) -> f64 {
        let times = |(a, b): (f64, f64)| (x * a - y * b, x * b + y * a);
        let mut slopes: Vec<(f64, f64)> = vec![];
        let sum = |slopes: &[(f64, f64)], weight: &dyn Fn(usize) -> f64| {
            slopes.iter().enumerate().fold((1.0, 0.0), |s, (j, k)| (s.0 + weight(j) * k.0, s.1 + weight(j) * k.1))
        };
        for i in 0..self.stages() {
            slopes.push(times(sum(&slopes, &|j| self.a(i, j))));
        }
        let r = sum(&slopes, &|j| self.b[j]);
        r.0.hypot(r.1)
    }

    /// The last stage is the next step's first: `a_s = b`, `c_s = 1`.
    pub fn first_same_as_last(&self) -> bool {
        let s = self.stages() - 1;
        self.c[s] == 1.0 && (0..=s).all(|j| self.a(s, j) == self.b[j]) && self.a(0, 0) == 0.0
    }
}

/// The method of a name, if there is one.
pub fn tableau(name: &str) -> Option<&'static Tableau> {
    TABLEAUX.iter().find(|t| t.name == name)
}

pub const TABLEAUX: &[Tableau] = &[
    Tableau {
        name: "euler",
        order: 1,
        a: &[&[]],
        b: &[1.0],
        embedded: None,
        bulge: None,
        c: &[0.0],
        source: "Hairer, Nørsett & Wanner I, §II.1",
    },
    Tableau {
        name: "heun",
        order: 2,
        a: &[&[], &[1.0]],
        b: &[0.5, 0.5],
        embedded: Some((&[1.0, 0.0], 1)),
        bulge: None,
        c: &[0.0, 1.0],
        source: "Hairer, Nørsett & Wanner I, §II.1",
    },
    Tableau {
        name: "ssprk3",
        order: 3,
        a: &[&[], &[1.0], &[0.25, 0.25]],
        b: &[1.0 / 6.0, 1.0 / 6.0, 2.0 / 3.0],
        embedded: Some((&[0.5, 0.5, 0.0], 2)),
        bulge: None,
        c: &[0.0, 1.0, 0.5],
        source: "Shu & Osher 1988",
    },
    Tableau {
        name: "rk4",
        order: 4,
        a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
        b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
        embedded: None,
        bulge: None,
        c: &[0.0, 0.5, 0.5, 1.0],
        source: "Kutta 1901; Hairer, Nørsett & Wanner I, §II.1",
    },
    Tableau {
        name: "bogacki_shampine",
        order: 3,
        a: &[&[], &[0.5], &[0.0, 0.75], &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0]],
        b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0],
        embedded: Some((&[7.0 / 24.0, 0.25, 1.0 / 3.0, 0.125], 2)),
        bulge: None,
        c: &[0.0, 0.5, 0.75, 1.0],
        source: "Bogacki & Shampine 1989",
    },
    Tableau {
        name: "dormand_prince",
        order: 5,
        a: &[
            &[],
            &[1.0 / 5.0],
            &[3.0 / 40.0, 9.0 / 40.0],
            &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
            &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
            &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
            &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
        ],
        b: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
        embedded: Some((
            &[5179.0 / 57600.0, 0.0, 7571.0 / 16695.0, 393.0 / 640.0, -92097.0 / 339200.0, 187.0 / 2100.0, 1.0 / 40.0],
            4,
        )),
        bulge: Some(&[
            -12715105075.0 / 11282082432.0,
            0.0,
            87487479700.0 / 32700410799.0,
            -10690763975.0 / 1880347072.0,
            701980252875.0 / 199316789632.0,
            -1453857185.0 / 822651844.0,
            69997945.0 / 29380423.0,
        ]),
        c: &[0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0],
        source: "Dormand & Prince 1980; Hairer, Nørsett & Wanner I, §II.5",
    },
    Tableau {
        name: "implicit_euler",
        order: 1,
        a: &[&[1.0]],
        b: &[1.0],
        embedded: None,
        bulge: None,
        c: &[1.0],
        source: "Hairer & Wanner II, §IV.3",
    },
    Tableau {
        name: "crank_nicolson",
        order: 2,
        a: &[&[], &[0.5, 0.5]],
        b: &[0.5, 0.5],
        embedded: None,
        bulge: None,
        c: &[0.0, 1.0],
        source: "Crank & Nicolson 1947; the trapezoidal rule",
    },
    Tableau {
        name: "sdirk2",
        order: 2,
        a: &[&[GAMMA2], &[1.0 - GAMMA2, GAMMA2]],
        b: &[1.0 - GAMMA2, GAMMA2],
        embedded: None,
        bulge: None,
        c: &[GAMMA2, 1.0],
        source: "Alexander 1977, L-stable",
    },
    Tableau {
        name: "sdirk3",
        order: 3,
        a: &[&[GAMMA3], &[(1.0 - GAMMA3) / 2.0, GAMMA3], &[SDIRK3_B1, SDIRK3_B2, GAMMA3]],
        b: &[SDIRK3_B1, SDIRK3_B2, GAMMA3],
        embedded: None,
        bulge: None,
        c: &[GAMMA3, (1.0 + GAMMA3) / 2.0, 1.0],
        source: "Alexander 1977, L-stable",
    },
    Tableau {
        name: "sdirk4",
        order: 4,
        a: &[
            &[0.25],
            &[0.5, 0.25],
            &[17.0 / 50.0, -1.0 / 25.0, 0.25],
            &[371.0 / 1360.0, -137.0 / 2720.0, 15.0 / 544.0, 0.25],
            &[25.0 / 24.0, -49.0 / 48.0, 125.0 / 16.0, -85.0 / 12.0, 0.25],
        ],
        b: &[25.0 / 24.0, -49.0 / 48.0, 125.0 / 16.0, -85.0 / 12.0, 0.25],
        embedded: Some((&[59.0 / 48.0, -17.0 / 96.0, 225.0 / 32.0, -85.0 / 12.0, 0.0], 3)),
        bulge: None,
        c: &[0.25, 0.75, 11.0 / 20.0, 0.5, 1.0],
        source: "Hairer & Wanner II, §IV.6, table 6.5; L-stable, stiffly accurate",
    },
    ARK4_IMPLICIT,
];

/// `1 - 1/√2`
const GAMMA2: f64 = 0.292_893_218_813_452_5;
/// The root of `γ³ - 3γ² + 3γ/2 - 1/6` in (1/6, 1/2).
const GAMMA3: f64 = 0.435_866_521_508_459;
const SDIRK3_B1: f64 = (-6.0 * GAMMA3 * GAMMA3 + 16.0 * GAMMA3 - 1.0) / 4.0;
const SDIRK3_B2: f64 = (6.0 * GAMMA3 * GAMMA3 - 20.0 * GAMMA3 + 5.0) / 4.0;

/// A pair of tableaus with one c and one b: the first for the explicit, the second for the implicit part of f.
#[derive(Debug)]
pub struct Additive {
    pub name: &'static str,
    pub order: usize,
    pub explicit: &'static Tableau,
    pub implicit: &'static Tableau,
    pub source: &'static str,
}

pub const ADDITIVE: &[Additive] = &[
    Additive {
        name: "imex_euler",
        order: 1,
        explicit: &Tableau {
            name: "imex_euler_explicit",
            order: 1,
            a: &[&[], &[1.0]],
            b: &[1.0, 0.0],
            embedded: None,
            bulge: None,
            c: &[0.0, 1.0],
            source: "Ascher, Ruuth & Spiteri 1997, (1, 1, 1)",
        },
        implicit: &Tableau {
            name: "imex_euler_implicit",
            order: 1,
            a: &[&[], &[0.0, 1.0]],
            b: &[0.0, 1.0],
            embedded: None,
            bulge: None,
            c: &[0.0, 1.0],
            source: "Ascher, Ruuth & Spiteri 1997, (1, 1, 1)",
        },
        source: "Ascher, Ruuth & Spiteri 1997, (1, 1, 1)",
    },
    Additive {
        name: "imex_trapezoid",
        order: 1,
        explicit: &Tableau {
            name: "imex_trapezoid_explicit",
            order: 1,
            a: &[&[], &[1.0]],
            b: &[1.0, 0.0],
            embedded: None,
            bulge: None,
            c: &[0.0, 1.0],
            source: "Euler's method",
        },
        implicit: &Tableau {
            name: "imex_trapezoid_implicit",
            order: 2,
            a: &[&[], &[0.5, 0.5]],
            b: &[0.5, 0.5],
            embedded: None,
            bulge: None,
            c: &[0.0, 1.0],
            source: "the trapezoidal rule",
        },
        source: "the trapezoidal rule and Euler's method",
    },
    Additive {
        name: "ars222",
        order: 2,
        explicit: &Tableau {
            name: "ars222_explicit",
            order: 2,
            a: &[&[], &[GAMMA2], &[ARS_DELTA, 1.0 - ARS_DELTA]],
            b: &[ARS_DELTA, 1.0 - ARS_DELTA, 0.0],
            embedded: None,
            bulge: None,
            c: &[0.0, GAMMA2, 1.0],
            source: "Ascher, Ruuth & Spiteri 1997, (2, 2, 2)",
        },
        implicit: &Tableau {
            name: "ars222_implicit",
            order: 2,
            a: &[&[], &[0.0, GAMMA2], &[0.0, 1.0 - GAMMA2, GAMMA2]],
            b: &[0.0, 1.0 - GAMMA2, GAMMA2],
            embedded: None,
            bulge: None,
            c: &[0.0, GAMMA2, 1.0],
            source: "Ascher, Ruuth & Spiteri 1997, (2, 2, 2)",
        },
        source: "Ascher, Ruuth & Spiteri 1997, (2, 2, 2)",
    },
    Additive {
        name: "ars443",
        order: 3,
        explicit: &Tableau {
            name: "ars443_explicit",
            order: 3,
            a: &[&[], &[0.5], &[11.0 / 18.0, 1.0 / 18.0], &[5.0 / 6.0, -5.0 / 6.0, 0.5], &[0.25, 1.75, 0.75, -1.75]],
            b: &[0.25, 1.75, 0.75, -1.75, 0.0],
            embedded: None,
            bulge: None,
            c: &[0.0, 0.5, 2.0 / 3.0, 0.5, 1.0],
            source: "Ascher, Ruuth & Spiteri 1997, (4, 4, 3)",
        },
        implicit: &Tableau {
            name: "ars443_implicit",
            order: 3,
            a: &[&[], &[0.0, 0.5], &[0.0, 1.0 / 6.0, 0.5], &[0.0, -0.5, 0.5, 0.5], &[0.0, 1.5, -1.5, 0.5, 0.5]],
            b: &[0.0, 1.5, -1.5, 0.5, 0.5],
            embedded: None,
            bulge: None,
            c: &[0.0, 0.5, 2.0 / 3.0, 0.5, 1.0],
            source: "Ascher, Ruuth & Spiteri 1997, (4, 4, 3)",
        },
        source: "Ascher, Ruuth & Spiteri 1997, (4, 4, 3)",
    },
    Additive {
        name: "ark4",
        order: 4,
        explicit: &Tableau {
            name: "ark4_explicit",
            order: 4,
            a: &[
                &[],
                &[0.5],
                &[13861.0 / 62500.0, 6889.0 / 62500.0],
                &[
                    -116923316275.0 / 2393684061468.0,
                    -2731218467317.0 / 15368042101831.0,
                    9408046702089.0 / 11113171139209.0,
                ],
                &[
                    -451086348788.0 / 2902428689909.0,
                    -2682348792572.0 / 7519795681897.0,
                    12662868775082.0 / 11960479115383.0,
                    3355817975965.0 / 11060851509271.0,
                ],
                &[
                    647845179188.0 / 3216320057751.0,
                    73281519250.0 / 8382639484533.0,
                    552539513391.0 / 3454668386233.0,
                    3354512671639.0 / 8306763924573.0,
                    4040.0 / 17871.0,
                ],
            ],
            b: ARK4_B,
            embedded: Some((ARK4_EMBEDDED, 3)),
            bulge: None,
            c: ARK4_C,
            source: "Kennedy & Carpenter 2003, ARK4(3)6L[2]SA",
        },
        implicit: &ARK4_IMPLICIT,
        source: "Kennedy & Carpenter 2003, ARK4(3)6L[2]SA",
    },
];

/// `-2√2/3` in the notation of the source: δ = 1 - 1/(2γ).
const ARS_DELTA: f64 = 1.0 - 1.0 / (2.0 * GAMMA2);

const ARK4_IMPLICIT: Tableau = Tableau {
    name: "esdirk4",
    order: 4,
    a: &[
        &[],
        &[0.25, 0.25],
        &[8611.0 / 62500.0, -1743.0 / 31250.0, 0.25],
        &[5012029.0 / 34652500.0, -654441.0 / 2922500.0, 174375.0 / 388108.0, 0.25],
        &[
            15267082809.0 / 155376265600.0,
            -71443401.0 / 120774400.0,
            730878875.0 / 902184768.0,
            2285395.0 / 8070912.0,
            0.25,
        ],
        &[82889.0 / 524892.0, 0.0, 15625.0 / 83664.0, 69875.0 / 102672.0, -2260.0 / 8211.0, 0.25],
    ],
    b: ARK4_B,
    embedded: Some((ARK4_EMBEDDED, 3)),
    bulge: None,
    c: ARK4_C,
    source: "Kennedy & Carpenter 2003, the implicit part of ARK4(3)6L[2]SA; L-stable, stiffly accurate",
};
const ARK4_B: &[f64] = &[82889.0 / 524892.0, 0.0, 15625.0 / 83664.0, 69875.0 / 102672.0, -2260.0 / 8211.0, 0.25];
const ARK4_EMBEDDED: &[f64] = &[
    4586570599.0 / 29645900160.0,
    0.0,
    178811875.0 / 945068544.0,
    814220225.0 / 1159782912.0,
    -3700637.0 / 11593932.0,
    61727.0 / 225920.0,
];
const ARK4_C: &[f64] = &[0.0, 0.5, 83.0 / 250.0, 31.0 / 50.0, 17.0 / 20.0, 1.0];

#[cfg(test)]
mod tests {
    use super::*;

    /// Residuals of the order conditions up to order 4 for weights b, stages taken from two tableaus in every combination
    /// [Hairer, Nørsett & Wanner I, §II.2; Kennedy & Carpenter 2003].
    fn conditions(b: &[f64], c: &[f64], a: &[&Tableau], order: usize) -> Vec<(String, f64)> {
        let s = b.len();
        let sum = |f: &dyn Fn(usize) -> f64| (0..s).map(|i| b[i] * f(i)).sum::<f64>();
        let mut out = vec![("Σb - 1".into(), sum(&|_| 1.0) - 1.0)];
        let apply = |t: &Tableau, i: usize, f: &dyn Fn(usize) -> f64| (0..s).map(|j| t.a(i, j) * f(j)).sum::<f64>();
        if order >= 2 {
            out.push(("Σbc - 1/2".into(), sum(&|i| c[i]) - 0.5));
        }
        if order >= 3 {
            out.push(("Σbc² - 1/3".into(), sum(&|i| c[i] * c[i]) - 1.0 / 3.0));
            for t in a {
                out.push((format!("Σb·{}·c - 1/6", t.name), sum(&|i| apply(t, i, &|j| c[j])) - 1.0 / 6.0));
            }
        }
        if order >= 4 {
            out.push(("Σbc³ - 1/4".into(), sum(&|i| c[i].powi(3)) - 0.25));
            for t in a {
                out.push((format!("Σbc·{}·c - 1/8", t.name), sum(&|i| c[i] * apply(t, i, &|j| c[j])) - 0.125));
                out.push((format!("Σb·{}·c² - 1/12", t.name), sum(&|i| apply(t, i, &|j| c[j] * c[j])) - 1.0 / 12.0));
                for u in a {
                    let twice = sum(&|i| apply(t, i, &|j| apply(u, j, &|k| c[k])));
                    out.push((format!("Σb·{}·{}·c - 1/24", t.name, u.name), twice - 1.0 / 24.0));
                }
            }
        }
        out
    }

    fn assert_order(b: &[f64], c: &[f64], a: &[&Tableau], order: usize) {
        for (name, residual) in conditions(b, c, a, order.min(4)) {
            assert!(residual.abs() < 2e-14, "{}: {name} = {residual:e}", a[0].name);
        }
    }

    #[test]
    fn rows_sum_to_the_nodes() {
        let additive = ADDITIVE.iter().flat_map(|p| [p.explicit, p.implicit]);
        for t in TABLEAUX.iter().chain(additive) {
            for i in 0..t.stages() {
                let row: f64 = (0..t.stages()).map(|j| t.a(i, j)).sum();
                assert!((row - t.c[i]).abs() < 1e-14, "{} row {i}: {row} against {}", t.name, t.c[i]);
            }
        }
    }

    #[test]
    fn the_order_conditions_hold_and_the_next_do_not() {
        for t in TABLEAUX {
            assert_order(t.b, t.c, &[t], t.order);
            if let Some((b, order)) = t.embedded {
                assert_order(b, t.c, &[t], order);
            }
            // The stated order is not too low either (up to what these conditions see).
            if t.order < 4 {
                let worst = conditions(t.b, t.c, &[t], t.order + 1).iter().map(|c| c.1.abs()).fold(0.0, f64::max);
                assert!(worst > 1e-4, "{} is of a higher order than it says", t.name);
            }
        }
    }

    /// The polynomial within a step is of order 4: the conditions of its weights b(θ) at points of the step. [Hairer, Nørsett & Wanner I,
    /// §II.6]
    #[test]
    fn continuous_extensions_hold_their_order() {
        for t in TABLEAUX {
            let Some(d) = t.bulge else { continue };
            let s = t.stages();
            for part in [0.1, 0.35, 0.5, 0.8] {
                let unit = |i: usize, k: usize| f64::from(u8::from(i == k));
                let weight = |i: usize| {
                    let r4 = t.b[i] * 2.0 - unit(i, 0) - unit(i, s - 1);
                    let r3 = unit(i, 0) - t.b[i];
                    part * (t.b[i] + (1.0 - part) * (r3 + part * (r4 + (1.0 - part) * d[i])))
                };
                let b: Vec<f64> = (0..s).map(|i| weight(i) / part).collect();
                // A step of length θh with nodes c/θ.
                let c: Vec<f64> = t.c.iter().map(|c| c / part).collect();
                let a: Vec<Vec<f64>> = (0..s).map(|i| (0..i).map(|j| t.a(i, j) / part).collect()).collect();
                let rows: Vec<&'static [f64]> = a.into_iter().map(|r| &*r.leak()).collect();
                let scaled = Tableau {
                    name: t.name,
                    order: 4,
                    a: rows.leak(),
                    b: t.b,
                    embedded: None,
                    bulge: None,
                    c: t.c,
                    source: "",
                };
                for (name, residual) in conditions(&b, &c, &[&scaled], 4) {
                    assert!(residual.abs() < 1e-11, "{} at {part}: {name} = {residual:e}", t.name);
                }
            }
        }
    }

    /// Ends of the intervals of stability on the negative real and on the imaginary axis. [Hairer & Wanner II, §IV.2, table 2.1]
    #[test]
    fn regions_of_stability_end_where_published() {
        let end = |t: &Tableau, x: f64, y: f64| {
            let mut s = 0.0;
            while t.amplification((s + 1e-4) * x, (s + 1e-4) * y) <= 1.0 + 1e-12 {
                s += 1e-4;
            }
            s
        };
        for (name, real, imaginary) in [("euler", 2.0, 0.0), ("ssprk3", 2.5127, 1.7321), ("rk4", 2.7853, 2.8284)] {
            let t = tableau(name).expect("known");
            assert!((end(t, -1.0, 0.0) - real).abs() < 2e-4, "{name}: {}", end(t, -1.0, 0.0));
            assert!((end(t, 0.0, 1.0) - imaginary).abs() < 2e-4, "{name}: {}", end(t, 0.0, 1.0));
        }
    }

    #[test]
    fn additive_pairs_couple_to_their_order() {
        for p in ADDITIVE {
            for b in [p.explicit.b, p.implicit.b] {
                assert_order(b, p.explicit.c, &[p.explicit, p.implicit], p.order);
            }
            assert_eq!(p.explicit.c, p.implicit.c, "{}", p.name);
        }
    }
}
