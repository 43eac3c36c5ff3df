//! The whole path from a program to observed orders: each file in `programs/` claims its orders and exact values by `check`.

use std::process::Command;

fn run(name: &str) {
    let out = std::env::temp_dir().join(format!("mslc-order-{name}-{}", std::process::id()));
    let file = format!("{}/tests/convergence/programs/{name}.msl", env!("CARGO_MANIFEST_DIR"));
    let output =
        Command::new(env!("CARGO_BIN_EXE_mslc")).args(["run", &file, "--out"]).arg(&out).output().expect("mslc starts");
    let _ = std::fs::remove_dir_all(out);
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&said));
}

macro_rules! programs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        /// No file is forgotten.
        #[test]
        fn all() {
            let folder = format!("{}/tests/convergence/programs", env!("CARGO_MANIFEST_DIR"));
            let mut there: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|f| f.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            there.sort();
            assert_eq!(there, [$(stringify!($name)),*]);
        }
    };
}

programs! {
    additive backward_differences beam chebyshev conservation constraints convolution coupled courant dense_output diffusion
    elasticity fitted heat_in_time hexahedra interval laminate numbers_in_time second_derivatives solid spectral staggered stokes tensor walls
    waves
}
