//! PNG: pictures from our own SVG, and indexed images for large fields. [ISO/IEC 15948]

use super::color::Rgb;

/// Draws an SVG of this crate (no text elements, no external files) at `scale` pixels a unit.
///
/// # Errors
/// Where the text is no SVG, or the picture would be empty or too large.
pub fn render(svg: &str, scale: f32) -> Result<Vec<u8>, String> {
    use resvg::{tiny_skia, usvg};
    let tree = usvg::Tree::from_str(svg, &usvg::Options::default()).map_err(|e| e.to_string())?;
    let size = tree.size();
    let (w, h) = ((size.width() * scale).ceil() as u32, (size.height() * scale).ceil() as u32);
    let mut pixels = tiny_skia::Pixmap::new(w, h).ok_or_else(|| format!("a picture of {w} by {h} pixels"))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| e.to_string())
}

/// An image of `width · palette indices`; index 0 is transparent, index i is `palette[i - 1]`.
pub fn indexed(width: usize, indices: &[u8], palette: &[Rgb]) -> Vec<u8> {
    let height = indices.len() / width.max(1);
    let mut out = vec![];
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let colors: Vec<u8> = [[0; 3]].iter().chain(palette).flatten().copied().collect();
    encoder.set_palette(colors);
    encoder.set_trns(vec![0]);
    let written = encoder.write_header().and_then(|mut w| w.write_image_data(indices));
    written.expect("compiler bug: an image in memory of the size given cannot fail");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexed_images_read_back() {
        let bytes = indexed(2, &[0, 1, 2, 1], &[[10, 20, 30], [40, 50, 60]]);
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes));
        reader.set_transformations(png::Transformations::EXPAND);
        let mut reader = reader.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [0, 0, 0, 0, 10, 20, 30, 255, 40, 50, 60, 255, 10, 20, 30, 255]);
    }
}
