//! What is known of a run in time besides its numbers, for those who follow it: how far it is, what broke where, what a plan says.
//! The loops of a run carry its mark in the names of their bodies; names take no part in any key of a result.

use super::timeline::Timeline;
use crate::base::fingerprint::Hasher;
use crate::discretize::Space;
use crate::ir::Func;
use crate::lower::Lower;
use crate::lower::system::Equations;
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
}

impl March {
    /// Entries of a state.
    pub fn entries(&self) -> usize {
        let components: usize = self.unknowns.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        match &self.layout {
            Layout::Components(space) | Layout::Points(space) => components * space.node_count(),
            Layout::Elsewhere(n) => *n,
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
        let components: usize = self.unknowns.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        let (component, point) = match &self.layout {
            Layout::Components(space) => (at / space.node_count().max(1), Some(at % space.node_count().max(1))),
            Layout::Points(_) => (at % components.max(1), Some(at / components.max(1))),
            Layout::Elsewhere(_) => return ("the state".into(), None),
        };
        let mut first = 0;
        for (name, shape) in &self.unknowns {
            let n: usize = shape.iter().product();
            if component < first + n {
                let mut rest = component - first;
                let mut index = vec![];
                for extent in shape.iter().rev() {
                    index.push((rest % extent).to_string());
                    rest /= extent;
                }
                index.reverse();
                let index = if index.is_empty() { String::new() } else { format!("[{}]", index.join(", ")) };
                return (format!("`{name}{index}`"), point);
            }
            first += n;
        }
        ("the state".into(), None)
    }

    /// Where a point lies.
    pub fn coordinates(&self, point: usize) -> Vec<f64> {
        match &self.layout {
            Layout::Components(space) | Layout::Points(space) => {
                let d = space.mesh.dimension();
                space.node_coordinates().to_f64()[point * d..][..d].to_vec()
            }
            Layout::Elsewhere(_) => vec![],
        }
    }
}

/// The mark of a loop, by the name of its body, and whether a round of it is a sample of several steps.
pub fn marked(body: &str) -> Option<(&str, bool)> {
    body.strip_prefix("step of ").map(|m| (m, false)).or_else(|| body.strip_prefix("sample of ").map(|m| (m, true)))
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

impl Lower<'_> {
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
            layout,
            space,
            time,
            implicit,
            start: timeline.start,
            step: timeline.step,
            steps: timeline.samples * timeline.per_sample,
            per_sample: timeline.keep.then_some(timeline.per_sample),
        }
    }
}
