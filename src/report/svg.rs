//! A figure as SVG.

use super::canvas::Theme;
use super::figure::{Content, Figure};
use super::{field, graph, plot, scales, tensors};

/// The picture on its own, black on white, or for a page that defines the colours (see [`super::html`]).
pub fn draw(figure: &Figure, theme: Theme) -> String {
    let id = file_stem(&figure.id);
    match &figure.content {
        Content::Lines(p) => plot::lines(p, &figure.title, &id, theme),
        Content::Bars(b) => plot::bars(b, &figure.title, theme),
        Content::Fields(f) => field::draw(f, &figure.title, theme),
        Content::Film(f) => field::film(f, &figure.title, theme),
        Content::Scales(m) => scales::draw(m, &figure.title, theme),
        Content::Tasks(g) => graph::draw(g, &figure.title, theme),
        Content::Tensors(t) => tensors::draw(t, &figure.title, theme),
    }
}

/// Letters, digits, `-` and `_`, so that any system takes it as a file name; never empty.
pub fn file_stem(id: &str) -> String {
    let stem: String = id.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    let stem = stem.trim_matches('-');
    if stem.is_empty() { "figure".into() } else { stem.into() }
}

#[cfg(test)]
pub use tests::gallery;

#[cfg(test)]
mod tests {
    use super::super::figure::*;
    use super::*;

    fn figure(id: &str, title: &str, content: Content) -> Figure {
        Figure { id: id.into(), title: title.into(), caption: String::new(), study: String::new(), content }
    }

    /// One picture of each kind.
    pub fn gallery() -> Vec<Figure> {
        let epochs: Vec<f64> = (0..400).map(|i| i as f64 * 10.0).collect();
        let loss = |a: f64, b: f64| -> Vec<f64> {
            epochs
                .iter()
                .map(|e| a * (-e / 350.0).exp() + b * (1.0 + 0.2 * (e / 17.0).sin()) * (-e / 2500.0).exp())
                .collect()
        };
        let training = LinePlot {
            x: Axis::new("epoch", ""),
            y: Axis::new("loss", "").log(),
            curves: vec![
                Curve::new("training", epochs.clone(), loss(1.0, 3e-3)),
                Curve::new("validation", epochs.clone(), loss(1.2, 5e-3)).style(Stroke::Dashed),
            ],
            ..LinePlot::default()
        };
        let phi: Vec<f64> = (1..=12).map(|i| i as f64 * 0.05).collect();
        let k: Vec<f64> = phi.iter().map(|p| 0.2 * (1.0 + 2.2 * p + 3.0 * p * p)).collect();
        let near = |f: f64| k.iter().map(|k| k * f).collect::<Vec<_>>();
        let conductivity = LinePlot {
            x: Axis::new("inclusion fraction φ", "1"),
            y: Axis::new("k_eff", "W/m/K"),
            curves: vec![
                Curve::new("surrogate, ±2σ", phi.clone(), k.clone()).band(near(0.93), near(1.08)),
                Curve::new("fine solves", phi, near(1.01)).style(Stroke::Points),
            ],
            levels: vec![(0.2, "matrix".into())],
            ..LinePlot::default()
        };
        let h = vec![0.1, 0.05, 0.025, 0.0125];
        let order = |p: i32| h.iter().map(|h: &f64| 0.4 * h.powi(p)).collect::<Vec<_>>();
        let convergence = LinePlot {
            x: Axis::new("h", "m").log(),
            y: Axis::new("‖T − T*‖ / ‖T*‖", "").log(),
            curves: vec![
                Curve::new("order 1", h.clone(), order(2)).style(Stroke::Marked),
                Curve::new("order 2", h.clone(), order(3)).style(Stroke::Marked),
            ],
            ..LinePlot::default()
        };
        let truth: Vec<f64> = (0..120).map(|i| 0.2 + 0.006 * i as f64).collect();
        let guess = truth.iter().enumerate().map(|(i, t)| t + 0.02 * ((i * 37 % 11) as f64 - 5.0) / 5.0).collect();
        let parity = LinePlot {
            x: Axis::new("k, fine solve", "W/m/K"),
            y: Axis::new("k, surrogate", "W/m/K"),
            curves: vec![Curve::new("test rows", truth, guess).style(Stroke::Points)],
            parity: true,
            ..LinePlot::default()
        };
        let (nx, ny) = (101, 51);
        let grid = |f: &dyn Fn(f64, f64) -> f64| FieldData::Grid {
            nx,
            ny,
            x: (0.0, 100.0),
            y: (0.0, 50.0),
            values: (0..nx * ny).map(|k| f((k % nx) as f64 / 100.0, (k / nx) as f64 / 50.0)).collect(),
            nodal: true,
        };
        let temperature = |x: f64, y: f64| 293.0 + 97.0 * (1.0 - x) * (1.0 - 0.3 * x * (3.0 * y).sin());
        let panel = |title: &str, unit: &str, data, colors, isolines| FieldMap {
            title: title.into(),
            unit: unit.into(),
            x: Axis::new("x", "mm"),
            y: Axis::new("y", "mm"),
            data,
            colors,
            range: None,
            isolines,
            stretched: false,
        };
        let fields = FieldRow {
            panels: vec![
                panel("fast.T", "K", grid(&temperature), ColorMap::Viridis, 8),
                panel("fe2.T", "K", grid(&|x, y| temperature(x, y) + 0.1), ColorMap::Viridis, 8),
                panel(
                    "fast.T − fe2.T",
                    "K",
                    grid(&|x, y| 2e-3 * (6.0 * x).sin() * (5.0 * y).cos()),
                    ColorMap::Diverging,
                    0,
                ),
            ],
        };
        let n = 40;
        let points: Vec<[f64; 2]> = (0..=n * 8)
            .flat_map(|a| (0..=8).map(move |r| (a, r)))
            .map(|(a, r)| {
                let (angle, radius) = (a as f64 / (n * 8) as f64 * std::f64::consts::TAU, 0.4 + r as f64 / 8.0 * 0.6);
                [radius * angle.cos(), radius * angle.sin()]
            })
            .collect();
        let cells = (0..(n * 8) as u32)
            .flat_map(|a| (0..8).map(move |r| vec![a * 9 + r, a * 9 + r + 1, a * 9 + r + 10, a * 9 + r + 9]));
        let values = points.iter().map(|p| p[0] * (3.0 * p[1]).sin()).collect();
        let ring = FieldData::Mesh { points, cells: cells.collect(), values, nodal: true };
        let mesh = FieldRow {
            panels: vec![FieldMap {
                x: Axis::new("x", "µm"),
                y: Axis::new("y", "µm"),
                ..panel("w", "m", ring, ColorMap::Cividis, 0)
            }],
        };
        let costs = BarChart {
            y: Axis::new("time", "s").log(),
            groups: ["concurrent", "tabulated", "learned"].map(String::from).into(),
            series: vec![("offline".into(), vec![f64::NAN, 4.1, 9.3]), ("online".into(), vec![38.2, 0.021, 0.034])],
        };
        vec![
            figure("training", "Training of Conductivity", Content::Lines(training)),
            figure("conductivity", "Effective conductivity against inclusion fraction", Content::Lines(conductivity)),
            figure("convergence", "Convergence in L₂", Content::Lines(convergence)),
            figure("parity", "Surrogate against fine solve", Content::Lines(parity)),
            figure("fields", "Temperature: surrogate, FE², difference", Content::Fields(fields)),
            figure("mesh", "Corrector on a ring", Content::Fields(mesh)),
            figure("costs", "Cost of the three bridges", Content::Bars(costs)),
            figure("scales", "Scales", Content::Scales(scale_map(false))),
            figure("scales-time", "Scales", Content::Scales(scale_map(true))),
            figure("tasks", "Tasks", Content::Tasks(task_graph())),
            figure("tensors", "Effective conductivity of four windows", Content::Tensors(tensor_plot())),
        ]
    }

    fn scale_map(timed: bool) -> ScaleMap {
        let scale = |name: &str, length, time, note: &str| ScaleBox {
            name: name.into(),
            length,
            time: timed.then_some(time),
            note: note.into(),
        };
        ScaleMap {
            scales: vec![
                scale("micro", (1e-7, 1e-5), (1e-9, 1e-6), "Y"),
                scale("macro", (1e-3, 1e-1), (1e-3, 10.0), "Ω"),
            ],
            closures: vec![ScaleArrow {
                closure: "Conductivity".into(),
                from: 0,
                to: 1,
                note: "separation 200".into(),
                warn: false,
            }],
        }
    }

    fn task_graph() -> TaskGraph {
        let task = |label: &str, note: &str, state| TaskBox { label: label.into(), note: note.into(), state };
        TaskGraph {
            tasks: vec![
                task("sample Micro", "256 rows · 2.1 s", TaskState::Cached),
                task("minimize offline", "3000 + 500 steps · 9.3 s", TaskState::Ran),
                task("tabulate exact", "17×17 nodes · 4.1 s", TaskState::Ran),
                task("solve Heat(offline.k)", "Newton 4 · 34 ms", TaskState::Ran),
                task("solve Heat(table)", "Newton 4 · 21 ms", TaskState::Failed),
                task("solve Heat(exact)", "Newton 4 · 38 s", TaskState::Ran),
                task("check agreement", "", TaskState::Ran),
                task("plot", "", TaskState::Waiting),
            ],
            edges: vec![(0, 1), (1, 3), (2, 4), (3, 6), (4, 6), (5, 6), (3, 7), (5, 7), (0, 7)],
        }
    }

    fn tensor_plot() -> TensorPlot {
        let tensor = |i: usize| {
            let (a, k, d) = (0.4 * i as f64, 2.0 + 0.2 * i as f64, 0.5);
            let (c, s) = ((2.0 * a).cos() * d, (2.0 * a).sin() * d);
            (format!("window {}", i + 1), [[k + c, s], [s, k - c]])
        };
        TensorPlot {
            unit: "W/m/K".into(),
            tensors: (0..4).map(tensor).collect(),
            band: Some((vec![1.7; 72], vec![3.0; 72])),
        }
    }

    /// Writes the gallery to `target/gallery`, to be looked at.
    #[test]
    #[ignore = "writes files for a person to open; the checks of content are the tests beside it"]
    fn write_gallery() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/gallery");
        std::fs::create_dir_all(&dir).unwrap();
        for f in gallery() {
            let svg = draw(&f, Theme::Paper);
            std::fs::write(dir.join(format!("{}.svg", f.id)), &svg).unwrap();
            std::fs::write(dir.join(format!("{}.png", f.id)), super::super::png::render(&svg, 2.0).unwrap()).unwrap();
        }
        let mut c = super::super::canvas::Canvas::new(620.0, 250.0, Theme::Paper);
        let rows = [
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "abcdefghijklmnopqrstuvwxyz",
            "0123456789 .,:;!? + − = / ( ) [ ] { } < > _ ^ ~ *",
            "# % & @ \" ' $ \\ | ‖ α β γ δ ε ζ η θ ι κ λ μ ν ξ π ρ σ τ υ φ χ ψ ω",
            "Γ Δ Θ Λ Ξ Π Σ Φ Ψ Ω ∇ ∂ × · ± ≤ ≥ ≠ ≈ ∞ √ ∫ → ° … ∈ ✓ ✗",
            "Effective conductivity k_eff [W/m/K], 3.1×10⁻⁴, σ₁₂ = 70 GPa, T₀ ≈ 20 °C",
        ];
        for (i, r) in rows.iter().enumerate() {
            use super::super::canvas::{Align, Paint};
            c.text(r, 20.0, 36.0 + 38.0 * i as f32, 18.0, Align::Left, Paint::Ink);
        }
        std::fs::write(dir.join("font.png"), super::super::png::render(&c.finish("font"), 2.0).unwrap()).unwrap();
    }
}
