use mslc::backend::{Backend, Options, View, ViewMut, compile};
use mslc::ir::{DType, Func, Op, Tensor, Type, text};
fn op_func(f: &Func, v: usize) -> Func {
    // function of the node's args
    let node = &f.nodes[v];
    let mut b = mslc::ir::Builder::new("prof");
    let args: Vec<_> = node.args.iter().map(|a| b.input(f.ty(*a).clone())).collect();
    let out = b.ops(node.op.clone(), &args);
    b.finish(out)
}
fn clock() -> f64 {
    let mut t = unsafe { std::mem::zeroed::<libc::timespec>() };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + 1e-9 * t.tv_nsec as f64
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let f = text::parse(&std::fs::read_to_string(&a[1]).unwrap()).unwrap();
    let threads: usize = std::env::var("THREADS").ok().and_then(|t| t.parse().ok()).unwrap_or(1);
    for path in &a[2..] {
        let sc: f64 = std::env::var("SC").ok().and_then(|t| t.parse().ok()).unwrap_or(0.01);
        let mut g = f.clone();
        let ps: Vec<usize> = if path == "." { vec![] } else { vec![0; 0] };
        let ps: Vec<usize> = if path == "." { ps } else { path.split('/').map(|s| s.parse().unwrap()).collect() };
        for (i, &p) in ps.iter().enumerate() {
            if i + 1 == ps.len() {
                g = op_func(&g, p);
            } else {
                let b = Func::bodies(&g.nodes[p].op);
                let b = b[0].as_ref().clone();
                g = b;
            }
        }
        let name = match &g.nodes.iter().find(|n| !matches!(n.op, Op::Input(_))).unwrap().op {
            Op::Scan { length, .. } => format!("scan {length}"),
            _ => "op".into(),
        };
        let exe = compile(&g, &Options { backend: Backend::Native, threads, ..Default::default() }).unwrap();
        let ins: Vec<Tensor> = g
            .inputs
            .iter()
            .map(|t: &Type| {
                assert!(t.dtype == DType::F64);
                Tensor::f64(
                    t.shape.clone(),
                    (0..t.len())
                        .map(|i| if t.len() == 1 { sc } else { 0.1 + 1e-3 * ((i * 7919) % 97) as f64 })
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        let mut best = f64::INFINITY;
        let mut outs: Vec<Vec<f64>> = g.output_types().iter().map(|t| vec![0.0; t.len()]).collect();
        let views: Vec<View> = ins.iter().map(View::of_tensor).collect();
        for _ in 0..12 {
            let mut o: Vec<ViewMut> = outs.iter_mut().map(|x| ViewMut::F64(x)).collect();
            let t = clock();
            exe.run_into(&views, &mut o).unwrap();
            best = best.min(clock() - t);
        }
        println!("{path}: {name} {:.2} ms", best * 1e3);
    }
}
