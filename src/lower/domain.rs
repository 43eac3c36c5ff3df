//! Domains: boxes of one to three dimensions, periodic or not, with named boundary parts.

use crate::base::Dimension;
use crate::sema::hir::DefId;

/// A box `origin + [0, extent]` in SI.
#[derive(Clone, PartialEq, Debug)]
pub struct Domain {
    /// As the user calls it, where it has a name.
    pub name: String,
    pub origin: Vec<f64>,
    pub extent: Vec<f64>,
    pub periodic: bool,
    pub scale: Option<DefId>,
    /// Dimension of its coordinates, where it has a name.
    pub length: Option<Dimension>,
}

impl Domain {
    pub fn dimension(&self) -> usize {
        self.origin.len()
    }

    pub fn measure(&self) -> f64 {
        self.extent.iter().product()
    }

    /// Length, area or (in one dimension) number of points of a part of the boundary.
    pub fn measure_of(&self, part: &str) -> f64 {
        let across = |axis: usize| self.extent.iter().enumerate().filter(|(k, _)| *k != axis).map(|(_, x)| x).product();
        match part {
            "left" | "right" => across(0),
            "bottom" | "top" => across(1),
            "back" | "front" => across(2),
            _ => (0..self.dimension()).map(|axis| 2.0 * across(axis)).sum::<f64>(),
        }
    }

    /// Names of the sides, axis by axis.
    pub fn sides(&self) -> &'static [&'static str] {
        const SIDES: [&str; 6] = ["left", "right", "bottom", "top", "back", "front"];
        if self.periodic { &[] } else { &SIDES[..2 * self.dimension()] }
    }

    /// The sides that a part of the boundary is made of.
    pub fn sides_of(&self, part: &str) -> &'static [&'static str] {
        let all = self.sides();
        match all.iter().position(|s| *s == part) {
            Some(k) => &all[k..=k],
            None => all,
        }
    }

    /// Names of the parts of the boundary.
    pub fn parts(&self) -> &'static [&'static str] {
        if self.periodic {
            return &[];
        }
        match self.dimension() {
            1 => &["left", "right", "ends", "boundary"],
            2 => &["left", "right", "bottom", "top", "boundary"],
            _ => &["left", "right", "bottom", "top", "back", "front", "boundary"],
        }
    }
}
