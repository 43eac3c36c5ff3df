//! Figures, tables and files of results, from plain data: nothing here knows how a result was computed.
//!
//! A caller fills a [`Report`] and calls [`write`](fn@write); the folder then holds
//! ```text
//! report.html          everything, in one self-contained page
//! run.json             hashes, seeds, checks with their values, costs: [`manifest::Run`]
//! figures/NAME.svg     and NAME.png, each figure
//! data/NAME.csv        the numbers of each plotted curve
//! ```

pub mod axes;
pub mod canvas;
pub mod color;
pub mod csv;
pub mod field;
pub mod figure;
pub mod graph;
pub mod hdf5;
pub mod html;
pub mod manifest;
pub mod npz;
pub mod outcome;
pub mod plot;
pub mod png;
pub mod scales;
pub mod series;
pub mod source;
pub mod stroke;
pub mod svg;
pub mod tensors;
pub mod ticks;
pub mod vtk;

pub use figure::Figure;
pub use manifest::Run;

use crate::base::Fingerprint;
use crate::exec::fs::{DiskFault, FileSystem, write_atomically};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What is told of a run.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Report {
    /// `composite_heat`
    pub title: String,
    /// The first paragraph of the program's documentation.
    pub doc: String,
    /// Text of the program.
    pub source: String,
    pub run: Run,
    pub figures: Vec<Figure>,
    pub tables: Vec<Table>,
}

/// Words and numbers in rows, written for people.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Table {
    pub title: String,
    pub caption: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Pixels of a PNG for a unit of its SVG.
const PNG_SCALE: f32 = 2.0;

/// Writes the files of a report into a folder, each atomically, `run.json` last. Hashes of what it writes are added to
/// `run.outputs`. Gives the paths of all files.
///
/// # Errors
/// Where the disk refuses.
pub fn write(report: &mut Report, folder: &Path, fs: &dyn FileSystem) -> Result<Vec<PathBuf>, DiskFault> {
    name_apart(&mut report.figures);
    let mut written = vec![];
    let mut outputs = vec![];
    let mut put = |name: String, bytes: &[u8]| -> Result<(), DiskFault> {
        let path = folder.join(&name);
        write_atomically(fs, &path, bytes)?;
        outputs.push((name, Fingerprint::of(bytes).hex()));
        written.push(path);
        Ok(())
    };
    for f in &report.figures {
        let picture = svg::draw(f, canvas::Theme::Paper);
        put(format!("figures/{}.svg", f.id), picture.as_bytes())?;
        // A picture too large for pixels is still there as SVG.
        if let Ok(pixels) = png::render(&picture, PNG_SCALE) {
            put(format!("figures/{}.png", f.id), &pixels)?;
        }
        if let Some(table) = csv::of(f) {
            put(format!("data/{}.csv", f.id), table.as_bytes())?;
        }
    }
    report.run.outputs.extend(outputs);
    let page = html::page(report);
    write_atomically(fs, &folder.join("report.html"), page.as_bytes())?;
    report.run.outputs.insert("report.html".into(), Fingerprint::of(page.as_bytes()).hex());
    write_atomically(fs, &folder.join("run.json"), report.run.to_json().as_bytes())?;
    written.extend([folder.join("report.html"), folder.join("run.json")]);
    Ok(written)
}

/// Makes ids fit for file names, and no two alike.
fn name_apart(figures: &mut [Figure]) {
    let mut taken = HashSet::new();
    for f in figures {
        let stem = svg::file_stem(&f.id);
        let free = |n: &String| !taken.contains(&n.to_lowercase());
        let id = std::iter::once(stem.clone()).chain((2..).map(|k| format!("{stem}-{k}"))).find(free);
        f.id = id.unwrap_or(stem);
        taken.insert(f.id.to_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::manifest::{Check, State, Task, Verdict};
    use super::*;
    use crate::exec::fs::Disk;

    pub fn sample() -> Report {
        let check = |claim: &str, value, bound, held| Check {
            study: "validate".into(),
            claim: claim.into(),
            round: String::new(),
            value,
            relation: "<".into(),
            bound,
            unit: String::new(),
            held,
        };
        let task = |label: &str, state, seconds, solves: &[(&str, u64)], parent| Task {
            label: label.into(),
            state,
            seconds,
            cost: seconds,
            outputs: vec![],
            solves: solves.iter().map(|(a, n)| (a.to_string(), *n)).collect(),
            notes: vec![],
            parent,
            needs: vec![],
        };
        let row = |words: &[&str]| words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
        Report {
            title: "composite_heat".into(),
            doc: "Two-phase composite: cell problem -> k_eff(T, φ) -> surrogate -> macro solve, checked against FE².".into(),
            source: "/// Two-phase <composite>\nparam h: [m] = 2 [mm]  // overridable\nlet Y = square(10 [µm], periodic=true)\n\
                     study validate {\n  check rel_l2(fast.T, fe2.T) < 1e-2\n}\n"
                .into(),
            run: Run {
                schema: manifest::SCHEMA,
                mslc: "0.1.0".into(),
                program: "examples/composite_heat.msl".into(),
                program_hash: Fingerprint::of(b"x").hex(),
                started: manifest::iso_time(1_795_370_788),
                seconds: 51.7,
                verdict: Verdict::CheckFailed,
                seed: 7,
                threads: 2,
                backend: "native".into(),
                studies: vec!["validate".into()],
                settings: [("h".to_string(), "1[mm]".to_string())].into(),
                checks: vec![
                    check("rel_l2(fast.T, fe2.T) < 1e-2", 3.214e-4, 1e-2, true),
                    check("rel_l2(table.T, fe2.T) < 1e-3", 1.7e-3, 1e-3, false),
                ],
                tasks: vec![
                    task("sample Micro", State::Cached, 2.1, &[("Cell", 512)], None),
                    task("minimize offline", State::Ran, 9.3, &[], None),
                    task("solve Heat(exact)", State::Ran, 38.2, &[("Heat", 4), ("Cell", 41600)], None),
                    task("Newton", State::Ran, 30.0, &[], Some(2)),
                ],
                ..Run::default()
            },
            figures: svg::gallery(),
            tables: vec![Table {
                title: "Three bridges".into(),
                caption: "Error is the relative L₂ distance to the concurrent solution.".into(),
                columns: row(&["bridge", "error", "time online", "fine solves"]),
                rows: vec![
                    row(&["concurrent", "–", "38.2 s", "41600"]),
                    row(&["tabulated", "1.7×10⁻³", "21 ms", "578"]),
                    row(&["learned", "3.2×10⁻⁴", "34 ms", "512"]),
                ],
            }],
        }
    }

    #[test]
    fn the_folder_holds_what_run_json_says() {
        let dir = std::env::temp_dir().join(format!("mslc-report-{}", std::process::id()));
        let mut report = sample();
        report.figures.truncate(2);
        report.figures[1].id = report.figures[0].id.to_uppercase();
        let written = write(&mut report, &dir, &Disk).unwrap();
        let run = Run::from_json(&std::fs::read_to_string(dir.join("run.json")).unwrap()).unwrap();
        assert_eq!(run.outputs.len(), written.len() - 1, "run.json cannot hash itself");
        for (name, hash) in &run.outputs {
            assert_eq!(Fingerprint::of(&std::fs::read(dir.join(name)).unwrap()).hex(), *hash, "{name}");
        }
        let page = std::fs::read_to_string(dir.join("report.html")).unwrap();
        for reference in ["http://", "https://", "<script", "src="] {
            let found = page.replace("http://www.w3.org/2000/svg", "").contains(reference);
            assert!(!found, "the page refers to something outside: {reference}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// Writes the whole sample report to `target/gallery/report`, to be looked at.
    #[test]
    #[ignore = "writes files for a person to open; the checks of content are the tests beside it"]
    fn write_gallery() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/gallery/report");
        write(&mut sample(), &dir, &Disk).unwrap();
    }
}
