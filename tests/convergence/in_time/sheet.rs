//! A part of the page made of tables whose cells are measured: all of them when the page is written, else one of so many, so that each
//! row and each column is looked at.

use super::table::{self, Cell, Row, Said};
use crate::convergence::page;
use rayon::prelude::*;

pub struct Sheet<'a> {
    /// Of the page.
    pub part: &'a str,
    pub header: &'a str,
    pub sections: Vec<Section>,
    pub one_of: usize,
}

/// A table.
pub struct Section {
    pub heading: String,
    pub methods: Vec<String>,
    /// What stands before the cells of each row.
    pub rows: Vec<Vec<String>>,
}

/// Where a cell stands.
pub struct Place {
    pub section: usize,
    pub row: usize,
    pub method: usize,
}

impl Sheet<'_> {
    /// `measure(section, row, methods)` gives the cells of these methods, `least` the order below which one is wrong.
    pub fn check(
        &self,
        measure: impl Fn(usize, usize, &[usize]) -> Vec<Cell> + Sync,
        least: impl Fn(&Place) -> f64 + Sync,
    ) {
        let rows: Vec<(usize, usize)> =
            self.sections.iter().enumerate().flat_map(|(s, x)| (0..x.rows.len()).map(move |r| (s, r))).collect();
        let which = |k: usize, section: usize| -> Vec<usize> {
            let all = 0..self.sections[section].methods.len();
            all.filter(|i| page::blessing() || (3 * k + i).is_multiple_of(self.one_of)).collect()
        };
        let cells: Vec<Vec<Cell>> =
            rows.par_iter().enumerate().map(|(k, &(s, r))| measure(s, r, &which(k, s))).collect();
        let mut wrong = String::new();
        let kept = page::part(self.part);
        for (k, (&(section, row), cells)) in rows.iter().zip(&cells).enumerate() {
            let s = &self.sections[section];
            for (method, cell) in which(k, section).into_iter().zip(cells) {
                let place = format!("{} {}: {}", s.heading, s.rows[row].join(", "), s.methods[method]);
                let least = least(&Place { section, row, method });
                let short = match cell {
                    Cell::Order(order) => order.is_nan() || *order < least,
                    Cell::Level(error, most) => error.is_nan() || error > most,
                    _ => false,
                };
                if short {
                    wrong += &format!("{place}: {}, not {least}\n", cell.word());
                }
                if !page::blessing() {
                    let said = table::said(&kept, &s.heading, &s.rows[row], &s.methods[method]);
                    if !agrees(said.as_ref(), cell, &s.methods[method]) {
                        wrong += &format!("{place}: found {cell:?}, the page says {said:?}\n");
                    }
                }
            }
        }
        if page::blessing() {
            page::compare_or_bless(self.part, &self.rendered(cells));
        }
        let why = "orders that fall short, or are not those of docs/orders.md (MSLC_BLESS=1 writes it)";
        assert!(wrong.is_empty(), "{why}:\n{wrong}");
    }

    fn rendered(&self, cells: Vec<Vec<Cell>>) -> String {
        let mut out = String::from(self.header);
        let mut cells = cells.into_iter();
        for s in &self.sections {
            let rows: Vec<Row> = s.rows.iter().map(|r| (r.clone(), cells.next().expect("a row of cells"))).collect();
            out += &format!("\n{}\n\n{}", s.heading, table::table(&["operator", "conditions"], &s.methods, &rows));
        }
        out
    }
}

fn agrees(said: Option<&Said>, cell: &Cell, method: &str) -> bool {
    match (said, cell) {
        (Some(Said::Reason(words)), Cell::Refused(r)) => *words == r.without(method).in_words(),
        (Some(Said::Never), Cell::Refused(_)) => true,
        (Some(Said::Word(_)), Cell::Refused(_)) => false,
        (Some(Said::Word(word)), cell) => page::close(word, &cell.word()),
        _ => false,
    }
}
