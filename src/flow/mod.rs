//! What must be done, before doing it: the graph of tasks.

pub mod graph;
