//! Types of library functions that a declaration in MSL cannot express.

use super::Infer;
use super::arguments::Given;
use super::dims::Dim;
use super::ty::{DomainInfo, Env, Num, Over, SchemeInfo, Ty};
use crate::base::{Diagnostic, Ratio, Span};
use crate::sema::hir::{Arg, ExprKind, Lambda};
use crate::sema::types::Rank;
use indexmap::IndexMap;
use std::rc::Rc;

/// Functions that take arguments beyond those declared.
pub const VARIADIC: &[&str] = &["report", "plot", "vtk", "save", "write", "residual", "tabulate", "online"];

impl<'p> Infer<'p> {
    /// `None`: the declaration says it all.
    pub(super) fn library(
        &mut self,
        name: &str,
        lambda: &'p Lambda,
        env: &Env,
        given: &[Given],
        args: Option<&'p [Arg]>,
        span: Span,
    ) -> Option<Ty> {
        let arg = |name: &str| -> Ty {
            let param = lambda.params.iter().find(|p| p.name == name);
            param.and_then(|p| env.get(p.local)).cloned().unwrap_or_default()
        };
        let first = || lambda.params.first().map_or(Ty::Any, |p| env.get(p.local).cloned().unwrap_or_default());
        let num = |dim: Dim, rank: Rank| Ty::Num(Num::of_rank(dim, rank));
        let found = match name {
            // Numbers.
            "abs" | "positive" => match first() {
                Ty::Num(n) => Ty::Num(n),
                other => other,
            },
            "sign" => self.each(&first(), |_, n| n.with(Dim::none())),
            "atan2" => {
                let ty = self.same(&arg("y"), &arg("x"), span, "the arguments of `atan2`");
                self.each(&ty, |_, n| n.with(Dim::none()))
            }
            "min" | "max" => match (first(), arg("b")) {
                (Ty::List(item, _), Ty::Symbol(_)) => *item,
                (a, Ty::Symbol(_)) => a,
                (a, b) => self.same(&a, &b, span, &format!("the arguments of `{name}`")),
            },
            "linspace" => {
                let item = self.same(&arg("a"), &arg("b"), span, "the ends");
                let item = self.each(&item, |_, n| Num { integer: false, ..n.clone() });
                Ty::List(Box::new(item), None)
            }
            "roll" => match first() {
                Ty::List(item, n) => Ty::List(item, n),
                Ty::Num(n) => match n.rank {
                    Some(Rank::Vec(size)) => Ty::List(Box::new(Ty::Num(n.ranked(Some(Rank::Scalar)))), size),
                    _ => Ty::Any,
                },
                _ => Ty::Any,
            },
            "count" => Ty::Num(Num::integer()),
            "sum" => match first() {
                Ty::List(item, _) => *item,
                Ty::Num(n) => Ty::Num(n.ranked(Some(Rank::Scalar))),
                _ => Ty::Any,
            },
            // Tensors.
            "basis" | "sym_basis" => {
                let d = args.and_then(|a| self.constant(&a.first()?.value)).map(|x| x as usize);
                let (rank, count) = match name {
                    "basis" => (Rank::Vec(d), d),
                    _ => (Rank::Sym(d), d.map(|d| d * (d + 1) / 2)),
                };
                Ty::List(Box::new(num(Dim::none(), rank)), count)
            }
            "tr" => self.each(&first(), |_, n| n.ranked(Some(Rank::Scalar))),
            "det" => self.each(&first(), |s, n| {
                let size = match n.rank {
                    Some(Rank::Mat(r, c)) => r.or(c),
                    Some(Rank::Sym(r)) => r,
                    _ => None,
                };
                let dim = match size {
                    Some(size) => n.dim.pow(Ratio::from(size as i64)),
                    None => s.dims.fresh(),
                };
                n.with(dim).ranked(Some(Rank::Scalar))
            }),
            "inv" => self.each(&first(), |_, n| n.with(n.dim.pow(Ratio::from(-1)))),
            "sym" => {
                let tensor = self.as_tensor(&first());
                let rank = match &tensor {
                    Ty::Num(Num { rank: Some(Rank::Mat(r, c)), .. }) => Some(Rank::Sym(r.or(*c))),
                    Ty::Num(Num { rank: r @ Some(Rank::Sym(_)), .. }) => *r,
                    Ty::Num(Num { rank: Some(_), .. }) => {
                        let found = self.describe(&tensor);
                        self.error("shapes.mismatch", span, format!("`sym` takes a matrix, this is {found}"), "");
                        return Some(Ty::Any);
                    }
                    _ => None,
                };
                self.each(&tensor, |_, n| n.ranked(rank))
            }
            "inner" => match (self.as_tensor(&arg("a")), self.as_tensor(&arg("b"))) {
                (Ty::Num(a), Ty::Num(b)) => {
                    let field = self.merge(a.field, b.field, span);
                    Ty::Num(Num { field, ..Num::scalar(a.dim.times(&b.dim)) })
                }
                _ => Ty::Any,
            },
            "norm2" => match first() {
                Ty::Residual(..) => num(Dim::none(), Rank::Scalar),
                ty => self.each(&ty, |_, n| n.with(n.dim.pow(Ratio::from(2))).ranked(Some(Rank::Scalar))),
            },
            "norm" => match first() {
                Ty::Residual(..) => num(Dim::none(), Rank::Scalar),
                ty => self.each(&ty, |_, n| n.ranked(Some(Rank::Scalar))),
            },
            "diag" => self.each(&first(), |_, n| match n.rank {
                Some(Rank::Vec(size)) => n.ranked(Some(Rank::Sym(size))),
                _ => n.ranked(None),
            }),
            "eigenvalues" => self.each(&first(), |_, n| match n.rank {
                Some(Rank::Sym(size)) | Some(Rank::Mat(size, _)) => n.ranked(Some(Rank::Vec(size))),
                _ => n.ranked(None),
            }),
            "stack" => self.as_tensor(&first()),
            // Fields.
            "integrate" => {
                let over = arg("over");
                let f = first();
                self.integral(&f, Some(&over), span)
            }
            "mean" => self.average(&first()),
            "max_over" | "min_over" => match first() {
                Ty::List(item, _) => self.average(&item),
                ty => self.average(&ty),
            },
            "test" => self.each(&first(), |s, n| {
                let dim = s.dims.fresh();
                n.with(dim)
            }),
            // Of a trajectory it is one; what a closure or a loss makes of trajectories is not typed yet.
            "filter" => match first() {
                Ty::List(..) => Ty::Any,
                field => field,
            },
            "convolve" => match arg("u") {
                // ∫ K(x - y) u(y) dy, where K takes a separation.
                Ty::Num(u) => {
                    let over = u.field;
                    let (length, space) = match over {
                        Some(over) => self.metric(over),
                        None => (self.dims.fresh(), None),
                    };
                    let rank = if space == Some(1) { Rank::Scalar } else { Rank::Vec(space) };
                    let apart = Given { name: None, ty: num(length, rank), span };
                    let kernel = self.call(&arg("kernel"), vec![apart], None, span, span);
                    match kernel {
                        Ty::Num(k) => {
                            let both = Ty::Num(Num { field: over, ..u.with(u.dim.times(&k.dim)) });
                            let summed = self.integral(&both, None, span);
                            self.over(summed, over)
                        }
                        _ => Ty::Any,
                    }
                }
                _ => Ty::Any,
            },
            // By one number: what a literal zero is in is not known.
            "derivative" => match arg("x") {
                Ty::Num(x) if x.rank == Some(Rank::Scalar) && x.field.is_none() && !x.zero => {
                    let at = Num { integer: false, ..x.clone() };
                    let given = vec![Given { name: None, ty: Ty::Num(at), span }];
                    let of = self.call(&first(), given, None, span, span);
                    self.each(&of, |_, f| f.with(f.dim.over(&x.dim)))
                }
                _ => Ty::Any,
            },
            "freeze" | "helmholtz" => first(),
            "values" => self.each(&first(), |_, n| Num { field: None, ..n.clone().ranked(None) }),
            "spectrum" => match first() {
                Ty::List(item, _) => {
                    self.each(&item, |_, n| Num { field: None, ..n.with(n.dim.pow(Ratio::from(2))).ranked(None) })
                }
                ty => self.each(&ty, |_, n| Num { field: None, ..n.with(n.dim.pow(Ratio::from(2))).ranked(None) }),
            },
            "domain_of" => match first() {
                Ty::Num(Num { field: Some(Over::Domain(id)), .. }) => Ty::Domain(id),
                _ => Ty::Any,
            },
            "tabulate" => self.tabulated(&first(), given, &["n", "by", "law"]),
            "online" => self.tabulated(&first(), given, &["law", "reuse", "on_fail"]),
            // Domains.
            "interval" | "circle" | "rect" | "square" | "box" | "cube" => {
                self.domain_call(name, lambda, env, args, span)
            }
            // Draws.
            "uniform" | "loguniform" => {
                let ty = self.same(&arg("low"), &arg("high"), span, "the ends of a draw");
                self.each(&ty, |_, n| Num { integer: false, zero: false, ..n.clone() })
            }
            "normal" => {
                let ty = self.same(&arg("mean"), &arg("sd"), span, "mean and standard deviation");
                self.each(&ty, |_, n| Num { integer: false, zero: false, ..n.clone() })
            }
            "lognormal" => self.each(&arg("median"), |_, n| Num { integer: false, ..n.clone() }),
            "choice" => match first() {
                Ty::List(item, _) => *item,
                Ty::Range(item) => *item,
                _ => Ty::Any,
            },
            "grf" => self.random_field(&first(), &arg("length"), &arg("mean"), &arg("sd"), span),
            // Verbs.
            "solve" => self.solve(&first(), &arg("scheme"), &arg("t"), &arg("every"), span),
            "residual" => match first() {
                Ty::Problem(def, problem) => {
                    let equations = problem.equations.iter();
                    let over = problem.domain.map(Over::Domain);
                    let ty = Ty::Num(Num { field: over.or(Some(Over::Open)), ..Num::scalar(Dim::none()) });
                    let mut members: IndexMap<String, Ty> = equations.map(|e| (e.clone(), ty.clone())).collect();
                    members.insert("on".into(), ty.clone());
                    members.insert("init".into(), ty);
                    Ty::Residual(def, Rc::new(members))
                }
                Ty::Any => Ty::Any,
                other => self.expected("a system with its arguments", &other, span),
            },
            "sample" => match first() {
                Ty::Dataset(def, members) => Ty::Sample(def, members),
                Ty::Any => Ty::Any,
                other => self.expected("a dataset with its arguments, such as `Micro()`", &other, span),
            },
            "windows" => match first() {
                sample @ Ty::Sample(..) => sample,
                _ => Ty::Any,
            },
            "fem" | "fv" | "fd" | "spectral" | "chebyshev" => {
                let h = match arg("h") {
                    Ty::Num(n) => Some(n.dim),
                    _ => None,
                };
                let step = match arg("time") {
                    Ty::Scheme(s) => s.step.clone(),
                    _ => None,
                };
                Ty::Scheme(Rc::new(SchemeInfo { h, step }))
            }
            "bdf" => {
                let step = match arg("dt") {
                    Ty::Num(n) => Some(n.dim),
                    _ => None,
                };
                Ty::Scheme(Rc::new(SchemeInfo { h: None, step }))
            }
            "ark4" | "ars222" | "ars443" | "bogacki_shampine" | "crank_nicolson" | "dormand_prince" | "esdirk4"
            | "etdrk2" | "etdrk4" | "euler" | "heun" | "imex_euler" | "imex_trapezoid" | "implicit_euler" | "rk4"
            | "rodas4" | "ros3p" | "verlet" | "yoshida4" | "sdirk2" | "sdirk3" | "sdirk4" | "ssprk3" => {
                let step = match first() {
                    Ty::Num(n) => Some(n.dim),
                    _ => None,
                };
                Ty::Scheme(Rc::new(SchemeInfo { h: None, step }))
            }
            "adam" | "lbfgs" | "sgd" | "alternate" | "reptile" | "acquire" | "mma" => Ty::Stage,
            "plot" | "report" | "vtk" | "save" | "write" => Ty::Plot,
            _ => return None,
        };
        Some(found)
    }

    /// Applies to a number, or to each of a list.
    fn each(&mut self, ty: &Ty, f: impl Fn(&mut Self, &Num) -> Num) -> Ty {
        match ty {
            Ty::Num(n) => Ty::Num(f(self, n)),
            Ty::List(item, len) => match &**item {
                Ty::Num(n) => Ty::List(Box::new(Ty::Num(f(self, n))), *len),
                _ => Ty::Any,
            },
            _ => Ty::Any,
        }
    }

    fn expected(&mut self, what: &str, found: &Ty, span: Span) -> Ty {
        let found = self.describe(found);
        self.error("shapes.mismatch", span, format!("expected {what}, found {found}"), "");
        Ty::Any
    }

    /// `rect((0..1) [m], (0..2) [m])` and its kin.
    fn domain_call(&mut self, name: &str, lambda: &'p Lambda, env: &Env, args: Option<&'p [Arg]>, span: Span) -> Ty {
        let sides: &[&str] = match name {
            "interval" => &["range"],
            "circle" => &["length"],
            "rect" => &["x", "y"],
            "box" => &["x", "y", "z"],
            _ => &["side"],
        };
        let space = match name {
            "interval" | "circle" => 1,
            "rect" | "square" => 2,
            _ => 3,
        };
        let param = |name: &str| lambda.params.iter().find(|p| p.name == name).and_then(|p| env.get(p.local)).cloned();
        let mut length: Option<Dim> = None;
        for side in sides {
            let dim = match param(side) {
                Some(Ty::Range(item)) => match *item {
                    Ty::Num(n) => n.dim,
                    _ => continue,
                },
                Some(Ty::Num(n)) if n.rank == Some(Rank::Scalar) && n.field.is_none() => n.dim,
                Some(Ty::Any | Ty::Symbol(_)) | None => continue,
                Some(other) => {
                    self.expected("a length or a range, such as (0..1) [m]", &other, span);
                    continue;
                }
            };
            match length.clone() {
                Some(l) => {
                    self.same_dim(&l, &dim, span, |s, _| {
                        Diagnostic::error(
                            "units.mismatch",
                            span,
                            format!("the sides of this domain are in {} and {}", s.show(&l), s.show(&dim)),
                        )
                        .help("give all sides in one unit")
                    });
                }
                None => length = Some(dim),
            }
        }
        let length = length.unwrap_or_else(|| self.dims.fresh());
        let value = |name: &str| args?.iter().find(|a| a.name.as_deref() == Some(name)).map(|a| &a.value.kind);
        let periodic = match value("periodic") {
            _ if name == "circle" => Some(true),
            None => Some(false),
            Some(ExprKind::Bool(b)) => Some(*b),
            Some(_) => None,
        };
        let scale = match param("scale") {
            Some(Ty::Scale(def)) => Some(def),
            Some(Ty::Any | Ty::Symbol(_)) | None => None,
            Some(other) => {
                self.expected("a `scale`", &other, span);
                None
            }
        };
        let info =
            DomainInfo { name: name.into(), space: Some(space), length, periodic, scale, def: None, open: false };
        Ty::Domain(self.new_domain(info))
    }

    fn random_field(&mut self, domain: &Ty, length: &Ty, mean: &Ty, sd: &Ty, span: Span) -> Ty {
        let Ty::Domain(id) = domain else { return Ty::Any };
        let info = self.domain_info(*id).clone();
        if let Ty::Num(l) = length {
            let l = l.clone();
            self.unify_dims(&info.length, &l.dim, span, "units.mismatch", |s| {
                format!(
                    "the correlation length is in {}, coordinates of `{}` in {}",
                    s.show(&l.dim),
                    info.name,
                    s.show(&info.length)
                )
            });
        }
        let ty = match (mean, sd) {
            (Ty::Num(m), Ty::Num(_)) if m.zero => sd.clone(),
            _ => self.same(mean, sd, span, "mean and standard deviation"),
        };
        match ty {
            Ty::Num(n) => Ty::Num(Num { field: Some(Over::Domain(*id)), ..Num::scalar(n.dim) }),
            _ => Ty::Any,
        }
    }

    fn solve(&mut self, problem: &Ty, scheme: &Ty, t: &Ty, every: &Ty, span: Span) -> Ty {
        let (def, problem) = match problem {
            Ty::Problem(def, problem) => (*def, problem.clone()),
            Ty::Any => return Ty::Any,
            other => return self.expected("a system with its arguments, such as `Heat(k)`", other, span),
        };
        match scheme {
            Ty::Scheme(info) => {
                if let (Some(h), Some(domain)) = (&info.h, problem.domain) {
                    let domain = self.domain_info(domain).clone();
                    self.unify_dims(&domain.length, h, span, "units.mismatch", |s| {
                        format!(
                            "the scheme's h is in {}, lengths of `{}` are in {}",
                            s.show(h),
                            domain.name,
                            s.show(&domain.length)
                        )
                    });
                }
                if let Some(step) = &info.step {
                    self.in_time(&problem.time, step, "the time step", span);
                }
            }
            Ty::Any | Ty::Symbol(_) => {}
            other => {
                self.expected("a scheme, such as fem(order=1, n=64)", other, span);
            }
        }
        for (ty, what) in [(t, "the time span"), (every, "the interval of what is kept")] {
            let dim = match ty {
                Ty::Range(item) => match &**item {
                    Ty::Num(n) => n.dim.clone(),
                    _ => continue,
                },
                Ty::Num(n) => n.dim.clone(),
                _ => continue,
            };
            self.in_time(&problem.time, &dim, what, span);
        }
        // What is kept on the way is a list; numbers are told apart from fields, whose lists the members of each time make.
        let mut members = (*problem.members).clone();
        members.insert("t".into(), Ty::Num(Num::scalar(problem.time.clone())));
        if !matches!(every, Ty::Symbol(_) | Ty::Any) {
            for ty in members.values_mut() {
                *ty = Ty::List(Box::new(std::mem::take(ty)), None);
            }
        }
        Ty::Solution(def, Rc::new(members))
    }

    fn in_time(&mut self, time: &Dim, dim: &Dim, what: &str, span: Span) {
        self.unify_dims(time, dim, span, "units.mismatch", |s| {
            format!("{what} is in {}, time in this system in {}", s.show(dim), s.show(time))
        });
    }

    /// `tabulate(exact, T=(280..400) [K])`: each argument besides the `own` ones is a range of one of the closure's inputs.
    fn tabulated(&mut self, law: &Ty, given: &[Given], own: &[&str]) -> Ty {
        use crate::sema::hir::DefKind;
        let Ty::Closure(def) = law else { return law.clone() };
        let p = self.p;
        let DefKind::Closure { params, .. } = &p.def(*def).kind else { return Ty::Any };
        for g in given {
            let Some(name) = &g.name else { continue };
            if own.contains(&name.as_str()) {
                continue;
            }
            let Some(param) = params.iter().find(|p| p.name == *name) else {
                let known: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
                let help = crate::sema::suggest::help(name, &known).unwrap_or_default();
                self.error("names.argument", g.span, format!("`{}` has no input `{name}`", p.def(*def).name), help);
                continue;
            };
            if let (Some(ty), Ty::Range(item)) = (&param.ty, &g.ty) {
                let declared = self.declared(ty, &Env::default());
                self.fit(&declared, item, g.span, Some(param.span), false);
            }
        }
        law.clone()
    }
}
