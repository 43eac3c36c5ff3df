//! Figures, tables and files of results, from plain data: nothing here knows how a result was computed.

pub mod stroke;
