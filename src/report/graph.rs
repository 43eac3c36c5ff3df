//! The task graph in layers from left to right: each task stands right of all it needs.
//! [Sugiyama, Tagawa & Toda 1981]

use super::axes::{SMALL, TEXT};
use super::canvas::{Align, Canvas, Paint, Theme};
use super::figure::{TaskGraph, TaskState};
use super::stroke::{self, short};

const BOX: f32 = 38.0;
/// Height of the place that an edge takes where it passes a layer.
const PASS: f32 = 8.0;
const GAP_X: f32 = 46.0;
const GAP_Y: f32 = 14.0;

/// A task, or a bend of an edge that spans several layers.
struct Node {
    task: Option<usize>,
    layer: usize,
    /// Centre.
    y: f32,
    h: f32,
}

pub fn draw(graph: &TaskGraph, title: &str, theme: Theme) -> String {
    let layers = layers_of(graph);
    let mut nodes: Vec<Node> =
        (0..graph.tasks.len()).map(|t| Node { task: Some(t), layer: layers[t], y: 0.0, h: BOX }).collect();
    let mut links = vec![];
    for &(from, to) in graph.edges.iter().filter(|e| e.0 < layers.len() && e.1 < layers.len()) {
        let mut last = from;
        for layer in layers[from] + 1..layers[to] {
            nodes.push(Node { task: None, layer, y: 0.0, h: PASS });
            links.push((last, nodes.len() - 1));
            last = nodes.len() - 1;
        }
        if layers[from] < layers[to] {
            links.push((last, to));
        }
    }
    let mut columns: Vec<Vec<usize>> = vec![vec![]; layers.iter().max().map_or(0, |m| m + 1)];
    (0..nodes.len()).for_each(|i| columns[nodes[i].layer].push(i));
    order(&mut columns, &links, nodes.len());
    place(&columns, &links, &mut nodes);
    close_gaps(&mut nodes);
    let low = nodes.iter().map(|n| n.y - 0.5 * n.h).fold(f32::INFINITY, f32::min).min(1e6);
    let high = nodes.iter().map(|n| n.y + 0.5 * n.h).fold(f32::NEG_INFINITY, f32::max).max(low);

    let words = |t: usize| {
        let task = &graph.tasks[t];
        stroke::width(&task.label, SMALL + 0.5).max(stroke::width(&task.note, SMALL - 0.5)) * 1.02 + 34.0
    };
    let widths: Vec<f32> =
        columns.iter().map(|c| c.iter().filter_map(|&i| nodes[i].task).map(words).fold(60.0, f32::max)).collect();
    let lefts: Vec<f32> = widths.iter().scan(16.0, |x, w| Some(std::mem::replace(x, *x + w + GAP_X))).collect();
    let width = lefts.iter().zip(&widths).map(|(x, w)| x + w).fold(200.0, f32::max) + 16.0;
    let mut c = Canvas::new(width.max(stroke::width(title, TEXT + 1.0) + 40.0), high - low + 44.0 + 40.0, theme);
    c.bold(title, 14.0, 24.0, TEXT + 1.0, Align::Left, Paint::Ink);
    let top = 44.0 - low;
    let side = |i: usize, right: bool| {
        let n = &nodes[i];
        let x = lefts[n.layer] + if right { widths[n.layer] } else { 0.0 };
        (x, n.y + top)
    };
    for &(a, b) in &links {
        let ((x0, y0), (x1, y1)) = (side(a, true), side(b, false));
        let m = 0.5 * (x0 + x1);
        let mut d = format!("M{} {}", short(x0), short(y0));
        // A bend runs straight through its own column.
        if nodes[a].task.is_none() {
            d = format!("M{} {}H{}", short(lefts[nodes[a].layer]), short(y0), short(x0));
        }
        d += &format!("C{} {} {} {} {} {}", short(m), short(y0), short(m), short(y1), short(x1), short(y1));
        c.path(&d, Paint::Muted, 1.0);
        if nodes[b].task.is_some() {
            let (x, y) = (short(x1 - 5.0), y1);
            c.path(
                &format!("M{x} {}L{} {}L{x} {}", short(y - 3.0), short(x1), short(y), short(y + 3.0)),
                Paint::Muted,
                1.0,
            );
        }
    }
    for n in &nodes {
        let Some(t) = n.task else { continue };
        let task = &graph.tasks[t];
        let (x, y, w) = (lefts[n.layer], n.y + top - 0.5 * BOX, widths[n.layer]);
        let (paint, full) = match task.state {
            TaskState::Ran => (Paint::Good, true),
            TaskState::Cached => (Paint::Good, false),
            TaskState::Failed => (Paint::Bad, true),
            TaskState::Waiting => (Paint::Muted, false),
        };
        let border = if task.state == TaskState::Failed { Paint::Bad } else { Paint::Faint };
        c.rect(x, y, w, BOX, 5.0, Paint::Wash, border, 1.0);
        c.dot(x + 13.0, y + 0.5 * BOX, 4.0, paint, 1.0);
        if !full {
            c.dot(x + 13.0, y + 0.5 * BOX, 2.6, Paint::Paper, 1.0);
        }
        let line = if task.note.is_empty() { y + 23.0 } else { y + 16.5 };
        c.text(&task.label, x + 24.0, line, SMALL + 0.5, Align::Left, Paint::Ink);
        c.text(&task.note, x + 24.0, y + 30.0, SMALL - 0.5, Align::Left, Paint::Muted);
    }
    let mut x = 16.0;
    for (state, word) in [
        (TaskState::Ran, "ran"),
        (TaskState::Cached, "cached"),
        (TaskState::Failed, "failed"),
        (TaskState::Waiting, "to do"),
    ] {
        if graph.tasks.iter().any(|t| t.state == state) {
            let y = c.height - 14.0;
            let paint = match state {
                TaskState::Ran | TaskState::Cached => Paint::Good,
                TaskState::Failed => Paint::Bad,
                TaskState::Waiting => Paint::Muted,
            };
            c.dot(x + 4.0, y - 3.6, 4.0, paint, 1.0);
            if matches!(state, TaskState::Cached | TaskState::Waiting) {
                c.dot(x + 4.0, y - 3.6, 2.6, Paint::Paper, 1.0);
            }
            c.text(word, x + 13.0, y, SMALL, Align::Left, Paint::Muted);
            x += 13.0 + stroke::width(word, SMALL) + 18.0;
        }
    }
    c.finish(title)
}

/// The longest way to each task. Edges that close a cycle are left out: a run has none, and a picture must not hang.
fn layers_of(graph: &TaskGraph) -> Vec<usize> {
    let n = graph.tasks.len();
    let edges: Vec<(usize, usize)> = graph.edges.iter().copied().filter(|e| e.0 < n && e.1 < n && e.0 != e.1).collect();
    let mut layer = vec![0; n];
    for _ in 0..n {
        let mut changed = false;
        for &(a, b) in &edges {
            if layer[b] <= layer[a] && layer[a] + 1 < n.max(1) {
                layer[b] = layer[a] + 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    layer
}

/// Sorts each column by the mean place of its neighbours, back and forth, which removes most crossings.
fn order(columns: &mut [Vec<usize>], links: &[(usize, usize)], n: usize) {
    let mut place = vec![0.0; n];
    let note = |column: &[usize], place: &mut Vec<f32>| {
        column.iter().enumerate().for_each(|(k, &i)| place[i] = k as f32 - 0.5 * column.len() as f32)
    };
    columns.iter().for_each(|c| note(c, &mut place));
    for sweep in 0..8 {
        let forward = sweep % 2 == 0;
        let sequence: Vec<usize> =
            if forward { (0..columns.len()).collect() } else { (0..columns.len()).rev().collect() };
        for k in sequence {
            let mean = |i: usize| {
                let near: Vec<f32> = links
                    .iter()
                    .filter_map(|&(a, b)| if forward { (b == i).then(|| place[a]) } else { (a == i).then(|| place[b]) })
                    .collect();
                if near.is_empty() { place[i] } else { near.iter().sum::<f32>() / near.len() as f32 }
            };
            let mut keyed: Vec<(f32, usize)> = columns[k].iter().map(|&i| (mean(i), i)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            columns[k] = keyed.into_iter().map(|p| p.1).collect();
            note(&columns[k], &mut place);
        }
    }
}

/// Heights: each node moves towards its neighbours as far as those above and below let it.
fn place(columns: &[Vec<usize>], links: &[(usize, usize)], nodes: &mut [Node]) {
    for column in columns {
        let mut y = -0.5 * column.iter().map(|&i| nodes[i].h + GAP_Y).sum::<f32>();
        for &i in column {
            nodes[i].y = y + 0.5 * nodes[i].h;
            y += nodes[i].h + GAP_Y;
        }
    }
    for _ in 0..24 {
        for column in columns {
            let want: Vec<f32> = column
                .iter()
                .map(|&i| {
                    let near: Vec<f32> = links
                        .iter()
                        .filter_map(|&(a, b)| if a == i { Some(nodes[b].y) } else { (b == i).then(|| nodes[a].y) })
                        .collect();
                    if near.is_empty() { nodes[i].y } else { near.iter().sum::<f32>() / near.len() as f32 }
                })
                .collect();
            for (&i, w) in column.iter().zip(&want) {
                nodes[i].y += 0.5 * (w - nodes[i].y);
            }
            // Downwards and upwards half each, so that nobody is favoured.
            for _ in 0..column.len() {
                for pair in column.windows(2) {
                    let (a, b) = (pair[0], pair[1]);
                    let short_of = 0.5 * (nodes[a].h + nodes[b].h) + GAP_Y - (nodes[b].y - nodes[a].y);
                    if short_of > 0.0 {
                        nodes[a].y -= 0.5 * short_of;
                        nodes[b].y += 0.5 * short_of;
                    }
                }
            }
            for pair in column.windows(2) {
                let (a, b) = (pair[0], pair[1]);
                let least = nodes[a].y + 0.5 * (nodes[a].h + nodes[b].h) + GAP_Y;
                nodes[b].y = nodes[b].y.max(least);
            }
        }
    }
}

/// Parts of the graph that have nothing to do with each other drift apart; bands where nothing stands are taken out.
fn close_gaps(nodes: &mut [Node]) {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by(|&a, &b| (nodes[a].y - 0.5 * nodes[a].h).total_cmp(&(nodes[b].y - 0.5 * nodes[b].h)));
    let (mut shift, mut lowest) = (0.0, f32::INFINITY);
    for i in order {
        let n = &mut nodes[i];
        let top = n.y - 0.5 * n.h - shift;
        shift += (top - lowest - GAP_Y).max(0.0);
        n.y -= shift;
        lowest = if lowest.is_finite() { lowest.max(n.y + 0.5 * n.h) } else { n.y + 0.5 * n.h };
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::TaskBox;
    use super::*;

    #[test]
    fn tasks_stand_right_of_what_they_need_and_cycles_do_not_hang() {
        let task = |l: &str| TaskBox { label: l.into(), note: String::new(), state: TaskState::Ran };
        let tasks: Vec<TaskBox> = ["a", "b", "c", "d"].map(task).into();
        let graph = TaskGraph { tasks: tasks.clone(), edges: vec![(0, 1), (1, 2), (0, 2), (3, 2)] };
        assert_eq!(layers_of(&graph), [0, 1, 2, 0]);
        let cyclic = TaskGraph { tasks, edges: vec![(0, 1), (1, 0), (2, 2), (3, 9)] };
        draw(&cyclic, "cycle", Theme::Paper);
        draw(&TaskGraph::default(), "empty", Theme::Paper);
    }
}
