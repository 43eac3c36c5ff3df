//! Colours. The maps are perceptually uniform: equal steps of the value look like equal steps, in grey and to the colour-blind too.
//! [van der Walt & Smith 2015, viridis; Nuñez, Anderton & Renslow 2018, cividis]

use super::figure::ColorMap;

pub type Rgb = [u8; 3];

/// Knots of the maps at equal distances, from low to high; between them colours are mixed linearly.
const VIRIDIS: &[Rgb] = &[
    [68, 1, 84],
    [72, 20, 103],
    [72, 38, 119],
    [69, 55, 129],
    [63, 71, 136],
    [57, 85, 140],
    [50, 100, 142],
    [45, 113, 142],
    [40, 125, 142],
    [35, 138, 141],
    [31, 150, 139],
    [32, 163, 134],
    [41, 175, 127],
    [59, 187, 117],
    [86, 198, 103],
    [116, 208, 85],
    [149, 216, 64],
    [184, 222, 41],
    [220, 227, 25],
    [253, 231, 37],
];
const CIVIDIS: &[Rgb] = &[
    [0, 34, 78],
    [0, 42, 100],
    [18, 53, 112],
    [44, 64, 111],
    [60, 74, 109],
    [74, 85, 109],
    [87, 95, 110],
    [99, 106, 113],
    [111, 116, 117],
    [124, 127, 120],
    [137, 138, 119],
    [151, 149, 117],
    [164, 161, 113],
    [179, 173, 106],
    [194, 185, 98],
    [209, 198, 87],
    [225, 211, 72],
    [241, 224, 53],
    [254, 232, 56],
];
const DIVERGING: &[Rgb] = &[
    [24, 56, 105],
    [38, 92, 152],
    [75, 132, 186],
    [128, 170, 210],
    [182, 205, 227],
    [222, 231, 239],
    [245, 244, 242],
    [243, 224, 212],
    [236, 190, 168],
    [219, 144, 119],
    [194, 95, 78],
    [158, 50, 52],
    [108, 22, 36],
];

/// Colour-blind-safe line colours, dark enough on white. [after Okabe & Ito 2008]
pub const SERIES: &[Rgb] =
    &[[0, 104, 168], [213, 94, 0], [0, 138, 106], [178, 82, 140], [128, 108, 0], [86, 150, 200], [90, 90, 100]];

/// The colour at `t` from 0 to 1.
pub fn sample(map: ColorMap, t: f64) -> Rgb {
    let knots = match map {
        ColorMap::Viridis => VIRIDIS,
        ColorMap::Cividis => CIVIDIS,
        ColorMap::Diverging => DIVERGING,
    };
    let at = t.clamp(0.0, 1.0) * (knots.len() - 1) as f64;
    let i = (at as usize).min(knots.len() - 2);
    let f = at - i as f64;
    std::array::from_fn(|k| (knots[i][k] as f64 * (1.0 - f) + knots[i + 1][k] as f64 * f).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIE 1976 lightness of an sRGB colour. [IEC 61966-2-1; CIE 15]
    fn lightness(c: Rgb) -> f64 {
        let linear = |v: u8| {
            let v = v as f64 / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        let y = 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
        116.0 * y.cbrt() - 16.0
    }

    #[test]
    fn lightness_rises_evenly() {
        for map in [ColorMap::Viridis, ColorMap::Cividis] {
            let l: Vec<f64> = (0..=20).map(|i| lightness(sample(map, i as f64 / 20.0))).collect();
            let mean = (l[20] - l[0]) / 20.0;
            for w in l.windows(2) {
                assert!((w[1] - w[0] - mean).abs() < 0.45 * mean, "{map:?}: step {} against {mean}", w[1] - w[0]);
            }
        }
        let l: Vec<f64> = (0..=10).map(|i| lightness(sample(ColorMap::Diverging, i as f64 / 10.0))).collect();
        assert!(l[..6].windows(2).all(|w| w[0] < w[1]) && l[5..].windows(2).all(|w| w[0] > w[1]), "{l:?}");
        assert!((l[0] - l[10]).abs() < 6.0);
    }
}
