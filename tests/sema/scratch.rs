#[test]
#[ignore = "prints the messages for the file in MSL_FILE"]
fn show() {
    let text = std::fs::read_to_string(std::env::var("MSL_FILE").unwrap()).unwrap();
    let t = std::time::Instant::now();
    let (p, d) = super::analyse_text(&text);
    println!("{:?}\n{}", t.elapsed(), super::messages(&p, &d));
}
