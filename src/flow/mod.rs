//! What must be done, before doing it: the graph of tasks, what each is made of, and which of them compare.

pub mod bridges;
pub mod graph;
pub mod made;
