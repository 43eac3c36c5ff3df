//! One self-contained page about a run: no script, nothing fetched, light and dark.

use super::canvas::{Theme, escape};
use super::color::SERIES;
use super::figure::{Content, Figure};
use super::manifest::{Run, State, Verdict};
use super::source;
use super::{Report, Table, svg, ticks};

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(report: &Report) -> String {
    let run = &report.run;
    let (scales, rest): (Vec<&Figure>, Vec<&Figure>) =
        report.figures.iter().partition(|f| matches!(f.content, Content::Scales(_)));
    let (graphs, figures): (Vec<&Figure>, Vec<&Figure>) =
        rest.into_iter().partition(|f| matches!(f.content, Content::Tasks(_)));
    let mut sections = vec![];
    if let Some(failure) = &run.failure {
        sections.push(("failure", "Why the run ended", format!("<pre class=\"failure\">{}</pre>", escape(failure))));
    }
    if !run.checks.is_empty() {
        sections.push(("checks", "Checks", checks(run)));
    }
    if !scales.is_empty() {
        sections.push(("scales", "Scales", pictures(&scales)));
    }
    if !report.tables.is_empty() || !figures.is_empty() {
        sections.push(("results", "Results", results(&report.tables, &figures)));
    }
    if !graphs.is_empty() || !run.tasks.is_empty() {
        sections.push(("tasks", "Tasks and costs", pictures(&graphs) + &costs(run)));
    }
    sections.push(("provenance", "Provenance", provenance(run)));
    sections.push(("program", "Program", source::listing(&report.source)));

    let links: String = sections.iter().map(|(id, name, _)| format!("<a href=\"#{id}\">{name}</a>")).collect();
    let body: String = sections
        .iter()
        .map(|(id, name, inner)| format!("<section id=\"{id}\">\n<h2>{name}</h2>\n{inner}</section>\n"))
        .collect();
    let title = escape(&report.title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"mslc {version}\">\n\
         <title>{title}</title>\n<style>\n{colors}{STYLE}</style>\n</head>\n<body>\n<header>\n{badge}\n<h1>{title}</h1>\n{doc}\
         <p class=\"facts\">{facts}</p>\n</header>\n<nav>{links}</nav>\n<main>\n{body}</main>\n\
         <footer>written by mslc {version}</footer>\n</body>\n</html>\n",
        version = escape(&run.mslc),
        colors = series_colors(),
        badge = badge(run),
        doc = if report.doc.is_empty() {
            String::new()
        } else {
            format!("<p class=\"doc\">{}</p>\n", escape(&report.doc))
        },
        facts = facts(run),
    )
}

/// `--s0` … for both themes; in the dark each is mixed with white.
fn series_colors() -> String {
    let list = |mix: f64| -> String {
        let tone = |v: u8| (v as f64 * (1.0 - mix) + 255.0 * mix).round() as u8;
        SERIES
            .iter()
            .enumerate()
            .map(|(i, [r, g, b])| format!("--s{i}:#{:02x}{:02x}{:02x};", tone(*r), tone(*g), tone(*b)))
            .collect()
    };
    format!(":root{{{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n", list(0.0), list(0.36))
}

fn badge(run: &Run) -> String {
    let (held, all) = (run.held(), run.checks.len());
    let (class, words) = match run.verdict {
        Verdict::Holds if all == 0 => ("plain", "no checks".to_string()),
        Verdict::Holds if all == 1 => ("good", "the check holds".into()),
        Verdict::Holds => ("good", format!("all {all} checks hold")),
        Verdict::CheckFailed => ("bad", format!("{} of {all} checks failed", all - held)),
        Verdict::RunFailed => ("bad", "the run failed".into()),
        Verdict::Interrupted => ("plain", "interrupted".into()),
    };
    format!("<p class=\"badge {class}\">{words}</p>")
}

fn facts(run: &Run) -> String {
    let mut facts = vec![format!("<code>{}</code>", escape(&run.program))];
    if !run.studies.is_empty() {
        facts.push(format!("studies {}", escape(&run.studies.join(", "))));
    }
    facts.push(duration(run.seconds));
    facts.push(format!("seed {}", run.seed));
    facts.push(escape(&run.started.replace('T', " ").replace('Z', " UTC")));
    facts.join(" · ")
}

fn checks(run: &Run) -> String {
    let many = run.checks.iter().any(|c| c.study != run.checks[0].study);
    let rows: String = run
        .checks
        .iter()
        .map(|c| {
            let (class, mark) = if c.held { ("good", "holds") } else { ("bad", "fails") };
            let study = if many { format!("<td>{}</td>", escape(&c.study)) } else { String::new() };
            let unit = if c.unit.is_empty() { String::new() } else { format!(" {}", escape(&c.unit)) };
            // What holds or not has no numbers.
            let (value, bound) = match c.relation.as_str() {
                "holds" => Default::default(),
                _ => (
                    format!("{}{unit}", ticks::number(c.value)),
                    format!("{} {}{unit}", escape(&c.relation), ticks::number(c.bound)),
                ),
            };
            let round = if c.round.is_empty() {
                String::new()
            } else {
                format!(" <span class=\"was\">{}</span>", escape(&c.round))
            };
            format!(
                "<tr class=\"{class}\"><td class=\"mark\">{mark}</td>{study}<td><code>{}</code>{round}</td>\
                 <td class=\"n\">{value}</td><td class=\"n\">{bound}</td></tr>\n",
                escape(&c.claim),
            )
        })
        .collect();
    let study = if many { "<th>study</th>" } else { "" };
    wide(&format!(
        "<table class=\"checks\">\n<thead><tr><th></th>{study}<th>claim</th><th class=\"n\">value</th><th class=\"n\">bound</th></tr>\
         </thead>\n<tbody>\n{rows}</tbody></table>"
    ))
}

/// Tables and figures, those of a study under its name: a table carries it as its title.
fn results(tables: &[Table], figures: &[&Figure]) -> String {
    let mut studies: Vec<&str> = vec![];
    for name in figures.iter().map(|f| f.study.as_str()).filter(|name| !name.is_empty()) {
        if !studies.contains(&name) {
            studies.push(name);
        }
    }
    // Figures follow the last table of their study.
    let mut out = String::new();
    let last = |name: &str| tables.iter().rposition(|t| t.title == name);
    let of = |name: &str| figures.iter().copied().filter(|f| f.study == name).collect::<Vec<_>>();
    let mut heading = "";
    for (k, t) in tables.iter().enumerate() {
        out += &table(t, t.title != heading);
        heading = &t.title;
        for name in studies.iter().filter(|name| last(name) == Some(k)) {
            out += &pictures(&of(name));
        }
    }
    for name in studies.iter().filter(|name| last(name).is_none()) {
        let head =
            if studies.len() + tables.len() > 1 { format!("<h3>{}</h3>\n", escape(name)) } else { String::new() };
        out += &(head + &pictures(&of(name)));
    }
    out + &pictures(&of(""))
}

fn pictures(figures: &[&Figure]) -> String {
    figures
        .iter()
        .map(|f| {
            let caption = if f.caption.is_empty() {
                String::new()
            } else {
                format!("<figcaption>{}</figcaption>\n", escape(&f.caption))
            };
            format!(
                "<figure id=\"{}\">\n{}{caption}</figure>\n",
                escape(&svg::file_stem(&f.id)),
                svg::draw(f, Theme::Page)
            )
        })
        .collect()
}

fn table(t: &Table, with_title: bool) -> String {
    // A column of numbers stands right-aligned, with the odd word in it.
    let numeric = |k: usize| {
        let begins = |c: &&String| c.starts_with(|ch: char| ch.is_ascii_digit() || ch == '−' || ch == '-' || ch == '∞');
        let cells = t.rows.iter().filter_map(|r| r.get(k)).filter(|c| !c.is_empty() && *c != "–");
        let (numbers, words): (Vec<&String>, Vec<&String>) = cells.partition(begins);
        words.len() < 2 && (words.is_empty() || numbers.len() > 1)
    };
    let class = |k: usize| if k > 0 && numeric(k) { " class=\"n\"" } else { "" };
    let head: String =
        t.columns.iter().enumerate().map(|(k, c)| format!("<th{}>{}</th>", class(k), escape(c))).collect();
    let rows: String = t
        .rows
        .iter()
        .map(|r| {
            let cells: String =
                r.iter().enumerate().map(|(k, c)| format!("<td{}>{}</td>", class(k), escape(c))).collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    let caption =
        if t.caption.is_empty() { String::new() } else { format!("<p class=\"caption\">{}</p>\n", escape(&t.caption)) };
    let head_line = if with_title { format!("<h3>{}</h3>\n", escape(&t.title)) } else { String::new() };
    format!(
        "{head_line}{}{caption}",
        wide(&format!("<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>"))
    )
}

fn costs(run: &Run) -> String {
    if run.tasks.is_empty() {
        return String::new();
    }
    let most = run.tasks.iter().map(|t| t.seconds).fold(1e-9, f64::max);
    // What took no time is told by its number only.
    let counts = |t: &&super::manifest::Task| t.seconds >= 1e-3 || !t.solves.is_empty() || t.state == State::Failed;
    let (shown, small) = (run.tasks.iter().filter(counts).count(), run.tasks.iter().filter(|t| !counts(t)).count());
    let more = match (shown, small) {
        (_, 0) => String::new(),
        (_, 1) => "<p class=\"caption\">and one task below 1 ms</p>\n".to_string(),
        (_, n) => format!("<p class=\"caption\">and {n} tasks below 1 ms each</p>\n"),
    };
    let depth = |mut i: usize| {
        let mut d = 0;
        while let Some(p) = run.tasks[i].parent.filter(|p| *p < i) {
            (i, d) = (p, d + 1);
        }
        d
    };
    let rows: String = run
        .tasks
        .iter()
        .enumerate()
        .filter(|(_, t)| counts(t))
        .map(|(i, t)| {
            let state = match t.state {
                State::Ran => "ran",
                State::Cached => "cached",
                State::Failed => "failed",
                State::Waiting => "not run",
            };
            let solves: Vec<String> = t.solves.iter().map(|(name, n)| format!("{n} × {}", escape(name))).collect();
            format!(
                "<tr class=\"{state}\"><td style=\"padding-left:{:.1}em\">{}</td><td>{state}</td><td class=\"n\">{}</td>\
                 <td class=\"bar\"><span style=\"width:{:.1}%\"></span></td><td>{}</td></tr>\n",
                0.6 + 1.2 * depth(i) as f64,
                escape(&t.label),
                if t.state == State::Cached && t.cost > 1e-3 {
                    format!("{} <span class=\"was\">(took {})</span>", duration(t.seconds), duration(t.cost))
                } else {
                    duration(t.seconds)
                },
                100.0 * t.seconds / most,
                solves.join(", ")
            )
        })
        .collect();
    wide(&format!(
        "<table class=\"costs\">\n<thead><tr><th>task</th><th></th><th class=\"n\">time</th><th class=\"bar\"></th><th>systems solved</th>\
         </tr></thead>\n<tbody>\n{rows}</tbody></table>"
    )) + &more
}

fn provenance(run: &Run) -> String {
    let mut rows = vec![
        ("compiler", format!("mslc {}", escape(&run.mslc))),
        ("program", hash(&run.program, &run.program_hash)),
        ("seed", run.seed.to_string()),
        (
            "backend",
            format!("{}, {} thread{}", escape(&run.backend), run.threads, if run.threads == 1 { "" } else { "s" }),
        ),
        ("started", escape(&run.started)),
    ];
    if !run.settings.is_empty() {
        let list: Vec<String> =
            run.settings.iter().map(|(k, v)| format!("<code>--set {}={}</code>", escape(k), escape(v))).collect();
        rows.push(("settings", list.join("<br>")));
    }
    for (name, files) in [("inputs", &run.inputs), ("outputs", &run.outputs)] {
        if !files.is_empty() {
            let list = files.iter().map(|(f, h)| hash(f, h)).collect::<Vec<_>>().join("<br>");
            let long = files.len() > 6;
            let fold = format!("<details><summary>{} files</summary>{list}</details>", files.len());
            rows.push((name, if long { fold } else { list }));
        }
    }
    let rows: String = rows.iter().map(|(k, v)| format!("<tr><th>{k}</th><td>{v}</td></tr>\n")).collect();
    wide(&format!("<table class=\"facts\"><tbody>\n{rows}</tbody></table>"))
}

fn hash(name: &str, hash: &str) -> String {
    format!("{} <code class=\"hash\" title=\"{hash}\">{}</code>", escape(name), hash.get(..12).unwrap_or(hash))
}

fn wide(table: &str) -> String {
    format!("<div class=\"wide\">{table}</div>\n")
}

/// `2 min 5 s`, `38.2 s`, `34 ms`
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s < 0.0 => "–".into(),
        s if s >= 3600.0 => format!("{} h {} min", (s / 3600.0) as u64, (s % 3600.0 / 60.0) as u64),
        s if s >= 60.0 => format!("{} min {} s", (s / 60.0) as u64, (s % 60.0) as u64),
        s if s >= 10.0 => format!("{s:.1} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{} ms", (s * 1e3).round()),
        s => format!("{:.2} ms", s * 1e3),
    }
}
