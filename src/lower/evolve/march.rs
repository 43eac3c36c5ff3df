//! What is known of a run in time besides its numbers, for those who follow it: how far it is, what broke where, what a plan says.
//! The loops of a run carry its mark in the names of their bodies; names take no part in any key of a result.

use super::driver::Tries;
pub use super::driver::{ACCEPTED, ENDED, LENGTH, MANY, REJECTED, SHORT, TIME};
use super::ordinary::Ordinary;
use super::timeline::Timeline;
pub use super::watched::{Held, Look, Rule, Start, Watched};
use crate::base::Span;
use crate::base::digits::short;
use crate::base::fingerprint::Hasher;
use crate::discretize::Space;
use crate::ir::{Func, Tensor};
use crate::lower::Lower;
use crate::lower::error::{Result, error};
use crate::lower::solve::{Integrator, given};
use crate::lower::system::Equations;
use crate::lower::value::Value;
use indexmap::IndexMap;
use std::rc::Rc;

/// A run of a system in time.
#[derive(Clone)]
pub struct March {
    pub system: String,
    /// Scale of its domain.
    pub scale: Option<String>,
    /// Unknowns with their shapes, in the order of the state.
    pub unknowns: Vec<(String, Vec<usize>)>,
    /// Where the state lies.
    pub layout: Layout,
    /// Where unknown fields have their values.
    pub points: Option<Rc<Space>>,
    /// In space: `finite differences of order 4 on 128 × 128 points`.
    pub space: String,
    /// In time: `rk4`.
    pub time: String,
    /// What is treated implicitly, in words.
    pub implicit: String,
    pub start: f64,
    /// Length of a step, in SI.
    pub step: f64,
    pub steps: usize,
    /// Steps between two samples, where samples are kept.
    pub per_sample: Option<usize>,
    /// For each unknown, or each of unknown numbers, the equation that is paired with it: its name, empty where none is, and as written.
    pub equations: Vec<(String, String)>,
    /// How often a checkpoint is asked for.
    pub checkpoint: Option<Often>,
    /// What must hold.
    pub watched: Option<Watched>,
    /// All unknowns of a state that is not made of values at points.
    pub shown: Option<Look>,
    /// Which of what is carried begins with the state.
    pub place: usize,
    /// Lengths of steps are found on the way.
    pub found: bool,
}

/// How often something is done while a run goes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Often {
    /// Of the clock.
    Seconds(f64),
    Steps(usize),
}

/// How the entries of a state are ordered.
#[derive(Clone)]
pub enum Layout {
    /// `[component, point]`
    Components(Rc<Space>),
    /// `[point, component]`
    Points(Rc<Space>),
    /// So many numbers, not values at points.
    Elsewhere(usize),
    /// Numbers with these names.
    Numbers(Vec<String>),
}

impl March {
    /// Entries of a state.
    pub fn entries(&self) -> usize {
        let components: usize = self.unknowns.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        match &self.layout {
            Layout::Components(space) | Layout::Points(space) => components * space.node_count(),
            Layout::Elsewhere(n) => *n,
            Layout::Numbers(names) => names.len(),
        }
    }

    /// Samples that are kept, the start among them.
    pub fn kept(&self) -> Option<usize> {
        self.per_sample.map(|n| self.steps / n + 1)
    }

    /// The same of steps that are found on the way: known are the samples.
    pub(super) fn of_tries(self, tries: &Tries) -> March {
        March { per_sample: None, place: tries.place, found: true, ..self }
    }

    /// Identifies the run among those of a program.
    pub fn mark(&self) -> String {
        let mut h = Hasher::new("march");
        h.text(&self.system).text(&self.space).text(&self.time).text(&format!("{:?}", self.unknowns));
        h.number(self.start).number(self.step).integer(self.steps as u64).integer(self.per_sample.unwrap_or(0) as u64);
        if let Some(watched) = &self.watched {
            h.integer(watched.claims.len() as u64);
            // Runs that differ in nothing else may be held to other numbers.
            for c in &watched.claims {
                if let Rule::Conserved { start: Start::Known { value, allowed }, .. } = c.rule {
                    h.number(value).number(allowed);
                }
            }
            for t in &watched.look.captured {
                h.bytes(&t.bytes());
            }
        }
        format!("{}#{}", self.system, h.finish().short())
    }

    /// The unknown with its component, and the point, of an entry of the state.
    pub fn entry(&self, at: usize) -> (String, Option<usize>) {
        match &self.layout {
            Layout::Elsewhere(_) => ("the state".into(), None),
            Layout::Numbers(names) => (format!("`{}`", names[at]), None),
            _ => self.named(self.place(at)),
        }
    }

    /// The number of the unknown, among those with an equation each, that an entry of the state belongs to.
    pub fn number(&self, at: usize) -> Option<usize> {
        match &self.layout {
            Layout::Components(_) | Layout::Points(_) => self.of_component(self.place(at)?.0),
            Layout::Numbers(_) => Some(at),
            Layout::Elsewhere(_) => None,
        }
    }

    /// As [`March::entry`], of an entry of all unknowns `[component, point]` where the state is of another kind.
    pub fn of_values(&self, at: usize) -> (String, Option<usize>) {
        self.named(self.value_place(at))
    }

    /// As [`March::number`], of such an entry.
    pub fn number_of_values(&self, at: usize) -> Option<usize> {
        self.of_component(self.value_place(at)?.0)
    }

    fn value_place(&self, at: usize) -> Option<(usize, usize)> {
        let n = self.points.as_ref()?.node_count().max(1);
        Some((at / n, at % n))
    }

    /// Component and point of an entry.
    fn place(&self, at: usize) -> Option<(usize, usize)> {
        let components: usize = self.unknowns.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        match &self.layout {
            Layout::Components(space) => Some((at / space.node_count().max(1), at % space.node_count().max(1))),
            Layout::Points(_) => Some((at % components.max(1), at / components.max(1))),
            Layout::Elsewhere(_) | Layout::Numbers(_) => None,
        }
    }

    fn of_component(&self, component: usize) -> Option<usize> {
        let mut first = 0;
        self.unknowns.iter().position(|(_, shape)| {
            first += shape.iter().product::<usize>();
            component < first
        })
    }

    fn named(&self, place: Option<(usize, usize)>) -> (String, Option<usize>) {
        let named = place.and_then(|(component, point)| Some((component_name(&self.unknowns, component)?, point)));
        named.map_or(("the state".into(), None), |(name, point)| (format!("`{name}`"), Some(point)))
    }

    /// `its equation is `heat`: ∂t(u) = …` of the unknown with a number as [`March::number`] gives it.
    pub fn equation(&self, number: usize) -> Option<String> {
        let (name, text) = self.equations.get(number).filter(|(name, _)| !name.is_empty())?;
        let text = text.strip_prefix(&format!("eq {name}:")).map_or(text.as_str(), str::trim);
        Some(format!("its equation is `{name}`: {text}"))
    }

    /// ` in cell 23 at (0.3672)`
    pub fn cell(&self, point: usize) -> String {
        let x = self.points.as_ref().map_or(vec![], |space| coordinates(space, point));
        let x: Vec<String> = x.iter().map(|x| short(*x)).collect();
        format!(" in cell {point} at ({})", x.join(", "))
    }

    /// ` (scale `micro`)`, where its domain is of one.
    pub fn of_scale(&self) -> String {
        self.scale.as_ref().map(|s| format!(" (scale `{s}`)")).unwrap_or_default()
    }

    /// `rk4 on finite elements of order 1, 65 nodes, a step of 0.01`
    pub fn method(&self) -> String {
        match self.found {
            true => format!("{} on {}", self.time, self.space),
            false => format!("{} on {}, a step of {}", self.time, self.space, short(self.step)),
        }
    }
}

/// The unknowns of a solve, by their numbers in it.
#[derive(Clone)]
pub enum Sought {
    Fields {
        /// With their shapes.
        unknowns: Vec<(String, Vec<usize>)>,
        space: Rc<Space>,
        /// Where each number stands among all values `[node, component]`.
        places: Tensor,
    },
    /// Numbers with these names, and for each residual the equation that it is of.
    Numbers { names: Vec<String>, equations: Vec<String> },
}

impl Sought {
    /// How many unknown numbers there are.
    pub fn count(&self) -> usize {
        match self {
            Sought::Fields { places, .. } => places.ty.len(),
            Sought::Numbers { names, .. } => names.len(),
        }
    }

    /// Name and place of an unknown number: `v[1]`, and the coordinates of its node where it has one.
    pub fn named(&self, index: usize) -> Option<(String, Vec<f64>)> {
        match self {
            Sought::Fields { unknowns, space, places } => {
                let at = *places.as_index()?.get(index)? as usize;
                let components: usize = unknowns.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
                let name = component_name(unknowns, at % components.max(1))?;
                Some((name, coordinates(space, at / components.max(1))))
            }
            Sought::Numbers { names, .. } => Some((names.get(index)?.clone(), vec![])),
        }
    }
}

/// `u`, `v[1]`, `σ[0, 1]`
fn component_name(unknowns: &[(String, Vec<usize>)], component: usize) -> Option<String> {
    let mut first = 0;
    for (name, shape) in unknowns {
        let n: usize = shape.iter().product();
        if component < first + n {
            let mut rest = component - first;
            let mut index = vec![];
            for extent in shape.iter().rev() {
                index.push((rest % extent).to_string());
                rest /= extent;
            }
            index.reverse();
            return Some(if index.is_empty() { name.clone() } else { format!("{name}[{}]", index.join(", ")) });
        }
        first += n;
    }
    None
}

fn coordinates(space: &Space, node: usize) -> Vec<f64> {
    let d = space.mesh.dimension();
    let all = space.node_coordinates();
    all.as_f64().and_then(|x| x.get(node * d..(node + 1) * d)).map_or(vec![], <[f64]>::to_vec)
}

/// What a round of a loop of a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Round {
    Step,
    /// So many steps.
    Sample,
    /// A step of a length found on the way, or one that came to nothing.
    Try,
    /// Tries up to the next time that is kept.
    Tries,
}

impl Round {
    /// Whether the steps are found on the way: time and steps are then carried.
    pub fn found(self) -> bool {
        matches!(self, Round::Try | Round::Tries)
    }
}

const ROUNDS: [(Round, &str); 4] =
    [(Round::Step, "step of "), (Round::Sample, "sample of "), (Round::Try, "try of "), (Round::Tries, "tries of ")];

/// The mark of a loop, by the name of its body, and what a round of it is.
pub fn marked(body: &str) -> Option<(&str, Round)> {
    ROUNDS.iter().find_map(|(round, prefix)| Some((body.strip_prefix(prefix)?, *round)))
}

/// Gives a step the name by which its loop is found.
pub fn mark_step(step: &mut Func, mark: &str) {
    step.name = named(mark, Round::Step);
}

/// The name of another round of the run that a step belongs to.
pub(super) fn round_name(step: &str, round: Round) -> String {
    match marked(step) {
        Some((mark, _)) => named(mark, round),
        None => step.into(),
    }
}

fn named(mark: &str, round: Round) -> String {
    let prefix = ROUNDS.iter().find(|(r, _)| *r == round).map_or("", |(_, prefix)| prefix);
    format!("{prefix}{mark}")
}

/// The name of a method in time.
pub(super) fn method_name(method: Integrator) -> String {
    match method {
        Integrator::RungeKutta(t) => t.name.into(),
        Integrator::Symplectic(m) => m.name.into(),
        Integrator::Rosenbrock(m) => m.name.into(),
        _ => "the method".into(),
    }
}

/// Names of the numbers of a state, of which there are so many.
pub(super) fn names(system: &Ordinary, n: usize) -> Vec<String> {
    let mut names: Vec<String> = vec![String::new(); n];
    for u in &system.unknowns {
        for (at, first) in std::iter::once(u.value).chain(u.velocity).enumerate() {
            for k in 0..u.len() {
                let index = if u.shape.is_empty() { String::new() } else { format!("[{k}]") };
                let name = format!("{}{index}", u.name);
                if let Some(place) = names.get_mut(first + k) {
                    *place = if at == 0 { name } else { format!("∂t({name})") };
                }
            }
        }
    }
    names
}

impl Lower<'_> {
    /// The text of a statement, in one line.
    pub(super) fn as_written(&self, span: Span) -> String {
        self.program.sources.text(span).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// `checkpoint` of `solve`: a time of the clock, or a number of steps.
    pub(super) fn often(&mut self, args: &IndexMap<String, Value>, span: Span) -> Result<Option<Often>> {
        let Some(value) = given(args, "checkpoint").cloned() else { return Ok(None) };
        let often = match &value {
            Value::Int(n) => Often::Steps((*n).max(0) as usize),
            other => Often::Seconds(self.known_real(other, span)?),
        };
        match often {
            Often::Seconds(x) if x >= 0.0 => Ok(Some(often)),
            Often::Steps(1..) => Ok(Some(often)),
            _ => {
                error("run.scheme", span, "`checkpoint` is a time of the clock or a number of steps, and not negative")
            }
        }
    }

    /// Describes a run of numbers.
    pub(super) fn describe_numbers(&self, system: &Ordinary, timeline: &Timeline, n: usize) -> March {
        let names = names(system, n);
        let mut equations = vec![(String::new(), String::new()); n];
        for u in &system.unknowns {
            for first in std::iter::once(u.value).chain(u.velocity) {
                for k in 0..u.len() {
                    if let (Some(place), Some((name, span))) = (equations.get_mut(first + k), &u.equation) {
                        *place = (name.clone(), self.as_written(*span));
                    }
                }
            }
        }
        March {
            system: system.name.clone(),
            scale: None,
            unknowns: vec![],
            layout: Layout::Numbers(names),
            points: None,
            space: "numbers".into(),
            time: "steps".into(),
            implicit: String::new(),
            start: timeline.start,
            step: timeline.step,
            steps: timeline.samples * timeline.per_sample,
            per_sample: timeline.keep.then_some(timeline.per_sample),
            equations,
            checkpoint: None,
            watched: None,
            shown: None,
            place: 0,
            found: false,
        }
    }

    /// Describes a run of these equations, whose unknowns are fields.
    pub(super) fn describe(
        &self,
        eqs: &Equations,
        timeline: &Timeline,
        layout: Layout,
        (space, time, implicit): (String, String, String),
    ) -> March {
        March {
            system: eqs.name.clone(),
            scale: eqs.domain.scale.map(|s| self.program.def(s).name.clone()),
            unknowns: eqs.unknowns.iter().map(|u| (u.name.clone(), u.shape.clone())).collect(),
            points: match &layout {
                Layout::Components(space) | Layout::Points(space) => Some(space.clone()),
                _ => None,
            },
            layout,
            space,
            time,
            implicit,
            start: timeline.start,
            step: timeline.step,
            steps: timeline.samples * timeline.per_sample,
            per_sample: timeline.keep.then_some(timeline.per_sample),
            equations: eqs.balances.iter().map(|e| (e.name.clone(), self.as_written(e.span))).collect(),
            checkpoint: None,
            watched: None,
            shown: None,
            place: 0,
            found: false,
        }
    }
}
