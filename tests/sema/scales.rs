//! Scales across closures.

use mslc::base::Sources;
use mslc::sema::{Analysis, Options, analyse_all};

fn analysis(text: &str) -> Analysis {
    let mut sources = Sources::default();
    let root = sources.add("main.msl", text);
    analyse_all(sources, root, &Options::default())
}

fn heat() -> String {
    std::fs::read_to_string("tests/suite/programs/a_heat.msl").unwrap()
}

/// A cell of 10 µm under elements of 2 mm: a separation of 200.
#[test]
fn the_goal_program_is_well_separated() {
    let a = analysis(&heat());
    let link = &a.scales.links[0];
    assert_eq!((link.closure.as_str(), link.cell.0.as_str()), ("Conductivity", "Y"));
    assert!((link.separation - 200.0).abs() < 1e-9 && !link.thin, "{link:?}");
    assert_eq!(a.scales.scales[link.fine.unwrap()].name, "micro");
    assert_eq!(a.scales.scales[link.coarse.unwrap()].name, "macro");
    let natural = &a.natural.iter().find(|n| n.unknown == "T").unwrap().parts;
    assert_eq!(natural, &["bottom", "top"]);
}

#[test]
fn thin_separation_and_leaving_a_range_are_warned_about() {
    let codes = |text: &str| analysis(text).diagnostics.iter().map(|d| d.code).collect::<Vec<_>>();
    assert!(codes(&heat()).is_empty());
    assert!(codes(&heat().replace("= 2 [mm]", "= 20 [µm]")).contains(&"coupling.separation"));
    assert!(codes(&heat().replace("= 2 [mm]", "= 0.2 [mm]")).contains(&"coupling.range"));
    assert!(codes(&heat().replace("square(10 [µm]", "square(12 [µm]")).contains(&"coupling.range"));
}
