//! What is known of a run in time besides its numbers, for those who follow it: how far it is, what broke where, what a plan says.
//! The loops of a run carry its mark in the names of their bodies; names take no part in any key of a result.

pub use super::driver::{ACCEPTED, TIME};
use super::ordinary::Ordinary;
use super::timeline::Timeline;
pub use super::watched::{Held, Look, Rule, Watched};
use crate::base::Span;
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
    /// For each unknown the equation that is paired with it: its name, and as written.
    pub equations: Vec<(String, String)>,
    /// How often a checkpoint is asked for.
    pub checkpoint: Option<Often>,
    /// What must hold.
    pub watched: Option<Watched>,
    /// All unknowns of a state that is not made of values at points.
    pub shown: Option<Look>,
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

    /// Identifies the run among those of a program.
    pub fn mark(&self) -> String {
        let mut h = Hasher::new("march");
        h.text(&self.system).text(&self.space).text(&self.time).text(&format!("{:?}", self.unknowns));
        h.number(self.start).number(self.step).integer(self.steps as u64).integer(self.per_sample.unwrap_or(0) as u64);
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

    /// The number of the unknown that an entry of the state belongs to.
    pub fn number(&self, at: usize) -> Option<usize> {
        matches!(self.layout, Layout::Components(_) | Layout::Points(_))
            .then(|| self.of_component(self.place(at)?.0))
            .flatten()
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

    /// Where a point lies.
    pub fn coordinates(&self, point: usize) -> Vec<f64> {
        self.points.as_ref().map_or(vec![], |space| coordinates(space, point))
    }
}

/// The unknowns of a solve, by their numbers in it.
#[derive(Clone)]
pub struct Sought {
    /// Unknown fields with their shapes.
    pub unknowns: Vec<(String, Vec<usize>)>,
    pub space: Rc<Space>,
    /// Where each number stands among all values `[node, component]`.
    pub places: Tensor,
}

impl Sought {
    /// Name and place of an unknown number: `v[1]`, and the coordinates of its node.
    pub fn named(&self, index: usize) -> Option<(String, Vec<f64>)> {
        let at = *self.places.as_index()?.get(index)? as usize;
        let components: usize = self.unknowns.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        let name = component_name(&self.unknowns, at % components.max(1))?;
        Some((name, coordinates(&self.space, at / components.max(1))))
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

/// The mark of a loop, by the name of its body, and whether a round of it is a sample of several steps.
pub fn marked(body: &str) -> Option<(&str, bool)> {
    let tries = || body.strip_prefix(TRIES).map(|m| (m, false));
    let step = body.strip_prefix("step of ").map(|m| (m, false));
    step.or_else(|| body.strip_prefix("sample of ").map(|m| (m, true))).or_else(tries)
}

const TRIES: &str = "tries of ";

/// Whether a round of this loop is made of tries, some of which may come to nothing: numbers that are not finite are no failure there.
pub fn of_tries(body: &str) -> bool {
    body.starts_with(TRIES)
}

/// Gives what makes a sample out of tries the name by which its loop is found.
pub(super) fn mark_tries(sample: &mut Func) {
    if let Some((mark, _)) = marked(&sample.name) {
        sample.name = format!("{TRIES}{mark}");
    }
}

/// Gives a step the name by which its loop is found.
pub fn mark_step(step: &mut Func, mark: &str) {
    step.name = format!("step of {mark}");
}

/// The name of what makes a sample.
pub(super) fn sample_name(step: &Func) -> String {
    match marked(&step.name) {
        Some((mark, _)) => format!("sample of {mark}"),
        None => "sample".into(),
    }
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
        let steps = timeline.samples * timeline.per_sample;
        March {
            steps,
            per_sample: timeline.keep.then_some(timeline.per_sample),
            ..self.describe_tries(&system.name, timeline, names)
        }
    }

    /// Describes a run whose steps are found on the way: known are its samples and the names of its numbers.
    pub(super) fn describe_tries(&self, system: &str, timeline: &Timeline, names: Vec<String>) -> March {
        March {
            system: system.into(),
            scale: None,
            unknowns: vec![],
            layout: Layout::Numbers(names),
            points: None,
            space: "numbers".into(),
            time: "steps".into(),
            implicit: String::new(),
            start: timeline.start,
            step: timeline.step,
            steps: timeline.samples,
            per_sample: None,
            equations: vec![],
            checkpoint: None,
            watched: None,
            shown: None,
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
        }
    }
}
