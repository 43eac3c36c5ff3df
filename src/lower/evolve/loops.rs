//! The loop over steps of one length, and the states that are kept of it.

use super::Step;
use super::march::March;
use super::timeline::Timeline;
use crate::ir::Func;
use crate::lower::Lower;
use crate::lower::value::Num;

impl Lower<'_> {
    /// The loop over the steps: the states at the end, then what was kept.
    pub(super) fn looped(&mut self, timeline: &Timeline, step: Step) -> Vec<Num> {
        let mut args = step.initial.clone();
        args.push(Num::Const(timeline.times()));
        args.extend(step.captured);
        let states = step.initial.len();
        let refs: Vec<&Num> = args.iter().collect();
        let looped = timeline.looped(step.func, states);
        self.tracer.build_all(&refs, |b, v| b.ops(looped, v))
    }

    /// Runs the steps. The states that are kept, `[k]` of the first state.
    pub(super) fn march(&mut self, timeline: &Timeline, mut step: Step, march: March) -> Vec<Num> {
        self.runtime.marches(march, &mut step.func);
        let (states, initial) = (step.initial.len(), step.initial[0].clone());
        let out = self.looped(timeline, step);
        if !timeline.keep {
            return vec![out[0].clone()];
        }
        let mut kept = vec![initial];
        for k in 0..timeline.samples {
            kept.push(self.tracer.build(&[&out[states]], |b, v| b.index(v[0], 0, k)));
        }
        kept
    }

    /// The same of states made of the first two that are carried: `of_pair(first, second, t, captured…)`.
    pub(super) fn march_pairs(
        &mut self,
        timeline: &Timeline,
        mut step: Step,
        march: March,
        of_pair: &Func,
        captured: &[Num],
    ) -> Vec<Num> {
        self.runtime.marches(march, &mut step.func);
        let mut args = step.initial.clone();
        args.push(Num::Const(timeline.times()));
        args.extend(step.captured);
        let states = step.initial.len();
        let refs: Vec<&Num> = args.iter().collect();
        let looped = timeline.looped_keeping(step.func, states, 2);
        let out = self.tracer.build_all(&refs, |b, v| b.ops(looped, v));
        let mut pairs = vec![];
        if timeline.keep {
            pairs.push([step.initial[0].clone(), step.initial[1].clone()]);
            for k in 0..timeline.samples {
                let mut of = |n: &Num| self.tracer.build(&[n], |b, v| b.index(v[0], 0, k));
                pairs.push([of(&out[states]), of(&out[states + 1])]);
            }
        } else {
            pairs.push([out[0].clone(), out[1].clone()]);
        }
        let whole = pairs.iter().enumerate().map(|(k, [first, second])| {
            let t = Num::scalar(timeline.kept(k));
            let args: Vec<&Num> = [first, second, &t].into_iter().chain(captured).collect();
            self.tracer.build(&args, |b, v| b.inline(of_pair, v)[0])
        });
        whole.collect()
    }
}
