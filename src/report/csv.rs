//! Comma-separated values of everything that is plotted. [RFC 4180]

use super::axes::title;
use super::figure::{BarChart, Content, Figure, LinePlot, TensorPlot};

/// The numbers behind a figure, or none where it has no curves (fields go to VTK).
pub fn of(figure: &Figure) -> Option<String> {
    match &figure.content {
        Content::Lines(p) => Some(curves(p)),
        Content::Bars(b) => Some(bars(b)),
        Content::Tensors(t) => Some(tensors(t)),
        Content::Fields(_) | Content::Film(_) | Content::Scales(_) | Content::Tasks(_) => None,
    }
}

/// One column of x and one of each curve where all share x; else rows of curve, x, y.
fn curves(plot: &LinePlot) -> String {
    let x = title(&plot.x.label, &plot.x.unit);
    let y = title(&plot.y.label, &plot.y.unit);
    let shared = plot.curves.windows(2).all(|w| w[0].x == w[1].x);
    let mut rows = vec![];
    if shared {
        let mut head = vec![x];
        let mut columns = vec![plot.curves.first().map_or(&[][..], |c| &c.x)];
        for c in &plot.curves {
            let name = if c.label.is_empty() { y.clone() } else { title(&c.label, &plot.y.unit) };
            columns.push(&c.y);
            if let Some((low, high)) = &c.band {
                columns.extend([&low[..], &high[..]]);
                head.extend([name.clone(), format!("{name} low"), format!("{name} high")]);
            } else {
                head.push(name);
            }
        }
        rows.push(head);
        let n = columns.iter().map(|c| c.len()).max().unwrap_or(0);
        rows.extend((0..n).map(|i| columns.iter().map(|c| c.get(i).map_or(String::new(), |v| number(*v))).collect()));
    } else {
        rows.push(vec!["curve".into(), x, y, "low".into(), "high".into()]);
        for c in &plot.curves {
            for (i, (x, y)) in c.x.iter().zip(&c.y).enumerate() {
                let edge = |v: &Vec<f64>| v.get(i).map_or(String::new(), |v| number(*v));
                let (low, high) = c.band.as_ref().map_or_else(Default::default, |(a, b)| (edge(a), edge(b)));
                rows.push(vec![c.label.clone(), number(*x), number(*y), low, high]);
            }
        }
    }
    text(&rows)
}

fn bars(chart: &BarChart) -> String {
    let mut head = vec!["group".to_string()];
    head.extend(chart.series.iter().map(|s| title(&s.0, &chart.y.unit)));
    let mut rows = vec![head];
    for (g, group) in chart.groups.iter().enumerate() {
        let mut row = vec![group.clone()];
        row.extend(chart.series.iter().map(|s| s.1.get(g).map_or(String::new(), |v| number(*v))));
        rows.push(row);
    }
    text(&rows)
}

fn tensors(plot: &TensorPlot) -> String {
    let mut rows = vec![vec!["name".to_string()]];
    rows[0].extend(["xx", "xy", "yx", "yy"].map(|c| title(c, &plot.unit)));
    for (name, k) in &plot.tensors {
        let mut row = vec![name.clone()];
        row.extend(k.as_flattened().iter().map(|v| number(*v)));
        rows.push(row);
    }
    text(&rows)
}

/// Every row a line; words with commas, quotes or line ends are quoted.
pub fn text(rows: &[Vec<String>]) -> String {
    let word = |w: &String| {
        if w.contains([',', '"', '\n', '\r']) { format!("\"{}\"", w.replace('"', "\"\"")) } else { w.clone() }
    };
    rows.iter().map(|r| r.iter().map(word).collect::<Vec<_>>().join(",") + "\n").collect()
}

/// All digits: reading it back gives the same bits.
fn number(v: f64) -> String {
    if v == 0.0 || (1e-4..1e15).contains(&v.abs()) { format!("{v}") } else { format!("{v:e}") }
}

#[cfg(test)]
mod tests {
    use super::super::figure::{Axis, Curve};
    use super::*;

    #[test]
    fn curves_of_one_x_share_its_column() {
        let c = |l: &str, x: Vec<f64>| Curve::new(l, x.clone(), x.iter().map(|x| x / 3.0).collect());
        let plot =
            |curves| LinePlot { x: Axis::new("t", "s"), y: Axis::new("u, v", "m"), curves, ..LinePlot::default() };
        assert_eq!(
            curves(&plot(vec![c("a", vec![0.0, 1.0]), c("b", vec![0.0, 1.0])])),
            "t [s],a [m],b [m]\n0,0,0\n1,0.3333333333333333,0.3333333333333333\n"
        );
        assert_eq!(
            curves(&plot(vec![c("a", vec![0.0]), c("b", vec![1e-7])])),
            "curve,t [s],\"u, v [m]\",low,high\na,0,0,,\nb,1e-7,3.3333333333333334e-8,,\n"
        );
    }
}
