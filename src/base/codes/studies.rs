//! Studies and tasks.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "studies.check",
        title: "a check that is not true or false once",
        explanation: "`check` states what a paper claims: a comparison of numbers, with its tolerance.",
    },
    Code {
        id: "studies.file",
        title: "a study cannot write this file",
        explanation: "Files of a study go into the folder of results under a plain name: `vtk(\"heat.vtu\", s.T)`. Fields written \
                      together must be on one mesh, and what is written must be numbers or fields.",
    },
    Code {
        id: "studies.unknown",
        title: "the program has no study of this name",
        explanation: "Names after the file choose which studies run: `mslc run heat.msl validate`. Without names all run, in the \
                      order of the program.",
    },
];
