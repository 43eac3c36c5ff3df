//! What studies write to files: tables, fields for viewers, fields over time.

use super::{Studies, entries};
use crate::base::{Diagnostic, Span};
use crate::discretize::{Mesh, Space};
use crate::ir::Tensor;
use crate::lower::Result;
use crate::lower::value::{Env, Field, Leaf, Num, Value};
use crate::sema::hir::{Arg, DefId, DefKind, SystemStmtKind};
use std::path::PathBuf;
use std::rc::Rc;

/// A field's values at the nodes of a space.
pub struct SavedField {
    /// As written.
    pub label: String,
    /// Of the values; empty where there is none.
    pub unit: String,
    pub space: Rc<Space>,
    /// `[N]`, `[N, d]` or `[N, d, d]`.
    pub values: Tensor,
}

/// Fields on one lattice at the same times.
pub struct Series {
    pub space: Rc<Space>,
    /// Empty: one state without a time.
    pub times: Vec<f64>,
    pub fields: Vec<Samples>,
}

/// A field at each time.
pub struct Samples {
    pub label: String,
    pub unit: String,
    /// `[N]`, `[N, d]` or `[N, d, d]`
    pub values: Vec<Tensor>,
}

/// Files of a run's folder.
pub trait Writer {
    /// Writes fields for viewers; gives the path.
    fn vtk(&mut self, name: &str, fields: &[SavedField], span: Span) -> std::result::Result<PathBuf, Box<Diagnostic>>;
    /// Writes numbers as a table; gives the path.
    fn save(
        &mut self,
        name: &str,
        values: &[(String, Value)],
        span: Span,
    ) -> std::result::Result<PathBuf, Box<Diagnostic>>;
    /// Writes fields over time; the format by the name. Gives the path.
    fn series(&mut self, name: &str, series: &Series, span: Span) -> std::result::Result<PathBuf, Box<Diagnostic>>;
}

/// What is shown or written of a value: fields at times, with names and units.
type Shown = (String, String, Vec<Field>);

impl Studies<'_, '_> {
    pub(super) fn vtk(&mut self, args: &[Arg], env: &Env, span: Span) -> Result<()> {
        let values = self.values("vtk", args, env, span)?;
        let Some(Value::Str(name)) = values.first().cloned() else {
            return crate::lower::error::error("shapes.arguments", span, "`vtk` takes a file name first");
        };
        let mut fields = vec![];
        for (a, v) in args.iter().zip(&values).skip(1) {
            let Value::Field(f) = v else {
                return crate::lower::error::error(
                    "shapes.arguments",
                    a.value.span,
                    format!("`vtk` writes fields, this is {}", v.kind()),
                );
            };
            let space = self.lower.space_of(f, span)?;
            let x = Num::Const(space.node_coordinates());
            let nodes = self.lower.statement("vtk", span, |l| Ok(Value::Num(l.field_at_points(f, &x, span)?)))?;
            if let Value::Num(Num::Const(values)) = nodes {
                fields.push(SavedField { label: self.label(a), unit: self.unit(&a.value), space, values });
            }
        }
        let path = self.writer.vtk(&name, &fields, span)?;
        self.outcome.files.push(path);
        Ok(())
    }

    pub(super) fn save(&mut self, args: &[Arg], env: &Env, span: Span) -> Result<()> {
        let values = self.values("save", args, env, span)?;
        let Some(Value::Str(name)) = values.first().cloned() else {
            return crate::lower::error::error("shapes.arguments", span, "`save` takes a file name first");
        };
        let named: Vec<(String, Value)> = args.iter().zip(values).skip(1).map(|(a, v)| (self.label(a), v)).collect();
        let path = self.writer.save(&name, &named, span)?;
        self.outcome.files.push(path);
        Ok(())
    }

    /// `write(solution, "name.vtkhdf")`, `write("name.npz", s.u, s.v)`
    pub(super) fn write(&mut self, args: &[Arg], env: &Env, span: Span) -> Result<()> {
        let wrong = |message: String| {
            crate::lower::error::error_help("shapes.arguments", span, message, "for example `write(s, \"run.vtkhdf\")`")
        };
        let values = self.values("write", args, env, span)?;
        let Some(name) = values.iter().find_map(|v| if let Value::Str(s) = v { Some(s.clone()) } else { None }) else {
            return wrong("`write` takes the name of a file".into());
        };
        let (mut shown, mut times) = (vec![], vec![]);
        for (a, v) in args.iter().zip(&values).filter(|(_, v)| !matches!(v, Value::Str(_))) {
            match (a.name.as_deref(), v) {
                (Some("t"), v) => times = entries(v),
                _ => {
                    let (more, at) = self.over_time(a, v);
                    if more.is_empty() {
                        return wrong(format!(
                            "`write` takes solutions, fields and lists of fields, this is {}",
                            v.kind()
                        ));
                    }
                    shown.extend(more);
                    times = if times.is_empty() { at } else { times };
                }
            }
        }
        let Some((_, _, first)) = shown.first() else { return wrong("there is nothing to write".into()) };
        let (count, mut space) = (first.len(), self.lower.space_of(&first[0], span)?);
        if space.mesh.clustered {
            // A series holds evenly spaced points.
            space = self.lower.space(Mesh { clustered: false, ..space.mesh.clone() }, 1, span)?;
        }
        if times.is_empty() && count > 1 {
            times = (0..count).map(|k| k as f64).collect();
        }
        let mut fields = vec![];
        for (label, unit, states) in &shown {
            if states.len() != count || (count > 1 && times.len() != count) {
                return wrong(format!(
                    "`{label}` has {} states, others have {count} and there are {} times",
                    states.len(),
                    times.len()
                ));
            }
            let values = states.iter().map(|f| self.at_nodes(f, &space, span)).collect::<Result<Vec<_>>>()?;
            fields.push(Samples { label: label.clone(), unit: unit.clone(), values });
        }
        let path = self.writer.series(&name, &Series { space, times, fields }, span)?;
        self.outcome.files.push(path);
        Ok(())
    }

    /// Fields over time from a solution, a field or a list of fields; the times where they are known.
    pub(super) fn over_time(&self, a: &Arg, v: &Value) -> (Vec<Shown>, Vec<f64>) {
        let fields = |v: &Value| -> Option<Vec<Field>> {
            match v {
                Value::Field(f) => Some(vec![f.clone()]),
                Value::List(items) => {
                    items.iter().map(|i| if let Value::Field(f) = i { Some(f.clone()) } else { None }).collect()
                }
                _ => None,
            }
        };
        match v {
            Value::Solution(s) => {
                let shown = s
                    .members
                    .iter()
                    .filter_map(|(name, v)| Some((name.clone(), self.declared_unit(s.problem, name), fields(v)?)));
                let times = s.members.get("t").map(entries).filter(|t| t.len() > 1).unwrap_or_default();
                (shown.filter(|s| !s.2.is_empty()).collect(), times)
            }
            other => {
                let shown = fields(other).filter(|f| !f.is_empty()).map(|f| (self.label(a), self.unit(&a.value), f));
                (shown.into_iter().collect(), vec![])
            }
        }
    }

    /// The unit that a system declares for an unknown, in SI.
    fn declared_unit(&self, system: DefId, unknown: &str) -> String {
        let DefKind::System(system) = &self.lower.program.def(system).kind else { return String::new() };
        let unit = system.stmts.iter().find_map(|s| match &s.kind {
            SystemStmtKind::Unknown { name, ty, .. } if name == unknown => ty.unit.clone(),
            _ => None,
        });
        unit.filter(|u| !u.dimension.is_none()).map(|u| crate::base::units::familiar(&u.dimension)).unwrap_or_default()
    }

    /// Values at the nodes of a space.
    fn at_nodes(&mut self, f: &Field, space: &Rc<Space>, span: Span) -> Result<Tensor> {
        if let [Leaf::Discrete { field, gradient: false }] = &f.leaves[..]
            && f.func.nodes.len() == 1
            && Rc::ptr_eq(&field.space, space)
            && let Some(known) = field.dofs.tensor()
        {
            return Ok(known.clone());
        }
        let x = Num::Const(space.node_coordinates());
        match self.lower.statement("write", span, |l| Ok(Value::Num(l.field_at_points(f, &x, span)?)))? {
            Value::Num(Num::Const(values)) => Ok(values),
            _ => crate::lower::error::error("run.value", span, "the values of this field are not known here"),
        }
    }
}
