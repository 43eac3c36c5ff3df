//! Where numbers come from: random draws, designs, random fields, files, tables. Pure but for `read`.

pub mod design;
pub mod draw;
pub mod grf;
pub mod interpolate;
pub mod law;
pub mod read;
pub mod split;
pub mod statistics;

pub use design::Design;
pub use draw::Stream;
pub use law::Law;
