//! Figures, tables and files of results, from plain data: nothing here knows how a result was computed.

pub mod axes;
pub mod canvas;
pub mod color;
pub mod field;
pub mod figure;
pub mod graph;
pub mod plot;
pub mod png;
pub mod scales;
pub mod stroke;
pub mod svg;
pub mod tensors;
pub mod ticks;

pub use figure::Figure;
