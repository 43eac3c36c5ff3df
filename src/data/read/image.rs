//! PNG images, as luminance between 0 (black) and 1 (white).

use super::{Array, Problem, broken};
use indexmap::IndexMap;
use std::io::Cursor;

/// One array `image` of shape `[rows, columns]`, row 0 at the top. Colours become luma with the weights of
/// [ITU-R BT.709] on the stored values; there is no gamma correction. Transparency is refused.
pub fn read(bytes: &[u8]) -> Result<IndexMap<String, Array>, Problem> {
    let wrong = |e: png::DecodingError| (None, format!("not a readable PNG image: {e}"));
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(wrong)?;
    let size = reader.output_buffer_size().ok_or((None, "the image is too large".to_string()))?;
    let mut buffer = vec![0; size];
    let info = reader.next_frame(&mut buffer).map_err(wrong)?;
    let samples: Vec<f64> = match info.bit_depth {
        png::BitDepth::Sixteen => buffer[..info.buffer_size()]
            .chunks_exact(2)
            .map(|b| u16::from_be_bytes([b[0], b[1]]) as f64 / 65535.0)
            .collect(),
        _ => buffer[..info.buffer_size()].iter().map(|&b| b as f64 / 255.0).collect(),
    };
    let channels = info.color_type.samples();
    let (rows, columns) = (info.height as usize, info.width as usize);
    if channels % 2 == 0 && samples.chunks_exact(channels).any(|p| p[channels - 1] < 1.0) {
        return broken("the image is partly transparent; what lies behind it is not known");
    }
    let luma = |p: &[f64]| if p.len() < 3 { p[0] } else { luminance(p) };
    let values = samples.chunks_exact(channels).map(luma).collect();
    Ok(IndexMap::from([("image".to_string(), Array::new(vec![rows, columns], values))]))
}

fn luminance(p: &[f64]) -> f64 {
    // Of equal channels, exactly their value.
    if p[0] == p[1] && p[1] == p[2] { p[0] } else { 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(color: png::ColorType, depth: png::BitDepth, size: (u32, u32), data: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        let mut e = png::Encoder::new(&mut out, size.0, size.1);
        e.set_color(color);
        e.set_depth(depth);
        e.write_header().unwrap().write_image_data(data).unwrap();
        out
    }

    #[test]
    fn depths_and_colours() {
        use png::{BitDepth::*, ColorType::*};
        let a = &read(&encode(Grayscale, Eight, (3, 2), &[0, 51, 255, 1, 2, 3])).unwrap()["image"];
        assert_eq!((a.shape.as_slice(), a.values[1], a.values[2]), ([2, 3].as_slice(), 0.2, 1.0));
        let a = &read(&encode(Grayscale, Sixteen, (1, 1), &[0x12, 0x34])).unwrap()["image"];
        assert_eq!(a.values, [0x1234 as f64 / 65535.0]);
        let a = &read(&encode(Grayscale, One, (8, 1), &[0b1010_0001])).unwrap()["image"];
        assert_eq!(a.values, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let a = &read(&encode(Rgb, Eight, (2, 1), &[255, 0, 0, 51, 51, 51])).unwrap()["image"];
        assert_eq!(a.values, [0.2126, 0.2]);
        assert!(read(&encode(Rgba, Eight, (1, 1), &[255, 0, 0, 254])).is_err());
        assert!(read(b"GIF89a").unwrap_err().1.contains("PNG"));
    }
}
